"""The audit as a user runs it: honest runs of the fake model and of recorded outputs, the kit, an opinion."""

from __future__ import annotations

import csv
import gc
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perturbarena.challenge.formats import read_questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.cli import run
from perturbarena.errors import FormatError
from perturbarena.tracks.models import FakeModel
from perturbarena.workflows.audit_submission import audit_submissions
from perturbarena.workflows.review_submission import UNREADABLE, choose_rows, read_opinion, review_submission

pytestmark = [
    # inspect's own use of its libraries
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MODEL = "openai/gpt-oss-120b"
CHALLENGE = load_challenge("bioreasoning-2026")


@pytest.fixture(autouse=True)
def collected():
    """inspect leaves sockets to the garbage collector, which shall find them while its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.csv"
    rows = [f"Pert{i % 10}_Gene{i % 23},Pert{i % 10},Gene{i % 23}" for i in range(60)]
    path.write_text("\n".join(("id,pert,gene", *rows)) + "\n")
    return path


def make(questions: Path, folder: Path, fake: FakeModel, *more: str) -> Path:
    """Run, pack: an honest submission."""
    argv = ["run", "prompt", str(questions), "--model", MODEL, "--base-url", fake.url, "-o", str(folder)]
    assert run([*argv, *more]) == 0
    table, prompt, output = folder / "predictions.csv", folder / "prompt.txt", folder / "entry.zip"
    assert run(["submit", "pack", str(table), "--track", "A", "--prompt", str(prompt), "-o", str(output)]) == 0
    return output


def audited(entry: Path, questions: Path, capsys: pytest.CaptureFixture[str], *more: str, track: str = "A") -> Any:
    capsys.readouterr()
    assert run(["audit", str(entry), "--track", track, "--questions", str(questions), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "answers",
    ["stated", pytest.param("label", marks=pytest.mark.slow), pytest.param("logprobs", marks=pytest.mark.slow)],
)
def test_an_honest_run_of_the_fake_model_raises_nothing_severe(
    answers: str, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeModel(latency_ms=0, stated=answers == "stated") as fake:
        entry = make(questions, tmp_path / "run", fake, "--answers", answers)
    report = audited(entry, questions, capsys)
    assert [f for f in report["findings"] if f["severity"] != "note"] == []
    assert report["rows"] == report["questions"] == 60


def test_an_honest_replay_raises_nothing_severe(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = shared / "data" / "llm_outputs" / "prompt_train2499.csv.gz"
    asked = tmp_path / "q.csv"
    with gzip.open(recorded, "rt") as file:
        ids = [row["id"] for row in csv.DictReader(file)][:40]
    asked.write_text("id,pert,gene\n" + "".join(f"{i},{i.split('_', 1)[0]},{i.split('_', 1)[1]}\n" for i in ids))
    with FakeModel(latency_ms=0, replay=recorded) as fake:
        entry = make(asked, tmp_path / "run", fake, "--answers", "logprobs")
    report = audited(entry, asked, capsys)
    assert [f for f in report["findings"] if f["severity"] == "severe"] == []


def kit(shared: Path, track: str, folder: Path) -> Path:
    table = shared / "data" / "llm_outputs" / f"kit_track_{track.lower()}_test.csv.gz"
    (folder / "p.txt").write_text("{pert} {gene}")
    (folder / "tools").mkdir()
    names = ("lookup_pert", "lookup_gene", "gene_info", "protein_interactions", "submit_answer")
    (folder / "tools" / "t.py").write_text("".join(f"def {name}(x): ...\n" for name in names))
    more = ["--tools", str(folder / "tools")] if track == "B" else []
    argv = ["submit", "pack", str(table), "--track", track, "--prompt", str(folder / "p.txt"), *more]
    assert run([*argv, "-o", str(folder / "kit.zip")]) == 0
    return folder / "kit.zip"


SAID = {
    "A": {"prediction.zero": "624 of 1,813 rows are (0, 0); the traces of 624 say 'no change'"},
    "B": {
        "tokens.zero": "466 of 1,813 rows have a trace and state 0 tokens",
        "prediction.zero": "1,671 of 1,813 rows are (0, 0); the traces of 1,671 say 'no change'",
    },
    "C": {"trace.repeated": "1,761 rows share 13 short traces", "prediction.zero": "813 of 1,813 rows are (0, 0)"},
}


@pytest.mark.slow  # three audits of 1,813 rows
@pytest.mark.parametrize("track", ["A", "B", "C"])
def test_the_kits_outputs_are_described(
    track: str, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = shared / "data" / "bioreasoning" / "test.csv"
    report = audited(kit(shared, track, tmp_path), asked, capsys, track=track)
    assert report["counts"]["severe"] == 0
    said = {f["rule"]: f["message"] for f in report["findings"]}
    for rule, beginning in SAID[track].items():
        assert said[rule].startswith(beginning)
    assert set(said) - set(SAID[track]) <= {"answer.contradicts"}


@pytest.fixture
def entry(questions: Path, tmp_path: Path) -> Path:
    """A small track C submission whose tokens are 0."""
    rows = [
        {"id": q.id, "prediction_up": 0.2, "prediction_down": 0.1 + i / 200,
         "reasoning_trace": f"Loss of {q.pert} is felt by {q.gene}.\n<answer>C</answer>", "tokens_used": 0,
         "model_name": "m-4B"}
        for i, q in enumerate(read_questions(questions))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "p.txt").write_text("{pert} {gene}")
    argv = ["submit", "pack", str(tmp_path / "t.csv"), "--track", "C", "--prompt", str(tmp_path / "p.txt")]
    assert run([*argv, "-o", str(tmp_path / "c.zip")]) == 0
    return tmp_path / "c.zip"


def opinion(quotes: list[dict[str, str]]) -> str:
    return json.dumps({"verdict": "look closer", "reason": "so short", "quotes": quotes})


def test_a_models_opinion_is_advice_and_its_quotes_are_looked_up(
    entry: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes = [
        {"id": "Pert0_Gene0", "quote": "Loss of  Pert0 is felt"},
        {"id": "Pert0_Gene0", "quote": "the key says so"},
        {"id": "Pert99_Gene0", "quote": "Loss of"},
    ]
    answers = tmp_path / "answers.csv"
    reply = f"Here it is:\n{opinion(quotes)}\nThat is all."
    frame = pd.DataFrame({"id": ["review_1", "review_2"], "text": [reply, "I cannot say."]})
    frame.to_csv(answers, index=False)
    (tmp_path / "rubric.md").write_text("My own rubric.")
    argv = ["--review", "judge", "--rubric", str(tmp_path / "rubric.md"), "--html", str(tmp_path / "r.html")]
    with FakeModel(latency_ms=0, answers=answers) as fake:
        report = audited(entry, questions, capsys, *argv, "--review-rows", "12", "--base-url", fake.url, track="C")
        sent = [request["messages"][-1]["content"] for request in fake.requests()]
        stats = fake.stats()
    assert stats["calls"] == 2
    assert "My own rubric." in sent[0]
    first, second = report["review"]["opinions"]
    assert [q["found"] for q in first["quotes"]] == ["Pert0_Gene0" in first["rows"], False, False]
    assert (first["verdict"], second["verdict"]) == ("look closer", UNREADABLE)
    assert report["review"]["advisory"] is True
    assert all(not f["rule"].startswith("review") for f in report["findings"])
    assert "look closer" in (tmp_path / "r.html").read_text()


def test_any_reply_is_an_opinion(entry: Path, questions: Path) -> None:
    found = audit_submissions([entry], challenge=CHALLENGE, track="C", questions=read_questions(questions))
    case = found.audits[0].case
    for reply in (
        "",
        "{",
        '{"verdict": 3}',
        '{"verdict": "x", "quotes": {"a": 1}}',
        '{"verdict": "x", "quotes": [7]}',
    ):
        assert read_opinion(reply, case, [0, 1]).quotes == ()
    good = read_opinion(opinion([{"id": str(case.questions.id[1]), "quote": "is felt by"}]), case, [0, 1])
    assert [q.found for q in good.quotes] == [True]
    assert (
        not read_opinion(opinion([{"id": str(case.questions.id[2]), "quote": "is felt by"}]), case, [0])
        .quotes[0]
        .found
    )


def test_rows_for_the_reviewer_come_from_findings_and_by_chance(entry: Path, questions: Path) -> None:
    found = audit_submissions([entry], challenge=CHALLENGE, track="C", questions=read_questions(questions))
    rows = choose_rows(found.audits[0], 10, rng=np.random.default_rng(0))
    assert len(set(rows)) == len(rows) == 10
    with pytest.raises(FormatError, match="cannot be read"):
        review_submission(
            found.audits[0], model="m", base_url="http://127.0.0.1:1/v1", rng=np.random.default_rng(0),
            rubric=Path("no-such-file"),
        )  # fmt: skip


def test_several_files_and_a_folder_are_compared(
    entry: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "copy.zip").write_bytes(entry.read_bytes())
    (others / "broken.zip").write_bytes(b"no zip")
    report = audited(entry, questions, capsys, "--against", str(others), track="C")
    rules = {f["rule"] for f in report["findings"]}
    assert "duplicate.predictions" in rules
    assert list(report["unread"]) == [str(others / "broken.zip")]
    both = audited(entry, questions, capsys, str(others / "copy.zip"), track="C")
    assert {f["file"] for f in both["findings"]} == {str(entry), str(others / "copy.zip")}
    assert len(both["submissions"]) == 2


def test_exit_codes(entry: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["audit", str(entry), "--track", "C", "--questions", str(questions)]
    assert run([*argv, "--strict"]) == 0
    assert "people decide" in capsys.readouterr().out
    copy = tmp_path / "copy.zip"
    copy.write_bytes(entry.read_bytes())
    assert run([*argv[:2], str(copy), *argv[2:], "--strict"]) == 1
    assert run([*argv, "--rubric", "r.md"]) == 2
    assert run([*argv, str(copy), "--html", "x.html"]) == 2
    assert run(["audit", str(tmp_path / "none.zip"), *argv[2:], "--json"]) == 2
    assert "no such file" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
