"""Kept pages, the order of a board's rows, the geometry of charts."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from perturbarena.leaderboard.board import BoardRow
from perturbarena.leaderboard.service.boards import in_order, sections
from perturbarena.leaderboard.service.charts import MAX_DOTS, history_chart, strip_scale
from perturbarena.leaderboard.service.kept import KeptPages
from perturbarena.leaderboard.service.rendering import number, size
from perturbarena.leaderboard.service.texts import storable
from perturbarena.leaderboard.views import HistoryPoint

START = datetime(2026, 11, 2, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


def row(score: float | None, *, kind="entry", rank=None, group=None, team="T") -> BoardRow:
    return BoardRow(
        kind, rank, group, team, 1, "s", score, None, None, None, None, 10, None, None, "", None, 1, ""
    )  # fmt: skip


def test_baselines_and_the_ceiling_stand_where_their_scores_place_them():
    rows = [
        row(0.8, rank=1, group=1, team="a"), row(0.7, rank=2, group=1, team="b"),
        row(0.6, rank=3, group=2, team="c"),
        row(0.9, team="out"), row(0.65, kind="baseline", team="base"), row(0.95, kind="ceiling", team="top"),
        row(None, kind="baseline", team="none"),
    ]  # fmt: skip
    order = in_order(rows)
    assert [r.team for r in order] == ["top", "a", "b", "base", "c", "none", "out"]
    cut = list(sections(order, rows))
    assert [(s.group, s.n_teams, [r.team for r in s.rows]) for s in cut] == [
        (1, 2, ["top", "a", "b", "base"]),
        (2, 1, ["c", "none"]),
        (None, 1, ["out"]),
    ]


def test_a_board_without_entries_has_a_section_of_baselines():
    rows = [row(0.5, kind="baseline")]
    assert [(s.group, len(s.rows)) for s in sections(in_order(rows), rows)] == [(None, 1)]
    assert list(sections([], [])) == []


def points(scores: list[float]) -> list[HistoryPoint]:
    best, made = float("-inf"), []
    for i, score in enumerate(scores):
        made.append(HistoryPoint(START + timedelta(hours=i), "T", 1, f"s{i}", score, score > best))
        best = max(best, score)
    return made


def test_the_line_of_records_never_falls_and_ends_at_the_right():
    chart = history_chart(points([0.6, 0.5, 0.7, 0.65]), zone=UTC_ZONE)
    assert chart is not None
    assert [p.score for p in chart.records] == [0.6, 0.7]
    heights = [float(line.y2) for line in chart.steps]
    assert heights == sorted(heights, reverse=True)  # up is a smaller y
    assert chart.steps[-1].x2 == "98.50%"
    assert history_chart([], zone=UTC_ZONE) is None


def test_one_submission_makes_a_chart_with_a_readable_axis():
    chart = history_chart(points([0.6]), zone=UTC_ZONE)
    assert chart is not None
    assert len(chart.y_ticks) >= 3
    assert len({tick.label for tick in chart.y_ticks}) == len(chart.y_ticks)


def test_many_submissions_are_thinned_but_no_record_is_lost():
    chart = history_chart(points([0.5 + (i % 7) / 100 + i / 10**5 for i in range(3000)]), zone=UTC_ZONE)
    assert chart is not None
    assert chart.n == 3000
    assert chart.n_drawn < MAX_DOTS + len(chart.records)
    assert sum(dot.record for dot in chart.dots) == len(chart.records)


def test_values_outside_a_scale_lie_at_its_ends():
    scale = strip_scale([row(0.7)])
    assert scale.at(-5) == "0.0%"
    assert scale.at(5) == "100.0%"


def test_a_kept_page_is_made_once_for_a_state():
    states, made = iter([1, 1, 2, 2]), []

    async def go() -> None:
        kept = KeptPages(fresh_seconds=0.0, patience_seconds=60.0)

        def make():
            made.append(1)
            return "part", f"page {len(made)}"

        pages = [await kept.get("k", state=lambda: next(states), make=make) for _ in range(4)]
        assert [p.body for p in pages] == [b"page 1", b"page 1", b"page 2", b"page 2"]
        assert pages[0].etag == pages[1].etag != pages[2].etag

    asyncio.run(go())


def test_many_readers_make_one_page_and_do_not_wait_long_for_a_new_one():
    held, state, made = threading.Event(), [1], []

    async def go() -> None:
        kept = KeptPages(fresh_seconds=0.0, patience_seconds=0.01)

        def make():
            made.append(state[0])
            if state[0] == 2:
                held.wait(30)
            return "part", f"page {state[0]}"

        def get():
            return kept.get("k", state=lambda: state[0], make=make)

        first = await asyncio.gather(*(get() for _ in range(50)))
        assert {p.body for p in first} == {b"page 1"}
        assert made == [1]
        state[0] = 2
        meanwhile = await asyncio.gather(*(get() for _ in range(50)))
        assert {p.body for p in meanwhile} == {b"page 1"}
        held.set()
        for _ in range(200):
            if (await get()).body == b"page 2":
                break
            await asyncio.sleep(0.01)
        assert made == [1, 2]

    asyncio.run(go())


def test_a_page_that_cannot_be_made_is_tried_again():
    tries = []

    async def go() -> None:
        kept = KeptPages(fresh_seconds=0.0, patience_seconds=60.0)

        def make():
            tries.append(1)
            if len(tries) == 1:
                raise OSError("no database")
            return "part", "page"

        with pytest.raises(OSError, match="no database"):
            await kept.get("k", state=lambda: 1, make=make)
        assert (await kept.get("k", state=lambda: 1, make=make)).body == b"page"

    asyncio.run(go())


def test_numbers_are_written_for_people():
    assert (number(None), number(1234.5), number(1.25, 1)) == ("–", "1,234", "1.2")
    assert (size(100), size(2048), size(3 * 2**20), size(5 * 2**30)) == ("100 B", "2.0 KiB", "3.0 MiB", "5.0 GiB")


def test_text_with_nul_or_half_a_pair_is_not_storable():
    assert storable("ä 🧬")
    assert not storable("a\0")
    assert not storable("\ud83e")
