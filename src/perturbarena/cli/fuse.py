"""``perturbarena fuse``: several predictors' answers made into one, weighted by what each adds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_bar, progress_console, spare_inputs
from perturbarena.cli.score import print_score

if TYPE_CHECKING:
    from perturbarena.workflows.fuse import Fused

N_RESAMPLES = 2000


def attach(app: typer.Typer) -> None:
    """Add ``fuse``."""
    app.command()(fuse)


def fuse(
    predictions: Annotated[
        list[Path],
        typer.Argument(metavar="A B […]", help="CSVs with id, prediction_up, prediction_down; .gz too."),
    ],
    train_truth: Annotated[
        Path, typer.Option(metavar="TRAIN", help="CSV with id, pert, gene, label: where weights are learned.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The predictions CSV to write.")],
    questions: Annotated[
        Path | None,
        typer.Option(help="CSV with id, pert, gene: what to answer. Without: TRAIN's rows, cross-fitted."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Groups of perturbations, and of genes.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Make one set of answers of several, with weights for DE and DIR learned on doubly disjoint folds.

    Every file must answer TRAIN's ids out of fold (by fits that have not seen them) and, with --questions, those
    ids too. A part that adds nothing gets no weight, and is named.

    Example: perturbarena fuse transfer.csv model.csv --train-truth train.csv --questions test.csv -o fused.csv
    """
    import numpy as np

    from perturbarena.challenge.formats import read_labelled, read_questions, write_predictions
    from perturbarena.tracks import FusionSettings
    from perturbarena.workflows.fuse import fuse as fuse_parts
    from perturbarena.workflows.fuse import read_parts

    spare_inputs((output,), (*predictions, train_truth, questions))
    rows = read_labelled(train_truth)
    asked = None if questions is None else read_questions(questions)
    ids = np.concatenate([rows.id, [] if asked is None else asked.id])
    with progress_bar("fits") as step:
        found = fuse_parts(
            read_parts(predictions, ids),
            rows,
            asked,
            seed=seed,
            settings=FusionSettings(n_folds=folds),
            n_resamples=N_RESAMPLES,
            progress=step,
        )
    for warning in found.warnings:
        progress_console().print(f"[yellow]warning:[/] {warning}", soft_wrap=True)
    write_predictions(output, found.predictions)
    if as_json:
        print_json({"file": str(output), "folds": folds, "seed": seed} | found.as_json())
        return
    _print(found, output=output, n_labelled=len(rows))


def _print(found: Fused, *, output: Path, n_labelled: int) -> None:
    out = console()
    how = f"by weights from {n_labelled:,} labelled rows" if found.score is None else "cross-fitted"
    out.print(f"[b]{output}[/]: {len(found.predictions):,} rows answered, {how}", soft_wrap=True)
    for line in found.lines():
        out.print(f"  {line}", soft_wrap=True)
    out.print(
        "Weights are log odds a standard deviation; adds: AUROC with the part less without it, out of fold, with "
        "its 95 % interval.",
        style="dim",
    )
    if found.score is not None:
        print_score(found.score, title=output.name, resamples=N_RESAMPLES)
