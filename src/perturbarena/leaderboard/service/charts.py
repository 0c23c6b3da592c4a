"""Geometry of the pages' drawings: numbers and times to places. Templates draw, without scripts or inline styles.

Across, places are percentages of the drawing's width, so that text keeps its size on a telephone; down, they are
pixels of a fixed height.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from perturbarena.leaderboard.board import BoardRow
from perturbarena.leaderboard.views import HistoryPoint

CHANCE: Final = 0.5
MAX_DOTS: Final = 400
HEIGHT: Final = 240
MIN_SPREAD: Final = 0.04
"""Of the scores on a chart's axis: less would make much of nothing."""
_TOP, _BOTTOM, _LEFT, _RIGHT = 12, 210, 9.0, 98.5


@dataclass(frozen=True, slots=True)
class Scale:
    """A stretch of numbers laid over a drawing's width."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """Where a value lies, in percent; values outside lie at an end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0), 1):.1f}%"


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line: ``x`` in percent, ``y`` in pixels."""

    x1: str
    y1: str
    x2: str
    y2: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A submission in the chart."""

    x: str
    y: str
    record: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: str
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """Scores over time: every submission a dot, the best so far a line."""

    height: int
    steps: tuple[Line, ...]
    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    records: tuple[HistoryPoint, ...]
    n: int
    n_drawn: int
    label: str


def strip_scale(rows: Iterable[BoardRow]) -> Scale:
    """One scale for all rows: chance and every interval lie on it."""
    values = [v for row in rows for v in (row.score, row.low, row.high) if v is not None]
    return Scale(min([CHANCE - 0.02, *values]) - 0.01, max([CHANCE + 0.1, *values]) + 0.01)


def history_chart(points: Sequence[HistoryPoint], *, zone: ZoneInfo) -> HistoryChart | None:
    """A chart of at least one point; None where there is none."""
    if not points:
        return None
    first, last = points[0].at, points[-1].at
    if last - first < timedelta(hours=1):
        first, last = first - timedelta(minutes=30), last + timedelta(minutes=30)
    scores = [p.score for p in points]
    low, high, step = _nice(min(scores), max(scores))

    def x(at: datetime) -> float:
        return _LEFT + (_RIGHT - _LEFT) * ((at - first) / (last - first))

    def y(score: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (score - low) / (high - low)

    records = [p for p in points if p.record]
    drawn = _thinned(points)
    best = records[-1]
    return HistoryChart(
        HEIGHT,
        tuple(_steps([(x(p.at), y(p.score)) for p in records], until=_RIGHT)),
        tuple(Dot(f"{x(p.at):.2f}%", f"{y(p.score):.1f}", p.record) for p in drawn),
        tuple(_time_ticks(first, last, zone, x)),
        tuple(Tick(f"{y(v):.1f}", f"{v:.{_decimals(step)}f}") for v in _multiples(low, high, step)),
        tuple(records),
        len(points),
        len(drawn),
        f"Best public score over time, from {records[0].score:.3f} to {best.score:.3f} by {best.team}",
    )


def _steps(places: Sequence[tuple[float, float]], *, until: float) -> Iterable[Line]:
    for (x1, y1), (x2, y2) in zip(places, [*places[1:], (until, None)], strict=True):
        yield Line(f"{x1:.2f}%", f"{y1:.1f}", f"{x2:.2f}%", f"{y1:.1f}")
        if y2 is not None:
            yield Line(f"{x2:.2f}%", f"{y1:.1f}", f"{x2:.2f}%", f"{y2:.1f}")


def _thinned(points: Sequence[HistoryPoint]) -> list[HistoryPoint]:
    """Every record, and of the others evenly as many as a page can hold."""
    if len(points) <= MAX_DOTS:
        return list(points)
    every = math.ceil(len(points) / MAX_DOTS)
    return [p for i, p in enumerate(points) if p.record or i % every == 0]


def _nice(low: float, high: float) -> tuple[float, float, float]:
    """Bounds and step of an axis that holds both values, with steps of 1, 2 or 5 times a power of ten."""
    if high - low < MIN_SPREAD:
        low, high = (low + high - MIN_SPREAD) / 2, (low + high + MIN_SPREAD) / 2
    spread = high - low
    raw = spread / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    return math.floor((low - spread * 0.05) / step) * step, math.ceil((high + spread * 0.05) / step) * step, step


def _multiples(low: float, high: float, step: float) -> list[float]:
    n = round((high - low) / step)
    return [low + i * step for i in range(n + 1)]


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _time_ticks(first: datetime, last: datetime, zone: ZoneInfo, x: object) -> Iterable[Tick]:
    assert callable(x)
    span = last - first
    form = "%H:%M" if span < timedelta(days=1) else "%d %b"
    seen: set[str] = set()
    for i, anchor in enumerate(("start", "middle", "middle", "end")):
        at = first + span * i / 3
        label = at.astimezone(zone).strftime(form).lstrip("0") or "0"
        if label not in seen:
            seen.add(label)
            yield Tick(f"{x(at):.2f}%", label, anchor)
