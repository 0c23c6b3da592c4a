"""Records → HTML. What strangers wrote is escaped, and characters that hide or reorder text are made visible.

There is no script in any page, no style outside the style sheet, and nothing from another host.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from perturbarena import __version__
from perturbarena.challenge.words import counted
from perturbarena.leaderboard.phases import ChallengeInfo
from perturbarena.leaderboard.service.who import Visitor

if TYPE_CHECKING:
    from jinja2 import Environment

    from perturbarena.leaderboard.service.desk import Desk

PACKAGE: Final = "perturbarena.leaderboard.service"
STATE_WORDS: Final = {
    "received": "received, waiting to be checked",
    "rejected": "refused by the check",
    "scored": "scored, waiting for its audit",
    "listed": "on the board",
    "failed": "could not be processed; organisers have been told",
}
PHASE_WORDS: Final = {
    "upcoming": "not open yet",
    "open": "open",
    "closed": "closed; the private board is not out yet",
    "released": "over; final results",
}


class Templates:
    """The pages' templates."""

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader(PACKAGE, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.finalize = _shown
        environment.filters |= {"number": number, "size": size, "score": score}
        environment.globals |= {
            "counted": counted,
            "state_words": STATE_WORDS,
            "phase_words": PHASE_WORDS,
            "software": __version__,
        }
        return environment

    def page(self, name: str, *, desk: Desk, who: Visitor | None = None, **context: Any) -> str:
        """A whole page: the template's blocks within the layout."""
        info = desk.info()
        zone = ZoneInfo(info.timezone) if info is not None else ZoneInfo("UTC")
        return self._environment.get_template(name).render(
            info=info, who=who or Visitor(), when=_Clock(zone), **context
        )

    def part(self, name: str, *, info: ChallengeInfo, **context: Any) -> str:
        """A part of a page, without the layout."""
        return self._environment.get_template(name).render(
            info=info, when=_Clock(ZoneInfo(info.timezone)), **context
        )


class _Clock:
    """Times as people read them: in the challenge's zone, named."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def __call__(self, at: datetime) -> str:
        return at.astimezone(self._zone).strftime("%-d %b %Y, %H:%M %Z")

    def day(self, at: datetime) -> str:
        """The date alone."""
        return at.astimezone(self._zone).strftime("%-d %b %Y")

    def machine(self, at: datetime) -> str:
        """For a ``time`` element's ``datetime``."""
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def style_sheet() -> bytes:
    """The one style sheet."""
    return (resources.files(PACKAGE) / "static" / "board.css").read_bytes()


def number(value: float | None, decimals: int = 0) -> str:
    """With thousands separated; a dash where there is none."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def score(value: float | None) -> str:
    """Three decimals, which is as fine as the board tells."""
    return "–" if value is None else f"{value:.3f}"


def size(n_bytes: int) -> str:
    """Bytes in a unit that fits."""
    value = float(n_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} GiB"


def _shown(value: Any) -> Any:
    """Applied to whatever a template writes: characters that cannot be seen become one that can."""
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in value)
    return value
