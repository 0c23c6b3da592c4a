"""``perturbarena knowledge`` as its users call it; downloads come from a server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest

from perturbarena.cli import run
from perturbarena.knowledge import declared_sources, read_features


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sets.gmt").write_text("A\tGO:1\tTnf\tIrf1\tStat1\nB\tx\tTnf\tStat1\nC\ty\tIrf1\tTnf\tJun\n")
    (tmp_path / "net.csv").write_text("source,target,weight\nStat1,Irf1,1\nIrf1,Tnf,-1\n")
    (tmp_path / "q.csv").write_text("pert,gene\nStat1,TNF\nZzz,Irf1\n")
    return tmp_path


@pytest.fixture
def store(folder, capsys):
    arguments = ["knowledge", "build", "-o", str(folder / "kb.sqlite"), "--json"]
    for name, form, file in (("mysets", "gmt", "sets.gmt"), ("mynet", "edges", "net.csv")):
        arguments += ["--add", f"{name}={folder / file}", "--format", form, "--licence", "CC0"]
    assert run(arguments) == 0
    built = json.loads(capsys.readouterr().out)
    assert [source["name"] for source in built["sources"]] == ["mysets", "mynet"]
    assert len(built["content_hash"]) == 64
    return folder / "kb.sqlite"


def test_show(store, capsys):
    assert run(["knowledge", "show", "tnf", "-k", str(store), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["gene"]["found"][0]["symbol"] == "Tnf"
    assert said["regulators"]["found"][0]["source"] == {"name": "mynet", "version": "as added", "licence": "CC0"}
    assert said["essential"]["why"] == "the store has no source of this kind"
    assert run(["knowledge", "show", "Stat1", "Tnf", "-k", str(store)]) == 0
    printed = capsys.readouterr().out
    assert "Stat1 → Irf1 ⊣ Tnf  (-1)" in printed
    assert "A (GO:1, 3 genes" in printed
    assert run(["knowledge", "show", "Tnf", "-k", str(store)]) == 0
    assert "Irf1 represses Tnf" in capsys.readouterr().out


def test_coverage_and_embed(store, folder, capsys):
    questions = str(folder / "q.csv")
    assert run(["knowledge", "coverage", questions, "-k", str(store), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["anywhere"]["perts"], report["n_perts"]) == (1, 2)
    assert "string" in report["absent"]
    assert run(["knowledge", "coverage", questions, "-k", str(store)]) == 0
    assert "2 (100.0%)" in capsys.readouterr().out
    out = folder / "sets.csv"
    assert run(["knowledge", "embed", str(store), "--by", "sets", "-o", str(out), "--questions", questions]) == 0
    assert "covers 50.0% of perturbations, 100.0% of genes" in capsys.readouterr().out
    assert sorted(read_features(out).genes) == ["Irf1", "Jun", "Stat1", "Tnf"]


def test_the_manifest_of_a_store(store, folder, capsys):
    assert run(["knowledge", "sources", "-k", str(store), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    want = hashlib.sha256((folder / "sets.gmt").read_bytes()).hexdigest()
    assert manifest["sources"][0]["files"][0]["sha256"] == want
    assert run(["knowledge", "sources", "-k", str(store)]) == 0
    assert f"{want[:12]} unpinned" in " ".join(capsys.readouterr().out.split())


def test_sources_and_build_for_people(folder, capsys):
    assert run(["knowledge", "sources"]) == 0
    assert "collectri" in capsys.readouterr().out
    assert run(["knowledge", "sources", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["string"]["licence"] == "CC BY 4.0"
    add = ["--add", f"x={folder / 'sets.gmt'}", "--format", "gmt", "--licence", "CC0"]
    assert run(["knowledge", "build", "-o", str(folder / "kb2.sqlite"), *add]) == 0
    assert "content: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "-o", "x.sqlite"], "no file of any source"),
        (["build", "-o", "x.sqlite", "--add", "a=b"], "each --add needs one --format and one --licence"),
        (
            ["build", "-o", "x.sqlite", "--add", "ab", "--format", "gmt", "--licence", "CC0"],
            "--add needs NAME=FILE",
        ),
        (["build", "-o", "x.sqlite", "--accept-licence", "nobody"], "no source is called 'nobody'"),
        (["build", "-o", "x", "--add", "string=f", "--format", "gmt", "--licence", "c"], "is declared already"),
        (["show", "Tnf", "-k", "none.sqlite"], "no such file: none.sqlite"),
        (["get", "nobody", "-o", "x"], "no source is called 'nobody'"),
    ],
)
def test_wrong_calls(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["knowledge", *arguments, "--json"]) == 2
    assert message in json.loads(capsys.readouterr().out)["error"]
    assert list(tmp_path.iterdir()) == []


def test_embedding_needs_its_file(store, folder, capsys):
    assert run(["knowledge", "embed", str(store), "--by", "table", "-o", str(folder / "o.csv")]) == 2
    assert "--by table needs --file" in capsys.readouterr().err


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = b"MGI Accession ID\tMarker Symbol\tMarker Synonyms (pipe-separated)\nMGI:1\tTnf\tTnfa\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def served(monkeypatch, tmp_path):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERTURBARENA_CACHE", str(tmp_path / "cache"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    source = declared_sources()["mgi-markers"]
    file = source.files[0].model_copy(update={"url": f"http://127.0.0.1:{server.server_port}/MRK_List2.rpt"})
    known = {"mgi-markers": source.model_copy(update={"files": (file,)})}
    known["collectri"] = declared_sources()["collectri"]
    monkeypatch.setattr("perturbarena.knowledge.declared_sources", lambda: known)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_downloaded_can_be_built_from(served, tmp_path, capsys):
    assert run(["knowledge", "get", "-o", str(tmp_path / "files"), "--json"]) == 0
    captured = capsys.readouterr()
    (file,) = json.loads(captured.out)
    assert "collectri is left out for its terms" in captured.err
    assert file["how"] == "downloaded"
    path = tmp_path / "files/mgi-markers/MRK_List2.rpt"
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    out = tmp_path / "kb.sqlite"
    assert run(["knowledge", "build", "-o", str(out), "--from", str(tmp_path / "files"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sources"][0]["name"] == "mgi-markers"
    assert run(["knowledge", "show", "TNFA", "-k", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gene"]["found"][0]["how"] == "old, other case"
