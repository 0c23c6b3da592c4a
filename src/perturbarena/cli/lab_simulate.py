"""``perturbarena lab simulate``: would a strategy have helped on a screen that is already there?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.challenge.words import counted
from perturbarena.cli import gene_features
from perturbarena.cli.output import console, print_json, progress_bar, progress_console, spare_inputs
from perturbarena.cli.screen_options import BatchColumn, ControlValue, GuideColumn, PerturbationColumn

if TYPE_CHECKING:
    from rich.table import Table

    from perturbarena.lab import Fared
    from perturbarena.stats.paired import PairedDifference


def attach(group: typer.Typer) -> None:
    """Add ``simulate`` to the group ``lab``."""
    group.command()(simulate)


def simulate(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN_OR_EFFECTS", help="Counts or an effect table.")],
    objective: Annotated[str, typer.Option(help="hits, pathway or everything.")] = "everything",
    programme: Annotated[
        str | None, typer.Option(metavar="GENES|CSV", help="Genes with signs, or a CSV with gene, weight.")
    ] = None,
    hit_share: Annotated[float, typer.Option(help="The best so-manieth of the candidates are hits.")] = 0.1,
    strategy: Annotated[
        list[str] | None, typer.Option(help="May be given several times; default: all that the input allows.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Campaigns of each strategy.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    start: Annotated[int, typer.Option(min=1, help="Knockouts measured at the start, by chance.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    batch_size: Annotated[int, typer.Option("--round-size", min=1, help="Knockouts a round.")] = 10,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Play with permuted feedback and features too.")
    ] = True,
    knowledge: gene_features.Knowledge = None,
    features: gene_features.Features = None,
    coexpression: gene_features.Coexpression = None,
    graph: Annotated[Path | None, typer.Option(metavar="CSV", help="Links: gene_a, gene_b, weight.")] = None,
    store: Annotated[Path | None, typer.Option(metavar="SQLITE", help="Links from a knowledge store.")] = None,
    perturbation: PerturbationColumn = "perturbation",
    control: ControlValue = "control",
    batch: BatchColumn = None,
    guide: GuideColumn = None,
    min_cells: Annotated[int, typer.Option(min=1, help="Knockouts with fewer cells are left out.")] = 25,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a processor.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write everything as JSON.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the curves (.png, .svg, .pdf).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Hide a screen's results, play campaigns on it with every strategy and many seeds, compare each with
    chance.

    A fifth of the knockouts and of the genes is set aside to judge predictions. Under permuted feedback every
    candidate shows another one's results, under permuted features it has another one's features.

    Example: perturbarena lab simulate effects.h5ad --objective hits --programme Cxcl10,-Il6 --features genes.csv
    """
    from perturbarena import __version__
    from perturbarena.challenge.formats import write_json
    from perturbarena.cli.lab import objective_of
    from perturbarena.lab import Game
    from perturbarena.screen import EffectSettings
    from perturbarena.workflows.build.source import ScreenColumns
    from perturbarena.workflows.lab.simulate import HidePlan, SimulationPlan, hide_screen, simulate_campaigns
    from perturbarena.workflows.lab.simulate_figure import simulation_figure
    from perturbarena.workflows.lab.sources import file_hash

    spare_inputs((output, figure), (screen, features, coexpression, graph, store))
    game = Game(start, rounds, batch_size, hit_share)
    hide = HidePlan(
        path=screen, objective=objective_of(objective, programme, 0.0),
        columns=ScreenColumns(perturbation, control, batch, guide), settings=EffectSettings(min_cells=min_cells),
        knowledge=knowledge, features=features, coexpression=coexpression, graph=graph, store=store,
    )  # fmt: skip
    with progress_bar("perturbations") as progress:
        hidden = hide_screen(hide, progress=progress)
    plan = SimulationPlan(
        strategies=tuple(strategy or ()), seeds=seeds, seed=seed, game=game, controls=controls, workers=workers
    )
    with progress_bar("seeds") as progress:
        found = simulate_campaigns([hidden], plan, progress=progress)
    summary = {
        "screen": {"file": screen.name, "sha256": file_hash(screen)},
        "candidates": len(hidden.features), "genes": len(hidden.shown.genes),
        "objective": hide.objective.as_json(),
        "game": {"start": start, "rounds": rounds, "round_size": batch_size, "hit_share": hit_share},
        "seeds": seeds, "seed": seed, "perturbarena": __version__, "notes": list(found.notes),
        "strategies": [one.as_json() for one in found.fared],
    }  # fmt: skip
    if output is not None:
        write_json(output, summary)
    if figure is not None:
        simulation_figure(
            figure, found.fared, game=game, title=f"{screen.name}: {counted(seeds, 'campaign')} each"
        )
    if as_json:
        print_json(summary)
        return
    for note in found.notes:
        progress_console().print(f"[yellow]note:[/] {note}", soft_wrap=True)
    _print_fared(found.fared, seeds)


def _print_fared(found: list[Fared], seeds: int) -> None:
    out = console()
    out.print(_table(found, "hits found", area="area", gain="gain"))
    out.print(_table(found, "prediction r", area="predicted_area", gain="predicted_gain"))
    out.print(
        f"{counted(seeds, 'campaign')} each, paired by seed, 95 % intervals over seeds: they speak of other "
        "beginnings on this screen, not of other screens. Hits found: mean share over rounds (area under "
        "the curve). Prediction: knockouts and genes set aside. Gains are over chance.",
        style="dim",
    )


def _table(found: list[Fared], title: str, *, area: str, gain: str) -> Table:
    """A line a strategy: its mean, and its gain over chance without and with each control."""
    from rich import box
    from rich.table import Table

    controls = list(dict.fromkeys(one.control for one in found))
    table = Table("strategy", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(title, justify="right")
    for control in controls:
        name = "gain" if control == "none" else f"with {control.replace(' ', chr(10))}"
        table.add_column(name, justify="right", no_wrap=True, min_width=19)
    for strategy in dict.fromkeys(one.strategy for one in found):
        of = {one.control: one for one in found if one.strategy == strategy}
        gains = ["" if strategy == "random" else difference(getattr(of[c], gain)) for c in controls]
        real: PairedDifference = getattr(of["none"], gain)
        clear = strategy != "random" and real.interval is not None and real.interval.low > 0
        table.add_row(strategy, f"{getattr(of['none'], area):.3f}", *gains, style="bold" if clear else None)
    return table


def difference(found: PairedDifference) -> str:
    """A difference with its interval."""
    if found.interval is None:
        return f"{found.difference:+.2f}"
    return f"{found.difference:+.2f} ({found.interval.low:+.2f}…{found.interval.high:+.2f})"
