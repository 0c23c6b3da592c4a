"""A board as a page shows it: rows in order, cut into tied groups and pages, with its chart and its scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from perturbarena.leaderboard.board import Board, BoardRow, board
from perturbarena.leaderboard.phases import ChallengeInfo, challenge_info, notices
from perturbarena.leaderboard.schema import Team
from perturbarena.leaderboard.service.charts import HistoryChart, Scale, history_chart, strip_scale
from perturbarena.leaderboard.service.desk import Desk
from perturbarena.leaderboard.service.kept import KeptPage
from perturbarena.leaderboard.service.who import Visitor
from perturbarena.leaderboard.store import Store
from perturbarena.leaderboard.views import HistoryPoint, history

TOP: Final = 5
"""Rows of each track on the front page."""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that belong together: a tied group with its number, or (None) what stands outside the ranking."""

    group: int | None
    n_teams: int
    rows: tuple[BoardRow, ...]


@dataclass(frozen=True, slots=True)
class BoardView:
    """One page of one track's board."""

    board: Board
    title: str
    sections: tuple[Section, ...]
    page: int
    n_pages: int
    n_teams: int
    scale: Scale
    ceiling: float | None
    chart: HistoryChart | None
    has_tool_calls: bool


@dataclass(frozen=True, slots=True)
class BoardState:
    """What tells whether boards have changed: the challenge with version and phase; embargoes that are over."""

    info: ChallengeInfo
    n_lifted: int


def board_state(store: Store) -> BoardState:
    """The state as it is now; two short queries."""
    with store.reading() as session:
        lifted = session.scalar(select(func.count()).select_from(Team).where(Team.embargo_until <= store.now()))
    return BoardState(challenge_info(store), lifted or 0)


def board_view(
    shown: Board, points: Sequence[HistoryPoint], *, info: ChallengeInfo, page: int, rows_per_page: int
) -> BoardView:
    """A page of the board; pages beyond the last are the last."""
    order = in_order(shown.rows)
    n_pages = max(1, math.ceil(len(order) / rows_per_page))
    page = min(max(page, 1), n_pages)
    on_page = order[(page - 1) * rows_per_page : page * rows_per_page]
    ceilings = [row.score for row in shown.rows if row.kind == "ceiling" and row.score is not None]
    return BoardView(
        shown,
        info.tracks[shown.track],
        tuple(sections(on_page, shown.rows)),
        page,
        n_pages,
        sum(row.kind == "entry" for row in shown.rows),
        strip_scale(shown.rows),
        max(ceilings, default=None),
        history_chart(points, zone=ZoneInfo(info.timezone)) if page == 1 else None,
        any(row.tool_calls is not None for row in shown.rows),
    )


def in_order(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """Ranked rows with baselines and the ceiling where their scores place them, then rows without a rank."""
    ranked = [row for row in rows if row.rank is not None]
    beside = sorted((row for row in rows if row.kind != "entry"), key=_score, reverse=True)
    rest = [row for row in rows if row.kind == "entry" and row.rank is None]
    merged: list[BoardRow] = []
    for row in ranked:
        while beside and _score(beside[0]) > _score(row):
            merged.append(beside.pop(0))
        merged.append(row)
    return [*merged, *beside, *rest]


def sections(on_page: Sequence[BoardRow], every: Sequence[BoardRow]) -> Iterator[Section]:
    """The rows of a page by tied group; a baseline stands in the group that it interrupts."""
    sizes: dict[int, int] = {}
    for row in every:
        if row.group is not None:
            sizes[row.group] = sizes.get(row.group, 0) + 1
    held: list[BoardRow] = []
    group: int | None = None
    out: list[BoardRow] = []
    for row in on_page:
        if row.kind == "entry" and row.rank is None:
            out.append(row)
            continue
        if row.group is not None and row.group != group and any(r.group is not None for r in held):
            yield Section(group, sizes.get(group or 0, 0), tuple(held))
            held = []
        held.append(row)
        group = row.group if row.group is not None else group
    if held:
        yield Section(group, sizes.get(group or 0, 0), tuple(held))
    if out:
        yield Section(None, len(out), tuple(out))


async def kept_board(desk: Desk, track: str, page: int) -> KeptPage:
    """A track's board as a kept page for readers who are not signed in, and as a part for those who are."""

    def make() -> tuple[str, str]:
        info, shown = challenge_info(desk.store), board(desk.store, track)
        points = history(desk.store, track) if page == 1 else []
        view = board_view(shown, points, info=info, page=page, rows_per_page=desk.settings.rows_per_page)
        part = desk.templates.part("board_part.html", info=info, view=view)
        return part, board_page(desk, part, track=track)

    return await desk.kept.get(("board", track, page), state=lambda: board_state(desk.store), make=make)


async def kept_front(desk: Desk) -> KeptPage:
    """The front page, likewise."""

    def make() -> tuple[str, str]:
        info, tracks = challenge_info(desk.store), desk.store.rules.tracks
        views = [
            board_view(board(desk.store, track), [], info=info, page=1, rows_per_page=desk.settings.rows_per_page)
            for track in tracks
        ]
        part = desk.templates.part(
            "front_part.html", info=info, views=views, notices=notices(desk.store)[:TOP], top=TOP, tracks=tracks
        )
        return part, front_page(desk, part)

    return await desk.kept.get(("front",), state=lambda: board_state(desk.store), make=make)


def board_page(desk: Desk, part: str, *, track: str, who: Visitor | None = None) -> str:
    """The part within the layout."""
    from markupsafe import Markup

    return desk.templates.page("board.html", desk=desk, who=who, part=Markup(part), track=track)


def front_page(desk: Desk, part: str, *, who: Visitor | None = None) -> str:
    """The part within the layout."""
    from markupsafe import Markup

    return desk.templates.page("front.html", desk=desk, who=who, part=Markup(part))


def _score(row: BoardRow) -> float:
    return float("-inf") if row.score is None else row.score
