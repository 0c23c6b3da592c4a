"""The parts of a report that need statistics: each takes answers (and truth) and gives what a page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from perturbarena.challenge.records import LABELS, LabelledQuestions, Predictions
from perturbarena.evaluation import MEASURES, ScoreResult, measure, score_strict
from perturbarena.evaluation.curves import roc_curve
from perturbarena.evaluation.detail import detail
from perturbarena.evaluation.metric import ScoredRows
from perturbarena.evaluation.reference import direction_strict
from perturbarena.evaluation.seeds import answer_spread
from perturbarena.evaluation.strata import score_strata
from perturbarena.report import RocPanel
from perturbarena.report.page_record import (
    NAN,
    AnswersTable,
    HistogramPanel,
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
from perturbarena.report.page_text import excerpt, share
from perturbarena.stats.resampling import Interval
from perturbarena.workflows.run_answers import RunAnswers, labels_of

CARDS: Final = 8
"""Questions of each kind that are shown with their traces."""
ROC_RESAMPLES: Final = 400
NAMES: Final = {
    "score": ("Score", "mean of DE as published and DIR"),
    "de_auroc": ("DE, as published", "does the gene move?"),
    "de_within_strata": ("DE, within strata", "does it move, among genes asked equally often?"),
    "de_within_gene": ("DE, within genes", "which knockout moves this gene?"),
    "dir_auroc": ("DIR", "up or down, among moved"),
}
"""Measures in the order of the page."""


ROW_COUNT_NOTE: Final = (
    "By how many questions a gene has in the set. Where the share of moved genes rises with that, counting rows "
    "is worth something; within one stratum it is worth little."
)


class Price(NamedTuple):
    """Of a million tokens, in any currency."""

    read: float
    written: float


def measure_lines(result: ScoreResult) -> list[MeasureLine]:
    """Every measure with what it rests on."""
    of = {
        "score": f"{result.n:,} questions",
        "de_auroc": f"{result.n:,} questions, {result.n_de:,} moved",
        "de_within_strata": f"{result.n_strata:,} strata, {result.n_rows_left_out:,} questions left out",
        "de_within_gene": f"{result.n_pairs:,} pairs",
        "dir_auroc": f"{result.n_de:,} moved, {result.n_up:,} up",
    }
    assert set(NAMES) == set(MEASURES)
    return [
        MeasureLine(
            key, name, asks, value_of(getattr(result, key), result.intervals[key]), of[key],
            result.unscored.get(key, result.unscored.get(f"intervals.{key}", "")),
        )
        for key, (name, asks) in NAMES.items()
    ]  # fmt: skip


def value_of(value: float, interval: Interval | None) -> Value:
    """A page's value."""
    return Value(value, *(interval or (NAN, NAN)))


def curves(
    truth: LabelledQuestions, answers: Predictions, *, rng: np.random.Generator, n_resamples: int
) -> tuple[list[RocPanel], list[ReliabilityPanel]]:
    """ROC and reliability of DE over all rows and of DIR over the moved ones; none where a class is missing."""
    rocs, reliabilities = [], []
    p_moved = np.clip(answers.p_up + answers.p_down, 0, 1)  # a sum may exceed 1 by rounding
    direction = direction_strict(answers.p_up, answers.p_down)
    every = np.ones(len(truth), bool)
    found = detail(ScoredRows.of(truth, answers), answers, rng=rng, n_resamples=n_resamples)
    for name, key, rows, happened, p, what in (
        ("DE: moved or not", "de", every, truth.is_de, p_moved, "moves"),
        ("DIR: up or down, among moved", "dir", truth.is_de, truth.is_up, direction, "goes up"),
    ):
        y, p, pert, gene = happened[rows], p[rows], truth.pert[rows], truth.gene[rows]
        if not len(y) or y.all() or not y.any():
            continue
        curve = roc_curve(y, p, pert=pert, gene=gene, rng=rng, n_resamples=ROC_RESAMPLES)
        caption = f"{len(y):,} questions, {int(y.sum()):,} positive. The band is pointwise."
        rocs.append(RocPanel(name, curve.fpr, curve.tpr, curve.low, curve.high, caption))
        points = found.reliability[key]
        stated, came, n = (np.array([getattr(point, x) for point in points], float) for x in ("x", "y", "n"))
        low, high = np.array([point.interval or (NAN, NAN) for point in points]).T
        off = found.measures[f"{key}_calibration_error"].value
        caption = (
            f"On average the run says that the gene {what} with probability {p.mean():.2f}; {share(y.mean())} do. "
            f"Calibration error {off:.2f}."
        )
        reliabilities.append(ReliabilityPanel(name, stated, came, low, high, n, caption))
    return rocs, reliabilities


def answers_table(answers: Predictions, truth: LabelledQuestions | None) -> AnswersTable:
    """Likeliest answers, by truth where there is one."""
    said = labels_of(answers.p_up, answers.p_down)
    kinds = [("all questions", np.ones(len(said), bool))]
    if truth is not None:
        kinds = [(label, truth.label == label) for label in LABELS]
    return AnswersTable(
        LABELS, [(name, [int(np.sum(said[of] == label)) for label in LABELS]) for name, of in kinds]
    )


def moved_histogram(answers: Predictions) -> HistogramPanel:
    """How sure the run is that genes move."""
    p = np.clip(answers.p_up + answers.p_down, 0, 1)
    counts, edges = np.histogram(p, bins=20, range=(0, 1))
    sure = float(np.mean((p < 0.05) | (p > 0.95)))
    caption = f"{share(sure)} of the answers are within 0.05 of 0 or 1. The mean is {p.mean():.2f}."
    return HistogramPanel("Stated probability that the gene moves", counts, edges, "up + down", caption)


def row_count_strata(rows: ScoredRows, *, rng: np.random.Generator, n_resamples: int) -> StrataTable:
    """Scores by bands of how many rows a gene has in the question set."""
    assert rows.stratum is not None
    high = 2 ** np.ceil(np.log2(np.maximum(rows.stratum, 1))).astype(int)
    lines = [
        _stratum(_band(int(top)), measure(rows.take(high == top), rng=rng, n_resamples=n_resamples))
        for top in np.unique(high)
    ]
    return StrataTable("Row count", "Rows of the gene", ROW_COUNT_NOTE, lines)


def _band(high: int) -> str:
    """1, 2, 3–4, 5–8, …: doubling, so that bands hold comparable numbers of rows."""
    return str(high) if high <= 2 else f"{high // 2 + 1}–{high}"


def table_strata(
    path: Path, rows: ScoredRows, truth: LabelledQuestions, *, rng: np.random.Generator, n_resamples: int
) -> list[StrataTable]:
    """Scores by every column of a table of strata."""
    found = score_strata(rows, truth, path, rng=rng, n_resamples=n_resamples)
    tables = []
    for by, left_out in found.left_out.items():
        lines = [_stratum(s.value, s.result) for s in found.strata if s.by == by]
        placed = f" {left_out:,} questions have no place in it." if left_out else ""
        tables.append(StrataTable(by, by, f"By {by}, from {path.name}.{placed}", lines))
    return tables


def _stratum(name: str, result: ScoreResult) -> StratumLine:
    de, direction = (value_of(getattr(result, key), result.intervals[key]) for key in ("de_auroc", "dir_auroc"))
    return StratumLine(name, result.n, result.n_de, de, direction)


def seeds_part(run: RunAnswers, order: np.ndarray, truth: LabelledQuestions | None) -> SeedsPart | None:
    """Between and within seeds; None where the run has fewer than two.

    Parameters
    ----------
    order
        The run's rows that are looked at, shape (n,); ``truth``, where given, is in that order.
    """
    if run.seeds is None or len(run.seeds.seeds) < 2:
        return None
    p_up, p_down, label = (a[:, order] for a in run.seeds[1:])
    answered = ~np.isnan(p_up) & ~np.isnan(p_down)
    lines = []
    for k, seed in enumerate(run.seeds.seeds):
        scores = (NAN, NAN, NAN)
        if truth is not None and answered[k].any():
            rows = answered[k]
            given = Predictions(truth.id[rows], p_up[k, rows], p_down[k, rows])
            found = score_strict(truth.take(rows), given, rng=np.random.default_rng(0), n_resamples=0)
            scores = (found.score, found.de_auroc, found.dir_auroc)
        up, down, none = (
            float(np.mean(label[k, answered[k]] == name)) if answered[k].any() else NAN for name in LABELS
        )
        lines.append(SeedLine(seed, int(answered[k].sum()), up, down, none, *scores))
    by_all = answered.all(axis=0)
    agree = [np.mean(label[i, by_all] == label[j, by_all]) for i, j in combinations(range(len(lines)), 2)]
    components = {}
    if by_all.sum() >= 2:
        up, down = p_up[:, by_all], p_down[:, by_all]
        components = {"DE": answer_spread(up + down), "DIR": answer_spread(direction_strict(up, down))}
    return SeedsPart(
        lines,
        float(np.mean(agree)) if by_all.any() else NAN,
        [(name, found.share(1)) for name, found in components.items()],
        [(name, found.share(len(lines))) for name, found in components.items()],
        float(np.std([line.score for line in lines], ddof=1)),
    )


def tokens_part(run: RunAnswers, order: np.ndarray, price: Price | None) -> TokensPart | None:
    """Tokens by question, and the cost where prices are given and the table tells read from written."""
    if run.tokens is None or not len(order):
        return None
    total, read, written = (None if a is None else a[order] for a in run.tokens)
    assert total is not None
    lines = [
        _spread(name, a) for name, a in (("read", read), ("written", written), ("all", total)) if a is not None
    ]
    top = float(np.quantile(total, 0.995)) or 1.0
    counts, edges = np.histogram(total, bins=24, range=(0, top))
    caption = f"Half of the questions take {np.median(total):,.0f} or fewer."
    if (beyond := int(np.sum(total > top))) > 0:
        caption += f" {beyond:,} beyond the right end are not drawn."
    notes, cost = [], NAN
    if (zero := int(np.sum(total == 0))) > 0:
        notes.append(f"{zero:,} questions have no tokens recorded.")
    if price is not None and read is not None and written is not None:
        cost = float(read.sum() * price.read + written.sum() * price.written) / 1e6
        notes.append("Requests that failed or whose answer was not taken are not in it.")
    elif price is not None:
        notes.append("No cost: this table does not tell tokens read from tokens written.")
    histogram = HistogramPanel("Tokens a question", counts, edges, "tokens", caption)
    return TokensPart(lines, histogram, cost, cost / len(order), " ".join(notes))


def _spread(name: str, tokens: np.ndarray) -> tuple[str, float, float, float, float, float]:
    median, ninety = np.quantile(tokens, [0.5, 0.9])
    return (name, float(tokens.sum()), float(tokens.mean()), float(median), float(ninety), float(tokens.max()))


def question_lists(
    run: RunAnswers,
    answers: Predictions,
    truth: LabelledQuestions | None,
    pairs: Mapping[str, tuple[str, str]],
) -> list[QuestionList]:
    """The hardest and easiest questions; without truth the most divided answers and the surest.

    A question is hard where the probability of what happened was low. Ties stay in the order of the file.
    """
    p = np.column_stack([answers.p_up, answers.p_down, 1 - answers.p_up - answers.p_down])

    def listed(title: str, note: str, key: np.ndarray) -> QuestionList:
        chosen = [int(i) for i in np.argsort(key, kind="stable")[:CARDS] if np.isfinite(key[i])]
        labels = ["" if truth is None else str(truth.label[i]) for i in chosen]
        cards = [
            _card(run, str(answers.id[i]), p[i], label, pairs) for i, label in zip(chosen, labels, strict=True)
        ]
        return QuestionList(title, note, cards)

    if truth is None:
        return [
            listed("Most divided", "No option is much likelier than the others.", p.max(axis=1)),
            listed("Surest that the gene moves", "The highest probability of up and down together.", p[:, 2]),
        ]
    p_truth = p[np.arange(len(p)), [LABELS.index(label) for label in truth.label]]
    given = "Ordered by the probability that the run gave to what happened"
    easy = f"{given}, highest first, among genes that moved: staying put is the easier guess."
    return [
        listed("Hardest", f"{given}, lowest first.", p_truth),
        listed("Easiest", easy, np.where(truth.is_de, -p_truth, np.inf)),
    ]


def _card(
    run: RunAnswers, id_: str, p: np.ndarray, label: str, pairs: Mapping[str, tuple[str, str]]
) -> QuestionCard:
    pert, gene = pairs.get(id_, ("", ""))
    traces: Sequence[TraceShown] = ()
    if run.traces is not None:
        traces = [TraceShown(t.seed, t.answer, excerpt(t.text)) for t in run.traces(id_)]
    prompt = "" if run.prompts is None else excerpt(run.prompts(id_))
    return QuestionCard(id_, pert, gene, label, float(p[0]), float(p[1]), max(float(p[2]), 0.0), prompt, traces)
