"""Runs on disk → the page's record and the page."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from perturbarena.challenge.formats import write_json, write_labelled, write_predictions
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import FormatError, InputError, PredictionError
from perturbarena.evaluation import score_strict
from perturbarena.tracks.running.folder import FORMAT_VERSION, RunFolder
from perturbarena.workflows.report_beside import audit_part, ceilings_beside
from perturbarena.workflows.report_parts import Price
from perturbarena.workflows.report_run import ReportInputs, report_runs
from perturbarena.workflows.run_answers import labels_of, read_run

FEW = 40
SEEDS = (42, 43)


@pytest.fixture(scope="module")
def truth() -> LabelledQuestions:
    rng = np.random.default_rng(0)
    pert, gene = (a.ravel() for a in np.meshgrid(np.arange(15), np.arange(8)))
    questions = Questions.from_pairs([f"P{i}" for i in pert], [f"G{i}" for i in gene])
    return LabelledQuestions(questions, rng.choice(np.array(["up", "down", "none"], object), len(pert)))


def _write_run(path, truth, seed=0, *, unanswered=()):
    rng = np.random.default_rng(seed)
    folder, means = RunFolder(path), []
    with folder.open({"model": "m"}):
        for q, label in zip(truth.questions, truth.label, strict=True):
            calls = []
            for s in SEEDS:
                up, down, _ = rng.dirichlet([2 if label == "up" else 1, 2 if label == "down" else 1, 1])
                answered = q.id not in unanswered
                read = (
                    {"label": "up", "p_up": up, "p_down": down, "how": "stated"}
                    if answered
                    else {"reason": "empty"}
                )
                calls.append(
                    {
                        "seed": s, "answered": answered, **read, "reasoning": "", "content": f"<b>{q.id}</b>\x00",
                        "prompt_tokens": 100, "output_tokens": 50, "total_tokens": 150,
                        "rejected": [], "failures": [],
                    }
                )  # fmt: skip
            means.append([np.mean([c.get(k, 1 / 3) for c in calls]) for k in ("p_up", "p_down")])
            folder.append({"id": q.id, "pert": q.pert, "gene": q.gene, "prompt": f"{q.pert}?", "calls": calls})
    p_up, p_down = np.array(means).T
    write_predictions(folder.predictions, Predictions(truth.id, p_up, p_down))
    settings = {"track": "A", "seeds": list(SEEDS)}
    manifest = {"format_version": FORMAT_VERSION, "model_name": "a/model", "settings": settings, "ranked": False}
    write_json(folder.manifest, manifest)
    return path


@pytest.fixture
def run(tmp_path, truth):
    return _write_run(tmp_path / "first", truth)


@pytest.fixture
def truth_file(tmp_path, truth):
    write_labelled(tmp_path / "truth.csv", truth)
    return tmp_path / "truth.csv"


def _report(tmp_path, runs, **inputs):
    output = tmp_path / "report.html"
    page = report_runs(runs, output, ReportInputs(resamples=FEW, **inputs))
    return page, output.read_text(encoding="utf-8")


def test_the_page_has_the_score_that_scoring_gives(tmp_path, run, truth, truth_file):
    page, text = _report(tmp_path, [run], truth=truth_file)
    (section,) = page.runs
    given = score_strict(truth, read_run(run).predictions, rng=np.random.default_rng(0), n_resamples=FEW)
    for line in section.measures:
        assert line.value.value == getattr(given, line.key)
        assert tuple(line.value[1:]) == given.intervals[line.key]
    assert f"{given.score:.3f}" in text
    assert dict(section.facts)["Model"] == "a/model"
    assert any("Unranked" in note for note in section.notes)
    assert len(section.rocs) == len(section.reliabilities) == 2


def test_traces_are_shown_and_cannot_act(tmp_path, run, truth_file):
    page, text = _report(tmp_path, [run], truth=truth_file)
    card = page.runs[0].questions[0].cards[0]
    assert [t.seed for t in card.traces] == list(SEEDS)
    assert f"&lt;b&gt;{card.id}&lt;/b&gt;\N{REPLACEMENT CHARACTER}" in text
    assert card.prompt == f"{card.pert}?"


def test_hard_and_easy_are_told_by_the_probability_of_what_happened(tmp_path, run, truth_file):
    hard, easy = _report(tmp_path, [run], truth=truth_file)[0].runs[0].questions

    def given(card):
        return {"up": card.p_up, "down": card.p_down, "none": card.p_none}[card.truth]

    assert [given(c) for c in hard.cards] == sorted(given(c) for c in hard.cards)
    assert max(map(given, hard.cards)) < min(map(given, easy.cards))
    assert "none" not in {c.truth for c in easy.cards}


def test_tokens_and_cost(tmp_path, run, truth):
    tokens = _report(tmp_path, [run], price=Price(1.0, 10.0))[0].runs[0].tokens
    n, calls = len(truth), len(SEEDS)
    assert [line[:3] for line in tokens.lines] == [
        ("read", 100 * calls * n, 100 * calls),
        ("written", 50 * calls * n, 50 * calls),
        ("all", 150 * calls * n, 150 * calls),
    ]
    assert tokens.cost == pytest.approx(n * calls * (100 * 1.0 + 50 * 10.0) / 1e6)
    assert tokens.cost_each == pytest.approx(tokens.cost / n)


def test_unanswered_calls_leave_seeds_and_scores_sound(tmp_path, truth, truth_file):
    run = _write_run(tmp_path / "gaps", truth, unanswered=set(truth.id[:10]))
    seeds = _report(tmp_path, [run], truth=truth_file)[0].runs[0].seeds
    assert [line.answered for line in seeds.lines] == [len(truth) - 10] * 2
    assert all(0 <= share <= 1 for _, share in seeds.share_one)


def test_without_truth_the_page_shows_answers_tokens_and_traces(tmp_path, run):
    page, text = _report(tmp_path, [run])
    (section,) = page.runs
    assert not section.measures
    assert section.tokens is not None
    assert [found.title for found in section.questions] == ["Most divided", "Surest that the gene moves"]
    assert "There is no truth beside this run" in text


def test_runs_are_compared_on_the_questions_that_all_answer(tmp_path, run, truth, truth_file):
    answers = read_run(run).predictions
    half = tmp_path / "half.csv"
    write_predictions(half, Predictions(answers.id[:60][::-1], answers.p_up[:60][::-1], answers.p_down[:60][::-1]))
    page, _ = _report(tmp_path, [run, half], truth=truth_file)
    first, second = page.runs
    assert [m.value.value for m in first.measures] == [m.value.value for m in second.measures]
    assert all(d.value == 0 for d in page.comparison.runs[1].differences)
    assert any("60 of the truth's 120 questions" in note for note in first.notes)
    assert second.questions[0].cards[0].traces == ()


def test_a_submission_table_tells_seeds_tokens_and_traces(tmp_path, truth, truth_file):
    n = len(truth)
    table = pd.DataFrame({"id": truth.id, "prediction_up": 0.5, "prediction_down": np.linspace(0, 0.5, n)})
    for seed in SEEDS:
        table[f"prediction_up_seed{seed}"], table[f"prediction_down_seed{seed}"] = 0.5, np.linspace(0, 0.5, n)
        table[f"reasoning_trace_seed{seed}"] = "because"
    table.assign(tokens_used=[0] + [9] * (n - 1)).to_csv(tmp_path / "table.csv", index=False)
    (section,) = _report(tmp_path, [tmp_path / "table.csv"], truth=truth_file, price=Price(1, 1))[0].runs
    assert section.name == "table"
    assert section.seeds.agree == 1
    assert {t.text for t in section.questions[0].cards[0].traces} == {"because"}
    assert section.tokens.note.startswith("1 questions have no tokens")
    assert np.isnan(section.tokens.cost)


def test_strata_of_a_table(tmp_path, run, truth, truth_file):
    strata = tmp_path / "s.csv"
    pd.DataFrame({"id": truth.id[1:], "half": np.where(np.arange(len(truth) - 1) < 60, "a", "b")}).to_csv(
        strata, index=False
    )
    tables = _report(tmp_path, [run], truth=truth_file, strata=strata)[0].runs[0].strata
    assert [t.title for t in tables] == ["Row count", "half"]
    assert {line.name: line.n for line in tables[1].lines} == {"a": 60, "b": 59}
    assert tables[1].note.endswith("1 questions have no place in it.")
    assert [line.name for line in tables[0].lines] == ["9–16"]


def test_ceilings_are_those_of_the_split_that_holds_the_questions(tmp_path, truth):
    halves = {"train": {"split_half": {"score": 0.9}}, "test": {"split_half": {"score": 0.7}, "gene_mean": None}}
    write_json(tmp_path / "benchmark.json", {"ceilings": halves})
    write_labelled(tmp_path / "test.csv", truth)
    write_labelled(tmp_path / "train.csv", truth.take(np.arange(3)))
    assert [m.value for m in ceilings_beside(tmp_path, truth.id[5:]).marks] == [0.7]
    both = {"validation": {"gene_mean": {"score": 0.6, "n": 30}}, "test": {"gene_mean": {"score": 0.7, "n": 10}}}
    write_json(tmp_path / "benchmark.json", {"ceilings": both})
    for usage, value in ((None, 0.625), ("Public", 0.6), ("Private", 0.7)):
        assert [m.value for m in ceilings_beside(tmp_path, truth.id, usage).marks] == [pytest.approx(value)]
    assert ceilings_beside(tmp_path, np.array(["other"], object)).marks == ()
    for odd in ({}, [], {"ceilings": {"not_measured": "why"}}, {"ceilings": {"test": "?"}}):
        write_json(tmp_path / "benchmark.json", odd)
        assert ceilings_beside(tmp_path, truth.id).marks == ()
    with pytest.raises(FormatError, match="no such file"):
        ceilings_beside(tmp_path / "nowhere", truth.id)


def test_an_audit_is_read_with_whatever_fields_it_has(tmp_path):
    path = tmp_path / "audit.json"
    finding = {"attack": "gene rows", "target": "DE", "auroc": 0.6, "interval": None, "verdict": "leak"}
    path.write_text(json.dumps({"findings": [finding], "checks": [{"check": "self-pairs", "count": 8}]}))
    found = audit_part(path)
    assert found.leaks == 1
    assert found.findings[0].value.value == 0.6
    assert not found.findings[0].value.bounded
    assert found.checks[0][:2] == ("self-pairs", "8")
    path.write_text("[]")
    with pytest.raises(FormatError, match="list named findings"):
        audit_part(path)


def test_one_split_of_the_truth(tmp_path, run, truth):
    solution = tmp_path / "solution.csv"
    usage = np.where(np.arange(len(truth)) < 70, "Public", "Private")
    pd.DataFrame({"id": truth.id, "label": truth.label, "Usage": usage}).to_csv(solution, index=False)
    (section,) = _report(tmp_path, [run], truth=solution, usage="Public")[0].runs
    assert dict(section.facts)["Questions"] == "70"
    assert [line.name for line in section.strata[0].lines] == ["9–16"]  # counted over the whole truth


def test_what_cannot_be_reported_is_refused(tmp_path, run, truth, truth_file):
    with pytest.raises(FormatError, match="no finished run"):
        read_run(tmp_path)
    bad = tmp_path / "bad.csv"
    write_predictions(bad, Predictions(truth.id, np.full(len(truth), 1.5), np.zeros(len(truth))))
    with pytest.raises(PredictionError, match=r"1\.5"):
        _report(tmp_path, [bad], truth=truth_file)
    write_predictions(bad, Predictions(np.array(["a", "a"], object), np.zeros(2), np.zeros(2)))
    with pytest.raises(FormatError, match="an id may stand once; a stands 2 times"):
        read_run(bad)
    write_predictions(bad, Predictions(np.array(["a"], object), np.zeros(1), np.zeros(1)))
    with pytest.raises(InputError, match="there are none"):
        _report(tmp_path, [run, bad], truth=truth_file)


def test_labels_are_the_likeliest_option():
    assert list(labels_of(np.array([0.5, 0.2, 0.1, 1 / 3]), np.array([0.3, 0.6, 0.1, 1 / 3]))) == [
        "up",
        "down",
        "none",
        "none",
    ]
