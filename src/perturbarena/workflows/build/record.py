"""``benchmark.json``: what a question set is and what is known of it, without anything that tells a hidden label.

Numbers of hidden rows are means, counts and AUROCs over a whole block, rounded; none belongs to one perturbation
or one gene.
"""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena import __version__
from perturbarena.benchmark.splits import SPLITS, TRAIN
from perturbarena.challenge.records import LABELS
from perturbarena.workflows.build.questions import Drawn
from perturbarena.workflows.build.settings import BuildSettings
from perturbarena.workflows.build.source import Source

FORMAT_VERSION: Final = 1
DECIMALS: Final = 4
FEW: Final = 5
"""A mean over fewer hidden perturbations says too much about each of them, and is left out."""
PACKAGES: Final = ("numpy", "scipy", "numba", "pandas", "anndata")


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured: plain values, or ``{"not_measured": why}``."""

    nulls: dict[str, Any]
    audit: dict[str, Any]
    ceilings: dict[str, Any]
    power: dict[str, Any]
    label_noise: dict[str, Any]


def make_record(
    source: Source, settings: BuildSettings, drawn: Drawn, findings: Findings, *, seed: int, build: str
) -> dict[str, Any]:
    """Everything but the files' hashes, which come last."""
    return {
        "format_version": FORMAT_VERSION,
        "build": build,
        "name": settings.about.title or source.path.name.removesuffix(source.path.suffix),
        "design": settings.design.name,
        "about": settings.about.model_dump(),
        "provenance": {"input": source.as_json(), "versions": _versions()},
        "seed": seed,
        "settings": settings.model_dump(mode="json", exclude={"about"}),
        "counts": {split: _counts(drawn, split) for split in SPLITS},
        "left_out_perturbations": drawn.left_out,
        "left_out_genes": drawn.left_out_genes,
        "notes": {split: list(notes) for split, notes in drawn.notes.items() if notes},
        "balance": _balance(drawn),
        "null_calibration": {k: v for k, v in findings.nulls.items() if k != "quantiles"},
        "label_noise": findings.label_noise,
        "audit": findings.audit,
        "ceilings": findings.ceilings,
        "power": findings.power,
    }


def rounded(value: Any) -> Any:
    """Plain values with floats to four decimals; NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, np.generic):
        return rounded(value.item())
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    return value


def _counts(drawn: Drawn, split: str) -> dict[str, int]:
    """Rows by label, and names that are asked."""
    rows = drawn.rows[split]
    return {
        "rows": len(rows),
        "perturbations": len(set(rows.pert)),
        "genes": len(set(rows.gene)),
        **{label: int(np.sum(rows.label == label)) for label in LABELS},
    }


def _balance(drawn: Drawn) -> list[dict[str, Any]]:
    table = []
    for row in drawn.splits.balance(drawn.labels):
        few = row["split"] != TRAIN and row["perturbations"] < FEW
        counted = ("split", "perturbations", "genes")
        table.append({k: None if few and k not in counted else v for k, v in rounded(row).items()})
    return table


def _versions() -> dict[str, str]:
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"perturbarena": __version__, "python": platform.python_version(), **packages}
