"""``perturbarena run``: answer questions, one command per way of answering.

The file is not called ``run`` because ``perturbarena.cli.run`` is the function that runs a command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli import gene_features
from perturbarena.cli.output import console, print_json, spare_inputs

app = typer.Typer(
    no_args_is_help=True,
    help="Answer questions: by prompts, agents with tools, a fine-tuned model, or the transfer predictor.",
)


def attach(parent: typer.Typer) -> None:
    """Add ``run …``."""
    parent.add_typer(app, name="run")


@app.command()
def transfer(
    train: Annotated[Path, typer.Option(help="CSV with id, pert, gene, label to learn from.")],
    questions: Annotated[Path, typer.Option(help="CSV with id, pert, gene to answer.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The predictions CSV to write.")],
    knowledge: gene_features.Knowledge = None,
    features: gene_features.Features = None,
    coexpression: gene_features.Coexpression = None,
    elsewhere: gene_features.Elsewhere = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the kernel model's landmarks.")] = 0,
    as_json: gene_features.Json = False,
) -> None:
    """Answer questions from gene features, for perturbations and genes never seen in training.

    Example: perturbarena run transfer --train train.csv --questions test.csv --knowledge DIR -o predictions.csv
    """
    from perturbarena.challenge.formats import read_labelled, read_questions, write_predictions
    from perturbarena.workflows.predict import answer_transfer

    spare_inputs((output,), (train, questions, features, coexpression))
    rows, asked = read_labelled(train), read_questions(questions)
    found = gene_features.read(knowledge, features, coexpression, elsewhere)
    answered = answer_transfer(rows, asked, found.blocks, seed=seed)
    write_predictions(output, answered.answers.predictions)
    blocks = gene_features.summary(found, pert=asked.pert, gene=asked.gene)
    overlap = answered.overlap
    if as_json:
        print_json(
            {
                "file": str(output),
                "n": len(asked),
                "n_train": len(rows),
                "features": blocks,
                "notes": list(found.notes),
                "basis": answered.basis_counts(),
                "seen_in_training": {"pert": overlap.pert, "gene": overlap.gene, "both": overlap.both},
                "seed": seed,
            }
        )
        return
    out = console()
    out.print(f"[b]{output}[/]: {len(asked):,} questions answered, learned from {len(rows):,} rows")
    for line in gene_features.lines(blocks):
        out.print(f"  {line}", soft_wrap=True)
    kinds = ", ".join(f"{n:,} {name}" for name, n in answered.basis_counts().items() if n)
    out.print(f"Answers rest on the features of: {kinds}")
    style = "yellow" if overlap.pert or overlap.gene else "dim"
    out.print(
        f"Questions whose perturbation stands in a training row: {overlap.pert:,}; whose gene: {overlap.gene:,}; "
        f"both: {overlap.both:,}",
        style=style,
    )
