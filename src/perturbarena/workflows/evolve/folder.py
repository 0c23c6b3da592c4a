"""A run folder of prompt evolution: what a second start is held to, what is written, and in which order.

======================  ======================================================================================
``settings.json``       written first: what decides the outcome; a second start must share it
``traces/…jsonl``       every answer and reflection, appended as it comes: what a killed run goes on from
``rows.csv``            which row was in which part
``pareto.csv``, figure  every candidate that was tried on selection rows
``history.json``        every change that was proposed, and what became of it
``prompt.txt``          the winner if it was confirmed, else the baseline; ``shots.csv`` its examples
``evolve.json``         the manifest, written last: a folder without it holds an unfinished run
======================  ======================================================================================
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from perturbarena import __version__
from perturbarena.challenge.formats import atomic, write_json, write_labelled, write_table
from perturbarena.report import ParetoPoint, draw_pareto
from perturbarena.tracks.running.folder import RunFolder
from perturbarena.workflows.evolve.answers import Asker
from perturbarena.workflows.evolve.run import Evolved, EvolvePlan, evolve, prepared

FORMAT_VERSION: Final = 1
"""Of ``evolve.json`` and ``history.json``."""
MANIFEST: Final = "evolve.json"


def evolve_in(
    path: Path,
    plan: EvolvePlan,
    *,
    asker: Asker,
    reflector: Asker,
    ledger: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> Evolved:
    """:func:`evolve` in a folder: begun, gone on with, or played again without a call where it is done.

    Errors as :func:`evolve`; InputError too if the folder belongs to a run with other settings or is in use.
    """
    prepared(plan)  # what is refused leaves no folder behind
    folder = RunFolder(path)
    with folder.open(held(plan)):
        (path / MANIFEST).unlink(missing_ok=True)  # a folder with a manifest is a finished run
        evolved = evolve(plan, asker=asker, reflector=reflector, ledger=ledger, folder=folder, tell=tell)
        write_evolved(path, plan, evolved, ledger=ledger)
    return evolved


def held(plan: EvolvePlan) -> dict[str, Any]:
    """What a second start in the same folder must share with the first; budgets may be raised."""
    return {
        "kind": "evolve",
        "model": dict(plan.model),
        "template": plan.template,
        "shots": plan.shots,
        "seeds": plan.seeds,
        "seed": plan.seed,
        "minibatch": plan.limits.minibatch,
        "rows": dict(plan.limits.rows),
        "inputs": dict(plan.inputs),
    }


def write_evolved(folder: Path, plan: EvolvePlan, evolved: Evolved, *, ledger: Path) -> dict[str, Any]:
    """Write what came out, the manifest last; the manifest."""
    with atomic(folder / "prompt.txt") as file:
        file.write(evolved.best.template)
    shots = folder / "shots.csv"
    if evolved.best.shots:
        write_labelled(shots, evolved.best.rows(evolved.parts.train))
    write_table(folder / "rows.csv", evolved.parts.table())
    write_table(folder / "pareto.csv", evolved.history.table())
    pareto_figure(folder / "pareto.png", evolved)
    write_json(folder / "history.json", {"format_version": FORMAT_VERSION, "proposals": evolved.history.proposals})
    trials = evolved.history
    manifest = {
        "format_version": FORMAT_VERSION,
        "kind": "evolve",
        "verdict": evolved.verdict,
        "why": evolved.why,
        "search_ended": evolved.ended,
        "best": evolved.best.digest,
        "baseline": evolved.baseline.digest,
        "confirmation": None if evolved.confirmation is None else evolved.confirmation.as_json(),
        "selection": {"baseline": asdict(trials.baseline), "best": asdict(trials.best)},
        "proposals": trials.outcomes(),
        "trials": len(trials.trials),
        "budget": evolved.meter.as_json(),
        "rows": evolved.parts.counts(),
        "ledger": str(ledger),
        "settings": held(plan) | {"limits": asdict(plan.limits), "n_resamples": plan.n_resamples},
        "versions": {"perturbarena": __version__, "gepa": version("gepa"), "python": platform.python_version()},
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def pareto_figure(path: Path, evolved: Evolved) -> None:
    """Draw every candidate that was tried on selection rows."""
    table = evolved.history.table()
    points = [
        ParetoPoint(
            row["DE"], row["DIR"], row["tokens"], bool(row["on_front"]), bool(row["is_baseline"]),
            "best here" if row["is_best"] and not row["is_baseline"] else "",
        )
        for row in table.to_dict("records")
    ]  # fmt: skip
    n = len(evolved.parts.confirmation)
    title = f"{len(points)} prompts tried; verdict on {n:,} untouched rows: {evolved.verdict}"
    draw_pareto(path, points=points, title=title)
