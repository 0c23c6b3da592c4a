"""``perturbarena explain``: why the transfer predictor says what it says of one pair."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli import gene_features
from perturbarena.cli.output import console, print_json, progress_bar, spare_inputs

if TYPE_CHECKING:
    from perturbarena.workflows.explain import Explanation, Shift


class Kind(StrEnum):
    """What the perturbation does to its gene."""

    loss = "loss"
    gain = "gain"


FEW_ROWS = 30
"""With fewer training rows that have a path, their weight is hardly learned."""
PATHS_SHOWN = 6
"""Paths of either kind on the screen; --json has all."""


def attach(app: typer.Typer) -> None:
    """Add ``explain``."""
    app.command()(explain)


def explain(
    pert: Annotated[str, typer.Argument(help="The perturbed gene.")],
    gene: Annotated[str, typer.Argument(help="The target gene.")],
    train: Annotated[Path, typer.Option(help="CSV with id, pert, gene, label that the predictor learned from.")],
    knowledge: gene_features.Knowledge = None,
    features: gene_features.Features = None,
    coexpression: gene_features.Coexpression = None,
    elsewhere: gene_features.Elsewhere = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            "-k",
            metavar="KB.sqlite",
            envvar="PERTURBARENA_KNOWLEDGE",
            help="Knowledge base with a signed network: paths for and against.",
        ),
    ] = None,
    max_length: Annotated[int, typer.Option(min=1, max=4, help="Most steps of a path.")] = 3,
    perturbation: Annotated[
        Kind, typer.Option(help="loss: knockout, interference; gain: activation.")
    ] = Kind.loss,
    blind: Annotated[
        bool, typer.Option("--blind", help="Leave out training rows of the same perturbation or gene.")
    ] = False,
    tried: Annotated[int, typer.Option(min=1, help="Training perturbations left out, one by one.")] = 24,
    figure: Annotated[Path | None, typer.Option(help="Draw the shifts: .png, .svg or .pdf.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the kernel model's landmarks, as in predict.")] = 0,
    as_json: gene_features.Json = False,
) -> None:
    """Why does the predictor say so? Paths for and against, what it leaned on, and the answer without each.

    The answer is that of `predict` with the same training rows, features and seed; with -k the predictor also gets
    the evidence of signed paths. Then every piece is taken away in turn: a path, a training perturbation's rows
    (learned anew), a block of features (all learned anew).

    Example: perturbarena explain Tlr4 Il6 --train train.csv --knowledge DIR -k kb.sqlite
    """
    from perturbarena.challenge.formats import read_labelled
    from perturbarena.knowledge import KnowledgeBase
    from perturbarena.workflows.explain import explain as explained

    spare_inputs((figure,), (train, features, coexpression, store))
    rows = read_labelled(train)
    found = gene_features.read(knowledge, features, coexpression, elsewhere)
    network = KnowledgeBase.open(store) if store is not None else None
    try:
        with progress_bar("evidence") as progress:
            why = explained(
                rows, pert, gene, found.blocks, network=network, max_length=max_length,
                perturbation=perturbation.value, blind=blind, seed=seed, n_tried=tried, progress=progress,
            )  # fmt: skip
    finally:
        if network is not None:
            network.close()
    if figure is not None:
        from perturbarena.workflows.explain import explanation_figure

        explanation_figure(figure, why)
    if as_json:
        print_json(_finite(why.as_json()) | {"seed": seed, "figure": None if figure is None else str(figure)})
        return
    _show(why)
    if figure is not None:
        console().print(f"[b]{figure}[/]: how the answer moves without each")


def _finite(value: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and value != value else value


def _show(why: Explanation) -> None:
    out = console()
    none = max(0.0, 1 - why.answer.p_up - why.answer.p_down)
    out.print(
        f"[b]{why.pert} → {why.gene}[/]: up {why.answer.p_up:.3f}, down {why.answer.p_down:.3f}, "
        f"no change {none:.3f}"
    )
    out.print(
        f"moves {why.p_de:.3f}; if it moves, up {why.p_dir:.3f}; rests on the features of: {why.basis}",
        style="dim",
    )
    if why.measured:
        out.print(f"[yellow]measured in the training rows:[/] {why.measured}")
    shared = f"{why.n_pert_rows:,} training rows have this perturbation, {why.n_gene_rows:,} this gene"
    blind = f"; these {why.left_out:,} were left out" if why.left_out else ""
    out.print(f"{why.n_train:,} rows learned from; {shared}{blind}", style="dim")
    _show_paths(why)
    _show_leaned(why)
    _show_blocks(why)
    for what, near in (("perturbations", why.near.perts), ("genes", why.near.genes)):
        if near:
            out.print(f"nearest known {what}: " + ", ".join(f"{n.name} ({n.cosine:.2f})" for n in near))
    if why.near.shared_sets:
        sets = ", ".join(f"{name} ({size})" for name, size in why.near.shared_sets)
        out.print(f"smallest gene sets with both: {sets}", soft_wrap=True)
    out.print("A shift says what the predictor did with a piece of evidence; it is no statement about the cell.",
              style="dim")  # fmt: skip


def _show_paths(why: Explanation) -> None:
    out = console()
    if not why.paths:
        out.print(f"[b]Paths[/]: none; {why.why_no_paths}")
        return
    for agrees, title in ((True, "Paths that agree with"), (False, "Paths that contradict")):
        own = [one for one in why.paths if one.agrees == agrees]
        table = _table(f"{title} {why.answer.direction} ({len(own)})", "path", "says", "source")
        for one in own[:PATHS_SHOWN]:
            sources = ", ".join(dict.fromkeys(step.source.name for step in one.path.steps))
            table.add_row(one.text, _way(one.implies), sources, *_shifted(one.without))
        if own:
            out.print(table)
        else:
            out.print(f"[b]{title} {why.answer.direction}[/]: none")

    out.print(
        f"{why.n_path_rows:,} of {why.n_train:,} training rows have a path: what their weight was learned from",
        style="dim" if why.n_path_rows >= FEW_ROWS else "yellow",
    )


def _show_leaned(why: Explanation) -> None:
    title = f"Training perturbations it leaned on ({len(why.leaned)} of {why.n_tried} left out one by one)"
    table = _table(title, "perturbation", "its rows", "alike")
    for one in why.leaned:
        rows = f"{one.n_moved}/{one.n_rows} moved, {one.n_up}/{one.n_moved} up"
        table.add_row(one.pert, rows, f"{one.cosine:+.2f}", *_shifted(one.without))
    console().print(table)


def _show_blocks(why: Explanation) -> None:
    table = _table("Without a block of features", "block")
    for shift in why.blocks:
        table.add_row(shift.name, *_shifted(shift))
    if why.blocks:
        console().print(table)


def _table(title: str, *columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, title=f"[b]{title}[/]", title_justify="left")
    for name in ("p up without", "shift", "p down without", "shift"):
        table.add_column(name, justify="right")
    return table


def _shifted(shift: Shift) -> tuple[str, str, str, str]:
    return f"{shift.odds.p_up:.3f}", f"{shift.d_up:+.3f}", f"{shift.odds.p_down:.3f}", f"{shift.d_down:+.3f}"


def _way(direction: str) -> str:
    return "[green]up[/]" if direction == "up" else "[red]down[/]"
