"""A campaign's folder → one page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from perturbarena import __version__
from perturbarena.challenge.formats import atomic, sha256
from perturbarena.challenge.words import counted
from perturbarena.errors import InputError
from perturbarena.lab import Campaign, History, RoundRecord
from perturbarena.report import BandCurve, CampaignPage, ExpectedPanel, HypothesisRow, RoundRow, render_campaign
from perturbarena.workflows.lab.ingest import round_surprises
from perturbarena.workflows.lab.overview import Overview, RoundLine, overview_of

NAMED: Final = 4
"""Knockouts that carry their names in a round's figure: the most surprising."""
SURPRISES: Final = 12


def report_campaign(root: Path, output: Path) -> Overview:
    """Write the page; returned is what it was made of.

    Raises
    ------
    InputError
        If the folder is no campaign, or the page's name does not end in .html.
    """
    if output.suffix != ".html":
        raise InputError(f"a page's name ends in .html; got {output.name}")
    campaign = Campaign.open(root)
    history, found = History.of(campaign), overview_of(root)
    text = render_campaign(page_of(campaign, history, found))
    with atomic(output) as file:
        file.write(text)
    return found


def page_of(campaign: Campaign, history: History, found: Overview) -> CampaignPage:
    """The page's record."""
    aim = campaign.objective
    genes = f" of {counted(len(aim.genes), 'gene')}" if aim.genes else ""
    notices = [
        note for result in history.results() for note in (*result.arrived.sentences()[1:], *result.record["notes"])
    ]
    if found.waiting is not None:
        notices.append(f"round {found.waiting} waits for its results")
    return CampaignPage(
        title=campaign.root.resolve().name,
        lead=f"{found.measured} of {counted(found.candidates, 'candidate')} measured in "
        f"{counted(len(found.rounds) - (found.waiting is not None), 'round')}; {counted(len(found.hits), 'hit')}.",
        facts=[
            ("aim", f"{aim.kind}{genes}"), ("a hit's value", f"{aim.hit_above:g} or more (log2)"),
            ("candidates", f"{found.candidates:,}"), ("can be proposed", f"{found.open:,}"),
            ("hits", ", ".join(found.hits[:12]) or "none yet"),
        ],
        notices=notices, progress=progress_curves(found),
        rounds=[_row(line) for line in found.rounds if line.number != found.waiting],
        panels=_panels(campaign, history, found),
        hypotheses=_hypotheses(history, found, aim.hit_above), surprises=_worst(campaign, history),
        made=[("perturbarena", __version__), ("campaign.json", sha256(campaign.root / "campaign.json")[:12]),
              ("results", ", ".join(r.sha256[:12] for r in history.results()) or "none")],
    )  # fmt: skip


def _panels(campaign: Campaign, history: History, found: Overview) -> list[ExpectedPanel]:
    panels = [expected_panel(campaign, history, one, found.values) for one in history.rounds]
    return [panel for panel in panels if panel is not None]


def progress_curves(found: Overview) -> list[BandCurve]:
    """Hits over knockouts measured, and what the share of hits in the first results would have given."""
    measured = np.cumsum([line.measured for line in found.rounds if line.measured])
    hits = np.cumsum([len(line.hits) for line in found.rounds if line.measured])
    if len(measured) < 2:
        return []
    none = np.full(len(measured), np.nan)
    usual = hits[0] / measured[0] * measured
    return [
        BandCurve("found", measured, hits, none, none),
        BandCurve("at the first share", measured, usual, none, none, plain=True),
    ]


def expected_panel(
    campaign: Campaign, history: History, one: RoundRecord, values: dict[str, float]
) -> ExpectedPanel | None:
    """A round's values seen against expected; None where nothing was expected or measured."""
    picks = [p for p in one.picks if history.home.get(p.name) == one.number]
    if not picks or all(p.hypothesis.hit_probability is None for p in picks):
        return None
    names = [p.name for p in picks]
    worst = [s.name for s in round_surprises(campaign, history, one)][:NAMED]
    return ExpectedPanel(
        f"Round {one.number}: {one.proposal['strategy'] if one.proposal else ''}", names,
        np.array([p.value for p in picks]), np.array([p.value_sd for p in picks]),
        np.array([values[name] for name in names]), campaign.objective.hit_above,
        [names.index(name) for name in worst],
    )  # fmt: skip


def _row(line: RoundLine) -> RoundRow:
    return RoundRow(
        line.number, line.strategy, line.ordered, line.measured, line.failed, line.missing, len(line.hits),
        line.expected_hits, line.verdicts["borne out"], line.chance, line.verdicts["refuted"],
        line.verdicts["open"], line.r,
    )  # fmt: skip


def _hypotheses(history: History, found: Overview, hit_above: float) -> list[HypothesisRow]:
    rows = []
    for one in history.rounds:
        expected = {pick.name: pick for pick in one.picks}
        for settled in history.settled(one.number):
            said, name = settled.hypothesis, settled.hypothesis.knockout
            fates = ", ".join(f"{n} {what}" for what, n in settled.counts().items())
            probability = np.nan if said.hit_probability is None else said.hit_probability
            rows.append(
                HypothesisRow(
                    one.number, name, probability, found.values[name], expected[name].value,
                    found.values[name] >= hit_above, said.said(), fates or "–",
                    settled.verdict if said.moves else "–", said.why,
                )
            )  # fmt: skip
    return rows


def _worst(campaign: Campaign, history: History) -> list[tuple[int, str, float, float, float, float]]:
    found = [
        (r.number, s.name, s.seen, s.expected, s.z, s.r)
        for r in history.rounds
        for s in round_surprises(campaign, history, r)
    ]
    return sorted(found, key=lambda row: -abs(row[4]))[:SURPRISES]
