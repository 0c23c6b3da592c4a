"""Propose the next round of a campaign: learn from all that came back, choose, say what is expected, write
the order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from perturbarena import __version__
from perturbarena.challenge.formats import sha256, write_table
from perturbarena.errors import InputError
from perturbarena.lab import Campaign, History, Proposed, Situation, assess, plate_table, propose, strategy_named
from perturbarena.lab.history import withdraw, write_proposal
from perturbarena.workflows.lab.asking import RecordedAsk, check_replay, model_ask

DEFAULT_STRATEGY: Final = "hit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposePlan:
    """How to choose; see ``lab propose``."""

    strategy: str = DEFAULT_STRATEGY
    n: int | None = None
    wells: int = 96
    output: Path | None = None
    replace: bool = False
    model: str | None = None
    base_url: str | None = None
    temperature: float = 1.0
    replay: Path | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """A round's order: its number, what was chosen, the plate's file, and whether it stood there already."""

    number: int
    strategy: str
    picks: tuple[Proposed, ...]
    plate: Path
    learned_from: int
    explained: float
    already: bool = False


def propose_round(root: Path, plan: ProposePlan | None = None) -> Ordered:
    """The next round's order. Asked again before anything has come back, it is the same order, unless
    ``replace``.

    Raises
    ------
    InputError
        If another order waits for its results, candidates do not suffice, or the strategy lacks what it needs.
    """
    plan = plan or ProposePlan()
    campaign = Campaign.open(root)
    strategy, n = strategy_named(plan.strategy), plan.n or campaign.settings.batch
    with campaign.locked():
        history = History.of(campaign)
        waiting = history.waiting
        if waiting is not None and waiting.proposal is not None and not plan.replace:
            record = waiting.proposal
            if (record["strategy"], len(waiting.picks)) != (strategy.name, n):
                raise InputError(
                    f"round {waiting.number} waits for results: {len(waiting.picks)} knockouts chosen by "
                    f"{record['strategy']}; ingest them first (lab ingest), or take the order back (--replace)"
                )
            plate = _write_plate(campaign, waiting.number, waiting.picks, plan)
            return Ordered(
                waiting.number, strategy.name, waiting.picks, plate, record["learned_from"], record["explained"],
                already=True,
            )  # fmt: skip
        number = waiting.number if waiting else (history.latest.number if history.latest else 0) + 1
        folder = campaign.round_folder(number)
        situation = _situation(campaign, history, plan, folder)
        found = propose(situation, strategy, n, rng=np.random.default_rng([campaign.settings.seed, number]))
        if waiting is not None:
            withdraw(waiting)
        plate = _write_plate(campaign, number, found.picks, plan)
        m, explained = len(situation.seen), round(found.explained, 4)
        record = _record(campaign, history, number, strategy.name, n)
        write_proposal(folder, found, record | {"learned_from": m, "explained": explained})
    return Ordered(number, strategy.name, found.picks, plate, m, explained)


def situation_of(campaign: Campaign, history: History) -> Situation:
    """Where a campaign stands, for whoever wants to look; no model is asked."""
    return assess(
        campaign.features, history.measured, open_=history.may_be_proposed(), objective=campaign.objective,
        settled=history.settled(), graph=campaign.graph,
    )  # fmt: skip


def _situation(campaign: Campaign, history: History, plan: ProposePlan, folder: Path) -> Situation:
    model = None
    if plan.model is not None:
        model = model_ask(
            plan.model, base_url=plan.base_url, temperature=plan.temperature, seed=campaign.settings.seed
        )
    replay = check_replay(plan.replay) if plan.replay is not None else None
    ask = RecordedAsk(folder / "answers.jsonl", model, plan.model or "", replay) if model or replay else None
    return assess(
        campaign.features, history.measured, open_=history.may_be_proposed(), objective=campaign.objective,
        settled=history.settled(), graph=campaign.graph, ask=ask,
    )  # fmt: skip


def _record(campaign: Campaign, history: History, number: int, strategy: str, n: int) -> dict[str, Any]:
    """What decides a proposal: with these the same round is proposed again, to the byte."""
    return {
        "round": number,
        "strategy": strategy,
        "n": n,
        "seed": [campaign.settings.seed, number],
        "campaign_sha256": sha256(campaign.root / "campaign.json"),
        "results_sha256": [result.sha256 for result in history.results()],
        "perturbarena": __version__,
    }


def _write_plate(campaign: Campaign, number: int, picks: tuple[Proposed, ...], plan: ProposePlan) -> Path:
    table = plate_table(picks, campaign.guides, wells=plan.wells)
    own = campaign.round_folder(number) / "plate.csv"
    write_table(own, table)
    if plan.output is None:
        return own
    write_table(plan.output, table)
    return plan.output
