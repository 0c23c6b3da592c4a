"""``perturbarena optimize``: let a prompt improve by its mistakes, and believe it only on untouched rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli import run_prompt as options
from perturbarena.cli.output import console, print_json, progress_console, spare_inputs

if TYPE_CHECKING:
    from perturbarena.workflows.evolve import Evolved

app = typer.Typer(no_args_is_help=True, help="Search for something better, and confirm it on untouched rows.")
SEARCH, ROWS, SERVER = "Search", "Rows", "Server"
LEDGER = "looks.json"


def attach(parent: typer.Typer) -> None:
    """Add ``optimize …``."""
    parent.add_typer(app, name="optimize")


@app.command()
def prompt(
    rows: Annotated[Path, typer.Argument(help="CSV with id, pert, gene, label.", metavar="TRAIN.csv")],
    model: options.ModelName,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="RUN_DIR", help="The run's folder; resumed if begun.")
    ],
    base_url: options.BaseUrl = None,
    reflection_model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model that proposes changes; default: the same.")
    ] = None,
    reflection_base_url: Annotated[
        str | None, typer.Option(help="Its server's address.", rich_help_panel=SERVER, metavar="URL")
    ] = None,
    template: options.Template = None,
    shots: Annotated[
        int,
        typer.Option(min=0, help="Examples in each prompt, chosen together with it.", rich_help_panel="Prompt"),
    ] = 0,
    protect: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="QUESTIONS.csv",
            help="Questions still to be asked: no prompt may tell of them.",
            rich_help_panel=ROWS,
        ),
    ] = None,
    answers: options.How = options.Answers.stated,
    max_calls: Annotated[
        int, typer.Option(min=1, help="Most requests in all, a hard stop.", rich_help_panel=SEARCH)
    ] = 4000,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Most tokens read and written in all, a hard stop.", rich_help_panel=SEARCH),
    ] = None,
    proposals: Annotated[int, typer.Option(min=1, help="Changes to propose.", rich_help_panel=SEARCH)] = 20,
    minibatch: Annotated[
        int, typer.Option(min=4, help="Training rows a change is made from.", rich_help_panel=SEARCH)
    ] = 24,
    train_rows: Annotated[int, typer.Option(min=1, help="Most rows to learn from.", rich_help_panel=ROWS)] = 600,
    selection_rows: Annotated[
        int, typer.Option(min=1, help="Most rows to choose by.", rich_help_panel=ROWS)
    ] = 150,
    confirmation_rows: Annotated[
        int, typer.Option(min=1, help="Most rows to confirm on.", rich_help_panel=ROWS)
    ] = 400,
    ledger: Annotated[
        Path | None,
        typer.Option(help="JSON file that keeps every look; default: looks.json beside the run's folder."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the parts, the search and the resamples.")] = 0,
    seeds: Annotated[
        str | None,
        typer.Option(help="The track's seeds to ask with; default: its first.", metavar="S,…"),
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Resamples behind the interval.")] = 2000,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Most calls under way at once.", rich_help_panel=SERVER)
    ] = 60,
    timeout: options.Timeout = 600.0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds until a silent server is gone.", rich_help_panel=SERVER)
    ] = 300.0,
    max_completion_tokens: options.MaxTokens = None,
    reasoning_effort: options.ReasoningEffort = None,
    model_arg: options.ModelArgs = None,
    challenge: options.ChallengeName = "bioreasoning-2026",
    track: options.Track = "A",
    as_json: options.Json = False,
) -> None:
    """Improve a prompt, and the examples in it, by its wrong answers; confirm the winner once on untouched rows.

    The rows are dealt into three parts that share no perturbation and no gene: wrong answers are taken from the
    first, candidates are compared on the second, and the third is looked at once, paired, against the prompt that
    was given. Unless that difference lies above 0 the verdict is "no improvement" and the given prompt is kept.
    Killed at any moment, the same command goes on where it was.

    Example: perturbarena optimize prompt train.csv --model gpt-oss-120b --base-url URL --protect test.csv -o evo
    """
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.workflows.evolve import Limits
    from perturbarena.workflows.evolve.start import Reached, Wanted, start

    ledger = ledger or output.resolve().parent / LEDGER
    spare_inputs((ledger,), (rows, template, *(protect or [])))
    wanted = Wanted(
        rows=rows, template=template, shots=shots, protect=tuple(protect or ()), answers=answers.value,
        limits=Limits(
            max_calls=max_calls, max_tokens=max_tokens, proposals=proposals, minibatch=minibatch,
            rows={"train": train_rows, "selection": selection_rows, "confirmation": confirmation_rows},
        ),
        seed=seed, seeds=options.read_seeds(seeds), n_resamples=resamples,
    )  # fmt: skip
    reached = Reached(
        model=model, base_url=base_url, reflection_model=reflection_model, reflection_base_url=reflection_base_url,
        concurrency=concurrency, timeout=timeout, patience=patience, max_completion_tokens=max_completion_tokens,
        reasoning_effort=reasoning_effort and reasoning_effort.value, model_args=tuple(model_arg or ()),
    )  # fmt: skip
    err = progress_console()
    found = start(
        output, wanted, reached, challenge=load_challenge(challenge), track=track, ledger=ledger,
        tell=lambda line: err.print(line, soft_wrap=True, markup=False),
    )  # fmt: skip
    if as_json:
        print_json(_json(found, output))
    else:
        _show(found, output, ledger)


def _json(found: Evolved, folder: Path) -> dict[str, Any]:
    import json

    from perturbarena.workflows.evolve.folder import MANIFEST

    return {"folder": str(folder)} | json.loads((folder / MANIFEST).read_text("utf-8"))


def _show(found: Evolved, folder: Path, ledger: Path) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    history, counts = found.history, found.parts.counts()
    table = Table(box=box.SIMPLE_HEAD, title=f"[b]{counts['selection']:,} selection rows[/]", title_justify="left")
    table.add_column("prompt")
    for name in ("score", "DE", "DIR", "tokens"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in history.table().to_dict("records"):
        what = "baseline" if row["is_baseline"] else ("best here" if row["is_best"] else "")
        style = "bold" if what else ("" if row["on_front"] else "dim")
        values = (f"{row['score']:.3f}", f"{row['DE']:.3f}", f"{row['DIR']:.3f}", f"{row['tokens']:,.0f}")
        front = "on the front" if row["on_front"] else ""
        table.add_row(row["candidate"], *values, ", ".join(filter(None, (what, front))), style=style)
    out.print(table)
    outcomes = ", ".join(f"{n} {name}" for name, n in history.outcomes().items() if n)
    out.print(
        f"{len(history.proposals)} changes proposed: {outcomes or 'none'}; the search ended as {found.ended}"
    )
    colour = {"improved": "green", "no improvement": "yellow", "not confirmed": "yellow"}[found.verdict]
    out.print(f"[b {colour}]{found.verdict}[/]: {found.why}", soft_wrap=True)
    if found.confirmation is not None:
        _show_confirmation(found)
    kept = "the improved prompt" if found.verdict == "improved" else "the prompt as it was given"
    out.print(f"[b]{folder / 'prompt.txt'}[/]: {kept}; pareto.png, history.json, evolve.json beside it")
    budget = found.meter
    tokens = f"{budget.tokens:,}" + (f" of {budget.max_tokens:,}" if budget.max_tokens else "")
    out.print(f"{budget.calls:,} of {budget.max_calls:,} calls, {tokens} tokens; looks: {ledger}", style="dim")


def _show_confirmation(found: Evolved) -> None:
    from rich import box
    from rich.table import Table

    assert found.confirmation is not None
    look, parts = found.confirmation.gated.look, found.confirmation.parts
    contrast = found.confirmation.gated.contrast.as_json()
    rows = found.parts.confirmation
    table = Table(
        "", "baseline", "winner", "difference", f"{1 - look.alpha:.1%} interval", box=box.SIMPLE_HEAD,
        title=f"[b]{len(rows):,} untouched rows[/]", title_justify="left",
    )  # fmt: skip
    for name, of in (("score", contrast), *parts.items()):
        numbers = ("undefined" if of[k] is None else f"{of[k]:+.3f}" for k in ("difference",))
        interval = "undefined" if of["interval"] is None else "{:+.3f} to {:+.3f}".format(*of["interval"])
        sides = ("–" if of[k] is None else f"{of[k]:.3f}" for k in ("A", "B"))
        table.add_row(name, *sides, *numbers, interval)
    before, after = found.confirmation.tokens
    table.add_row("tokens", f"{before:,.0f}", f"{after:,.0f}", f"{after - before:+,.0f}", "")
    out = console()
    out.print(table)
    n_pert, n_gene = len(set(rows.pert)), len(set(rows.gene))
    out.print(
        f"Paired, two-way over {n_pert:,} perturbations and {n_gene:,} genes. Look {look.number} at these rows.",
        style="dim",
    )
