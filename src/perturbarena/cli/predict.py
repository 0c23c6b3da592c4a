"""``perturbarena predict``: a screener's door to the transfer predictor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli import gene_features
from perturbarena.cli.output import console, print_json, spare_inputs

if TYPE_CHECKING:
    import pandas as pd

    from perturbarena.challenge.records import Questions


def attach(app: typer.Typer) -> None:
    """Add ``predict``."""
    app.command()(predict)


def predict(
    train: Annotated[Path, typer.Option(help="CSV with id, pert, gene, label to learn from.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The CSV to write: answers and their basis.")],
    pairs: Annotated[Path | None, typer.Option(help="CSV with pert, gene.")] = None,
    perts: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Perturbations of a grid, or a file with one a line.")
    ] = None,
    genes: Annotated[
        str | None, typer.Option(metavar="X,Y,…", help="Target genes of a grid, or a file with one a line.")
    ] = None,
    knowledge: gene_features.Knowledge = None,
    features: gene_features.Features = None,
    coexpression: gene_features.Coexpression = None,
    elsewhere: gene_features.Elsewhere = None,
    evidence: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Also write what each answer rests on, with ranges.")
    ] = None,
    refits: Annotated[
        int, typer.Option(min=0, help="Refits on redrawn training names behind the ranges of --evidence; 0: none.")
    ] = 20,
    top: Annotated[int, typer.Option(min=0, help="How many of the most confident answers to print.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the kernel model's landmarks.")] = 0,
    as_json: gene_features.Json = False,
) -> None:
    """What would knocking these genes out do? Answers for pairs, or a grid, with what each answer rests on.

    --evidence adds, for each answer, the nearest known perturbations and genes, gene sets that hold both, a mark
    where there is no basis, and the 90 % range of its probabilities over refits on redrawn training names.

    Example: perturbarena predict --train train.csv --perts Tlr4,Irf3 --genes Il6,Tnf --knowledge DIR -o out.csv
    """
    from perturbarena.challenge.formats import read_labelled, write_table
    from perturbarena.challenge.words import counted
    from perturbarena.workflows.predict import answer_transfer, answers_table, evidence_table, most_confident

    spare_inputs((output, evidence), (train, pairs, features, coexpression))
    rows, asked = read_labelled(train), _questions(pairs, perts, genes)
    found = gene_features.read(knowledge, features, coexpression, elsewhere)
    answered = answer_transfer(rows, asked, found.blocks, seed=seed)
    table = answers_table(asked, answered.answers)
    write_table(output, table)
    if evidence is not None:
        why = evidence_table(rows, asked, found.blocks, answered, n_refits=refits, seed=seed)
        write_table(evidence, why)
    best = most_confident(table, top)
    if as_json:
        described = {
            "features": gene_features.summary(found, pert=asked.pert, gene=asked.gene),
            "notes": list(found.notes),
        }
        answers = {"basis": answered.basis_counts(), "top": best.to_dict("records")}
        files = {"file": str(output), "evidence": None if evidence is None else str(evidence)}
        print_json(files | {"n": len(asked), "seed": seed} | described | answers)
        return
    out = console()
    kinds = ", ".join(f"{n:,} {name}" for name, n in answered.basis_counts().items() if n)
    out.print(f"[b]{output}[/]: {counted(len(asked), 'pair')} answered. They rest on the features of: {kinds}")
    if len(best):
        _print_table(best)
    if evidence is not None:
        out.print(f"[b]{evidence}[/]: nearest known cases, shared gene sets and ranges of each answer")


def _questions(pairs: Path | None, perts: str | None, genes: str | None) -> Questions:
    from perturbarena.challenge.formats import read_questions
    from perturbarena.errors import InputError
    from perturbarena.workflows.predict import grid, read_names

    if pairs is not None and perts is None and genes is None:
        return read_questions(pairs)
    if pairs is not None or perts is None or genes is None:
        raise InputError("predict needs either --pairs PAIRS.csv, or both --perts and --genes")
    return grid(read_names(perts), read_names(genes))


def _print_table(best: pd.DataFrame) -> None:
    from rich import box
    from rich.table import Table

    table = Table(
        "knock out", "gene", "goes", box=box.SIMPLE_HEAD, title="[b]Most confident[/]", title_justify="left"
    )
    for name in ("p up", "p down"):
        table.add_column(name, justify="right")
    table.add_column("rests on", style="dim")
    for row in best.to_dict("records"):
        up, down = row["prediction_up"], row["prediction_down"]
        goes = "[green]up[/]" if up >= down else "[red]down[/]"
        table.add_row(row["pert"], row["gene"], goes, f"{up:.3f}", f"{down:.3f}", row["basis"])
    console().print(table)
