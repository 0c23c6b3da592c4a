"""A round that came back: what was ordered, what arrived, what failed, what nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena.challenge.words import counted
from perturbarena.errors import InputError
from perturbarena.lab.hypotheses import Settled, settle
from perturbarena.lab.measurements import Measurements
from perturbarena.lab.proposal import Proposed

NAMED: Final = 5
"""Names that a message lists."""
GENES_SHARED: Final = 0.5
"""Share of the campaign's genes that a file must have."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A results file held against the campaign; tuples of names in the file's order.

    ``measured``: candidates with effects, for the first time. ``failed``: name → why there are none.
    ``missing``: ordered, not in the file. ``late``: of ``measured``, those ordered in an earlier round.
    ``unordered``: of ``measured``, those nobody ordered (none before the first
    order). ``again``: measured before; the first measurement
    stays. ``unknown``: no candidates. ``guides_missing``: guides that were ordered and not seen; None where
    the file has no guides.
    """

    measured: tuple[str, ...]
    failed: Mapping[str, str]
    missing: tuple[str, ...]
    late: tuple[str, ...]
    unordered: tuple[str, ...]
    again: tuple[str, ...]
    unknown: tuple[str, ...]
    guides_missing: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """For the round's record."""
        names = {
            n: list(getattr(self, n)) for n in ("measured", "missing", "late", "unordered", "again", "unknown")
        }
        guides = None if self.guides_missing is None else list(self.guides_missing)
        return {**names, "failed": dict(self.failed), "guides_missing": guides}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Arrived:
        """What :meth:`as_json` gave."""
        names = ("measured", "missing", "late", "unordered", "again", "unknown")
        guides = stored["guides_missing"]
        return cls(
            failed=dict(stored["failed"]),
            guides_missing=None if guides is None else tuple(guides),
            **{name: tuple(stored[name]) for name in names},
        )

    def sentences(self) -> list[str]:
        """What somebody should know, in plain words."""
        said = [f"{counted(len(self.measured), 'knockout')} measured"]
        if self.failed:
            reasons: dict[str, list[str]] = {}
            for name, why in self.failed.items():
                reasons.setdefault(why, []).append(name)
            grouped = "; ".join(f"{listed(names)}: {why}" for why, names in list(reasons.items())[:NAMED])
            said.append(f"{counted(len(self.failed), 'knockout')} failed and can be proposed again ({grouped})")
        if self.missing:
            said.append(
                f"{counted(len(self.missing), 'ordered knockout')} not in the file: {listed(self.missing)}"
            )
        if self.late:
            said.append(f"{counted(len(self.late), 'knockout')} ordered in an earlier round: {listed(self.late)}")
        if self.unordered:
            said.append(f"{counted(len(self.unordered), 'knockout')} nobody ordered, taken all the same: "
                        f"{listed(self.unordered)}")  # fmt: skip
        if self.again:
            said.append(f"{counted(len(self.again), 'knockout')} measured before, the first measurement stays: "
                        f"{listed(self.again)}")  # fmt: skip
        if self.unknown:
            said.append(f"{counted(len(self.unknown), 'knockout')} not among the candidates, passed over: "
                        f"{listed(self.unknown)}")  # fmt: skip
        if self.guides_missing:
            said.append(f"{counted(len(self.guides_missing), 'guide')} ordered and in no cell: "
                        f"{listed(self.guides_missing)}")  # fmt: skip
        return said


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the campaign waits for: ``ordered`` in the round that is open, ``outstanding`` from earlier ones."""

    candidates: frozenset[str]
    measured: frozenset[str]
    ordered: Sequence[str] = ()
    outstanding: frozenset[str] = frozenset()
    guides: Mapping[str, Sequence[str]] | None = None


def check_arrival(
    came: Measurements,
    reasons: Mapping[str, str],
    expected: Expectation,
    *,
    source: str,
    guides_seen: frozenset[str] | None = None,
    anything: bool = False,
) -> Arrived:
    """Hold a results file against what was ordered.

    ``reasons`` says why a knockout in the file was not estimated. With ``anything`` a file without any ordered
    knockout is taken.

    Raises
    ------
    InputError
        If it has no candidate, or none of the ordered knockouts: it is then likely another experiment's file.
    """
    estimated = {n: bool(np.isfinite(row).any()) for n, row in zip(came.perturbations, came.effect, strict=True)}
    names = [n for n in came.perturbations.tolist() if n in expected.candidates]
    if not names:
        raise InputError(
            f"{source}: none of its {counted(len(came), 'knockout')} is a candidate of this campaign; "
            f"it has {listed(came.perturbations.tolist())}. Is it the right file?"
        )
    awaited = set(expected.ordered) | expected.outstanding
    if expected.ordered and not anything and not awaited & set(names):
        raise InputError(
            f"{source}: none of the {counted(len(expected.ordered), 'knockout')} ordered is in it "
            f"({listed(expected.ordered)}); it has {listed(names)}. Is it the right file? (--anything takes it)"
        )
    measured = tuple(n for n in names if estimated[n] and n not in expected.measured)
    failed = {n: reasons.get(n) or "no effects in the file" for n in names
              if not estimated[n] and n not in expected.measured}  # fmt: skip
    present = set(names)
    guides = None
    if guides_seen is not None and expected.guides:
        wanted = [g for n in expected.ordered if n in present for g in expected.guides.get(n, ())]
        guides = tuple(g for g in wanted if g not in guides_seen)
    return Arrived(
        measured=measured,
        failed=failed,
        missing=tuple(n for n in expected.ordered if n not in present and n not in expected.measured),
        late=tuple(n for n in measured if n in expected.outstanding and n not in expected.ordered),
        unordered=tuple(n for n in measured if awaited and n not in awaited),
        again=tuple(n for n in names if n in expected.measured),
        unknown=tuple(n for n in came.perturbations.tolist() if n not in expected.candidates),
        guides_missing=guides,
    )


def check_genes(came: Measurements, genes: np.ndarray, *, source: str) -> str:
    """In words, how many of the campaign's genes the file lacks; empty where it lacks none.

    Raises
    ------
    InputError
        If it lacks more than half: its numbers could not be compared.
    """
    missing = sorted(set(genes) - set(came.genes))
    if len(missing) > (1 - GENES_SHARED) * len(genes):
        raise InputError(
            f"{source}: at least half of the campaign's {len(genes):,} genes are needed; it lacks "
            f"{len(missing):,}, such as {listed(missing)}. Is it the right file, with symbols of the same species?"
        )
    if not missing:
        return ""
    return (
        f"{counted(len(missing), 'gene')} of {len(genes):,} not in the file, taken as unknown: {listed(missing)}"
    )


@dataclass(frozen=True, slots=True)
class Surprise:
    """A knockout that came out otherwise than expected: its value seen and expected, and the distance in
    standard deviations; ``r`` Pearson's correlation of expected with seen effects, both less
    the mean effect known before the round."""

    name: str
    seen: float
    expected: float
    z: float
    r: float

    def as_json(self) -> dict[str, Any]:
        """For the round's record; undefined is null."""
        return {"name": self.name, "seen": self.seen, "expected": self.expected, "z": self.z,
                "r": self.r if np.isfinite(self.r) else None}  # fmt: skip


def surprises(
    picks: Sequence[Proposed], values: Mapping[str, float], correlations: Mapping[str, float]
) -> list[Surprise]:
    """Of the measured knockouts of which something was expected, the most surprising first."""
    found = [
        Surprise(
            p.name, values[p.name], p.value,
            (values[p.name] - p.value) / max(p.value_sd, 1e-9), correlations.get(p.name, float("nan")),
        )
        for p in picks
        if p.name in values and p.hypothesis.hit_probability is not None
    ]  # fmt: skip
    return sorted(found, key=lambda s: -abs(s.z))


def settle_all(picks: Sequence[Proposed], seen: Measurements) -> list[Settled]:
    """Every hypothesis of a round, held against all that was measured."""
    return [settle(p.hypothesis, seen) for p in picks]


def listed(names: Sequence[str]) -> str:
    """The first few, and that there are more."""
    return ", ".join(map(str, names[:NAMED])) + (", …" if len(names) > NAMED else "")
