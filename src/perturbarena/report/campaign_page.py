"""One page on a campaign: what was chosen, what came of it, how far it was foreseen. No scripts, no network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from perturbarena.report.campaign_figures import BandCurve, ExpectedPanel
from perturbarena.report.page import page_environment
from perturbarena.report.page_figures import expected_svg, progress_svg


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round in the table; NaN is shown as a dash. ``r``: mean correlation of expected with seen effects."""

    number: int
    strategy: str
    ordered: int
    measured: int
    failed: int
    missing: int
    hits: int
    expected_hits: float
    borne_out: int
    by_chance: float
    refuted: int
    open: int
    r: float


@dataclass(frozen=True, slots=True)
class HypothesisRow:
    """One knockout: what was said of it and what became of that."""

    round: int
    knockout: str
    probability: float
    value: float
    expected: float
    hit: bool
    said: str
    found: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """All that the page shows. ``facts`` name and value; ``notices`` in words; ``progress`` the curve of
    hits and what chance would have given."""

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    notices: Sequence[str]
    progress: Sequence[BandCurve]
    rounds: Sequence[RoundRow]
    panels: Sequence[ExpectedPanel]
    hypotheses: Sequence[HypothesisRow]
    surprises: Sequence[tuple[int, str, float, float, float, float]]
    made: Sequence[tuple[str, str]]


def render_campaign(page: CampaignPage) -> str:
    """The page's HTML; the same record gives the same text."""
    from markupsafe import Markup

    environment = page_environment()
    names = (f"figure{i}" for i in itertools.count(1))
    environment.globals |= {
        "expected_figure": lambda panel: Markup(expected_svg(panel, next(names))),
        "progress_figure": lambda curves: Markup(
            progress_svg(curves, next(names), title="Hits found", xlabel="knockouts measured", ylabel="hits")
        ),
    }
    return environment.get_template("campaign.html").render(page=page)
