"""Who is asking: a program with a token in its header, or a browser with a session's cookie.

The API takes headers alone, which a foreign page cannot send; pages take the cookie alone, and every form must
carry the session's own value besides. The cookie is HttpOnly and SameSite=Strict, and a form that says that it was
sent from another site is refused whatever it carries.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from perturbarena.errors import BoardError
from perturbarena.leaderboard.identity import Identity
from perturbarena.leaderboard.service.desk import Desk, desk_of, in_thread
from perturbarena.leaderboard.service.rates import neighbourhood
from perturbarena.leaderboard.tokens import SESSION_HOURS, NewSession, identify, open_session, session_of

SIGN_IN: Final = "/signin"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page; ``csrf`` is what this session's forms must carry."""

    identity: Identity | None = None
    csrf: str = ""

    @property
    def signed_in(self) -> bool:
        """Whether there is a session."""
        return self.identity is not None

    def known(self) -> Identity:
        """Who it is; :class:`SignInNeededError` where nobody is signed in."""
        if self.identity is None:
            raise SignInNeededError("sign in first")
        return self.identity


class SignInNeededError(BoardError):
    """Nobody is signed in, or no valid token was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="forbidden")


async def visitor(request: Request) -> Visitor:
    """The session of a page's request; an unknown or ended one is nobody's."""
    desk = desk_of(request)
    cookie = request.cookies.get(desk.settings.cookie)
    if not cookie:
        return Visitor()
    signed_in = await in_thread(session_of, desk.store, cookie)
    return Visitor() if signed_in is None else Visitor(signed_in.identity, signed_in.csrf)


async def bearer(request: Request) -> Identity:
    """Who bears the request's token.

    Raises
    ------
    SignInNeededError
        If there is none, or it is not valid.
    TooOftenError
        If too many wrong tokens came from this address.
    """
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise SignInNeededError("send a token: Authorization: Bearer pa_…")
    desk = desk_of(request)
    check_guesses(desk, request)
    identity = await in_thread(identify, desk.store, secret.strip())
    if identity is None:
        count_guess(desk, request)
        raise SignInNeededError("this token is not valid: unknown, revoked or past its end")
    return identity


async def sign_in(request: Request, secret: str) -> NewSession | None:
    """Open a session for a token; None where it is not valid, which is counted."""
    desk = desk_of(request)
    check_guesses(desk, request)
    opened = await in_thread(open_session, desk.store, secret.strip())
    if opened is None:
        count_guess(desk, request)
    return opened


_WRONG: Final = "too many wrong tokens from this address"


def check_guesses(desk: Desk, request: Request) -> None:
    """TooOftenError where an address has had too many tokens wrong: no more are looked at for the moment."""
    s = desk.settings
    desk.rates.check(_WRONG, address(request), capacity=s.wrong_tokens, seconds_each=s.wrong_token_seconds)


def count_guess(desk: Desk, request: Request) -> None:
    """Note a wrong token."""
    s = desk.settings
    desk.rates.take(_WRONG, address(request), capacity=s.wrong_tokens, seconds_each=s.wrong_token_seconds)


def address(request: Request) -> str:
    """From where the request comes, as rates count it."""
    return neighbourhood(request.client.host if request.client else None)


def need_same_site(request: Request) -> None:
    """BoardError (forbidden) for a form that says that it was sent by another site's page."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise BoardError("this form was sent by a page of another site", reason="forbidden")
    origin = request.headers.get("origin")
    if origin is not None and (origin == "null" or urlsplit(origin).netloc != request.headers.get("host")):
        raise BoardError("this form was sent by a page of another site", reason="forbidden")


def need_csrf(expected: str, sent: str | None) -> None:
    """BoardError (forbidden) unless the form carries the session's value."""
    if not expected or not sent or not hmac.compare_digest(expected.encode(), sent.encode("utf-8", "replace")):
        raise BoardError(
            "this form is out of date or was not made by this site; reload the page and send it again",
            reason="forbidden",
        )


def set_session(response: Response, desk: Desk, session: NewSession) -> None:
    """Hand the browser its session."""
    _set(response, desk, desk.settings.cookie, session.cookie, max_age=SESSION_HOURS * 3600)


def new_form_value(response: Response, desk: Desk, value: str) -> None:
    """Hand the browser the value that its sign-in form must match."""
    _set(response, desk, desk.settings.form_cookie, value, max_age=3600)


def random_value() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def forget_session(response: Response, desk: Desk) -> None:
    """Take the session's cookie back."""
    response.delete_cookie(
        desk.settings.cookie, secure=desk.settings.secure_cookies, httponly=True, samesite="strict"
    )


def _set(response: Response, desk: Desk, name: str, value: str, *, max_age: int) -> None:
    response.set_cookie(
        name, value, max_age=max_age, path="/", secure=desk.settings.secure_cookies, httponly=True,
        samesite="strict",
    )  # fmt: skip
