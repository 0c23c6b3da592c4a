"""Take in what came back: check that it is what was ordered, keep it, settle hypotheses, show surprises."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perturbarena import __version__
from perturbarena.lab import (
    Arrived,
    Campaign,
    History,
    Measurements,
    RoundRecord,
    Settled,
    Surprise,
    check_arrival,
    check_genes,
    surprises,
)
from perturbarena.lab.history import write_result
from perturbarena.screen import EffectSettings
from perturbarena.workflows.build.source import ScreenColumns
from perturbarena.workflows.lab.sources import file_hash, read_results

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ingested:
    """A file taken in (or, with ``already``, one that had been): what arrived, in words too, what became of the
    round's hypotheses, how far the round came out as expected, and the value of each new knockout."""

    number: int
    already: bool
    arrived: Arrived
    notes: tuple[str, ...]
    settled: tuple[Settled, ...]
    surprises: tuple[Surprise, ...]
    values: dict[str, float]
    hits: tuple[str, ...]

    @property
    def mean_r(self) -> float:
        """Mean correlation of expected with seen effects over the round's knockouts; NaN where undefined."""
        found = [s.r for s in self.surprises if np.isfinite(s.r)]
        return float(np.mean(found)) if found else float("nan")


def ingest_results(
    root: Path,
    path: Path,
    *,
    columns: ScreenColumns | None = None,
    settings: EffectSettings | None = None,
    anything: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Ingested:
    """Take in a results file. The same content counts once, whatever its name; a step that was killed is
    repeated.

    Raises
    ------
    InputError
        If the file is not of this campaign; nothing is kept of it then.
    """
    campaign = Campaign.open(root)
    digest = file_hash(path)
    with campaign.locked():
        history = History.of(campaign)
        known = history.ingested(digest)
        if known is not None:
            return _told(
                history, known[0].number, known[1].arrived, ("ingested before; nothing changed",), already=True
            )
        work = campaign.root / "work"
        came = read_results(
            path, columns, settings=settings, checkpoint=work / f"{digest[:12]}.h5ad", workers=workers,
            progress=progress,
        )  # fmt: skip
        arrived = check_arrival(
            came.measured, came.reasons, history.expectation(), source=path.name, guides_seen=came.guides,
            anything=anything,
        )  # fmt: skip
        notes = _check_axis(came.measured, history, path.name)
        kept = came.measured.rows(arrived.measured)
        if len(history.measured):
            kept = kept.on(history.measured.genes)
        number = history.latest.number if history.latest is not None else 0
        record = {"kind": came.kind, "notes": list(notes), "perturbarena": __version__}
        write_result(
            campaign.round_folder(number), kept, arrived, sha256=digest, file=path.name,
            record=record | _outcome(campaign, history, number, kept),
        )  # fmt: skip
        shutil.rmtree(work, ignore_errors=True)
        return _told(History.of(campaign), number, arrived, notes)


def round_surprises(campaign: Campaign, history: History, one: RoundRecord) -> list[Surprise]:
    """Of a round's measured knockouts: value and effects seen against expected, the most surprising first."""
    mine = [name for name, number in history.home.items() if number == one.number]
    return _surprises(campaign, one, history.measured.rows(mine))


def values_of(campaign: Campaign, seen: Measurements) -> dict[str, float]:
    """The value of each measured knockout, by name."""
    if not len(seen):
        return {}
    found = campaign.objective.value(seen.profiles(), seen.genes, knocked_out=seen.perturbations)
    return {str(name): float(value) for name, value in zip(seen.perturbations, found, strict=True)}


def _told(
    history: History, number: int, arrived: Arrived, notes: tuple[str, ...], *, already: bool = False
) -> Ingested:
    campaign = history.campaign
    values = values_of(campaign, history.measured)
    new = {name: values[name] for name in arrived.measured if name in values}
    one = next(r for r in history.rounds if r.number == number)
    hits = tuple(name for name, value in new.items() if value >= campaign.objective.hit_above)
    came = set(arrived.measured)
    settled = tuple(s for s in history.settled() if s.hypothesis.knockout in came and s.hypothesis.moves)
    return Ingested(
        number, already, arrived, notes, settled, tuple(round_surprises(campaign, history, one)), new, hits
    )


def _check_axis(came: Measurements, history: History, source: str) -> tuple[str, ...]:
    """Genes must be those of the campaign; the first file sets them, and must hold the objective's."""
    if len(history.measured):
        note = check_genes(came, history.measured.genes, source=source)
    else:
        note = history.campaign.objective.check(came.genes)
    return (note,) if note else ()


def _outcome(campaign: Campaign, history: History, number: int, kept: Measurements) -> dict[str, Any]:
    """For the record: values, surprises and verdicts of this file's knockouts."""
    one = next((r for r in history.rounds if r.number == number), None)
    if one is None or not len(kept):
        return {"values": values_of(campaign, kept), "surprises": [], "hypotheses": []}
    from perturbarena.lab import settle_all

    came = set(kept.perturbations)
    picks = [pick for r in history.rounds for pick in r.picks if pick.name in came]
    return {
        "values": values_of(campaign, kept),
        "surprises": [s.as_json() for s in _surprises(campaign, one, kept)],
        "hypotheses": [s.as_json() for s in settle_all(picks, kept)],
    }


def _surprises(campaign: Campaign, one: RoundRecord, seen: Measurements) -> list[Surprise]:
    values = values_of(campaign, seen)
    if one.proposal is None:
        return []
    expected = one.predicted()
    correlations: dict[str, float] = {}
    if len(expected.genes) and one.proposal["explained"] > 0:
        came = set(seen.perturbations)
        at = [i for i, pick in enumerate(one.picks) if pick.name in came]
        profiles = seen.rows([one.picks[i].name for i in at]).on(expected.genes).profiles()
        for i, profile in zip(at, profiles, strict=True):
            a, b = expected.mean[i] - expected.usual, profile - expected.usual
            if a.std() > 0 and b.std() > 0:
                correlations[one.picks[i].name] = float(np.corrcoef(a, b)[0, 1])
    return surprises(one.picks, values, correlations)
