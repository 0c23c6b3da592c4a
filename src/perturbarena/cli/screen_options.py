"""The options that name a screen's columns, the same for every ``screen`` command."""

from __future__ import annotations

from typing import Annotated

import typer

PerturbationColumn = Annotated[str, typer.Option("--perturbation", help="Column of obs: what was knocked out.")]
ControlValue = Annotated[str, typer.Option("--control", help="What that column says of control cells.")]
BatchColumn = Annotated[str | None, typer.Option("--batch", help="Column of obs: batch, lane or replicate.")]
GuideColumn = Annotated[str | None, typer.Option("--guide", help="Column of obs: the cell's guide.")]
SizeFactorColumn = Annotated[
    str | None, typer.Option("--size-factors", help="Column of obs; by default total counts.")
]
LayerName = Annotated[str | None, typer.Option("--layer", help="The layer with raw counts, if X is not.")]
CountOrAll = Annotated[str, typer.Option(help="A number, or all.")]
GuideCountsKey = Annotated[
    str | None,
    typer.Option(
        "--guide-counts", help="Key of obsm with guide counts: cells with no guide or several are left out."
    ),
]
