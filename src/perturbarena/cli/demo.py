"""``perturbarena demo``: the whole way on simulated questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console
from perturbarena.cli.score import print_score


def attach(app: typer.Typer) -> None:
    """Add ``demo``."""
    app.command()(demo)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for what is made.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation, the folds and the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Simulate questions, answer them out of fold, score, pack, check, draw; no data and no network needed.

    Example: perturbarena demo -o demo-out
    """
    from perturbarena.workflows.demo import N_RESAMPLES, run_demo

    notes = progress_console()
    result = run_demo(output, seed=seed, tell=lambda line: notes.print(f"[green]✓[/] {line}"))
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
        f"perturbarena crossval transfer {f['train']} --features {f['features']} -o answers.csv",
        f"perturbarena score answers.csv --truth {f['train']}",
        f"perturbarena submit pack answers.csv --track open --challenge {f['rules']} "
        f"--questions {f['questions']} -o entry.zip",
    ):
        out.print(f"  {line}", style="dim", soft_wrap=True)


PURPOSES = {
    "rules": "the challenge's rules",
    "train": "questions with their labels",
    "questions": "the same without",
    "features": "what is known of the genes",
    "predictions": "answers, each from a model that saw neither its knockout nor its gene",
    "score": "scores and intervals",
    "submission": "packed and checked",
    "figure": "ROC curves with bands",
    "picture": "the same as a picture",
}
