"""Tokens and browser sessions: 256 random bits each, kept as hashes, scoped, revocable, with an end.

A token is looked up by its SHA-256: the bits are random, so neither salt nor slowness would add anything, and the
time of the lookup tells nothing about other tokens.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.events import record
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.schema import SCOPES, Team, Token, WebSession
from perturbarena.leaderboard.store import Store
from perturbarena.leaderboard.teams import clean_name, team_row

PREFIX: Final = "pa_"
"""How a token begins, so that scanners for leaked secrets know it."""
SECRET_BYTES: Final = 32
HINT_CHARS: Final = 8
SESSION_HOURS: Final = 12


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made: ``secret`` is shown once and kept nowhere."""

    secret: str
    id: int
    hint: str


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as it may be listed."""

    id: int
    hint: str
    label: str
    team: str | None
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser's session: who it is, and the value that its forms must carry."""

    identity: Identity
    csrf: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just opened; ``cookie`` is kept by the browser alone."""

    cookie: str
    csrf: str
    expires_at: datetime


def create_token(
    store: Store,
    *,
    team: str | None,
    scopes: Sequence[str],
    label: str = "token",
    days: int | None = None,
    by: Identity = CONSOLE,
) -> NewToken:
    """A new token of a team, or of an organiser or reviewer where ``team`` is None.

    Raises
    ------
    BoardError
        If a scope is unknown, or a team's token asks for ``organise`` or ``review`` (invalid), or the team is
        missing.
    """
    chosen = sorted(set(scopes))
    if not chosen or not set(chosen) <= set(SCOPES):
        raise BoardError(f"scopes are {', '.join(SCOPES)}; got {', '.join(scopes) or 'none'}")
    if team is not None and {"organise", "review"} & set(chosen):
        raise BoardError("a team's token may read and submit; organise and review are for tokens without a team")
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    with store.writing() as session:
        row = Token(
            sha256=_hash(secret), hint=secret[: len(PREFIX) + HINT_CHARS - 3],
            label=clean_name(label, what="a token's label"),
            team_id=None if team is None else team_row(session, team).id, scopes=chosen, created_at=store.now(),
            expires_at=None if days is None else store.now() + timedelta(days=days),
        )  # fmt: skip
        session.add(row)
        session.flush()
        record(
            session, at=store.now(), actor=by.actor, kind="token.created", subject=f"token:{row.id}",
            hint=row.hint, team=team, scopes=chosen,
        )  # fmt: skip
        return NewToken(secret, row.id, row.hint)


def revoke_token(store: Store, token_id: int, *, by: Identity = CONSOLE) -> None:
    """Make a token useless at once, and with it every session it opened.

    A team's token may revoke tokens of its own team; BoardError (missing) for others.
    """
    with store.writing() as session:
        row = session.get(Token, token_id)
        if row is None or (not by.may("organise") and (by.team_id is None or row.team_id != by.team_id)):
            raise BoardError(f"there is no token {token_id}", reason="missing")
        if row.revoked_at is None:
            row.revoked_at = store.now()
            record(session, at=store.now(), actor=by.actor, kind="token.revoked", subject=f"token:{row.id}")
        session.execute(delete(WebSession).where(WebSession.token_id == token_id))


def list_tokens(store: Store, *, team_id: int | None = None) -> list[TokenRecord]:
    """Tokens of a team, or all."""
    query = select(Token, Team.name).outerjoin(Team, Team.id == Token.team_id).order_by(Token.id)
    if team_id is not None:
        query = query.where(Token.team_id == team_id)
    with store.reading() as session:
        return [
            TokenRecord(t.id, t.hint, t.label, name, tuple(t.scopes), t.created_at, t.expires_at, t.revoked_at)
            for t, name in session.execute(query)
        ]


def identify(store: Store, secret: str) -> Identity | None:
    """Who bears this token; None where it is unknown, revoked or past its end."""
    if not secret.startswith(PREFIX) or len(secret) > 200:
        return None
    with store.reading() as session:
        row = session.scalar(select(Token).where(Token.sha256 == _hash(secret)))
        return None if row is None else _identity(session, row, store.now())


def open_session(store: Store, secret: str) -> NewSession | None:
    """Sign a browser in; None where the token is not valid. The cookie's value is returned once."""
    identity = identify(store, secret)
    if identity is None:
        return None
    cookie, csrf = secrets.token_urlsafe(SECRET_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    end = store.now() + timedelta(hours=SESSION_HOURS)
    with store.writing() as session:
        session.execute(delete(WebSession).where(WebSession.expires_at <= store.now()))
        session.add(
            WebSession(
                sha256=_hash(cookie), token_id=identity.token_id, csrf=csrf, created_at=store.now(), expires_at=end
            )
        )
    return NewSession(cookie, csrf, end)


def session_of(store: Store, cookie: str) -> SignedIn | None:
    """The session of a cookie; None where it is unknown or over, or its token no longer valid."""
    if not cookie or len(cookie) > 200:
        return None
    with store.reading() as session:
        row = session.get(WebSession, _hash(cookie))
        if row is None or row.expires_at <= store.now():
            return None
        token = session.get(Token, row.token_id)
        identity = None if token is None else _identity(session, token, store.now())
        return None if identity is None else SignedIn(identity, row.csrf, row.expires_at)


def close_session(store: Store, cookie: str) -> None:
    """Sign a browser out."""
    with store.writing() as session:
        session.execute(delete(WebSession).where(WebSession.sha256 == _hash(cookie)))


def _identity(session: Session, row: Token, now: datetime) -> Identity | None:
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    team = None if row.team_id is None else session.get(Team, row.team_id)
    return Identity(
        row.id, row.hint, row.label, row.team_id, None if team is None else team.name, frozenset(row.scopes),
        row.expires_at,
    )  # fmt: skip


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
