"""Who may do what, for how long; and what is kept of secrets."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text
from tests.leaderboard.board_cases import answers, bundle, entrant, hand_in

from perturbarena.errors import BoardError
from perturbarena.leaderboard import (
    CONSOLE,
    add_member,
    close_session,
    create_team,
    create_token,
    identify,
    list_tokens,
    open_session,
    revoke_token,
    session_of,
)


def test_a_secret_is_random_long_and_kept_nowhere(store):
    create_team(store, "A")
    secrets = {create_token(store, team="A", scopes=("read",)).secret for _ in range(20)}
    assert len(secrets) == 20
    assert all(re.fullmatch(r"pa_[A-Za-z0-9_-]{43}", secret) for secret in secrets)
    store.close()
    kept = b"".join(p.read_bytes() for p in store.folder.path.glob("board.sqlite*"))
    assert not any(secret.encode() in kept or secret[3:].encode() in kept for secret in secrets)
    assert identify(store, min(secrets)) is not None


@pytest.mark.parametrize(
    "wrong", ["", "pa_", "pa_x", "x" * 46, "pa_" + "A" * 43, "pa_" + "A" * 10_000, "pa_' OR 1=1"]
)
def test_other_words_identify_nobody(store, wrong):
    entrant(store, "A")
    assert identify(store, wrong) is None


def test_tokens_end_and_can_be_revoked_with_their_sessions(store, clock):
    create_team(store, "A")
    short = create_token(store, team="A", scopes=("read",), days=1)
    longer = create_token(store, team="A", scopes=("read",))
    opened = open_session(store, longer.secret)
    assert opened is not None
    signed_in = session_of(store, opened.cookie)
    assert signed_in is not None
    assert signed_in.csrf == opened.csrf
    assert signed_in.identity.team == "A"
    clock.forward(days=1)
    assert identify(store, short.secret) is None
    assert session_of(store, opened.cookie) is None  # twelve hours are over
    opened = open_session(store, longer.secret)
    assert opened is not None
    revoke_token(store, longer.id)
    assert identify(store, longer.secret) is None
    assert session_of(store, opened.cookie) is None
    assert open_session(store, longer.secret) is None
    assert [t.revoked_at is not None for t in list_tokens(store)] == [False, True]


def test_signing_out_ends_the_session(store):
    create_team(store, "A")
    opened = open_session(store, create_token(store, team="A", scopes=("read",)).secret)
    assert opened is not None
    close_session(store, opened.cookie)
    assert session_of(store, opened.cookie) is None
    assert session_of(store, "guess") is None


def test_scopes_bound_what_a_token_does(store, tmp_path):
    create_team(store, "A")
    reader = identify(store, create_token(store, team="A", scopes=("read",)).secret)
    organiser = identify(store, create_token(store, team=None, scopes=("organise",)).secret)
    assert reader is not None
    assert organiser is not None
    with pytest.raises(BoardError, match="scope submit") as caught:
        hand_in(store, reader, bundle(answers(), tmp_path))
    assert caught.value.reason == "forbidden"
    with pytest.raises(BoardError, match="belongs to no team"):
        hand_in(store, organiser, bundle(answers(), tmp_path))
    assert organiser.may("review")
    for scopes in (("organise",), ("review", "read")):
        with pytest.raises(BoardError, match="a team's token"):
            create_token(store, team="A", scopes=scopes)
    with pytest.raises(BoardError, match="scopes are"):
        create_token(store, team="A", scopes=("fly",))


def test_a_team_revokes_its_own_tokens_alone(store):
    mine, other = entrant(store, "A"), entrant(store, "B")
    with pytest.raises(BoardError, match="no token"):
        revoke_token(store, other.token_id, by=mine)
    revoke_token(store, mine.token_id, by=mine)
    assert [t.revoked_at is not None for t in list_tokens(store)] == [True, False]


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\x00b", "a\nb\x1b[31m", "\u200b"])
def test_names_are_one_printable_line(store, name):
    with pytest.raises(BoardError, match="printable characters"):
        create_team(store, name)


def test_names_that_people_would_confuse_are_one_name(store):
    create_team(store, "The  Knockouts")
    for same in ("the knockouts", "THE KNOCKOUTS", "Ｔｈｅ Knockouts"):
        with pytest.raises(BoardError, match="already"):
            create_team(store, same)
    create_team(store, "Robert'); DROP TABLE team;--")
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM team")).scalar() == 2


def test_members_are_added_once(store):
    create_team(store, "A", members=("Ada", "Ada"))
    assert add_member(store, "a", "Rosalind").members == ("Ada", "Rosalind")
    with pytest.raises(BoardError, match="already"):
        add_member(store, "A", "Ada")
    with pytest.raises(BoardError, match="no team called"):
        add_member(store, "B", "Ada")


def test_the_console_may_do_everything():
    assert CONSOLE.may("submit")
    assert CONSOLE.actor == "organiser (console)"
