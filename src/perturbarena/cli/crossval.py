"""``perturbarena crossval``: answer labelled questions out of fold, neither gene nor perturbation shared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli import gene_features
from perturbarena.cli.output import console, print_json, progress_bar, spare_inputs
from perturbarena.cli.score import print_score

app = typer.Typer(no_args_is_help=True, help="Answer labelled questions out of fold, doubly disjoint.")
N_RESAMPLES = 2000


def attach(parent: typer.Typer) -> None:
    """Add ``crossval …``."""
    parent.add_typer(app, name="crossval")


@app.command()
def transfer(
    train: Annotated[Path, typer.Argument(metavar="TRAIN", help="CSV with id, pert, gene, label.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The predictions CSV to write.")],
    knowledge: gene_features.Knowledge = None,
    features: gene_features.Features = None,
    coexpression: gene_features.Coexpression = None,
    elsewhere: gene_features.Elsewhere = None,
    folds: Annotated[int, typer.Option(min=2, help="Groups of perturbations, and of genes; folds² fits.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Answers are averaged over newly dealt folds.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds; repeat r uses seed + r.")] = 0,
    as_json: gene_features.Json = False,
) -> None:
    """Answer every row by a model trained on rows that share neither its perturbation nor its gene; score it.

    Example: perturbarena crossval transfer train.csv --knowledge knowledge/ --folds 5 --repeats 1 -o out.csv
    """
    import numpy as np

    from perturbarena.challenge.formats import read_labelled, write_predictions
    from perturbarena.evaluation import score_strict
    from perturbarena.workflows.crossval import cross_validate_transfer

    spare_inputs((output,), (train, features, coexpression))
    rows = read_labelled(train)
    found = gene_features.read(knowledge, features, coexpression, elsewhere)
    with progress_bar("fits") as progress:
        answers = cross_validate_transfer(
            rows,
            found.blocks,
            n_folds=folds,
            repeats=repeats,
            seed=seed,
            progress=progress,
        )
    write_predictions(output, answers.predictions)
    result = score_strict(rows, answers.predictions, rng=np.random.default_rng(0), n_resamples=N_RESAMPLES)
    blocks = gene_features.summary(found, pert=rows.pert, gene=rows.gene)
    if as_json:
        settings = {"folds": folds, "repeats": repeats, "seed": seed, "fits": answers.n_fits}
        described = {"features": blocks, "notes": list(found.notes), "basis": answers.basis_counts()}
        print_json({"file": str(output)} | settings | described | {"score": result.as_json()})
        return
    from perturbarena.challenge.words import counted

    out = console()
    out.print(
        f"[b]{output}[/]: {counted(len(rows), 'row')} answered out of fold by {counted(answers.n_fits, 'fit')}"
    )
    for line in gene_features.lines(blocks):
        out.print(f"  {line}", soft_wrap=True)
    print_score(result, title=output.name, resamples=N_RESAMPLES)


@app.command("command")
def external(
    train: Annotated[Path, typer.Argument(metavar="TRAIN", help="CSV with id, pert, gene, label.")],
    command: Annotated[str, typer.Option(help="What to run for each fit, with {train}, {questions}, {output}.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The predictions CSV to write.")],
    folds: Annotated[int, typer.Option(min=2, help="Groups of perturbations, and of genes; folds² fits.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Answers are averaged over newly dealt folds.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds; {seed} in the command follows it.")] = 0,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds that one fit may take.")] = None,
    as_json: gene_features.Json = False,
) -> None:
    """Cross-validate any predictor: a command that reads labelled rows and questions, and writes predictions.

    It gets no label of a row it is to answer, nor any row that shares its perturbation or gene. Finished fits are
    kept until all are: a run that was stopped goes on when the same command is given again.

    Example: perturbarena crossval command train.csv -o out.csv --command "mine {train} {questions} {output}"
    """
    import shutil

    import numpy as np

    from perturbarena.challenge.formats import read_labelled, write_predictions
    from perturbarena.evaluation import score_strict
    from perturbarena.workflows.crossval import cross_validate
    from perturbarena.workflows.external import ExternalLearner

    spare_inputs((output,), (train,))
    rows, kept = read_labelled(train), output.with_name(f".{output.name}.partial")
    learner = ExternalLearner(command, kept, timeout)
    with progress_bar("fits") as progress:
        answers = cross_validate(
            rows,
            learner,
            n_folds=folds,
            repeats=repeats,
            seed=seed,
            progress=progress,
        )
    write_predictions(output, answers.predictions)
    shutil.rmtree(kept, ignore_errors=True)
    result = score_strict(rows, answers.predictions, rng=np.random.default_rng(0), n_resamples=N_RESAMPLES)
    if as_json:
        settings = {"folds": folds, "repeats": repeats, "seed": seed, "fits": answers.n_fits}
        print_json({"file": str(output), "command": command} | settings | {"score": result.as_json()})
        return
    console().print(f"[b]{output}[/]: {len(rows):,} rows answered out of fold by {answers.n_fits} fits")
    print_score(result, title=output.name, resamples=N_RESAMPLES)
