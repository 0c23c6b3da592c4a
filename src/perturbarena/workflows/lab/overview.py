"""Where a campaign stands, as a record for the command line, the page and the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perturbarena.lab import Campaign, History, by_chance
from perturbarena.lab.history import FAILURES
from perturbarena.workflows.lab.ingest import round_surprises, values_of


class RoundLine(NamedTuple):
    """One round: how it was chosen, what became of its knockouts and hypotheses; ``r`` mean correlation of
    expected with seen effects, ``chance`` share of hypotheses that other knockouts would have borne out; NaN
    where undefined."""

    number: int
    strategy: str
    ordered: int
    measured: int
    failed: int
    missing: int
    hits: tuple[str, ...]
    expected_hits: float
    verdicts: dict[str, int]
    chance: float
    r: float


class Overview(NamedTuple):
    """The whole campaign. ``open`` candidates may be proposed; ``given_up`` failed too often; ``values`` by
    name."""

    root: Path
    candidates: int
    measured: int
    open: int
    given_up: tuple[str, ...]
    waiting: int | None
    hits: tuple[str, ...]
    rounds: tuple[RoundLine, ...]
    values: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """One object; undefined numbers are null."""
        lines = [
            {k: (None if isinstance(v, float) and not np.isfinite(v) else v) for k, v in line._asdict().items()}
            for line in self.rounds
        ]
        return self._asdict() | {"root": str(self.root), "rounds": lines}


def overview_of(root: Path) -> Overview:
    """Read a campaign's folder.

    Raises
    ------
    FormatError
        If it is no campaign or a record cannot be read.
    """
    campaign = Campaign.open(root)
    history = History.of(campaign)
    values = values_of(campaign, history.measured)
    above = campaign.objective.hit_above
    failures = history.failures()
    waiting = history.waiting
    return Overview(
        root=Path(root),
        candidates=len(campaign.features),
        measured=len(history.measured),
        open=len(history.may_be_proposed()),
        given_up=tuple(sorted(n for n, k in failures.items() if k >= FAILURES and n not in values)),
        waiting=None if waiting is None else waiting.number,
        hits=tuple(sorted((n for n, v in values.items() if v >= above), key=lambda n: -values[n])),
        rounds=tuple(_line(campaign, history, i, values) for i in range(len(history.rounds))),
        values=values,
    )


def _line(campaign: Campaign, history: History, i: int, values: dict[str, float]) -> RoundLine:
    one = history.rounds[i]
    mine = [name for name, number in history.home.items() if number == one.number]
    failed = {name for result in one.results for name in result.arrived.failed} - set(mine)
    settled = history.settled(one.number)
    correlations = [s.r for s in round_surprises(campaign, history, one) if np.isfinite(s.r)]
    probabilities = [p.hypothesis.hit_probability for p in one.picks if p.name in mine]
    verdicts = [s.verdict for s in settled if s.hypothesis.moves]
    return RoundLine(
        number=one.number,
        strategy="measured before" if one.proposal is None else str(one.proposal["strategy"]),
        ordered=len(one.ordered),
        measured=len(mine),
        failed=len(failed),
        missing=len(set(one.ordered) - set(mine) - failed) if one.results else 0,
        hits=tuple(name for name in mine if values[name] >= campaign.objective.hit_above),
        expected_hits=float(sum(p for p in probabilities if p is not None)),
        verdicts={v: verdicts.count(v) for v in ("borne out", "refuted", "open")},
        chance=by_chance([s.hypothesis for s in settled], history.measured.rows(mine)),
        r=float(np.mean(correlations)) if correlations else float("nan"),
    )
