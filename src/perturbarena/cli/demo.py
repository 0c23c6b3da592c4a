"""``perturbarena demo``: the whole way on simulated questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli.benchmark_build import BuildProgress
from perturbarena.cli.output import console, print_json, progress_console
from perturbarena.cli.score import print_score


def attach(app: typer.Typer) -> None:
    """Add ``demo``."""
    app.command()(demo)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for what is made.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation, the draws and the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """The whole way on a simulated screen, from counts to a checked submission; no data and no network needed.

    Example: perturbarena demo -o demo-out
    """
    from perturbarena.workflows.demo import N_NULLS, N_RESAMPLES, run_demo

    notes = progress_console()
    with BuildProgress() as watch:

        def tell(line: str) -> None:
            watch.end()
            notes.print(f"[green]✓[/] [b]{line}[/]", soft_wrap=True)

        result = run_demo(output, seed=seed, watch=watch, tell=tell)
    if as_json:
        files = {purpose: str(path) for purpose, path in result.files.items()}
        print_json({"score": result.score.as_json(), "submission": result.report.to_json(), "files": files})
        return
    print_score(result.score, title=str(result.files["predictions"]), resamples=N_RESAMPLES)
    out = console()
    out.print(f"\nMade in [b]{output}[/]:")
    for purpose, path in result.files.items():
        out.print(f"  {path.name:<16} [dim]{PURPOSES[purpose]}[/]")
    f = result.files
    out.print("\nThe same by hand:", style="dim")
    for line in (
        f"perturbarena benchmark build {f['screen']} -o bench --truth truth --seed {seed} --nulls {N_NULLS}",
        "perturbarena benchmark audit bench --truth truth",
        "perturbarena run transfer --train bench/train.csv --questions bench/test.csv "
        f"--coexpression {f['controls']} -o answers.csv",
        "perturbarena score answers.csv --truth truth/solution.csv --questions bench/test.csv",
        "perturbarena report answers.csv --truth truth/solution.csv --questions bench/test.csv --benchmark bench "
        "-o report.html",
        f"perturbarena submit pack answers.csv --track open --challenge {f['rules']} "
        "--questions bench/test.csv -o entry.zip",
    ):
        out.print(f"  {line}", style="dim", soft_wrap=True)


PURPOSES = {
    "screen": "counts of the simulated screen; its true effects stand beside it",
    "controls": "its control cells, all that the predictor sees of it",
    "benchmark": "the question set, with its card README.md",
    "truth": "the hidden labels",
    "rules": "the challenge's rules",
    "predictions": "answers to the hidden questions",
    "score": "scores and intervals",
    "submission": "packed and checked",
    "figure": "ROC curves with bands",
    "picture": "the same as a picture",
    "report": "everything about the answers on one page",
}
