"""What a check of a screen found, in words that say what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from perturbarena.screen.pseudobulk import VERDICTS
from perturbarena.screen.read import NO_GUIDE, SEVERAL_GUIDES, sounds_like_control

if TYPE_CHECKING:
    from perturbarena.screen.check import ScreenCheck

FEW_CONTROLS: Final = 100
"""Fewer control cells make every fold change noisier than the perturbed cells themselves do."""
MIN_NULL_UNITS: Final = 5
"""Control guides that null calibration needs: four make an artificial perturbation, and some must remain."""
MANY_SEVERAL: Final = 0.1
"""Share of cells with several guides from which effects are mixed up, not only diluted."""
MANY_DROPPED: Final = 0.2
WRONG_GUIDES: Final = 0.01
"""Share of cells whose guide column disagrees with the guide counts."""
UNBALANCED: Final = 0.5
DEEPER: Final = 2.0
"""Ratio of median depths between batches, or to controls, that is pointed at."""
LISTED: Final = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to act on ("wrong"), or to know ("note")."""

    level: Literal["wrong", "note"]
    about: str
    text: str


def findings_of(check: ScreenCheck, *, min_cells: int) -> tuple[Finding, ...]:
    """What is wrong first, then what to know, each in the order in which it was looked at."""
    parts = (_counts, _assignment, _controls, _batches, _guides, _knockdown, _depth)
    found = [finding for part in parts for finding in part(check)] + list(_cells(check, min_cells))
    return tuple(sorted(found, key=lambda finding: finding.level != "wrong"))


def _counts(check: ScreenCheck) -> Iterator[Finding]:
    if check.largest_count <= 1:
        yield Finding(
            "wrong",
            "counts",
            f"no count is above {check.largest_count}: these look like presence and absence, not like counts",
        )
    if check.n_empty_cells:
        yield Finding(
            "note",
            "counts",
            f"{check.n_empty_cells:,} cells have no counts at all; leave them out before estimating",
        )


def _assignment(check: ScreenCheck) -> Iterator[Finding]:
    unassigned = {k: n for k, n in check.dropped.items() if k not in (NO_GUIDE, SEVERAL_GUIDES)}
    left_out = sum(check.dropped.values())
    everything = check.n_cells + left_out
    if unassigned:
        names = ", ".join(f"{name} {n:,}" for name, n in unassigned.items())
        yield Finding("note", "assignment", f"cells left out because their label names no perturbation: {names}")
    if left_out > MANY_DROPPED * everything:
        yield Finding("note", "assignment", f"{left_out / everything:.0%} of all cells are left out")
    counts = check.guide_counts
    if counts is None:
        return
    if check.columns.guide_counts is None and counts.n_several:
        share = counts.n_several / max(1, counts.n_single + counts.n_several + counts.n_none)
        yield Finding(
            "wrong" if share > MANY_SEVERAL else "note",
            "assignment",
            f"{counts.n_several:,} cells ({share:.0%}) hold several guides by {counts.key}; their effects are "
            f"mixed up: leave them out with --guide-counts {counts.key}",
        )
    if counts.n_relabelled > WRONG_GUIDES * max(1, counts.n_compared):
        yield Finding(
            "wrong",
            "assignment",
            f"{counts.n_relabelled:,} of {counts.n_compared:,} cells with one guide by {counts.key} have another "
            f"under {check.columns.guide}; one of the two is wrong",
        )


def _controls(check: ScreenCheck) -> Iterator[Finding]:
    if check.n_controls < FEW_CONTROLS:
        yield Finding(
            "wrong",
            "controls",
            f"there are {check.n_controls:,} control cells; at least {FEW_CONTROLS} are needed, 2,000 serve well",
        )
    if check.n_control_guides is not None and check.n_control_guides < MIN_NULL_UNITS:
        yield Finding(
            "note",
            "controls",
            f"controls have {check.n_control_guides} guides; null calibration needs at least {MIN_NULL_UNITS}",
        )
    others = [p.perturbation for p in check.perturbations if sounds_like_control(p.perturbation)]
    if others:
        yield Finding(
            "note",
            "controls",
            f"{_list(others)} sound like controls too but are not {check.columns.control!r}; "
            "give all control cells one label",
        )


def _batches(check: ScreenCheck) -> Iterator[Finding]:
    for name, batches in check.confounded.items():
        yield Finding(
            "wrong",
            "batches",
            f"{name} is confounded with the batch: all its cells lie in {_list(batches)}, where no control cell "
            "lies, so its effect cannot be told from the batch's",
        )
    bare = [b for b in check.batches if not b.n_controls]
    if bare:
        lost = sum(b.n_cells for b in bare)
        yield Finding(
            "note",
            "batches",
            f"no control cells in {_list([b.batch for b in bare])}: the {lost:,} cells there tell no effects",
        )
    apart = [
        p for p in check.perturbations if p.batch_distance > UNBALANCED and p.perturbation not in check.confounded
    ]
    if apart:
        names = _list([f"{p.perturbation} ({p.batch_distance:.0%})" for p in apart])
        yield Finding(
            "note",
            "batches",
            f"spread over the batches quite unlike the controls: {names} of the cells would have to change batch",
        )


def _cells(check: ScreenCheck, min_cells: int) -> Iterator[Finding]:
    few = sorted((p for p in check.perturbations if p.n_cells < min_cells), key=lambda p: p.n_cells)
    if few:
        names = _list([f"{p.perturbation} {p.n_cells}" for p in few])
        yield Finding(
            "note",
            "cells",
            f"{len(few)} of {len(check.perturbations)} perturbations have fewer than {min_cells} cells: {names}",
        )
    lone = [p.perturbation for p in check.perturbations if p.n_guides == 1]
    if lone:
        yield Finding(
            "note",
            "guides",
            f"one guide only, so nothing tells its effect from an off-target one: {_list(lone)}",
        )


def _guides(check: ScreenCheck) -> Iterator[Finding]:
    for guide, names in check.split_guides.items():
        yield Finding("wrong", "guides", f"guide {guide} stands under several perturbations: {_list(names)}")
    for verdict, words in VERDICTS.items():
        odd = [g for g in check.guides if g.verdict == verdict and words]
        own = [g for g in odd if g.perturbation != check.columns.control]
        if own:
            yield Finding("note", "guides", f"{_list([g.guide for g in own])}: {words}")
        controls = [f"{g.guide} ({g.n_differ} of {g.n_tested} genes)" for g in odd if g not in own]
        if controls:
            yield Finding(
                "note",
                "controls",
                f"{_list(controls)}: unlike the other control guides; a control with an effect blurs every "
                "comparison",
            )


def _knockdown(check: ScreenCheck) -> Iterator[Finding]:
    told = [k for k in check.knockdowns if k.verdict != "too few counts"]
    if not told:
        yield Finding(
            "note", "knockdown", "no perturbed gene's own transcript is measured well enough to see a knockdown"
        )
        return
    down = [k for k in told if k.verdict == "down"]
    others = [k for k in told if k.verdict != "down"]
    if len(down) * 2 >= len(told):
        if others:
            names = _list([f"{k.perturbation} ({k.verdict})" for k in others])
            yield Finding(
                "note",
                "knockdown",
                f"the perturbed gene's transcript falls in {len(down)} of {len(told)} perturbations, "
                f"but not in {names}",
            )
    else:
        yield Finding(
            "note",
            "knockdown",
            f"the perturbed gene's transcript falls in only {len(down)} of {len(told)} perturbations: expected of "
            "cutting guides (CRISPRko) or activation, a warning under interference (CRISPRi)",
        )


def _depth(check: ScreenCheck) -> Iterator[Finding]:
    by_depth = sorted(check.batches, key=lambda b: b.umis[1])
    low, high = by_depth[0], by_depth[-1]
    if high.umis[1] > DEEPER * low.umis[1]:
        yield Finding(
            "note",
            "depth",
            f"batch {high.batch} is {high.umis[1] / max(low.umis[1], 1.0):.1f} times as deep as {low.batch} "
            f"(median {high.umis[1]:,.0f} and {low.umis[1]:,.0f} UMIs a cell)",
        )
    odd = [p for p in check.perturbations if not 1.0 / DEEPER <= p.depth_ratio <= DEEPER]
    if odd:
        names = _list([f"{p.perturbation} ({p.depth_ratio:.2f}×)" for p in odd])
        yield Finding(
            "note",
            "depth",
            f"cells much shallower or deeper than controls, as dying, cycling or doubled cells are: {names}",
        )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
