"""A fake model for tests and trials: a server process that lives as long as a ``with`` block."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from types import TracebackType
from typing import IO, Any, Final, Self

from perturbarena.errors import InputError
from perturbarena.tracks.models.settings import FakeSettings

_STOP_S: Final = 10.0
"""A server that has not ended so long after being told to is killed."""


class FakeModel:
    """A local OpenAI-compatible server in a process of its own.

    >>> with FakeModel(latency_ms=5, fail_rate=0.1) as fake:  # doctest: +SKIP
    ...     client = openai.OpenAI(base_url=fake.url, api_key="none")
    ...     ...
    ...     assert fake.stats()["outcomes"]["answered"] == 3

    Parameters are the fields of :class:`FakeSettings`. The process also ends when the one that started it does,
    however that ends.

    Raises
    ------
    InputError
        If a setting is wrong or the server cannot start.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = FakeSettings.checked(**settings)
        self.port = self.settings.port
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL for clients: ``http://127.0.0.1:PORT/v1``."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """False before the start, after the stop, and when the server has died."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server, on the port it had before if it had one, and wait until it listens."""
        self.stop()
        settings = self.settings.model_copy(update={"port": self.port})
        self._complaints = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed by stop)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "perturbarena.tracks.models", settings.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._complaints.seek(0)
            said = self._complaints.read().strip().splitlines()
            self.stop()
            raise InputError(f"the fake model did not start: {said[-1] if said else 'it said nothing'}")
        self.port = json.loads(line)["port"]

    def stop(self) -> None:
        """End the server; nothing happens if it has ended already."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(timeout=_STOP_S)
                except subprocess.TimeoutExpired:
                    self._process.kill()
            self._process.communicate()
            self._process = None
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def kill(self) -> None:
        """End the server as ``kill -9`` does."""
        self._running().kill()
        self._running().wait()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until the server has ended by itself; its exit code."""
        return self._running().wait(timeout_s)

    def stats(self) -> dict[str, Any]:
        """The server's own counts: calls, outcomes, tokens, and calls by question."""
        return self._get("stats")

    def requests(self) -> list[dict[str, Any]]:
        """The bodies of the last requests, oldest first: what really reached the server."""
        return self._get("requests")

    def _get(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=10) as reply:
            return json.load(reply)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise InputError("the fake model is not running; use it in a with block, or call start()")
        return self._process
