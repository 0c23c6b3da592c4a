"""Candidates, guides, programmes: the files a campaign begins with."""

from __future__ import annotations

import pytest

from perturbarena.errors import FormatError, InputError
from perturbarena.lab import checked_settings, read_candidates, without_guides
from perturbarena.workflows.lab.sources import read_programme


def written(tmp_path, text):
    path = tmp_path / "in.csv"
    path.write_text(text)
    return path


def test_guides_a_line_or_joined(tmp_path):
    assert read_candidates(written(tmp_path, "gene\nA\nNA\n")) == {"A": (), "NA": ()}
    lines = read_candidates(written(tmp_path, "gene,guide\nA,a1\nA,a2\nB,\n"))
    assert lines == {"A": ("a1", "a2"), "B": ()}
    assert lines == read_candidates(written(tmp_path, "gene,guides\nA,a1; a2\nB,\n"))
    assert without_guides(lines) == "1 candidate without a guide will not be proposed: B"
    assert without_guides({"A": ()}) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [("gene,guide\nA,x\nB,x\n", "x stands for A and B"), ("gene\n", "names no candidate"),
     ("name\nA\n", "needs the column gene"), ("gene\n \n", "blank")],
)  # fmt: skip
def test_wrong_candidates(tmp_path, text, words):
    with pytest.raises(FormatError, match=words):
        read_candidates(written(tmp_path, text))


def test_programmes(tmp_path):
    assert read_programme("Cxcl10, -Il6,+Tnf") == {"Cxcl10": 1.0, "Il6": -1.0, "Tnf": 1.0}
    assert read_programme(str(written(tmp_path, "gene,weight\nA,0.5\nB,-2\n"))) == {"A": 0.5, "B": -2.0}
    assert read_programme(str(written(tmp_path, "gene\nA\n"))) == {"A": 1.0}
    with pytest.raises(InputError, match="A stands 2 times"):
        read_programme("A,-A")
    with pytest.raises(InputError, match="must have names"):
        read_programme("A,-")
    with pytest.raises(FormatError, match="must be a number"):
        read_programme(str(written(tmp_path, "gene,weight\nA,x\n")))


def test_settings_are_bounded():
    with pytest.raises(InputError, match="--batch"):
        checked_settings(batch=0)
