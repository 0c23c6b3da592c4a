"""How far a run is: counts that the calls keep, and a line on stderr now and then."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

_LIVE_SECONDS = 0.5
"""Between two refreshes of a terminal's line."""
_PLAIN_SECONDS = 15.0
"""Between two lines where stderr is a file."""


@dataclass(slots=True)
class Counts:
    """What has happened in this start of a run."""

    calls: int = 0
    """Requests that were sent."""
    answered: int = 0
    """Calls that ended with an answer."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Calls that ended without one, by reason."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that failed and may have been made again, by kind."""
    empty: Counter[str] = field(default_factory=Counter)
    """Answers that were empty or unreadable, by reason."""
    input_tokens: int = 0
    output_tokens: int = 0
    """Tokens of every request that was answered, repeated ones too."""
    questions: int = 0
    """Questions that are done."""


class Progress:
    """Prints rate, tokens, failures and the time left."""

    def __init__(self, total: int, *, done: int = 0, unit: str = "calls", stream: TextIO | None = None) -> None:
        self.counts = Counts()
        self._total, self._done, self._unit = total, done, unit
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._began = self._last = time.monotonic()

    def question_done(self, *, quiet: bool = False) -> None:
        """Count a question and print if it is time."""
        self.counts.questions += 1
        now = time.monotonic()
        if not quiet and now - self._last >= (_LIVE_SECONDS if self._live else _PLAIN_SECONDS):
            self._last = now
            self._print(self.line())

    def finish(self, *, quiet: bool = False) -> None:
        """Print the last line."""
        if quiet:
            return
        self._print(self.line())
        if self._live:
            self._stream.write("\n")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def account(self, began: datetime) -> dict[str, Any]:
        """This start of the run, which began then and ends now, for its manifest."""
        c = self.counts
        return {
            "began": began.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "questions": c.questions,
            "calls_sent": c.calls,
            "input_tokens": c.input_tokens,
            "output_tokens": c.output_tokens,
        }

    def line(self, *, clock: Callable[[float], str] | None = None) -> str:
        """The state in one line."""
        c, seconds = self.counts, max(self.seconds, 1e-9)
        left = self._total - self._done - c.questions
        rate = c.questions / seconds
        eta = (clock or _clock)(left / rate) if rate and left > 0 else ("done" if left <= 0 else "?")
        failed, none = sum(c.failures.values()), sum(c.unanswered.values())
        return (
            f"{self._done + c.questions:,}/{self._total:,} questions  {c.calls / seconds:.1f} calls/s  "
            f"tokens {c.input_tokens:,} in, {c.output_tokens:,} out  {failed:,} failed requests  "
            f"{none:,} {self._unit} unanswered  " + (eta if eta == "done" else f"{eta} left")
        )

    def _print(self, line: str) -> None:
        self._stream.write(f"\r{line}\x1b[K" if self._live else f"{line}\n")
        self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
