"""The page of a record written by hand: what it says, that it is sound HTML, that hostile text is harmless."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from perturbarena.report import Page, RocPanel, RunSection, render_page
from perturbarena.report.page import headline_scale
from perturbarena.report.page_record import (
    AnswersTable,
    AuditPart,
    ComparedRun,
    Comparison,
    FindingLine,
    HistogramPanel,
    Mark,
    MeasureLine,
    QuestionCard,
    QuestionList,
    ReliabilityPanel,
    SeedLine,
    SeedsPart,
    StrataTable,
    StratumLine,
    TokensPart,
    TraceShown,
    Value,
)
from perturbarena.report.page_text import excerpt

HOSTILE = (
    "</pre></details><script>document.title='PWNED'</script><img src=x onerror=\"document.title='PWNED'\">"
    "<svg onload=document.title='PWNED'>{{ 7 * 7 }} &amp; \x00 \u202e reversed \ud800 ]]> <!-- " + "x" * 50_000
)
GRID = np.linspace(0, 1, 11)
ROC = RocPanel("DE", GRID, GRID**0.8, GRID**0.9, GRID**0.7, "2,000 questions")
BINS = ReliabilityPanel("DE", GRID, GRID, GRID - 0.1, GRID + 0.1, np.full(11, 5), "as stated")
BARS = HistogramPanel("Tokens", np.arange(5), np.linspace(0, 1, 6), "tokens", "few")


def _run(name="first") -> RunSection:
    values = {"score": 0.58, "de_auroc": 0.58, "de_within_strata": 0.55, "de_within_gene": 0.5, "dir_auroc": 0.57}
    traces = [TraceShown(42, "up 1.00, down 0.00, none 0.00", excerpt(HOSTILE))]
    card = QuestionCard("Tlr4_<b>Il6</b>", "Tlr4", "<b>Il6</b>", "up", 0.2, 0.1, 0.7, "a prompt", traces)
    line = StratumLine("3–4", 10, 5, Value(0.6, 0.5, 0.7), Value())
    return RunSection(
        name=name,
        facts=[("Model", "a/model")],
        notes=["A note."],
        measures=[MeasureLine(k, k, "asks?", Value(v, v - 0.03, v + 0.03), "rows") for k, v in values.items()],
        marks=[Mark("other half of the cells", 0.74, "at least")],
        marks_note="Marks.",
        rocs=[ROC],
        reliabilities=[BINS],
        answers=AnswersTable(("up", "down", "none"), [("up", (3, 1, 2))]),
        p_moved=BARS,
        strata=[StrataTable("Row count", "Rows", "By rows.", [line])],
        seeds=SeedsPart(
            [SeedLine(42, 9, 0.2, 0.3, 0.5, 0.57, 0.56, 0.58)], 0.7, [("DE", 0.5)], [("DE", 0.7)], 0.002
        ),
        tokens=TokensPart([("all", 900, 100, 90, 150, 200)], BARS, 1.5, 0.0003, "A note."),
        questions=[QuestionList("Hardest", "lowest first", [card])],
    )


def _page(**changes) -> Page:
    finding = FindingLine("gene rows", "train", "DE", Value(0.6, 0.55, 0.65), 0.5, "leak", "row counts tell")
    audit = AuditPart(1, [finding], [("self-pairs", "8", "leak", "its own target")])
    return replace(
        Page(title="A title", lead="A lead.", runs=[_run()], audit=audit, made=[("Seed", "0")]), **changes
    )


def _compared() -> Page:
    value = Value(0.01, -0.01, 0.03)
    rows = [ComparedRun("first", [value], [], [], 10.0), ComparedRun("second", [value], [value], ["alike"], 20.0)]
    return _page(runs=[_run(), _run("second")], comparison=Comparison(["Score"], rows, ("A note.",)))


class _Sound(HTMLParser):
    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.tags, self.refs = [], [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        found = dict(attrs)
        assert not any(name.startswith("on") for name in found), found
        if "id" in found:
            self.ids.append(found["id"])
        self.refs += [v[1:] for k, v in found.items() if k in ("href", "xlink:href") and v]
        self.refs += (found.get("aria-labelledby") or "").split()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("page", [_page(), _compared()], ids=["one", "several"])
def test_the_page_is_sound_and_its_links_lead_somewhere(page):
    text = render_page(page)
    sound = _Sound()
    sound.feed(text)
    assert not sound.open
    assert len(set(sound.ids)) == len(sound.ids)
    assert set(sound.refs) <= set(sound.ids)
    assert not sound.tags & {"script", "iframe", "img", "link", "object", "form"}


def test_nothing_is_fetched():
    text = render_page(_compared())
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in text


def test_hostile_text_is_shown_as_text():
    text = render_page(_page(title=HOSTILE))
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert "\x00" not in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text
    assert "&lt;b&gt;Il6&lt;/b&gt;" in text
    text.encode("utf-8")


def test_the_page_says_what_de_hides_and_what_is_undefined():
    text = render_page(_page())
    assert "Among rows of one and the same gene" in text
    assert "not to be told from chance" in text
    assert "other half of the cells 0.740" in text
    empty = MeasureLine("score", "Score", "asks?", Value(), "0 rows", "one class is missing")
    assert "one class is missing" in render_page(_page(runs=[replace(_run(), measures=[empty])]))


def test_a_run_without_truth_shows_what_there_is():
    bare = replace(_run(), measures=[], marks=[], rocs=[], reliabilities=[], strata=[], seeds=None, tokens=None)
    text = render_page(_page(runs=[bare], audit=None))
    assert "There is no truth beside this run" in text
    assert "Hardest" in text


def test_the_scale_goes_from_chance_to_the_ceiling_or_to_one():
    assert headline_scale(_run()).high == pytest.approx(0.78)
    alone = headline_scale(replace(_run(), marks=[]))
    assert alone.high == 1
    assert alone.low == pytest.approx(0.46)
    assert (alone.at(0.0), alone.at(1.0)) == ("0.00%", "100.00%")


def test_the_same_record_gives_the_same_page():
    assert render_page(_page()) == render_page(_page())


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here to look at the page with")
    return found


def _dump(chromium: str, folder: Path, page: str, probe: str = "", *, width: int = 1280) -> str:
    """The page's DOM after its scripts, with ``probe`` added as the only one that may run."""
    allowed = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page) if probe else page
    file = folder / "page.html"
    file.write_text(allowed.replace("</body>", f"<script>{probe}</script></body>" if probe else "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    command = [
        chromium,
        *flags,
        f"--window-size={width},900",
        "--virtual-time-budget=2000",
        "--dump-dom",
        file.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.slow  # starts a browser
def test_a_browser_runs_nothing_of_a_hostile_page(chromium, tmp_path):
    page = render_page(_page(lead=HOSTILE))
    for probe in ("", "document.body.dataset.probed = document.title"):
        dom = _dump(chromium, tmp_path, page, probe)
        assert "<title>A title</title>" in dom
    assert 'data-probed="A title"' in dom


@pytest.mark.slow  # starts a browser
def test_a_telephone_scrolls_tables_and_not_the_page(chromium, tmp_path):
    frame = (
        "const f = document.createElement('iframe'); f.style.width = '390px'; f.style.height = '900px';"
        "const copy = document.documentElement.cloneNode(true);"
        "copy.querySelectorAll('script').forEach(s => s.remove()); f.srcdoc = copy.outerHTML;"
        "f.onload = () => {const e = f.contentDocument.documentElement;"
        "document.body.dataset.beyond = e.scrollWidth - e.clientWidth};"
        "document.body.append(f);"
    )  # a window cannot be made that narrow
    assert 'data-beyond="0"' in _dump(chromium, tmp_path, render_page(_compared()), frame)
