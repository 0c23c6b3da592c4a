"""Deadlines with zones, release, embargo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.leaderboard.board_cases import START, Clock, answers, bundle, entrant, hand_in, new_store

from perturbarena.errors import BoardError
from perturbarena.leaderboard import (
    announce,
    challenge_info,
    notices,
    parse_time,
    set_deadline,
    set_embargo,
    set_release,
)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-12-01 18:00", "Europe/Zurich", datetime(2026, 12, 1, 17, tzinfo=UTC)),
        ("2026-07-01 18:00", "Europe/Zurich", datetime(2026, 7, 1, 16, tzinfo=UTC)),
        ("2026-07-01T18:00+05:30", None, datetime(2026, 7, 1, 12, 30, tzinfo=UTC)),
        ("2026-10-25 02:30", "Europe/Zurich", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # twice: the earlier
        ("2026-12-01", "UTC", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_their_zone(text, zone, expected):
    assert parse_time(text, timezone=zone) == expected


@pytest.mark.parametrize(
    ("text", "zone", "told"),
    [
        ("2026-03-29 02:30", "Europe/Zurich", "does not exist"),
        ("tomorrow", "UTC", "a time is needed"),
        ("2026-12-01 18:00", None, "needs a zone"),
        ("2026-12-01 18:00", "Europe/Atlantis", "no time zone"),
        ("2026-12-01 18:00", "../../etc/passwd", "no time zone"),
    ],
)
def test_other_times_are_refused(text, zone, told):
    with pytest.raises(BoardError, match=told):
        parse_time(text, timezone=zone)


def test_phases_follow_the_clock(tmp_path):
    clock = Clock()
    store = new_store(
        tmp_path, clock=clock, opens_at=START + timedelta(hours=1), release_at=START + timedelta(days=5)
    )
    team = entrant(store, "A")
    seen = []
    for hours in (0, 1, 71, 72, 119, 120):
        clock.at = START + timedelta(hours=hours)
        seen.append(challenge_info(store).phase)
    assert seen == ["upcoming", "open", "open", "closed", "closed", "released"]
    clock.at = START
    with pytest.raises(BoardError, match="opens at") as caught:
        hand_in(store, team, bundle(answers(), tmp_path))
    assert caught.value.reason == "closed"


def test_what_was_shown_cannot_be_taken_back(store, clock):
    with pytest.raises(BoardError, match="before the deadline"):
        set_release(store, clock())
    clock.forward(days=4)
    set_release(store, clock())
    for change in (
        lambda: set_deadline(store, clock() + timedelta(days=1)),
        lambda: set_release(store, None),
        lambda: set_embargo(store, clock() + timedelta(days=1), reason="late"),
    ):
        with pytest.raises(BoardError, match="private board is out"):
            change()


def test_a_moved_deadline_keeps_the_release_behind_it(store, clock):
    set_release(store, START + timedelta(days=3))
    set_deadline(store, START + timedelta(days=6), timezone="Asia/Tokyo")
    clock.forward(days=4)
    info = challenge_info(store)
    assert (info.phase, info.timezone) == ("open", "Asia/Tokyo")


def test_announcements_are_shown_newest_first(store, clock):
    announce(store, "first")
    clock.forward(minutes=1)
    announce(store, " second ")
    assert [n.text for n in notices(store)] == ["second", "first"]
    with pytest.raises(BoardError, match="1 to 10,000"):
        announce(store, " ")
