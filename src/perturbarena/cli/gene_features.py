"""The options that say what is known of the genes, shared by the commands that learn from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import progress_console

if TYPE_CHECKING:
    from perturbarena.knowledge import FeatureBlocks

Knowledge = Annotated[
    Path | None,
    typer.Option(
        "--knowledge", metavar="DIR", help="Folder with expression_refs/ and msigdb_mouse_…/ (GMT files)."
    ),
]
Features = Annotated[
    Path | None,
    typer.Option("--features", metavar="TABLE", help="CSV or TSV: genes first, a number in every other cell."),
]
Coexpression = Annotated[
    Path | None,
    typer.Option("--coexpression", metavar="CELLS", help="h5ad of single cells like those that are asked about."),
]
Elsewhere = Annotated[
    Path | None,
    typer.Option(
        "--elsewhere", metavar="DIR", help="PerturbQA's tables (non-commercial licence): knockouts in other cells."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

FEW = 0.1
"""Coverage below this share is hardly a choice: another species' symbols, or identifiers in place of symbols."""


def read(
    knowledge: Path | None, features: Path | None, coexpression: Path | None, elsewhere: Path | None = None
) -> FeatureBlocks:
    """Read what is given; say on stderr what a knowledge folder lacks."""
    from perturbarena.errors import InputError
    from perturbarena.knowledge import load_features

    if knowledge is None and features is None and coexpression is None:
        raise InputError(
            "gene features are needed: give --knowledge DIR, --features TABLE or --coexpression CELLS"
        )
    found = load_features(knowledge=knowledge, features=features, coexpression=coexpression, elsewhere=elsewhere)
    for note in found.notes:
        progress_console().print(f"[yellow]note:[/] {note}", soft_wrap=True)
    return found


def summary(found: FeatureBlocks, *, pert: Iterable[str], gene: Iterable[str]) -> list[dict[str, Any]]:
    """Each block with the share of these perturbations and genes that it knows."""
    perts, genes = sorted(set(pert)), sorted(set(gene))
    blocks = [
        {
            "name": block.name,
            "source": block.source,
            "columns": block.n_columns,
            "perturbations": block.coverage(perts),
            "genes": block.coverage(genes),
        }
        for block in found.blocks
    ]
    if all(max(b["perturbations"], b["genes"]) < FEW for b in blocks):
        progress_console().print(
            f"[yellow]note:[/] under {FEW:.0%} of the genes have features; are the symbols of one species?"
        )
    return blocks


def lines(blocks: list[dict[str, Any]]) -> list[str]:
    """The summary for people."""
    return [
        f"{b['name']:<18} {b['columns']:>5,} columns, of {b['perturbations']:.0%} of the perturbations "
        f"and {b['genes']:.0%} of the genes [dim]({b['source']})[/]"
        for b in blocks
    ]
