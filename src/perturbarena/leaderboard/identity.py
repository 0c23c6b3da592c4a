"""Who asks: the bearer of a token, with the team and the scopes it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from perturbarena.errors import BoardError


@dataclass(frozen=True, slots=True)
class Identity:
    """The bearer of a valid token. ``team_id`` is None for organisers and reviewers."""

    token_id: int | None
    hint: str
    label: str
    team_id: int | None
    team: str | None
    scopes: frozenset[str]
    expires_at: datetime | None = None

    @property
    def actor(self) -> str:
        """How the log names the bearer."""
        return f"{self.team or 'organiser'} ({self.label})"

    def may(self, scope: str) -> bool:
        """Whether a scope is among the bearer's; ``organise`` holds all."""
        return scope in self.scopes or "organise" in self.scopes

    def need(self, scope: str) -> None:
        """BoardError (forbidden) unless the bearer has this scope."""
        if not self.may(scope):
            has = ", ".join(sorted(self.scopes))
            raise BoardError(
                f"this needs a token with the scope {scope}; this token has {has}", reason="forbidden"
            )

    def need_team(self) -> int:
        """The bearer's team; BoardError (forbidden) where there is none."""
        if self.team_id is None:
            raise BoardError("this needs a team's token; this one belongs to no team", reason="forbidden")
        return self.team_id


CONSOLE = Identity(None, "", "console", None, None, frozenset({"organise"}))
"""Who sits at the server's own command line."""
