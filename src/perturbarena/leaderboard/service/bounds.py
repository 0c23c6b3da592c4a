"""Around the application: how much a request may send and how slowly, and what every answer's headers say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perturbarena.leaderboard.service.settings import ServiceSettings

CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Pages hold no scripts at all, so that even text that got past the escaping could do nothing."""
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
UPLOAD_PATHS: Final = frozenset({"/upload", "/api/v1/submissions"})


class SecurityHeaders:
    """ASGI middleware: adds the headers that make browsers careful; what is not marked as public is not kept."""

    def __init__(self, app: ASGIApp, *, settings: ServiceSettings) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if settings.secure_cookies:
            self._headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


class BodyBounds:
    """ASGI middleware: a body that is too large or comes too slowly is broken off (413, 408)."""

    def __init__(self, app: ASGIApp, *, settings: ServiceSettings, upload_bytes: Callable[[], int]) -> None:
        self._app = app
        self._settings = settings
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, limit=self._limit(scope), settings=self._settings)
        scope["perturbarena.body_refused"] = body.refuse_early(scope)
        await self._app(scope, body, send)

    def _limit(self, scope: Scope) -> int:
        if scope["method"] == "POST" and scope["path"] in UPLOAD_PATHS:
            return self._upload_bytes() + self._settings.upload_overhead_bytes
        return self._settings.form_bytes


class _Body:
    """A request's ``receive`` that counts and watches the clock until the body has ended."""

    def __init__(self, receive: Receive, *, limit: int, settings: ServiceSettings) -> None:
        self._receive, self._limit, self._settings = receive, limit, settings
        self._began: float | None = None
        self._size = 0
        self._ended = False
        self._declared_too_large = False

    def refuse_early(self, scope: Scope) -> bool:
        """Whether the declared length is too much already; then not a byte is read."""
        declared = dict(scope["headers"]).get(b"content-length", b"")
        self._declared_too_large = declared.isdigit() and int(declared) > self._limit
        return self._declared_too_large

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()
        if self._declared_too_large:
            raise self._too_large()
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        try:
            message = await asyncio.wait_for(self._receive(), self._settings.idle_seconds)
        except TimeoutError:
            raise _too_slow(f"nothing came for {self._settings.idle_seconds:g} s") from None
        if message["type"] != "http.request":
            self._ended = True
            return message
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._size > self._limit:
            raise self._too_large()
        spent = time.monotonic() - self._began
        floor = self._settings.min_bytes_per_second
        if not self._ended and spent > self._settings.grace_seconds and self._size < floor * spent:
            raise _too_slow(f"less than {floor:,} bytes a second")
        return message

    def _too_large(self) -> HTTPException:
        self._ended = True
        return HTTPException(
            413, f"a body of at most {self._limit:,} bytes is taken here", headers={"Connection": "close"}
        )


def _too_slow(what: str) -> HTTPException:
    return HTTPException(408, f"the body came too slowly: {what}", headers={"Connection": "close"})


def declared_length(headers: Any) -> int | None:
    """The Content-Length that a request states, if it states one."""
    text = headers.get("content-length", "")
    return int(text) if text.isdigit() else None
