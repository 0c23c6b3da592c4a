"""Hostile zips are refused by their directory, and nothing of them is read."""

from __future__ import annotations

import contextlib
import io
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from drafts import QUESTIONS, draft
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perturbarena.errors import FormatError
from perturbarena.submission import RULES, ArchiveLimits, Report, check_submission

NESTED = io.BytesIO()
with zipfile.ZipFile(NESTED, "w") as _inner:
    _inner.writestr("a", "b")


def check(path: Path, *, limits: ArchiveLimits | None = None) -> Report:
    return check_submission(path, challenge=draft("B").challenge, track="B", questions=QUESTIONS, limits=limits)


def add(path: Path, info: zipfile.ZipInfo | str, content: bytes = b"x") -> Path:
    """A valid submission for track B with one more entry."""
    draft("B").write(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(info, content)
    return path


def patch_directory(path: Path, name: str, offset: int, layout: str, value: int) -> Path:
    """Overwrite a field of an entry in the zip's table of contents."""
    data = bytearray(path.read_bytes())
    at = data.rfind(name.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(layout, data, at + offset, value)
    path.write_bytes(data)
    return path


PATHS = [
    ("/etc/passwd", {"archive.path"}),
    ("../outside.txt", {"archive.path"}),
    ("tools/../../outside.txt", {"archive.path"}),
    ("tools//a.py", {"archive.path"}),
    ("./a.txt", {"archive.path"}),
    ("tools\\a.py", {"archive.path"}),
    ("..\\..\\a.txt", {"archive.path"}),
    ("C:/a.txt", {"archive.path"}),
    ("c:a.txt", {"archive.path"}),
    ("tools/a.py.", {"archive.path"}),
    ("tools/ a.py", {"archive.path"}),
    ("tools/" + "a" * 300, {"archive.name"}),
    ("tools/\x1b[2J.py", {"archive.name"}),
    ("tools/more.zip", {"archive.nested"}),
    ("tools/more.TAR.GZ", {"archive.nested"}),
    ("Prompt.TXT", {"archive.duplicate"}),
    ("PROMPT.txt/inside.txt", {"archive.duplicate"}),
]


@pytest.mark.parametrize(("name", "rules"), PATHS)
def test_paths(name: str, rules: set[str], tmp_path: Path) -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    report = check(add(tmp_path / "s.zip", info))
    assert not report.ok
    assert {p.rule for p in report.problems} == rules
    assert name not in report.files


@given(name=st.text(min_size=1, max_size=30).map(lambda s: "../" + s))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_way_up_is_ever_offered(name: str, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name.encode("utf-8", "replace").decode()
    assert not check(add(tmp_path / "s.zip", info)).ok


def test_a_nul_byte_does_not_hide_the_rest_of_a_path(tmp_path: Path) -> None:
    path = add(tmp_path / "s.zip", "tools/aXpy.exe")
    path.write_bytes(path.read_bytes().replace(b"tools/aXpy.exe", b"tools/a\0py.exe"))
    assert "archive.name" in {p.rule for p in check(path).problems}


def test_a_name_in_another_encoding(tmp_path: Path) -> None:
    path = add(tmp_path / "s.zip", "tools/aXb.py")
    path.write_bytes(path.read_bytes().replace(b"tools/aXb.py", b"tools/a\x82b.py"))
    assert "archive.name" in {p.rule for p in check(path).problems}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files(kind: int, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("tools/link.py")
    info.external_attr = (kind | 0o777) << 16
    report = check(add(tmp_path / "s.zip", info, b"/etc/passwd"))
    assert [p.rule for p in report.problems] == ["archive.link"]
    assert "tools/link.py" not in report.files


def test_equal_names(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = add(tmp_path / "s.zip", "submission.csv", b"id\n")
    report = check(path)
    assert {p.rule for p in report.problems} == {"archive.duplicate"}
    assert report.n_rows == 0


def test_an_archive_under_another_name(tmp_path: Path) -> None:
    report = check(add(tmp_path / "s.zip", "tools/data.bin", NESTED.getvalue()))
    assert [p.rule for p in report.problems] == ["archive.nested"]


def test_encrypted(tmp_path: Path) -> None:
    path = patch_directory(add(tmp_path / "s.zip", "tools/a.py"), "tools/a.py", 8, "<H", 1)
    assert [p.rule for p in check(path).problems] == ["archive.encrypted"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99])
def test_other_compression(method: int, tmp_path: Path) -> None:
    path = patch_directory(add(tmp_path / "s.zip", "tools/a.py"), "tools/a.py", 10, "<H", method)
    assert [p.rule for p in check(path).problems] == ["archive.compression"]


def test_a_bomb_by_its_ratio_is_not_unpacked(tmp_path: Path) -> None:
    path = add(tmp_path / "s.zip", "tools/zeros.bin", bytes(40 * 2**20))
    tracemalloc.start()
    report = check(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [p.rule for p in report.problems] == ["archive.ratio"]
    assert peak < 8 * 2**20


def test_a_table_of_two_gigabytes_is_refused_by_its_header(tmp_path: Path) -> None:
    path = draft("B").write(tmp_path / "s.zip")
    patch_directory(path, "submission.csv", 24, "<I", 2 * 10**9)
    report = check(path)
    assert {p.rule for p in report.problems} == {"archive.size", "archive.ratio"}
    assert "'submission.csv' unpacks to 2,000,000,000 bytes" in report.problems[1].message


def test_a_header_that_states_too_little_gains_nothing(tmp_path: Path) -> None:
    path = add(tmp_path / "s.zip", "tools/a.py", b"#" * 5000)
    patch_directory(path, "tools/a.py", 24, "<I", 10)
    with pytest.raises(FormatError, match="CRC"):
        check(path)


def test_the_sum_of_all_entries_is_bounded(tmp_path: Path) -> None:
    path = add(tmp_path / "s.zip", "tools/a.py", b"#" * 5000)
    report = check(path, limits=ArchiveLimits(max_total_bytes=5000))
    assert {p.rule for p in report.problems} == {"archive.size"}


def test_the_number_of_entries_is_bounded(tmp_path: Path) -> None:
    path = draft("B").write(tmp_path / "s.zip")
    with zipfile.ZipFile(path, "a") as archive:
        for i in range(1000):
            archive.writestr(f"tools/t{i}.py", "x = 1")
    assert "archive.entries" in {p.rule for p in check(path).problems}


def test_the_size_of_the_zip_is_bounded(tmp_path: Path) -> None:
    report = check(draft("B").write(tmp_path / "s.zip"), limits=ArchiveLimits(max_archive_bytes=100))
    assert report.problems[0].rule == "archive.size"
    assert not report.ok


def test_a_huge_table_of_contents_is_not_read(tmp_path: Path) -> None:
    path = draft("B").write(tmp_path / "s.zip")
    with pytest.raises(FormatError, match="table of contents"):
        check(path, limits=ArchiveLimits(max_directory_bytes=120))


def test_damage_cannot_be_read(tmp_path: Path) -> None:
    path = draft("B").write(tmp_path / "s.zip")
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(FormatError, match="cannot be read as a zip"):
        check(path)
    at = data.index(b"submission.csv") + 60
    path.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    with pytest.raises(FormatError, match=r"submission\.csv cannot be read"):
        check(path)


@given(content=st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_zip(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        check(path)


@given(at=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_byte_gives_a_report_or_a_format_error(at: int, value: int, tmp_path: Path) -> None:
    path = draft("B").write(tmp_path / "s.zip")
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    path.write_bytes(data)
    with contextlib.suppress(FormatError):
        assert all(p.rule in RULES for p in check(path).problems)
