"""Audit → forest plot: every attack on every block of rows, DE and DIR side by side, and the ceilings below."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from perturbarena.benchmark import CLEAN_WITHIN, Audit
from perturbarena.report import ForestLine, ForestPanel, draw_forest

TARGETS: Final = {"DE": "moved or not", "DIR": "up or down"}
NAN: Final = float("nan")


def audit_figure(path: Path | str, audit: Audit, *, title: str) -> None:
    """Draw the findings and oracles of an audit.

    Raises
    ------
    InputError
        If the file's suffix is unknown.
    """
    panels = []
    for rows in dict.fromkeys(finding.rows for finding in audit.findings):
        for target, means in TARGETS.items():
            of = [f for f in audit.findings if (f.rows, f.target) == (rows, target)]
            lines = [
                ForestLine(
                    f.attack, f.auroc, *(f.interval or (NAN, NAN)), chance=f.chance, verdict=f.verdict.value
                )
                for f in of
            ]
            lines += [
                ForestLine(f"{o.oracle} oracle", o.auroc, NAN, NAN, chance=o.dealt, verdict="ceiling")
                for o in audit.oracles
                if (o.rows, o.target) == (rows, target)
            ]
            n = max((f.n for f in of), default=0)
            panels.append(ForestPanel(rows, f"{rows}: {target}, {n:,} rows", lines, f"AUROC ({means})"))
    draw_forest(path, panels=panels, clean_within=CLEAN_WITHIN, title=title)
