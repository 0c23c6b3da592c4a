"""Just enough HTTP/1.1 for a local fake: keep-alive, bodies with a length, replies that come later.

Written on asyncio's protocol layer so that the fake needs no package and costs little next to the client that
is being measured. It is for 127.0.0.1 only: no TLS, no chunked requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

MAX_HEAD: Final = 64 * 1024
"""Bytes of request line and headers."""
MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request's body."""

_END_OF_HEAD: Final = b"\r\n\r\n"


class Request(NamedTuple):
    """One request; ``path`` without its query, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Request, "Connection"], None]
"""Called once per request; it calls ``connection.send`` now or later, once."""


class Connection(asyncio.Protocol):
    """One client's connection. Requests are handled one after the other, as HTTP/1.1 wants."""

    def __init__(self, handler: Handler) -> None:
        self.on_gone: Callable[[], None] | None = None
        """Called when the client hangs up before its reply was sent."""
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._busy = False
        self._keep = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where replies go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever prepares the reply that nobody waits for it."""
        del exc
        self._transport = None
        if self.on_gone is not None:
            self.on_gone()
            self.on_gone = None

    def data_received(self, data: bytes) -> None:
        """Collect bytes; handle a request when it is whole."""
        self._buffer += data
        self._advance()

    def send(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Reply to the request being handled, then take up the next one."""
        self.on_gone = None
        if self._transport is None:
            return
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}"]
        lines += [f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if not self._keep:
            lines.append("Connection: close")
        self._transport.write("\r\n".join(lines).encode("latin-1") + _END_OF_HEAD + body)
        if not self._keep:
            self._transport.close()
            return
        self._busy = False
        if self._buffer:
            self._advance()

    def _advance(self) -> None:
        if self._busy:
            return
        end = self._buffer.find(_END_OF_HEAD)
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        first, headers = _head(bytes(self._buffer[:end]))
        length = headers.get("content-length", "0")
        if len(first) != 3 or not length.isdecimal():
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif "transfer-encoding" in headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._take(first, headers, end + len(_END_OF_HEAD), int(length))

    def _take(self, first: list[str], headers: dict[str, str], start: int, length: int) -> None:
        if len(self._buffer) < start + length:
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == start:
                assert self._transport is not None
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        self._busy = True
        self._keep = headers.get("connection", "").lower() != "close" and first[2] != "HTTP/1.0"
        path, _, query = first[1].partition("?")
        self._handler(Request(first[0], path, query, headers, body), self)

    def _refuse(self, status: HTTPStatus) -> None:
        self._buffer.clear()
        self._keep = False
        self.send(status, b'{"error": {"message": "%s"}}' % status.phrase.encode())


def _head(raw: bytes) -> tuple[list[str], dict[str, str]]:
    first, *rest = raw.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return first.split(), headers
