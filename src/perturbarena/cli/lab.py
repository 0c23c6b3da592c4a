"""``perturbarena lab``: a campaign of knockouts, round by round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.challenge.words import counted
from perturbarena.cli import gene_features, lab_results, lab_simulate
from perturbarena.cli.output import console, print_json, progress_console, spare_inputs

if TYPE_CHECKING:
    from perturbarena.lab import Objective, Proposed

app = typer.Typer(no_args_is_help=True, help="Which knockouts next? Propose, take in results, learn, report.")

Root = Annotated[Path, typer.Argument(metavar="CAMPAIGN", help="The campaign's folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Aim = Annotated[str, typer.Option(help="hits, pathway or everything.")]
Programme = Annotated[
    str | None,
    typer.Option(metavar="GENES|CSV", help="Genes with signs, as in Cxcl10,-Il6; or a CSV with gene, weight."),
]
HitAbove = Annotated[float, typer.Option(help="From which value on a knockout is a hit (log2).")]
Graph = Annotated[
    Path | None, typer.Option(metavar="CSV", help="Links between genes: gene_a, gene_b and, if any, weight.")
]
Store = Annotated[Path | None, typer.Option(metavar="SQLITE", help="Links from a knowledge store instead.")]


def attach(parent: typer.Typer) -> None:
    """Add ``lab …``."""
    lab_results.attach(app)
    lab_simulate.attach(app)
    parent.add_typer(app, name="lab")


@app.command()
def init(
    root: Root,
    candidates: Annotated[Path, typer.Option(help="CSV with gene and, if there are any, guide (a line a guide).")],
    objective: Aim = "hits",
    programme: Programme = None,
    hit_above: HitAbove = 0.3,
    knowledge: gene_features.Knowledge = None,
    features: gene_features.Features = None,
    coexpression: gene_features.Coexpression = None,
    graph: Graph = None,
    store: Store = None,
    batch: Annotated[int, typer.Option(min=1, help="Knockouts a round.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Begin a campaign: what may be knocked out, what for, and what is known of the candidates.

    Example: perturbarena lab init CAMPAIGN --candidates genes.csv --programme Cxcl10,-Il6 --coexpression
    cells.h5ad
    """
    from perturbarena.lab import checked_settings
    from perturbarena.workflows.lab import BeginPlan, begin_campaign

    plan = BeginPlan(
        root=root, candidates=candidates, objective=objective_of(objective, programme, hit_above),
        settings=checked_settings(batch=batch, seed=seed), knowledge=knowledge, features=features,
        coexpression=coexpression, graph=graph, store=store,
    )  # fmt: skip
    with progress_console().status("reading"):
        campaign, notes = begin_campaign(plan)
    if as_json:
        print_json({"campaign": str(root), "notes": list(notes), **campaign.manifest})
        return
    out = console()
    known = int(campaign.features.known.sum())
    out.print(
        f"[b]{root}[/]: {counted(len(campaign.features), 'candidate')}, {known} with features, "
        f"{counted(batch, 'knockout')} a round; the aim: {objective}"
    )
    for note in notes:
        out.print(f"[yellow]note:[/] {note}", soft_wrap=True)
    out.print("next: [b]lab ingest[/] what was measured before, or [b]lab propose[/] the first round", style="dim")


@app.command()
def propose(
    root: Root,
    strategy: Annotated[
        str,
        typer.Option(help="A strategy's name, or a mixture such as 0.7*hit+0.3*diversity; see lab strategies."),
    ] = "hit",
    n: Annotated[int | None, typer.Option("-n", min=1, help="Knockouts; default: the campaign's batch.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the plate's CSV here too.")] = None,
    plate: Annotated[int, typer.Option(help="Wells of a plate: 96 or 384.")] = 96,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take back an order of which nothing has come, and choose anew.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="The language model of llm and llm-rerank.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Its server, if OpenAI-compatible.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="Its sampling temperature.")] = 1.0,
    replay: Annotated[Path | None, typer.Option(help="Recorded answers (answers.jsonl) to take instead.")] = None,
    as_json: Json = False,
) -> None:
    """Choose the next round from all that came back, say what is expected, and write the order, a line a well.

    Asked again before results have come, it gives the same order.

    Example: perturbarena lab propose CAMPAIGN --strategy 0.7*hit+0.3*diversity -o plate.csv
    """
    from perturbarena.workflows.lab import ProposePlan, propose_round

    if output is not None:
        spare_inputs((output,), (replay,))
    plan = ProposePlan(
        strategy=strategy, n=n, wells=plate, output=output, replace=replace, model=model, base_url=base_url,
        temperature=temperature, replay=replay,
    )  # fmt: skip
    with progress_console().status("learning and choosing"):
        found = propose_round(root, plan)
    if as_json:
        picks = [pick.as_json() for pick in found.picks]
        print_json({"round": found.number, "strategy": found.strategy, "plate": str(found.plate),
                    "already": found.already, "learned_from": found.learned_from, "explained": found.explained,
                    "picks": picks})  # fmt: skip
        return
    out = console()
    again = " (ordered before; nothing changed)" if found.already else ""
    out.print(
        f"[b]round {found.number}[/]: {counted(len(found.picks), 'knockout')} chosen by {found.strategy}{again}"
    )
    learned = (
        f"learned from {counted(found.learned_from, 'knockout')}; likeness of candidates is believed to explain "
        f"{found.explained:.0%} of what differs between knockouts"
    )
    out.print(learned if found.learned_from else "nothing is measured yet, so nothing is predicted", style="dim")
    out.print(_picks_table(found.picks))
    out.print(f"the order: [b]{found.plate}[/]", soft_wrap=True)


@app.command("strategies")
def list_strategies(as_json: Json = False) -> None:
    """List the ways of choosing.

    Example: perturbarena lab strategies
    """
    from perturbarena.lab import strategies

    found = strategies().values()
    if as_json:
        print_json([{"name": s.name, "summary": s.summary, "needs": list(s.needs)} for s in found])
        return
    from rich import box
    from rich.table import Table

    table = Table("strategy", "chooses", "needs", box=box.SIMPLE_HEAD)
    for strategy in found:
        table.add_row(strategy.name, strategy.summary, ", ".join(strategy.needs) or "nothing")
    out = console()
    out.print(table)
    out.print("Mixtures: 0.7*hit+0.3*diversity deals the batch to both by these shares.", style="dim")


def objective_of(kind: str, programme: str | None, hit_above: float) -> Objective:
    """The aim that the options describe; InputError where they contradict each other."""
    from perturbarena.errors import InputError
    from perturbarena.lab import Objective
    from perturbarena.workflows.lab.sources import read_programme

    if programme is not None and kind == "everything":
        raise InputError("the objective everything looks at all genes; leave --programme out")
    if programme is None and kind in ("hits", "pathway"):
        raise InputError(f"the objective {kind} needs --programme GENES, such as Cxcl10,-Il6 or a CSV")
    return Objective.of(kind, read_programme(programme) if programme else {}, hit_above=hit_above)


def _picks_table(picks: tuple[Proposed, ...]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table("knockout", box=box.SIMPLE_HEAD)
    table.add_column("value expected", justify="right", no_wrap=True)
    table.add_column("P(hit)", justify="right")
    table.add_column("should move")
    table.add_column("why")
    for pick in picks:
        chance = pick.hypothesis.hit_probability
        table.add_row(
            pick.name,
            "–" if chance is None else f"{pick.value:+.2f} ± {pick.value_sd:.2f}",
            "–" if chance is None else f"{chance:.2f}",
            escape(pick.hypothesis.said()) or "–",
            escape(pick.hypothesis.why),
        )
    return table
