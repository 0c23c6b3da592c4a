from __future__ import annotations

from pathlib import Path

import pytest

from perturbarena import cli
from perturbarena.cli.output import spare_inputs
from perturbarena.errors import InputError


def test_other_files_may_be_written(tmp_path: Path) -> None:
    spare_inputs((tmp_path / "a", None, tmp_path / "b"), (tmp_path / "c", None))


@pytest.mark.parametrize(("outputs", "inputs"), [(["a"], ["c", "x/../a"]), (["a", "x/../a"], [])])
def test_a_file_that_is_read_or_written_twice_is_spared(
    tmp_path: Path, outputs: list[str], inputs: list[str]
) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match=r"a would be overwritten: it is read, or written twice"):
        spare_inputs([tmp_path / name for name in outputs], [tmp_path / name for name in inputs])


@pytest.mark.parametrize(
    "command",
    [
        ["report", "{file}", "-o", "{file}"],
        ["parse", "{file}", "--column", "text", "-o", "{file}"],
        ["submit", "pack", "{file}", "--track", "C", "-o", "{file}"],
        ["crossval", "transfer", "{file}", "-o", "{file}"],
        ["run", "transfer", "--train", "{file}", "--questions", "{file}", "-o", "{file}"],
        ["predict", "--train", "t.csv", "--perts", "A", "--genes", "B", "-o", "{file}", "--evidence", "{file}"],
        ["audit", "{file}", "--track", "C", "--questions", "q.csv", "--html", "{file}"],
        ["compare", "{file}", "b.csv", "--truth", "t.csv", "--figure", "{file}"],
    ],
)
def test_no_command_writes_over_what_it_reads(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("id,text\nA_B,none\n")
    assert cli.run([word.format(file=file) for word in command]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert file.read_text() == "id,text\nA_B,none\n"
