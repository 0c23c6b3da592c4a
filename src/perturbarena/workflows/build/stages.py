"""From a screen to a question set: effects, nulls, questions, audit, ceilings, power, card, one after the other.

Each stage that takes time keeps its result in the work folder; those that take none are done again. What a build
gives depends on input, settings, seed and version alone, not on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pandas as pd

from perturbarena import __version__
from perturbarena.benchmark import QuestionSet, audit_questions
from perturbarena.benchmark.ceiling import Ceilings, ceilings_of
from perturbarena.benchmark.power import measure_power
from perturbarena.benchmark.splits import TEST, TRAIN
from perturbarena.challenge.formats import sha256
from perturbarena.errors import InputError
from perturbarena.screen import estimate_effects, read_effect_table, write_effect_table
from perturbarena.workflows.audit_figure import audit_figure
from perturbarena.workflows.build.assemble import assemble
from perturbarena.workflows.build.folders import AUDIT_FIGURE, Folders, check_apart, disk_error
from perturbarena.workflows.build.nulls import null_calibration
from perturbarena.workflows.build.questions import HIDDEN, Drawn, draw_questions, streams
from perturbarena.workflows.build.record import Findings, make_record, rounded
from perturbarena.workflows.build.settings import BuildSettings
from perturbarena.workflows.build.source import (
    ScreenColumns,
    Source,
    effects_of,
    effects_record,
    read_groups,
    reasons_of,
)
from perturbarena.workflows.ceiling import measure_ceilings

if TYPE_CHECKING:
    from anndata import AnnData

EFFECTS: Final = "effects.h5ad"


class Watch(Protocol):
    """Told what is being done."""

    def stage(self, name: str, *, kept: bool) -> None:
        """A stage begins; ``kept``: its result is there from an earlier run."""

    def step(self, done: int, total: int) -> None:
        """So much of the stage is done."""


class Silent:
    """A watch that nobody looks at."""

    def stage(self, name: str, *, kept: bool) -> None:
        """Nothing."""

    def step(self, done: int, total: int) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """One build: where from, where to, and everything that decides the result."""

    source: Path
    bench: Path
    truth: Path
    settings: BuildSettings
    seed: int = 0
    columns: ScreenColumns = field(default_factory=ScreenColumns)
    groups: Path | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """The record of the question set, and whether it was there already."""

    record: dict[str, Any]
    already: bool


def build_benchmark(plan: BuildPlan, *, workers: int | None = None, watch: Watch | None = None) -> Built:
    """Build BENCH and TRUTH, or go on with a build that was interrupted.

    Raises
    ------
    InputError
        If the input is refused, a folder holds something else, or the disk is full; nothing half-made is left at
        BENCH or TRUTH then.
    """
    check_apart(plan.bench, plan.truth)
    source = Source.of(plan.source, plan.columns)
    groups = read_groups(plan.groups)
    folders = Folders(plan.bench, plan.truth, _build_hash(plan, source))
    try:
        done = folders.done()
        if done is not None:
            return Built(done, already=True)
        folders.work.mkdir(parents=True, exist_ok=True)
        return Built(_run(plan, source, groups, folders, _Run(workers, watch or Silent())), already=False)
    except OSError as error:
        folders.clear_unfinished()
        raise disk_error(error, folders) from error
    finally:
        folders.drop_if_empty()


@dataclass(frozen=True, slots=True)
class _Run:
    workers: int | None
    watch: Watch


def _run(
    plan: BuildPlan, source: Source, groups: Mapping[str, str], folders: Folders, run: _Run
) -> dict[str, Any]:
    settings = plan.settings
    table = _effects(source, settings, folders, run)
    effects = effects_of(table, str(source.path))
    seeds = streams(plan.seed, effects)

    def stage(name: str, make: Callable[[], Any]) -> Any:
        run.watch.stage(name, kept=folders.kept(f"{name}.json"))
        return folders.keep(name, lambda: rounded(make()))

    nulls = stage(
        "nulls",
        lambda: null_calibration(
            source, table, settings, checkpoint=folders.work / "nulls", workers=run.workers, step=run.watch.step
        ),
    )
    run.watch.stage("questions", kept=False)
    drawn = draw_questions(effects, settings, seeds=seeds, reasons=reasons_of(table), groups=groups)
    findings = Findings(
        nulls=nulls,
        audit=stage("audit", lambda: _audit(drawn, folders, seeds["audit"])),
        ceilings=stage("ceilings", lambda: _ceilings(drawn, source, settings, folders, seeds["ceilings"], run)),
        power=stage("power", lambda: _power(drawn, seeds["power"])),
        label_noise=_label_noise(drawn, table),
    )
    run.watch.stage("card", kept=False)
    record = make_record(source, settings, drawn, findings, seed=plan.seed, build=folders.build)
    record["effects"] = effects_record(table)
    assembled = assemble(record, folders, drawn, findings)
    folders.publish(assembled.bench)
    return assembled.record


def _build_hash(plan: BuildPlan, source: Source) -> str:
    """Of everything that decides the result."""
    decides = {
        "version": __version__,
        "source": source.as_json(),
        "settings": plan.settings.model_dump(mode="json"),
        "seed": plan.seed,
        "groups": None if plan.groups is None else sha256(plan.groups),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _effects(source: Source, settings: BuildSettings, folders: Folders, run: _Run) -> AnnData:
    kept = folders.work / EFFECTS
    run.watch.stage("effects", kept=source.is_table or kept.exists())
    if source.is_table:
        return read_effect_table(source.path)
    if not kept.exists():
        table = estimate_effects(
            source.screen, settings=settings.effects, workers=run.workers, checkpoint=kept, progress=run.watch.step
        )
        write_effect_table(kept, table)
    return read_effect_table(kept)


def _audit(drawn: Drawn, folders: Folders, seed: np.random.SeedSequence) -> dict[str, Any]:
    """The findings; their figure is kept beside them."""
    asked = QuestionSet.of(drawn.rows[TRAIN], drawn.hidden(*HIDDEN), part=drawn.usage())
    audit = audit_questions(asked, rng=np.random.default_rng(seed))
    audit_figure(folders.work / AUDIT_FIGURE, audit, title="What the set's own shape tells")
    return audit.as_json()


def _ceilings(
    drawn: Drawn,
    source: Source,
    settings: BuildSettings,
    folders: Folders,
    seed: np.random.SeedSequence,
    run: _Run,
) -> dict[str, Any]:
    """Oracles always; the replicate where there are cells to halve."""
    if not settings.ceilings:
        return {"not_measured": "switched off (ceilings = false)"}
    rng = np.random.default_rng(seed)
    if source.is_table:
        return _told(ceilings_of(drawn.labels, drawn.rows, rng=rng))
    found = measure_ceilings(
        source.screen, drawn.labels, drawn.rows, effect_settings=settings.effects, label_settings=settings.labels,
        folder=folders.work, rng=rng, workers=run.workers, progress=run.watch.step,
    )  # fmt: skip
    return _told(found)


def _told(ceilings: Ceilings) -> dict[str, Any]:
    """Plain values, each split with a sentence for those who repeat no tables."""
    told = {}
    for split, found in ceilings.splits.items():
        kinds = {"a replicate": found.split_half, "means of genes": found.gene_mean}
        kinds["means of perturbations"] = found.perturbation_mean
        scores = [f"{kind} {c.score:.3f}" for kind, c in kinds.items() if c is not None and not np.isnan(c.score)]
        sentence = f"scores reached with hidden knowledge: {', '.join(scores) or 'undefined'}"
        told[split] = found.as_json() | {"sentence": sentence}
    return told


def _power(drawn: Drawn, seed: np.random.SeedSequence) -> dict[str, Any]:
    """Of the rows that the final ranking rests on, and of both hidden blocks together."""
    found: dict[str, Any] = {}
    for (name, splits), sequence in zip({TEST: (TEST,), "hidden": HIDDEN}.items(), seed.spawn(2), strict=True):
        rows = drawn.hidden(*splits)
        try:
            power = measure_power(rows.questions, rows.label, rng=np.random.default_rng(sequence))
            found[name] = power.as_json()
        except InputError as error:
            found[name] = {"not_measured": str(error)}
    return found


def _label_noise(drawn: Drawn, table: AnnData) -> dict[str, Any]:
    """Mean local false sign rate of up and down rows: the share expected to go the other way, or not at all."""
    lfsr = np.asarray(table.layers["lfsr"], np.float64)
    noise = {}
    for split, rows in drawn.rows.items():
        moved = rows.take(rows.is_de)
        at = table.obs_names.get_indexer(pd.Index(moved.pert)), table.var_names.get_indexer(pd.Index(moved.gene))
        if len(moved):
            share = float(lfsr[at].mean())
            told = f"{share:.1%} of up and down rows are expected to go the other way, or not at all"
            noise[split] = {"wrong_direction_expected": share, "sentence": told}
    return rounded(noise)
