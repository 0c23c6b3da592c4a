"""``perturbarena compare`` and ``perturbarena gate``: is B better than A, and may it replace it?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import console, print_json, spare_inputs
from perturbarena.cli.score import DEFAULT_CHALLENGE, Usage

if TYPE_CHECKING:
    from perturbarena.evaluation import Comparison, Contrast, Gated

LABELS = {
    "score": "[b]Score[/]",
    "DE": "[b]DE[/] as published",
    "DIR": "[b]DIR[/]",
    "DE_within_genes": "[b]DE[/] within genes",
}


class Measure(StrEnum):
    """What a gate looks at."""

    score = "score"
    DE = "DE"
    DIR = "DIR"
    DE_within_genes = "DE_within_genes"


Truth = Annotated[Path, typer.Option(help="CSV with id, label; pert, gene and Usage where there are.")]
Questions = Annotated[
    Path | None, typer.Option(help="The whole question set (id, pert, gene), where ids do not tell the pairs.")
]
Track = Annotated[str | None, typer.Option(help="Hold every file to this track's columns and limits, such as A.")]
UsageOption = Annotated[Usage | None, typer.Option(help="Compare only on this split of the truth.")]
ChallengeOption = Annotated[str, typer.Option(help="The challenge's name, or the path of its rules file.")]
Resamples = Annotated[int, typer.Option(min=2, help="Resamples each way, and exchanges of answers.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the resamples and exchanges.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def attach(app: typer.Typer) -> None:
    """Add ``compare`` and ``gate``."""
    app.command()(compare)
    app.command()(gate)


def compare(
    predictions: Annotated[
        list[Path], typer.Argument(metavar="A B [C …]", help="Prediction files; all are compared with the first.")
    ],
    truth: Truth,
    questions: Questions = None,
    track: Track = None,
    usage: UsageOption = None,
    challenge: ChallengeOption = DEFAULT_CHALLENGE,
    resamples: Resamples = 2000,
    seed: Seed = 0,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the differences with their intervals (.png, .svg, .pdf).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Is B better than A? Paired differences on the same rows, with intervals, p and a verdict in words.

    Example: perturbarena compare a.csv b.csv --truth solution.csv --questions test.csv
    """
    import numpy as np

    from perturbarena.challenge.rules import load_challenge
    from perturbarena.evaluation import compare as compare_answers
    from perturbarena.evaluation import read_answered

    spare_inputs((figure,), (*predictions, truth, questions))
    answered = read_answered(
        predictions,
        truth,
        challenge=load_challenge(challenge),
        track=track,
        usage=_text(usage),
        questions=questions,
    )
    found = compare_answers(answered, rng=np.random.default_rng(seed), n_resamples=resamples)
    if figure is not None:
        from perturbarena.workflows.figures import comparison_figure

        comparison_figure(figure, found, files=[path.name for path in predictions])
    if as_json:
        settings = {
            "track": track,
            "usage": _text(usage),
            "challenge": challenge,
            "resamples": resamples,
            "seed": seed,
        }
        files = {side: str(path) for side, path in zip(_sides(found), predictions, strict=True)}
        print_json(_json(found) | {"files": files, "n": len(answered.truth)} | settings)
        return
    out = console()
    for side, path in zip(_sides(found), predictions, strict=True):
        out.print(f"[b]{side}[/]  {path}", soft_wrap=True)
    for comparison in found:
        print_comparison(comparison, corrected=len(found) > 1)
    sizes = (len(set(names)) for names in (answered.truth.pert, answered.truth.gene))
    out.print(
        "Paired, two-way over {:,} perturbations and {:,} genes; p exchange: the two files' answers trade places, "
        "whole clusters at a time.".format(*sizes),
        style="dim",
    )


def gate(
    baseline: Annotated[Path, typer.Argument(help="Answers of what is to be replaced.")],
    variant: Annotated[Path, typer.Argument(help="Answers of what is to replace it.")],
    truth: Truth,
    ledger: Annotated[Path, typer.Option(help="JSON file that keeps every look; made if needed.")],
    train: Annotated[
        Path | None, typer.Option(help="What the variant was trained on: must share no perturbation and no gene.")
    ] = None,
    measure: Annotated[Measure, typer.Option(help="What the variant must be better at.")] = Measure.score,
    questions: Questions = None,
    track: Track = None,
    usage: UsageOption = None,
    challenge: ChallengeOption = DEFAULT_CHALLENGE,
    resamples: Resamples = 2000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """May the variant replace the baseline? Only if better, however often one has looked; else exit code 1.

    Example: perturbarena gate best.csv new.csv --truth dev.csv --train train.csv --ledger looks.json
    """
    import numpy as np

    from perturbarena.challenge.formats import read_labelled
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.evaluation import gate as judge
    from perturbarena.evaluation import read_answered

    answered = read_answered(
        [baseline, variant],
        truth,
        challenge=load_challenge(challenge),
        track=track,
        usage=_text(usage),
        questions=questions,
    )
    found = judge(
        answered,
        ledger=ledger,
        measure=measure.value,
        train=None if train is None else read_labelled(train),
        rng=np.random.default_rng(seed),
        n_resamples=resamples,
    )
    if as_json:
        print_json(found.as_json() | {"ledger": str(ledger), "resamples": resamples, "seed": seed})
    else:
        print_gate(found)
    if not found.look.accepted:
        raise typer.Exit(1)


def print_comparison(comparison: Comparison, *, corrected: bool) -> None:
    """One table: each measure of both sides, their difference, and the verdict."""
    from rich import box
    from rich.table import Table

    first, second = comparison.first, comparison.second
    table = Table("measure", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (first, second, f"{second} − {first}"):
        table.add_column(name, justify="right")
    table.add_column("95 % interval", justify="center")
    for name in ("p", "p exchange", *(("p Holm",) if corrected else ())):
        table.add_column(name, justify="right")
    for name, c in comparison.contrasts.items():
        cells = [_number(c.first, ".4f"), _number(c.second, ".4f"), _number(c.difference.difference, "+.4f")]
        cells += [_bounds(c), _p(c.difference.p), _p(c.p_swap), *((_p(c.p_holm),) if corrected else ())]
        table.add_row(LABELS[name], *cells, style="bold" if name == "score" else None)
    out = console()
    out.print(table)
    for name, c in comparison.contrasts.items():
        out.print(f"[b]{name.replace('_', ' ')}:[/] {c.verdict}.")
    for note in comparison.notes:
        out.print(f"[yellow]{note}[/]")


def print_gate(found: Gated) -> None:
    """The decision, what it rests on, and what to keep in mind."""
    look, c = found.look, found.contrast
    out = console()
    word = "[bold green]accepted[/]" if look.accepted else "[bold red]not accepted[/]"
    out.print(f"{word}  {look.measure.replace('_', ' ')}: {c.verdict}")
    out.print(
        f"variant − baseline {_number(c.difference.difference, '+.4f')}, {1 - look.alpha:.2%} interval "
        f"{_bounds(c)}, p {_p(c.difference.p)} (needed: below {look.alpha:.2g})"
    )
    for note in found.notes:
        out.print(note, style="dim")


def _json(found: list[Comparison]) -> dict[str, Any]:
    """Two files: the measures at the top. More: a list of comparisons with the first."""
    if len(found) == 1:
        return found[0].as_json()
    return {"comparisons": [comparison.as_json() for comparison in found]}


def _sides(found: list[Comparison]) -> list[str]:
    return [found[0].first, *(comparison.second for comparison in found)]


def _text(usage: Usage | None) -> str | None:
    return None if usage is None else usage.value


def _bounds(c: Contrast) -> str:
    interval = c.difference.interval
    return "–" if interval is None else f"{_signed(interval.low)} … {_signed(interval.high)}"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # the sum turns -0.0 into 0.0


def _number(value: float, form: str) -> str:
    return "–" if value != value else format(value, form)


def _p(value: float) -> str:
    if value != value:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
