"""The audit's parts one by one: reading, tool calls, keys against public tables, pairs of submissions, page."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from audit_cases import CHALLENGE, Entry, honest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.challenge.records import Questions
from perturbarena.errors import FormatError
from perturbarena.submission.audit import (
    RULES,
    Case,
    Finding,
    audit_case,
    audit_rules_markdown,
    compare,
    html_report,
    read_case,
)
from perturbarena.submission.audit.code import kinds
from perturbarena.submission.audit.pasted import Finder
from perturbarena.submission.audit.records import records_of
from perturbarena.submission.audit.rules import MAX_ROWS, Hit, finding
from perturbarena.submission.audit.shingles import near_copies
from perturbarena.submission.audit.toolcalls import tool_use
from perturbarena.workflows.audit_submission import with_answers

DOCS = Path(__file__).parents[2] / "docs" / "audit-submission.md"
ASKED = Questions.from_pairs([f"P{i}" for i in range(30)], [f"G{i}" for i in range(30)])


def case_of(entry: Entry, path: Path) -> Case:
    return with_answers(
        read_case(entry.write(path), challenge=CHALLENGE, track=entry.track, questions=entry.questions)
    )


def rules_of(findings: tuple[Finding, ...] | list[Finding]) -> dict[str, str]:
    return {f.rule: f.severity for f in findings}


def test_the_documentation_holds_every_rule() -> None:
    assert audit_rules_markdown() in DOCS.read_text(encoding="utf-8")
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert all(rule.check.__doc__ for rule in RULES)


def test_a_finding_lists_fifty_rows_and_the_true_number() -> None:
    found = finding("x.y", "note", Hit("so\nmany", [f"r{i}" for i in range(MAX_ROWS + 7)]))
    assert len(found.rows) == MAX_ROWS
    assert "57 rows" in found.message
    assert "\n" not in found.message


def test_a_badly_written_table_is_still_read(tmp_path: Path) -> None:
    entry = honest("C", n=30)
    entry.table.loc[3, "prediction_up"] = "much"
    entry.table.loc[4, "tokens_used"] = ""
    entry.table = entry.table.drop(index=[5, 6])
    case = case_of(entry, tmp_path / "s.zip")
    assert np.isnan(case.p_up[3])
    assert case.present.sum() == 28
    assert all(isinstance(f, Finding) for f in audit_case(case).findings)


@pytest.mark.parametrize(
    ("files", "match"),
    [({"other.csv": "x"}, "no readable submission.csv"), ({"submission.csv": "a,b\n1,2\n"}, "no column id")],
)
def test_without_a_table_there_is_one_line(files: dict[str, str], match: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    with pytest.raises(FormatError, match=match):
        read_case(tmp_path / "s.zip", challenge=CHALLENGE, track="C", questions=ASKED)


TRACES = [
    ('{"tool_name_0": "a", "observation_0": "x", "tool_name_1": "b"}', ("a", "b"), 1),
    ('[{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}, {"role": "tool"}]', ("f",), 1),
    ('<tool_call>{"name": "look", "arguments": {}}</tool_call><tool_response>', ("look",), 1),
    ("Thought\nAction: search\nObservation: none", ("search",), 1),
    ("commentary to=functions.lookup json", ("lookup",), 0),
    ("The action: a kinase acts on it.", (), 0),
    ('{"broken": ', (), 0),
]


@pytest.mark.parametrize(("trace", "names", "results"), TRACES)
def test_tool_calls_are_seen(trace: str, names: tuple[str, ...], results: int) -> None:
    assert (sorted(tool_use(trace).names), tool_use(trace).n_results) == (sorted(names), results)


@given(st.text(max_size=200))
def test_any_text_is_a_trace_and_a_file(text: str) -> None:
    tool_use(text)
    for name in ("a.py", "a.json", "a.csv"):
        assert all(isinstance(cell, str) for cells in records_of(name, text) for cell in cells)


def test_nesting_beyond_reason_is_survived() -> None:
    deep = "[" * 100_000
    assert tool_use(deep).names == ()
    assert list(records_of("a.py", deep + "]" * 100_000))
    assert list(records_of("a.json", deep + "]" * 100_000))


def test_a_public_table_with_the_same_genes_is_no_key() -> None:
    pairs = [f"P{i},G{j},up" for i in range(30) for j in range(30)]
    key = Finder(ASKED).key_in("effects.csv", "\n".join(pairs))
    assert (len(key.labelled), len(key.unasked)) == (30, 870)
    assert key.purity < 0.05


@pytest.mark.parametrize(
    ("text", "labelled"),
    [
        ("P1_G1 is up", 1),
        ("If you knock out P1, does G1 go up, down, or stay?", 0),
        ("P1 G2 up", 0),
        ("p1_g1,A", 1),
        ("P1_G1", 0),
    ],
)
def test_a_label_counts_beside_an_asked_pair_alone(text: str, labelled: int) -> None:
    assert len(Finder(ASKED).key_in("a.txt", text).labelled) == labelled


def test_near_copies_are_told_from_texts_that_share_a_question() -> None:
    rng = np.random.default_rng(0)
    question = "what does the knockout do to this gene in these cells, choose one of three letters. "
    own = [" ".join(f"w{n}" for n in rng.integers(0, 5_000, 120)) for _ in range(40)]
    texts = [question + text for text in own]
    texts[7] = texts[3].replace("w1", "v1", 2)
    assert set(near_copies(texts)) == {3, 7}


def test_custom_letters_are_explained_and_not_accused(tmp_path: Path) -> None:
    entry = honest("C")
    for up, down in (("prediction_up", "prediction_down"),):
        entry.table[[up, down]] = entry.table[[down, up]].to_numpy()
    found = rules_of(audit_case(case_of(entry, tmp_path / "s.zip")).findings)
    assert found["answer.letters"] == "note"
    assert "answer.contradicts" not in found


def test_two_submissions_are_compared(tmp_path: Path) -> None:
    first = honest("B")
    again, ranked = first.copy(), first.copy()
    for name in ("prediction_up", "prediction_down"):
        ranked.table[name] = [0.9 * value for value in first.table[name]]
    ranked.table["reasoning_trace"] = [f"other {i}" for i in range(len(ranked.table))]
    ranked.files = {"prompt.txt": "own", "tools/own.py": "x = 1\n"}
    again.files = {name: str(text) + "\n" * 300 for name, text in first.files.items()}
    twin = again.copy()
    a, b, c, d = (
        case_of(entry, tmp_path / f"{name}.zip")
        for name, entry in {"a": first, "b": again, "c": ranked, "d": twin}.items()
    )
    assert rules_of(list(compare(a, b))) == {"duplicate.predictions": "severe", "duplicate.traces": "severe"}
    assert rules_of(list(compare(a, c))) == {"duplicate.predictions": "severe"}
    shared = {"duplicate.predictions", "duplicate.traces", "duplicate.prompt", "duplicate.files"}
    assert rules_of(list(compare(b, d))).keys() == shared


def test_two_runs_of_one_kind_are_no_copies(tmp_path: Path) -> None:
    first, second = honest("C"), honest("C")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(first.table))
    for name in ("prediction_up", "prediction_down", "reasoning_trace"):
        second.table[name] = second.table[name].to_numpy()[order]
    a, b = (case_of(e, tmp_path / f"{k}.zip") for k, e in enumerate((first, second)))
    assert "duplicate.predictions" not in rules_of(list(compare(a, b)))
    mostly_none = honest("B")
    for name in ("prediction_up", "prediction_down"):
        mostly_none.table[name] = 0
    mostly_none.table["reasoning_trace"] = "none"
    c, d = (case_of(mostly_none, tmp_path / f"n{k}.zip") for k in range(2))
    assert rules_of(list(compare(c, d))) == {}


HOSTILE = "<script>alert(1)</script><img src=http://x/y onerror=z> {{ 7 * 7 }} </pre>"


def test_the_page_escapes_what_strangers_wrote(tmp_path: Path) -> None:
    entry = honest("B", n=60)
    entry.table["tokens_used"] = 0
    entry.table["reasoning_trace"] = [f"{HOSTILE} {text}" for text in entry.table["reasoning_trace"]]
    entry.files["tools/<b>.py"] = "import requests\n"
    opinion = {"id": HOSTILE, "quote": HOSTILE, "found": False}
    review = {
        "model": HOSTILE,
        "rows": [HOSTILE],
        "opinions": [{"verdict": HOSTILE, "reason": HOSTILE, "quotes": [opinion]}],
    }
    page = html_report(audit_case(case_of(entry, tmp_path / "s.zip")), review=review)
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z]+)", page))
    assert not tags & {"script", "img", "b", "link", "iframe"}
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?http", re.sub(r"&lt;.*?&gt;", "", page))
    assert "{{ 7 * 7 }}" in page
    assert "does not occur in the row" in page
    for name in ("decision:", "reviewer:", "date:", "reason:"):
        assert name in page


def test_the_report_is_json_with_a_place_for_the_decision(tmp_path: Path) -> None:
    entry = honest("A", n=60)
    entry.table["tokens_used"] = 0
    report = json.loads(json.dumps(audit_case(case_of(entry, tmp_path / "s.zip")).as_json()))
    assert report["decision"] == {"decision": "", "reviewer": "", "date": "", "reason": ""}
    (zero,) = [f for f in report["findings"] if f["rule"] == "tokens.zero"]
    assert set(zero) == {"rule", "severity", "message", "rows"}
    assert len(zero["rows"]) == MAX_ROWS
    assert "60" in zero["message"]


def test_code_is_never_run(tmp_path: Path) -> None:
    entry = honest("B", n=10)
    mark = tmp_path / "ran"
    entry.files["tools/trap.py"] = f"open({str(mark)!r}, 'w')\nraise SystemExit\n"
    audit_case(case_of(entry, tmp_path / "s.zip"))
    assert not mark.exists()
    assert kinds()["files"].calls
