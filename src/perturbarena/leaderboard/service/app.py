"""The web service of a board: an application around an opened store. It starts no thread and no worker."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from perturbarena import __version__
from perturbarena.leaderboard.service import api, pages, pages_signed_in, refusals
from perturbarena.leaderboard.service.bounds import BodyBounds, SecurityHeaders
from perturbarena.leaderboard.service.desk import Desk
from perturbarena.leaderboard.service.kept import KeptPages
from perturbarena.leaderboard.service.rendering import Templates
from perturbarena.leaderboard.service.settings import KIB, ServiceSettings
from perturbarena.leaderboard.store import Store

ABOUT: Final = """
What programs may ask of this board. Send a token as `Authorization: Bearer pa_…`; boards, history, teams and
results need none. Every refusal is `{"error": {"reason": …, "message": …}}`.
"""


def server_options(settings: ServiceSettings) -> dict[str, Any]:
    """What uvicorn is to be told: bounds on connections and header sizes, and no word about itself."""
    return {
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": settings.secure_cookies,
        "timeout_keep_alive": 15,
        "limit_concurrency": 1000,
        "h11_max_incomplete_event_size": 16 * KIB,
    }


def create_app(store: Store, settings: ServiceSettings | None = None) -> FastAPI:
    """The application for a challenge's opened store; whoever calls this closes the store."""
    settings = settings or ServiceSettings()
    app = FastAPI(
        title="perturbarena board", version=__version__, description=ABOUT, openapi_url="/api/openapi.json",
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    kept = KeptPages(fresh_seconds=settings.fresh_seconds, patience_seconds=settings.patience_seconds)
    app.state.desk = desk = Desk(store, settings, templates=Templates(), kept=kept)
    app.state.css = pages.css()
    refusals.install(app)
    for router in (pages.router, pages.made, pages_signed_in.router, api.router):
        app.include_router(router)
    app.add_middleware(BodyBounds, settings=settings, upload_bytes=desk.max_bytes)
    app.add_middleware(SecurityHeaders, settings=settings)
    return app
