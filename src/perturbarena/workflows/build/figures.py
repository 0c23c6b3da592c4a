"""The card's figures: of hidden rows they show what test.csv shows, and label mixes of whole blocks."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from perturbarena.benchmark.labels import CALL_DOWN, CALL_UP
from perturbarena.benchmark.splits import SPLITS, TRAIN
from perturbarena.challenge.records import LABELS
from perturbarena.report import draw_label_mix, draw_log2fc, draw_moved_genes, draw_qq, draw_rows_per_gene
from perturbarena.workflows.build.questions import Drawn


def draw_figures(folder: Path, drawn: Drawn, *, nulls: dict[str, Any], audit: Path) -> dict[str, str]:
    """Draw them, and take the audit's, which is drawn already; returns file names with what each shows."""
    block = drawn.labels.block(drawn.splits.pert == TRAIN, drawn.splits.gene == TRAIN)
    up, down = ((block.call == code).sum(axis=1) for code in (CALL_UP, CALL_DOWN))
    draw_moved_genes(
        folder / "moved-genes.svg", up=up, down=down, title=f"Genes moved by the {len(up)} training perturbations"
    )
    rows = drawn.rows[TRAIN]
    pert = {name: i for i, name in enumerate(block.perturbations)}
    gene = {name: i for i, name in enumerate(block.genes)}
    log2fc = block.log2fc[[pert[p] for p in rows.pert], [gene[g] for g in rows.gene]]
    draw_log2fc(
        folder / "log2fc.svg", log2fc={label: log2fc[rows.label == label] for label in LABELS},
        title="Shrunken fold changes of the training questions",
    )  # fmt: skip
    mix = {s: {label: int(np.sum(drawn.rows[s].label == label)) for label in LABELS} for s in SPLITS}
    draw_label_mix(folder / "label-mix.svg", mix=mix, title="Labels of each split")
    hidden = drawn.hidden(*(split for split in SPLITS if split != TRAIN))
    counts = {"train": rows.gene, "hidden": hidden.gene}
    draw_rows_per_gene(
        folder / "rows-per-gene.svg",
        rows={name: np.array(sorted(Counter(genes).values())) for name, genes in counts.items()},
        title="How often a gene is asked",
    )
    shutil.copyfile(audit, folder / audit.name)
    figures = {
        audit.name: "Every attack of the audit with its interval, and what names alone could tell at most",
        "moved-genes.svg": "Genes that each training perturbation moves, among the training genes",
        "log2fc.svg": "Shrunken log2 fold changes of the training questions, by label",
        "label-mix.svg": "Share of up, down and none in each split",
        "rows-per-gene.svg": "Rows of a gene in the training and in the hidden questions",
    }
    if "quantiles" in nulls:
        expected, observed = (np.array(nulls["quantiles"][name]) for name in ("expected", "observed"))
        title = f"p-values of {nulls['nulls']} artificial perturbations"
        draw_qq(folder / "nulls.svg", expected=expected, observed=observed, title=title)
        figures["nulls.svg"] = "p-values of artificial perturbations made of control cells, against chance"
    return figures
