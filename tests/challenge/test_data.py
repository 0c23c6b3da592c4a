"""Data sets: downloads, copies, hashes, the cache, the lock file. The server is on this machine."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from perturbarena.challenge.data import (
    CACHE_VARIABLE,
    UNPINNED,
    DataFile,
    DataSet,
    cache_folder,
    data_sets,
    fetch,
    find_data_set,
)
from perturbarena.errors import DataUnavailableError

CONTENT = b"pert,gene\nAars,NA\n" * 5000


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """Serves ``content``; ``cut`` breaks the connection after so many bytes; counts requests."""

    def __init__(self) -> None:
        self.content, self.cut, self.requests = CONTENT, None, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                if "missing" in self.path:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content[: outer.cut])

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def data_set(self, sha256: str = UNPINNED, *, size: int | None = None, path: str = "a/pairs.csv") -> DataSet:
        url = f"http://127.0.0.1:{self.http.server_port}/{path}"
        file = DataFile(path=path, url=url, sha256=sha256, bytes=size)
        return DataSet(name="toy", title="Toy", licence="MIT", citation="Nobody", files=(file,))


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()
    server.thread.join()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download_is_verified_and_cached(server, tmp_path):
    seen: list[tuple[str, int, int]] = []
    data_set = server.data_set(digest(CONTENT))
    first = fetch(data_set, cache=tmp_path, progress=lambda *step: seen.append(step))
    assert first[0].path == tmp_path / "toy/a/pairs.csv"
    assert first[0].path.read_bytes() == CONTENT
    assert first[0].how == "downloaded"
    assert seen[-1] == ("a/pairs.csv", len(CONTENT), len(CONTENT))
    assert fetch(data_set, cache=tmp_path)[0].how == "cached"
    assert server.requests == 1


def test_an_output_folder_is_filled_from_the_cache(server, tmp_path):
    data_set = server.data_set(digest(CONTENT))
    fetch(data_set, cache=tmp_path / "cache")
    copied = fetch(data_set, cache=tmp_path / "cache", output=tmp_path / "out")
    assert (copied[0].how, copied[0].path.read_bytes()) == ("cached", CONTENT)
    assert files_in(tmp_path / "out") == ["a/pairs.csv"]
    assert server.requests == 1


def test_a_file_damaged_in_the_cache_is_fetched_again(server, tmp_path):
    data_set = server.data_set(digest(CONTENT))
    path = fetch(data_set, cache=tmp_path)[0].path
    path.write_bytes(b"damaged")
    assert fetch(data_set, cache=tmp_path)[0].how == "downloaded"
    assert path.read_bytes() == CONTENT


def test_a_mismatch_names_both_hashes_and_leaves_nothing(server, tmp_path):
    with pytest.raises(DataUnavailableError, match=f"want sha256 {'0' * 64}, got {digest(CONTENT)}"):
        fetch(server.data_set("0" * 64), cache=tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("sha256", [UNPINNED, digest(CONTENT)])
def test_an_interrupted_download_leaves_nothing_and_can_be_repeated(server, tmp_path, sha256):
    server.cut = 1000
    with pytest.raises(DataUnavailableError, match=r"cannot download http://127\.0\.0\.1.*--from"):
        fetch(server.data_set(sha256), cache=tmp_path)
    assert files_in(tmp_path) == []
    server.cut = None
    assert fetch(server.data_set(sha256), cache=tmp_path)[0].sha256 == digest(CONTENT)


def test_a_missing_page_and_a_silent_server(server, tmp_path):
    with pytest.raises(DataUnavailableError, match=r"cannot download.*404"):
        fetch(server.data_set(path="missing.csv"), cache=tmp_path)
    file = DataFile(path="x", url="http://127.0.0.1:9/x", sha256=UNPINNED)
    with pytest.raises(DataUnavailableError, match="cannot download"):
        fetch(DataSet(name="toy", title="", licence="", citation="", files=(file,)), cache=tmp_path)
    assert files_in(tmp_path) == []


def test_an_unpinned_file_is_locked_at_first_sight(server, tmp_path):
    data_set = server.data_set()
    fetch(data_set, cache=tmp_path)
    lock = json.loads((tmp_path / "lock.json").read_text())
    assert lock["toy/a/pairs.csv"] == {"sha256": digest(CONTENT), "from": data_set.files[0].url}
    assert fetch(data_set, cache=tmp_path)[0].how == "cached"
    (tmp_path / "toy/a/pairs.csv").unlink()
    server.content = b"something else"
    with pytest.raises(DataUnavailableError, match=f"want sha256 {digest(CONTENT)}"):
        fetch(data_set, cache=tmp_path)
    assert files_in(tmp_path) == ["lock.json"]


def test_an_unpinned_file_of_the_wrong_size_is_refused(server, tmp_path):
    with pytest.raises(DataUnavailableError, match=f"needs 17 bytes; got {len(CONTENT)}"):
        fetch(server.data_set(size=17), cache=tmp_path)
    assert files_in(tmp_path) == []


def test_a_damaged_lock_file_is_named(server, tmp_path):
    (tmp_path / "lock.json").write_text("{")
    with pytest.raises(DataUnavailableError, match=r"lock\.json is damaged"):
        fetch(server.data_set(), cache=tmp_path)


@pytest.mark.parametrize("place", ["a/pairs.csv", "pairs.csv", "deep/down/pairs.csv", "pairs.csv.gz"])
def test_files_are_taken_from_a_folder_by_name(server, tmp_path, place):
    path = tmp_path / "folder" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(CONTENT) if place.endswith(".gz") else CONTENT)
    data_set = server.data_set(digest(CONTENT))
    fetched = fetch(data_set, source=tmp_path / "folder", output=tmp_path / "out", cache=tmp_path / "cache")
    assert (fetched[0].how, fetched[0].path.read_bytes()) == ("copied", CONTENT)
    assert server.requests == 0


def test_a_wrong_file_in_a_folder_is_refused(server, tmp_path):
    (tmp_path / "in").mkdir()
    data_set = server.data_set(digest(CONTENT))
    with pytest.raises(DataUnavailableError, match=r"no file called pairs\.csv"):
        fetch(data_set, source=tmp_path / "in", output=tmp_path / "out", cache=tmp_path)
    (tmp_path / "in/pairs.csv").write_bytes(b"other")
    with pytest.raises(DataUnavailableError, match=f"want sha256 {digest(CONTENT)}, got {digest(b'other')}"):
        fetch(data_set, source=tmp_path / "in", output=tmp_path / "out", cache=tmp_path)
    with pytest.raises(DataUnavailableError, match="no such folder"):
        fetch(data_set, source=tmp_path / "nowhere", cache=tmp_path)
    (tmp_path / "in/pairs.csv").rename(tmp_path / "in/pairs.csv.gz")
    with pytest.raises(DataUnavailableError, match="cannot read"):
        fetch(data_set, source=tmp_path / "in", output=tmp_path / "out", cache=tmp_path)
    assert files_in(tmp_path) == ["in/pairs.csv.gz"]


def test_two_different_files_of_one_name_are_not_guessed_between(server, tmp_path):
    for folder, content in (("x", CONTENT), ("y", b"other")):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "pairs.csv").write_bytes(content)
    with pytest.raises(DataUnavailableError, match="several different files"):
        fetch(server.data_set(), source=tmp_path / "in", cache=tmp_path)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\\b"])
def test_a_path_cannot_leave_the_data_sets_folder(path):
    with pytest.raises(ValueError, match="relative path"):
        DataFile(path=path, url="https://example.org/x", sha256=UNPINNED)


def test_the_cache_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_folder().name == "perturbarena"


def test_the_bundled_list():
    known = data_sets()
    assert next(iter(known)) == "bioreasoning-2026"
    for entry in known.values():
        assert entry.licence
        assert entry.citation
        assert len({file.path for file in entry.files}) == len(entry.files)
    with pytest.raises(DataUnavailableError, match="did you mean bioreasoning-2026"):
        find_data_set("bioreasoning")
    with pytest.raises(DataUnavailableError, match="known: bioreasoning-2026"):
        find_data_set("zzz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format_version = 2", "format_version must be 1; got 2"),
        ("format_version = 1\n[x]\ntitle = 'x'", "licence"),
        ("format_version = 1\n[x]\ntitle = 'x'\nlicence=''\ncitation=''\nfiles=[]", "at least 1"),
        ("format_version = 1\n[x]\nfiles=[{path='a', url='https://e.org', sha256='abc'}]", "64 hexadecimal"),
        ("[[[", "no list of data sets"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, text, message):
    path = tmp_path / "sets.toml"
    path.write_text(text)
    with pytest.raises(DataUnavailableError, match=message):
        data_sets(path)


@pytest.mark.parametrize("name", ["bioreasoning-2026", "hart-essential-genes", "perturbqa"])
def test_declared_hashes_are_those_of_the_real_files(shared, tmp_path, name):
    fetched = fetch(find_data_set(name), source=shared / "data", output=tmp_path / "out", cache=tmp_path / "cache")
    sizes = [file.bytes for file in find_data_set(name).files]
    assert [file.path.stat().st_size for file in fetched] == sizes
