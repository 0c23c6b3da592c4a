"""What a page says, as plain values. Everything here was computed elsewhere; a page only sets it out.

An undefined number is NaN, and a part that a run has nothing for is None or empty and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from perturbarena.report.figures import RocPanel

NAN = float("nan")


class Value(NamedTuple):
    """A value with its 95 % interval; NaN where undefined."""

    value: float = NAN
    low: float = NAN
    high: float = NAN

    @property
    def defined(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


class Mark(NamedTuple):
    """A value that a score is to be read against, such as a ceiling of its question set."""

    name: str
    value: float
    note: str


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """One measure: what it is called and asks, its value, what it rests on, and why it is undefined if it is."""

    key: str
    name: str
    asks: str
    value: Value
    of: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ReliabilityPanel:
    """Observed frequency over stated probability, shape (b,), with intervals and rows of each bin."""

    title: str
    stated: np.ndarray
    happened: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray
    caption: str


@dataclass(frozen=True, slots=True)
class HistogramPanel:
    """Counts, shape (k,), between edges, shape (k + 1,)."""

    title: str
    counts: np.ndarray
    edges: np.ndarray
    xlabel: str
    caption: str


class StratumLine(NamedTuple):
    """One stratum."""

    name: str
    n: int
    n_moved: int
    de: Value
    dir: Value


class StrataTable(NamedTuple):
    """Scores by one way of dividing the questions."""

    title: str
    heading: str
    note: str
    lines: Sequence[StratumLine]


class SeedLine(NamedTuple):
    """One seed: how many questions it answered, shares of up, down and none among them, and its scores."""

    seed: int
    answered: int
    up: float
    down: float
    none: float
    score: float
    de: float
    dir: float


class SeedsPart(NamedTuple):
    """How much of an answer is the question and how much the seed. Shares are NaN where undefined."""

    lines: Sequence[SeedLine]
    agree: float
    """Share of questions to which two seeds give the same answer, over pairs of seeds."""
    share_one: Sequence[tuple[str, float]]
    """Share of variance between questions of one seed, for DE and DIR."""
    share_all: Sequence[tuple[str, float]]
    """The same of the mean of all seeds."""
    spread: float
    """Standard deviation of single seeds' scores."""


class TokensPart(NamedTuple):
    """Tokens by question: sum, mean, median, nine-tenths point, largest; cost where prices are given."""

    lines: Sequence[tuple[str, float, float, float, float, float]]
    histogram: HistogramPanel
    cost: float
    cost_each: float
    note: str


class TraceShown(NamedTuple):
    """An excerpt of what one call wrote."""

    seed: int | None
    answer: str
    text: str


class QuestionCard(NamedTuple):
    """A question, its truth, the run's answer, and excerpts of how it came about."""

    id: str
    pert: str
    gene: str
    truth: str
    p_up: float
    p_down: float
    p_none: float
    prompt: str
    traces: Sequence[TraceShown]


class QuestionList(NamedTuple):
    """Questions under one heading."""

    title: str
    note: str
    cards: Sequence[QuestionCard]


class AnswersTable(NamedTuple):
    """Questions by true label (rows; one row of all where there is no truth) and likeliest answer (columns)."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSection:
    """One run."""

    name: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    measures: Sequence[MeasureLine] = ()
    marks: Sequence[Mark] = ()
    marks_note: str = ""
    rocs: Sequence[RocPanel] = ()
    reliabilities: Sequence[ReliabilityPanel] = ()
    answers: AnswersTable
    p_moved: HistogramPanel
    strata: Sequence[StrataTable] = ()
    seeds: SeedsPart | None = None
    tokens: TokensPart | None = None
    questions: Sequence[QuestionList] = ()

    def measure(self, key: str) -> MeasureLine | None:
        """The measure of this key, where the run is scored."""
        return next((m for m in self.measures if m.key == key), None)


class ComparedRun(NamedTuple):
    """One run beside the first: values and paired differences by measure, in the order of the columns."""

    name: str
    values: Sequence[Value]
    differences: Sequence[Value]
    verdicts: Sequence[str]
    """Of each difference, in words."""
    tokens: float


class Comparison(NamedTuple):
    """Runs side by side; differences are to the first. Without truth there are no columns."""

    columns: Sequence[str]
    runs: Sequence[ComparedRun]
    notes: Sequence[str]


class FindingLine(NamedTuple):
    """One attack of an audit."""

    attack: str
    rows: str
    target: str
    value: Value
    chance: float
    verdict: str
    sentence: str


class AuditPart(NamedTuple):
    """An audit of the question set: attacks, and checks as (name, count, verdict, sentence)."""

    leaks: int
    findings: Sequence[FindingLine]
    checks: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole page."""

    title: str
    lead: str
    runs: Sequence[RunSection]
    comparison: Comparison | None = None
    audit: AuditPart | None = None
    made: Sequence[tuple[str, str]] = field(default=())
