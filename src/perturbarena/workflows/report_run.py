"""Runs, truth, a question set's record and its audit → one page.

Every number is on the questions that all runs answer, so that runs can be compared; what that leaves out is said
on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from perturbarena import __version__
from perturbarena.challenge.formats import atomic, labelled_from_table, read_questions, read_table, sha256
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import InputError
from perturbarena.evaluation import Answered, compare, score_strict
from perturbarena.evaluation.files import rows_of_usage
from perturbarena.evaluation.metric import ScoredRows
from perturbarena.report import Page, RunSection, render_page
from perturbarena.report.page_record import ComparedRun, Comparison, StrataTable, Value
from perturbarena.workflows.report_beside import audit_part, ceilings_beside
from perturbarena.workflows.report_parts import (
    NAMES,
    Price,
    answers_table,
    curves,
    measure_lines,
    moved_histogram,
    question_lists,
    row_count_strata,
    seeds_part,
    table_strata,
    tokens_part,
    value_of,
)
from perturbarena.workflows.run_answers import RunAnswers, read_run

COMPARED: Final = {"score": "score", "de_auroc": "DE", "de_within_gene": "DE_within_genes", "dir_auroc": "DIR"}
"""Measures of the comparison, by the page's names and by the comparison's."""
HASH_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Files beside the runs, and settings."""

    truth: Path | None = None
    questions: Path | None = None
    benchmark: Path | None = None
    audit: Path | None = None
    strata: Path | None = None
    usage: str | None = None
    price: Price | None = None
    title: str | None = None
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is known of the questions that all runs answer, in one order."""

    id: np.ndarray
    truth: LabelledQuestions | None
    counted_genes: np.ndarray | None
    pairs: Mapping[str, tuple[str, str]]
    notes: tuple[str, ...]


def report_runs(paths: Sequence[Path], output: Path, inputs: ReportInputs) -> Page:
    """Write the page of these runs to ``output`` and give its record.

    Raises
    ------
    InputError
        If no question is answered by all runs and known to the truth, or a file cannot be read.
    """
    runs = _named_apart([read_run(path) for path in paths])
    asked = _asked(runs, inputs)
    sections = [_section(run, asked, inputs) for run in runs]
    page = Page(
        title=inputs.title or (runs[0].name if len(runs) == 1 else f"{len(runs)} runs compared"),
        lead=_lead(runs, asked),
        runs=sections,
        comparison=_comparison(runs, sections, asked, inputs) if len(runs) > 1 else None,
        audit=None if inputs.audit is None else audit_part(inputs.audit),
        made=_made(inputs),
    )
    with atomic(output) as file:
        file.write(render_page(page))
    return page


def _named_apart(runs: Sequence[RunAnswers]) -> list[RunAnswers]:
    """Runs of one name get their position in brackets."""
    from dataclasses import replace

    names = [run.name for run in runs]
    return [
        replace(run, name=f"{run.name} ({i})") if names.count(run.name) > 1 else run
        for i, run in enumerate(runs, start=1)
    ]


def _asked(runs: Sequence[RunAnswers], inputs: ReportInputs) -> _Asked:
    questions = None if inputs.questions is None else read_questions(inputs.questions)
    truth = whole = None
    if inputs.truth is not None:
        table = read_table(inputs.truth, required=("id", "label"))
        whole = labelled_from_table(table, questions=questions, source=inputs.truth)
        truth = whole.take(rows_of_usage(table, inputs.usage, inputs.truth))
    known = runs[0].predictions.id if truth is None else truth.id
    answered = [set(run.predictions.id) for run in runs]
    keep = np.array([all(id_ in ids for ids in answered) for id_ in known], bool)
    if not keep.any():
        where = "by all runs" if truth is None else f"by all runs and known to {inputs.truth}"
        raise InputError(f"a report needs questions answered {where}; there are none")
    notes = []
    n = int(keep.sum())
    if truth is not None and n < len(truth):
        whom = "The run answers" if len(runs) == 1 else "All runs answer"
        notes.append(
            f"{whom} {n:,} of the truth's {len(truth):,} questions. Every number here is on these {n:,} "
            "and cannot be set beside a score on all of them."
        )
    unknown = len(set().union(*answered) - set(known[keep]))
    if unknown:
        notes.append(f"{unknown:,} answers are to questions outside these and are not looked at.")
    pairs = {id_: pair for run in runs for id_, pair in run.pairs.items()}
    for known_pairs in (questions, None if whole is None else whole.questions):
        if known_pairs is not None:
            pairs |= dict(zip(known_pairs.id, zip(known_pairs.pert, known_pairs.gene, strict=True), strict=True))
    counted = _counted(questions, whole)
    return _Asked(known[keep], None if truth is None else truth.take(keep), counted, pairs, tuple(notes))


def _counted(questions: Questions | None, truth: LabelledQuestions | None) -> np.ndarray | None:
    if questions is not None:
        return questions.gene
    return None if truth is None else truth.gene


def _order(run: RunAnswers, asked: _Asked) -> np.ndarray:
    position = {id_: i for i, id_ in enumerate(run.predictions.id)}
    return np.array([position[id_] for id_ in asked.id])


def _section(run: RunAnswers, asked: _Asked, inputs: ReportInputs) -> RunSection:
    order = _order(run, asked)
    answers, truth = run.predictions.take(order), asked.truth
    parts: dict[str, Any] = {}
    notes = list(asked.notes)
    if truth is not None:
        rng = np.random.default_rng(inputs.seed)
        scored = score_strict(
            truth, answers, rng=rng, n_resamples=inputs.resamples, counted_genes=asked.counted_genes
        )
        beside = ceilings_beside(inputs.benchmark, truth.id, inputs.usage)
        rocs, reliabilities = curves(truth, answers, rng=rng, n_resamples=max(inputs.resamples // 2, 2))
        parts = {
            "measures": measure_lines(scored),
            "marks": beside.marks,
            "marks_note": beside.note,
            "rocs": rocs,
            "reliabilities": reliabilities,
            "strata": _strata(truth, answers, asked, inputs),
        }
    if run.manifest is not None and run.manifest.get("ranked") is False:
        notes.append("Unranked: the track's sampling rules were set aside.")
    return RunSection(
        name=run.name,
        facts=_facts(run, asked),
        notes=notes,
        answers=answers_table(answers, truth),
        p_moved=moved_histogram(answers),
        seeds=seeds_part(run, order, truth),
        tokens=tokens_part(run, order, inputs.price),
        questions=question_lists(run, answers, truth, dict(asked.pairs)),
        **parts,
    )


def _strata(
    truth: LabelledQuestions, answers: Predictions, asked: _Asked, inputs: ReportInputs
) -> list[StrataTable]:
    rows = ScoredRows.of(truth, answers, counted_genes=asked.counted_genes)
    rng, n_resamples = np.random.default_rng(inputs.seed), max(inputs.resamples // 2, 2)
    tables = [row_count_strata(rows, rng=rng, n_resamples=n_resamples)]
    if inputs.strata is not None:
        tables += table_strata(inputs.strata, rows, truth, rng=rng, n_resamples=n_resamples)
    return tables


def _comparison(
    runs: Sequence[RunAnswers], sections: Sequence[RunSection], asked: _Asked, inputs: ReportInputs
) -> Comparison:
    tokens = [
        float("nan") if run.tokens is None else float(np.mean(run.tokens.total[_order(run, asked)]))
        for run in runs
    ]
    if asked.truth is None:
        rows = [ComparedRun(run.name, [], [], [], t) for run, t in zip(runs, tokens, strict=True)]
        return Comparison((), rows, ("Without truth, runs can only be set side by side.",))
    answers = [run.predictions.take(_order(run, asked)) for run in runs]
    assert asked.counted_genes is not None
    given = Answered(asked.truth, asked.counted_genes, tuple(answers), ())
    found = compare(
        given,
        names=[run.name for run in runs],
        rng=np.random.default_rng(inputs.seed),
        n_resamples=max(inputs.resamples, 2),
    )
    differences: list[list[Value]] = [[]]
    differences += [[value_of(*of.contrasts[name].difference[:2]) for name in COMPARED.values()] for of in found]
    verdicts = [[], *([of.contrasts[name].verdict for name in COMPARED.values()] for of in found)]
    rows = [
        ComparedRun(run.name, [m.value for key in COMPARED if (m := section.measure(key))], of, said, t)
        for run, section, of, said, t in zip(runs, sections, differences, verdicts, tokens, strict=True)
    ]
    note = f"{len(asked.truth):,} questions that all {len(runs)} runs answer."
    notes = dict.fromkeys((note, *(said for of in found for said in of.notes)))
    return Comparison([NAMES[key][0] for key in COMPARED], rows, tuple(notes))


def _lead(runs: Sequence[RunAnswers], asked: _Asked) -> str:
    of = ""
    if asked.truth is not None:
        of = f" on {len(set(asked.truth.pert)):,} knockouts and {len(set(asked.truth.gene)):,} target genes"
    models = list(
        dict.fromkeys(
            str(r.manifest.get("model_name")) for r in runs if r.manifest and r.manifest.get("model_name")
        )
    )
    by = f", answered by {' and '.join(models)}" if models else ""
    return f"{len(asked.id):,} questions{of}{by}: knock out one gene, what does another one do?"


def _facts(run: RunAnswers, asked: _Asked) -> list[tuple[str, str]]:
    """What a reader wants to know of how the run was made; a plain table tells next to nothing."""
    facts = [("Questions", f"{len(asked.id):,}")]
    if run.manifest is None:
        return [*facts, ("Source", run.path.name)]
    settings = _part(run.manifest, "settings")
    counts, last = _part(run.manifest, "counts"), _part(run.manifest, "last_start")
    for name, value in (
        ("Model", run.manifest.get("model_name")),
        ("Challenge", settings.get("challenge")),
        ("Track", settings.get("track")),
        ("Answers read from", settings.get("answers")),
        ("Seeds", ", ".join(map(str, settings["seeds"])) if isinstance(settings.get("seeds"), list) else None),
        ("Temperature", settings.get("temperature")),
        ("Reasoning effort", settings.get("reasoning_effort")),
        ("Ended", str(last["ended"])[:10] if "ended" in last else None),
        ("Without any answer", counts.get("unanswered")),
        ("Without a seed's answer", counts.get("partly")),
    ):
        if value is not None:
            facts.append((name, str(value)))
    return facts


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = manifest.get(name)
    return found if isinstance(found, dict) else {}


def _made(inputs: ReportInputs) -> list[tuple[str, str]]:
    made = [
        ("Made with", f"perturbarena {__version__}"),
        ("Resamples each way", f"{inputs.resamples:,}"),
        ("Seed", str(inputs.seed)),
    ]
    for name in ("truth", "questions", "audit", "strata"):
        path = getattr(inputs, name)
        if path is not None:
            made.append((name.capitalize(), f"{path.name}, SHA-256 {sha256(path)[:HASH_SHOWN]}…"))
    if inputs.usage is not None:
        made.append(("Split", inputs.usage))
    if inputs.benchmark is not None:
        made.append(("Benchmark", inputs.benchmark.resolve().name))
    return made
