"""Handing a zip in to a board over HTTP, and holding the board's receipt against the file.

The standard library's client is enough, so that entrants need nothing beyond the core installation. Sending again
is safe: a board answers the same file of the same team with the receipt that it gave first.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from perturbarena.challenge.formats import sha256
from perturbarena.errors import BoardError, FormatError, Refusal

TOKEN_VARIABLE: Final = "PERTURBARENA_TOKEN"
"""Where the token is taken from: never from the command line, where other users of the machine could read it."""
TRIES: Final = 5
TIMEOUT_SECONDS: Final = 60.0
_CHUNK: Final = 64 * 1024
_MAX_ANSWER: Final = 16 * 2**20
_AGAIN: Final = (408, 429, 500, 502, 503, 504)
_REASONS: Final[dict[int, Refusal]] = {
    401: "forbidden", 403: "forbidden", 404: "missing", 409: "conflict", 413: "large", 429: "limit",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BoardReceipt:
    """What the board gave for the file; its hash and size are those of the file here."""

    submission: str
    team: str
    track: str
    sha256: str
    size: int
    received_at: str
    event: int
    event_hash: str
    repeated: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class _Answer(NamedTuple):
    status: int
    content: Any
    retry_after: float | None


class BoardClient:
    """A board at an address, spoken to with a token.

    Raises
    ------
    FormatError
        If the address is no http or https address, or plain http to another machine: the token would be readable
        on the way.
    """

    def __init__(self, server: str, token: str, *, wait: Callable[[float], None] = time.sleep) -> None:
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise FormatError(f"a board's address is needed, such as https://board.example.org; got {server!r}")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise FormatError(f"{server}: the token would travel unencrypted; an https address is needed")
        if not token.isascii() or not token.isprintable() or not token:
            raise FormatError(f"the token in {TOKEN_VARIABLE} must be printable ASCII, as organisers gave it")
        self._parts, self._token, self._wait = parts, token, wait
        self.address = server.rstrip("/")

    def push(
        self,
        path: Path,
        *,
        track: str,
        note: str = "",
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> BoardReceipt:
        """Hand a zip in; its receipt, which has been held against the file.

        Raises
        ------
        FormatError
            If there is no such file.
        BoardError
            If the board refuses it, cannot be reached, or gives a receipt for something else.
        """
        if not path.is_file():
            raise FormatError(f"no such file: {path}")
        digest, size = sha256(path), path.stat().st_size
        where = "/api/v1/submissions?" + urlencode({"track": track, "filename": path.name[:200], "note": note})

        def body() -> _Watched:
            return _Watched(path, size, progress)

        headers = {"Content-Type": "application/zip", "Content-Length": str(size)}
        answer = self._ask("POST", where, headers=headers, body=body)
        receipt = _receipt(answer.content)
        if (receipt.sha256, receipt.size) != (digest, size):
            raise BoardError(
                f"the receipt is for another file: SHA-256 {receipt.sha256[:64]}, {receipt.size:,} bytes; "
                f"{path} has {digest}, {size:,} bytes; hand it in again",
                reason="invalid",
            )
        return receipt

    def submission(self, public_id: str) -> dict[str, Any]:
        """A submission of the team, as the board tells it."""
        content = self._ask("GET", f"/api/v1/submissions/{quote(public_id, safe='')}").content
        if not isinstance(content, dict) or not isinstance(content.get("line"), dict):
            raise BoardError(f"{self.address} does not answer as a board does")
        return content

    def _ask(
        self,
        method: str,
        where: str,
        *,
        headers: dict[str, str] | None = None,
        body: Callable[[], _Watched] | None = None,
    ) -> _Answer:
        """One request, tried again while the board is busy or the line breaks."""
        why = ""
        for i in range(TRIES):
            try:
                answer = self._once(method, where, headers or {}, body)
            except (OSError, http.client.HTTPException) as error:
                why, pause = str(error) or type(error).__name__, 2.0**i
            else:
                if answer.status < 300:
                    return answer
                why = _why(answer)
                if answer.status not in _AGAIN or (answer.status == 429 and answer.retry_after is None):
                    raise BoardError(f"{self.address}: {why}", reason=_REASONS.get(answer.status, "invalid"))
                pause = min(answer.retry_after or 2.0**i, 60.0)
            if i + 1 < TRIES:
                self._wait(pause)
        raise BoardError(f"{self.address} cannot be used after {TRIES} tries: {why}", reason="storage")

    def _once(
        self, method: str, where: str, headers: dict[str, str], body: Callable[[], _Watched] | None
    ) -> _Answer:
        connection = self._connection()
        sent = headers | {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        content = body() if body is not None else None
        try:
            # a board that refuses may not read everything; its answer says why
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, self._parts.path.rstrip("/") + where, body=content, headers=sent)
            response = connection.getresponse()
            text = response.read(_MAX_ANSWER)
        finally:
            connection.close()
            if content is not None:
                content.close()
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        after = response.getheader("Retry-After", "")
        return _Answer(response.status, found, float(after) if after.isdigit() else None)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)


class _Watched:
    """A file whose reading is told as progress."""

    def __init__(self, path: Path, size: int, progress: Callable[[int, int], None]) -> None:
        self._file, self._size, self._progress, self._done = path.open("rb"), size, progress, 0

    def read(self, size: int = -1) -> bytes:
        """The next piece."""
        piece = self._file.read(min(size, _CHUNK) if size > 0 else _CHUNK)
        self._done += len(piece)
        self._progress(self._done, self._size)
        return piece

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _receipt(content: Any) -> BoardReceipt:
    kinds = {"event": int, "size": int, "repeated": bool}
    names = BoardReceipt.__dataclass_fields__
    if not isinstance(content, dict) or any(
        not isinstance(content.get(name), kinds.get(name, str)) for name in names
    ):
        raise BoardError("the board's answer is no receipt; ask the organisers whether the file arrived")
    told: dict[str, Any] = {k: shown(v) if isinstance(v := content[k], str) else v for k in names}
    return BoardReceipt(**told)


def shown(value: Any) -> str:
    """What a board sent, on one line and without control characters; empty for nothing."""
    text = "" if value is None else str(value)[:2000]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _why(answer: _Answer) -> str:
    error = answer.content.get("error") if isinstance(answer.content, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return shown(message) or f"HTTP status {answer.status}"
