"""``perturbarena score``: predictions against the truth."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.challenge.words import counted
from perturbarena.cli.output import console, print_json
from perturbarena.cli.score_full import print_account
from perturbarena.errors import InputError

if TYPE_CHECKING:
    from perturbarena.evaluation import ScoreResult

DEFAULT_CHALLENGE = "bioreasoning-2026"

LEAK_NOTE = (
    "DE as published is partly given away by how many rows a gene has in the question set. Within strata compares "
    "only genes with equally many rows; within genes asks only which knockout moves a gene."
)

NAMES = {
    "score": "score",
    "de_auroc": "DE",
    "dir_auroc": "DIR",
    "de_within_strata": "DE within strata",
    "de_within_gene": "DE within genes",
}
"""What the measures are called among people."""


class Mode(StrEnum):
    """How unclean input is treated."""

    strict = "strict"
    reference = "reference"


class Usage(StrEnum):
    """Which split of the solution is scored."""

    Public = "Public"
    Private = "Private"


def attach(app: typer.Typer) -> None:
    """Add ``score``."""
    app.command()(score)


def score(
    predictions: Annotated[Path, typer.Argument(help="CSV with id, prediction_up, prediction_down (.gz too).")],
    truth: Annotated[Path, typer.Option(help="CSV with id, label; pert, gene and Usage where there are.")],
    track: Annotated[
        str | None, typer.Option(help="Hold the file to this track's columns and limits, such as A.")
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="strict refuses what cannot be meant; reference equals the published script.")
    ] = Mode.strict,
    usage: Annotated[Usage | None, typer.Option(help="Score only this split of the truth.")] = None,
    questions: Annotated[
        Path | None, typer.Option(help="The whole question set (id, pert, gene): pairs and row counts.")
    ] = None,
    challenge: Annotated[
        str, typer.Option(help="The challenge's name, or the path of its rules file.")
    ] = DEFAULT_CHALLENGE,
    resamples: Annotated[int, typer.Option(min=0, help="Resamples each way for the intervals; 0: none.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="Also by perturbation and gene, calibration, abstention, seeds.")
    ] = False,
    strata: Annotated[
        Path | None,
        typer.Option(help="CSV with id, or pert and/or gene, and columns to sort rows by: scores of each part."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Score predictions: DE, DIR, their mean, DE without the row-count leak, each with a 95 % interval.

    Example: perturbarena score predictions.csv --truth solution.csv --questions train.csv
    """
    import numpy as np

    from perturbarena.challenge.rules import load_challenge
    from perturbarena.evaluation import full_account, measure, read_answered, score_files

    rules, split = load_challenge(challenge), None if usage is None else usage.value
    full, account = full or strata is not None, None
    if mode is Mode.reference:
        if full:
            raise InputError("--full and --strata need probabilities: use --mode strict, which checks them")
        result = score_files(
            predictions,
            truth,
            challenge=rules,
            track=track,
            mode="reference",
            usage=split,
            questions=questions,
            n_resamples=resamples,
            rng=np.random.default_rng(seed),
        )
    else:
        answered = read_answered(
            [predictions], truth, challenge=rules, track=track, usage=split, questions=questions
        )
        result = measure(answered.rows(), rng=np.random.default_rng(seed), n_resamples=resamples)
        if full:
            rng = np.random.default_rng(seed)  # the same resamples: DE within genes has one interval, not two
            account = full_account(answered, challenge=rules, strata=strata, rng=rng, n_resamples=resamples)
    if as_json:
        settings = {"mode": mode, "track": track, "usage": usage, "challenge": challenge}
        beside = {"full": None if account is None else account.as_json()}
        print_json(result.as_json() | beside | settings | {"resamples": resamples, "seed": seed})
        return
    print_score(result, title=predictions.name, resamples=resamples)
    if account is not None:
        print_account(account)


def print_score(result: ScoreResult, *, title: str, resamples: int) -> None:
    """The table of a scored run: each measure with its interval and what it rests on."""
    from rich import box
    from rich.table import Table

    rows = f"{counted(result.n, 'row')}, {result.n_de:,} moved"
    strata = counted(result.n_strata, "stratum", "strata")
    left_out = f", {counted(result.n_rows_left_out, 'row')} left out" if result.n_rows_left_out else ""
    lines = (
        ("score", "[b]Score[/]  mean of DE and DIR", rows),
        ("de_auroc", "[b]DE[/]  moved or not, as published", rows),
        ("dir_auroc", "[b]DIR[/]  up or down", f"{counted(result.n_de, 'moved row')}, {result.n_up:,} up"),
        ("de_within_strata", "[b]DE[/]  within strata", f"{strata}{left_out}"),
        ("de_within_gene", "[b]DE[/]  within genes", counted(result.n_pairs, "pair")),
    )
    table = Table("measure", box=box.SIMPLE_HEAD, title=f"[b]{title}[/]", title_justify="left", pad_edge=False)
    table.add_column("AUROC", justify="right")
    table.add_column("95 % interval", justify="center")
    table.add_column("of", style="dim")
    for name, label, of in lines:
        value, interval = getattr(result, name), result.intervals[name]
        number = "–" if name in result.unscored else f"{value:.4f}"
        bounds = "–" if interval is None else f"{interval.low:.3f} … {interval.high:.3f}"
        style = "bold" if name == "score" else None
        table.add_row(label, number, bounds, of, style=style, end_section=name in ("score", "dir_auroc"))
    out = console()
    out.print(table)
    if result.variances:
        drawn = f"{counted(result.n_perts, 'perturbation')} and {counted(result.n_genes, 'gene')}"
        out.print(f"Intervals are two-way, over {drawn}; {resamples:,} resamples each way.", style="dim")
    if result.n_strata != 1:
        out.print(LEAK_NOTE, style="dim")
    for what, reason in _undefined(result):
        out.print(f"[yellow]no {what}:[/] {reason}")


def _undefined(result: ScoreResult) -> list[tuple[str, str]]:
    """What has no value or no interval, with the reason; an interval is not named beside its own measure."""
    values: dict[str, list[str]] = {}
    intervals: dict[str, list[str]] = {}
    for name, reason in result.unscored.items():
        measure = name.removeprefix("intervals.")
        if measure == name:
            values.setdefault(reason, []).append(NAMES[measure])
        elif measure not in result.unscored:
            intervals.setdefault(reason, []).append(NAMES[measure])
    found = [(", ".join(names), reason) for reason, names in values.items()]
    return found + [(f"interval of {', '.join(names)}", reason) for reason, names in intervals.items()]
