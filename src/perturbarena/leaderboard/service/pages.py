"""The pages that everybody may read: boards, teams, submissions, rules, announcements, results."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from perturbarena.errors import BoardError
from perturbarena.leaderboard.phases import notices
from perturbarena.leaderboard.results import results
from perturbarena.leaderboard.service import boards
from perturbarena.leaderboard.service.charts import history_chart
from perturbarena.leaderboard.service.desk import Desk, desk_of, in_thread
from perturbarena.leaderboard.service.kept import KeptPage
from perturbarena.leaderboard.service.rendering import style_sheet
from perturbarena.leaderboard.service.texts import plain
from perturbarena.leaderboard.service.who import Visitor, address, visitor
from perturbarena.leaderboard.submissions import remaining_today
from perturbarena.leaderboard.tokens import list_tokens
from perturbarena.leaderboard.views import HistoryPoint, TeamPage, submission_page, team_page

router = APIRouter(include_in_schema=False)
Who = Annotated[Visitor, Depends(visitor)]
MAX_PAGE = 10_000


async def moderate(request: Request) -> None:
    """Count a page that is made for its reader; TooOftenError where an address asks for too many."""
    desk = desk_of(request)
    plain(request.url.path)
    plain(request.url.query.replace("%00", "\0"))
    per_minute = desk.settings.requests_per_minute
    desk.rates.take(
        "too many requests from this address", address(request), capacity=per_minute, seconds_each=60 / per_minute
    )


made = APIRouter(include_in_schema=False, dependencies=[Depends(moderate)])
"""Routes whose pages are made for each reader."""


async def html(
    request: Request, template: str, *, who: Visitor, status: int = 200, **context: Any
) -> HTMLResponse:
    """A page made from a template."""
    desk = desk_of(request)
    return HTMLResponse(await in_thread(desk.templates.page, template, desk=desk, who=who, **context), status)


@router.get("/")
async def front(request: Request, who: Who) -> Response:
    """What this is, what is new, and the best of each track."""
    desk = desk_of(request)
    page = await boards.kept_front(desk)
    if who.signed_in:
        return HTMLResponse(await in_thread(boards.front_page, desk, page.part, who=who))
    return as_kept(request, page)


@router.get("/tracks/{track}")
async def track_board(
    request: Request, track: str, who: Who, page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1
) -> Response:
    """A track's board."""
    desk = desk_of(request)
    name = desk.store.rules.track_name(track)
    if name != track:
        return RedirectResponse(f"/tracks/{name}", 308)
    kept = await boards.kept_board(desk, name, page)
    if who.signed_in:
        return HTMLResponse(await in_thread(boards.board_page, desk, kept.part, track=name, who=who))
    return as_kept(request, kept)


def as_kept(request: Request, page: KeptPage) -> Response:
    """A kept page: nothing at all where the browser has it, compressed where it understands that."""
    headers = {
        "ETag": page.etag, "Cache-Control": "no-cache, private", "Vary": "Accept-Encoding, Cookie",
    }  # fmt: skip
    if request.headers.get("if-none-match") == page.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(page.zipped, media_type="text/html", headers=headers | {"Content-Encoding": "gzip"})
    return Response(page.body, media_type="text/html", headers=headers)


@router.get("/static/board.css")
async def styles(request: Request) -> Response:
    """The style sheet."""
    return Response(
        request.app.state.css, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"}
    )


@router.get("/robots.txt")
async def robots() -> Response:
    """Search engines may list boards; they have no business in anything else."""
    return Response("User-agent: *\nAllow: /tracks/\nAllow: /$\nDisallow: /\n", media_type="text/plain")


@made.get("/teams/{team_id}")
async def team(request: Request, team_id: int, who: Who) -> Response:
    """A team and its submissions."""
    page = await in_thread(team_page, desk_of(request).store, team_id, viewer=who.identity)
    return await html(
        request, "team.html", who=who, page=page, **await in_thread(_team_extras, request, page, who)
    )


def _team_extras(request: Request, page: TeamPage, who: Visitor) -> dict[str, Any]:
    from zoneinfo import ZoneInfo

    desk = desk_of(request)
    info = desk.info()
    zone = ZoneInfo(info.timezone if info else "UTC")
    charts = {}
    for track in desk.store.rules.tracks:
        points, best = [], float("-inf")
        for line in reversed(page.submissions):
            if line.track == track and line.public is not None and line.public.score is not None:
                value = line.public.score
                points.append(
                    HistoryPoint(line.received_at, line.team, line.team_id, line.id, value, value > best)
                )
                best = max(best, value)
        charts[track] = history_chart(points, zone=zone) if len(points) > 1 else None
    mine = who.identity is not None and who.identity.team_id == page.team.id
    return {
        "mine": mine,
        "charts": charts,
        "tokens": list_tokens(desk.store, team_id=page.team.id) if mine else [],
        "remaining": remaining_today(desk.store, page.team.id) if mine else None,
    }


@made.get("/submissions/{public_id}")
async def submission(request: Request, public_id: str, who: Who) -> Response:
    """A submission: its receipt, problems and scores for its team; what the board says of it for others."""
    page = await in_thread(submission_page, desk_of(request).store, public_id, viewer=who.identity)
    return await html(request, "submission.html", who=who, page=page)


@made.get("/submissions/{public_id}/receipt.json")
async def receipt(request: Request, public_id: str, who: Who) -> Response:
    """The receipt as a file to keep."""
    page = await in_thread(submission_page, desk_of(request).store, public_id, viewer=who.known())
    if page.receipt is None:
        raise BoardError(f"there is no receipt of {public_id[:40]!r} for you", reason="missing")
    from starlette.responses import JSONResponse

    name = f'attachment; filename="receipt-{page.receipt.submission[:8]}.json"'
    return JSONResponse(page.receipt.as_json(), headers={"Content-Disposition": name})


@made.get("/submissions/{public_id}/submission.zip")
async def stored_file(request: Request, public_id: str, who: Who) -> Response:
    """The file as it was handed in, for its team and for organisers."""
    return await zip_of(desk_of(request), public_id, who.known())


async def zip_of(desk: Desk, public_id: str, viewer: Any) -> Response:
    """A submission's zip, as a download that no browser opens by itself."""
    page = await in_thread(submission_page, desk.store, public_id, viewer=viewer)
    if page.receipt is None:
        raise BoardError(f"there is no submission {public_id[:40]!r} of yours", reason="missing")
    return FileResponse(
        desk.store.folder.file(page.receipt.sha256), media_type="application/zip",
        filename=f"submission-{public_id[:8]}.zip",
    )  # fmt: skip


@made.get("/announcements")
async def announcements(request: Request, who: Who) -> Response:
    """What organisers told entrants."""
    return await html(
        request, "announcements.html", who=who, notices=await in_thread(notices, desk_of(request).store)
    )


@made.get("/rules")
async def rules(request: Request, who: Who) -> Response:
    """The challenge's rules and files."""
    desk = desk_of(request)
    return await html(
        request, "rules.html", who=who, rules=desk.store.rules, files=await in_thread(public_files, desk)
    )


@made.get("/files/{name}")
async def public_file(request: Request, name: str) -> Response:
    """A file for entrants: the questions, the rules, and what organisers lay beside them."""
    files = await in_thread(public_files, desk_of(request))
    if name not in files:
        raise BoardError(f"there is no file {name[:80]!r}", reason="missing")
    return FileResponse(files[name], filename=name, media_type="application/octet-stream")


def public_files(desk: Desk) -> dict[str, Any]:
    """Files for entrants by name."""
    folder = desk.store.folder
    files = {path.name: path for path in (folder.questions, folder.rules) if path.is_file()}
    beside = folder.path / "public"
    if beside.is_dir():
        files |= {p.name: p for p in sorted(beside.iterdir()) if p.is_file() and not p.is_symlink()}
    return files


@made.get("/results")
async def final_results(request: Request, who: Who) -> Response:
    """The final results, once the private board is out."""
    found = await in_thread(results, desk_of(request).store)
    views = [
        boards.board_view(one, [], info=found.challenge, page=1, rows_per_page=boards.TOP) for one in found.boards
    ]
    return await html(request, "results.html", who=who, results=found, views=views)


@made.get("/api")
async def api_guide(request: Request, who: Who) -> Response:
    """The HTTP API, described without a script."""
    return await html(request, "api.html", who=who, operations=operations(request.app.openapi()))


def operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The API's operations as a page lists them."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation.get("summary", ""),
            "description": operation.get("description", ""),
            "token": bool(operation.get("security")),
            "parameters": [p for p in operation.get("parameters", []) if p["in"] != "header"],
        }
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def css() -> bytes:
    """The style sheet's bytes, read once."""
    return style_sheet()
