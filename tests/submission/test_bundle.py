"""Packing: the same bytes twice, nothing that does not belong, nothing half written."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import pytest
from drafts import QUESTIONS, draft

from perturbarena.errors import FormatError, InputError, RulesError
from perturbarena.submission import Bundle, check_submission, pack


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with what an entrant has: predictions, a prompt, tools."""
    (tmp_path / "answers.csv").write_bytes(draft("B").csv())
    (tmp_path / "prompt.txt").write_text("You know genes.")
    tools = tmp_path / "tools"
    (tools / "__pycache__").mkdir(parents=True)
    (tools / "lookup.py").write_text("x = 1")
    (tools / "table.csv").write_text("a,b")
    (tools / ".env").write_text("KEY=secret")
    (tools / "__pycache__" / "lookup.pyc").write_bytes(b"\0")
    return tmp_path


def pack_b(parts: Path, name: str = "out.zip", answers: str = "answers.csv") -> Bundle:
    return pack(
        parts / answers,
        parts / name,
        challenge=draft("B").challenge,
        track="B",
        prompt=parts / "prompt.txt",
        tools=parts / "tools",
    )


def test_a_packed_submission_passes(parts: Path) -> None:
    bundle = pack_b(parts)
    report = check_submission(bundle.path, challenge=draft("B").challenge, track="B", questions=QUESTIONS)
    assert report.problems == ()
    assert bundle.files == report.files == ("prompt.txt", "submission.csv", "tools/lookup.py", "tools/table.csv")
    assert bundle.left_out == (".env", "__pycache__/lookup.pyc")


def test_the_same_bytes_twice_whatever_the_clock_and_the_modes_say(parts: Path) -> None:
    first = pack_b(parts, "one.zip")
    os.utime(parts / "prompt.txt", (1, 1))
    (parts / "tools" / "lookup.py").chmod(0o777)
    (parts / "tools" / "lookup.py").rename(parts / "tools" / "later.py")
    (parts / "tools" / "later.py").rename(parts / "tools" / "lookup.py")
    second = pack_b(parts, "two.zip")
    assert first.sha256 == second.sha256
    assert (parts / "one.zip").read_bytes() == (parts / "two.zip").read_bytes()


def test_a_gzipped_table_gives_the_same_zip(parts: Path) -> None:
    (parts / "answers.csv.gz").write_bytes(gzip.compress((parts / "answers.csv").read_bytes()))
    assert pack_b(parts, "one.zip").sha256 == pack_b(parts, "two.zip", "answers.csv.gz").sha256


def test_entries_carry_fixed_times_and_modes(parts: Path) -> None:
    with zipfile.ZipFile(pack_b(parts).path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {i.external_attr for i in archive.infolist()} == {0o100644 << 16}


def test_what_is_missing_or_has_no_place_is_said(parts: Path) -> None:
    rules = draft("A").challenge
    answers, prompt, out = parts / "answers.csv", parts / "prompt.txt", parts / "out.zip"
    with pytest.raises(InputError, match=r"track A needs prompt\.txt.*--prompt"):
        pack(answers, out, challenge=rules, track="A")
    with pytest.raises(InputError, match=r"track B needs tools/.*--tools"):
        pack(answers, out, challenge=rules, track="B", prompt=prompt)
    with pytest.raises(InputError, match="track C takes no tools"):
        pack(answers, out, challenge=rules, track="C", prompt=prompt, tools=parts / "tools")
    with pytest.raises(FormatError, match="no such file"):
        pack(parts / "no.csv", out, challenge=rules, track="A", prompt=prompt)
    with pytest.raises(FormatError, match="no such folder"):
        pack(answers, out, challenge=rules, track="B", prompt=prompt, tools=parts / "no")
    with pytest.raises(RulesError, match="tracks A, B, C"):
        pack(answers, out, challenge=rules, track="Z", prompt=prompt)
    assert not out.exists()


def test_a_link_among_the_tools_is_refused(parts: Path) -> None:
    (parts / "tools" / "passwd.txt").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        pack_b(parts)


def test_a_damaged_gzip_leaves_nothing_behind(parts: Path) -> None:
    (parts / "bad.csv.gz").write_bytes(gzip.compress(b"id,prediction_up\n" * 99)[:-9])
    before = sorted(p.name for p in parts.iterdir())
    with pytest.raises(FormatError, match="damaged gzip"):
        pack_b(parts, "out.zip", "bad.csv.gz")
    assert sorted(p.name for p in parts.iterdir()) == before


@pytest.mark.parametrize("name", ["d.toml", "d.json"])
def test_disclosures_are_packed_under_their_own_name(name: str, parts: Path) -> None:
    text = 'ai_role = "none"' if name.endswith("toml") else '{"ai_role": "none"}'
    (parts / name).write_text(text)
    bundle = pack(
        parts / "answers.csv",
        parts / "out.zip",
        challenge=draft("C").challenge,
        track="C",
        prompt=parts / "prompt.txt",
        disclosure=parts / name,
    )
    assert f"disclosure{Path(name).suffix}" in bundle.files


def test_a_disclosure_that_is_wrong_is_refused(parts: Path) -> None:
    (parts / "d.toml").write_text("age = 3")
    with pytest.raises(FormatError, match="age"):
        pack(
            parts / "answers.csv",
            parts / "out.zip",
            challenge=draft("C").challenge,
            track="C",
            prompt=parts / "prompt.txt",
            disclosure=parts / "d.toml",
        )
