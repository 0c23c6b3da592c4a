from __future__ import annotations

import pytest

from perturbarena.errors import InputError
from perturbarena.report import ForestLine, ForestPanel, draw_forest

NAN = float("nan")
LINES = [
    ForestLine("gene rows", 0.7, 0.65, 0.75, 0.5, "leak"),
    ForestLine("leave-one-out", 0.9, 0.85, 0.95, 0.48, "clean"),
    ForestLine("row order", NAN, NAN, NAN, 0.5, "cannot tell"),
    ForestLine("gene oracle", 0.8, NAN, NAN, 0.7, "ceiling"),
]
PANELS = [
    ForestPanel("train", "train: DE", LINES),
    ForestPanel("train", "train: DIR", LINES),
    ForestPanel("hidden", "hidden: DE", LINES[:1]),
]


def test_same_input_gives_the_same_bytes(tmp_path):
    files = [tmp_path / f"{name}.svg" for name in "ab"]
    for file in files:
        draw_forest(file, panels=PANELS, clean_within=0.03, title="A set")
    text = files[0].read_text()
    assert files[0].read_bytes() == files[1].read_bytes()
    for said in ("gene rows", "hidden: DE", "0.700", "clean: cannot be used", "oracle: at most"):
        assert said in text
    assert text.count("<!-- gene rows -->") == 2  # names stand once a row of panels


def test_what_is_not_drawn_is_not_in_the_legend(tmp_path):
    draw_forest(tmp_path / "a.svg", panels=[ForestPanel("t", "t", LINES[:1])], clean_within=0.03, title="A set")
    text = (tmp_path / "a.svg").read_text()
    assert "leak" in text
    assert not any(absent in text for absent in ("cannot tell", "clean", "oracle"))


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least one panel"):
        draw_forest(tmp_path / "a.svg", panels=[], clean_within=0.03, title="A set")
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        draw_forest(tmp_path / "a.bmp", panels=PANELS, clean_within=0.03, title="A set")
