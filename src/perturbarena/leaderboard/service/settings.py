"""How the board's web service is set up: what it lets strangers do, how fast, how large, how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Bounds of the web service. Rates are for each process; a burst of a whole minute's worth is let through."""

    secure_cookies: bool = False
    """The board stands behind TLS: cookies are marked Secure and browsers are told to come back by https alone."""
    form_bytes: int = 64 * KIB
    """Largest body of anything but an upload."""
    upload_overhead_bytes: int = 64 * KIB
    """What an upload's form may hold beside the file."""
    idle_seconds: float = 20.0
    """Longest silence within a body."""
    grace_seconds: float = 20.0
    """From then on a body must have come at ``min_bytes_per_second`` on average."""
    min_bytes_per_second: int = 8 * KIB
    uploads_at_once: int = 16
    uploads_at_once_per_team: int = 2
    uploads_per_minute: int = 10
    """A team's; refused ones count."""
    requests_per_minute: int = 600
    """Of one address, kept pages aside."""
    private_reads_per_minute: int = 120
    """A token's looks at its submissions."""
    wrong_tokens: int = 20
    """Tokens that an address may get wrong at a stretch; another is allowed every ``wrong_token_seconds``."""
    wrong_token_seconds: float = 15.0
    fresh_seconds: float = 0.25
    """A kept page is handed out for so long before the database is asked whether it has changed."""
    patience_seconds: float = 0.03
    """So long a reader waits for a page that is being made anew before getting the one that was kept."""
    rows_per_page: int = 100
    """Rows of a board on one page."""

    @property
    def cookie(self) -> str:
        """The session cookie's name; ``__Host-`` binds it to this host and to https."""
        return "__Host-pa_session" if self.secure_cookies else "pa_session"

    @property
    def form_cookie(self) -> str:
        """The cookie that a sign-in form must match."""
        return "__Host-pa_form" if self.secure_cookies else "pa_form"
