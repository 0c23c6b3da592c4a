"""The pages behind a sign-in: signing in and out, handing in, choosing finals, tokens; reviewing; organising."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from perturbarena.errors import BoardError
from perturbarena.leaderboard.phases import announce
from perturbarena.leaderboard.reviews import Verdict, add_review, review_queue, verdicts_of
from perturbarena.leaderboard.service.desk import desk_of, in_thread
from perturbarena.leaderboard.service.pages import Who, html, moderate
from perturbarena.leaderboard.service.texts import plain
from perturbarena.leaderboard.service.uploads import take_form
from perturbarena.leaderboard.service.who import (
    SIGN_IN,
    Visitor,
    forget_session,
    need_csrf,
    need_same_site,
    new_form_value,
    random_value,
    set_session,
    sign_in,
)
from perturbarena.leaderboard.store import Store
from perturbarena.leaderboard.submissions import (
    disqualify_submission,
    remaining_today,
    select_finals,
    set_code_url,
    submission_row,
)
from perturbarena.leaderboard.tokens import close_session, revoke_token
from perturbarena.leaderboard.views import submission_page

router = APIRouter(include_in_schema=False, dependencies=[Depends(moderate)])
SEE_OTHER = 303


async def checked_form(request: Request, who: Who) -> FormData:
    """The fields of a form that this site made for this session; refused otherwise."""
    who.known()
    need_same_site(request)
    form = await request.form(max_files=0, max_fields=100)
    need_csrf(who.csrf, field(form, "csrf"))
    return form


Form = Annotated[FormData, Depends(checked_form)]


def field(form: FormData, name: str) -> str:
    """A field's text; empty where it is missing."""
    value = form.get(name, "")
    return plain(value) if isinstance(value, str) else ""


@router.get(SIGN_IN)
async def sign_in_page(request: Request, who: Who) -> Response:
    """Where a token is exchanged for a session."""
    return await _sign_in_form(request, who, problem="")


@router.post(SIGN_IN)
async def sign_in_form(request: Request, who: Who) -> Response:
    """Exchange the token; a wrong one is said to be wrong, and counted."""
    desk = desk_of(request)
    need_same_site(request)
    form = await request.form(max_files=0, max_fields=10)
    need_csrf(request.cookies.get(desk.settings.form_cookie, ""), field(form, "csrf"))
    opened = await sign_in(request, field(form, "token"))
    if opened is None:
        return await _sign_in_form(
            request, who, problem="This token is not valid: it is unknown, revoked, or past its end.", status=403
        )
    response = RedirectResponse("/", SEE_OTHER)
    set_session(response, desk, opened)
    return response


async def _sign_in_form(request: Request, who: Visitor, *, problem: str, status: int = 200) -> Response:
    value = random_value()
    page = await html(request, "signin.html", who=who, problem=problem, form_value=value, status=status)
    new_form_value(page, desk_of(request), value)
    return page


@router.post("/signout")
async def sign_out(request: Request, form: Form) -> Response:
    """End the session."""
    del form
    desk = desk_of(request)
    await in_thread(close_session, desk.store, request.cookies.get(desk.settings.cookie, ""))
    response = RedirectResponse("/", SEE_OTHER)
    forget_session(response, desk)
    return response


@router.get("/upload")
async def upload_page(request: Request, who: Who) -> Response:
    """The form for handing in."""
    team_id = who.known().need_team()
    remaining = await in_thread(remaining_today, desk_of(request).store, team_id)
    return await html(request, "upload.html", who=who, remaining=remaining)


@router.post("/upload")
async def upload(request: Request, who: Who) -> Response:
    """Take a file in; its receipt is on the page that follows."""
    who.known()
    need_same_site(request)
    receipt = await take_form(request, who=who)
    again = "?repeated=1" if receipt.repeated else ""
    return RedirectResponse(f"/submissions/{receipt.submission}{again}", SEE_OTHER)


@router.post("/finals/{track}")
async def choose_finals(request: Request, track: str, who: Who, form: Form) -> Response:
    """Choose a track's final submissions."""
    by = who.known()
    chosen = [value for value in form.getlist("submission") if isinstance(value, str)]
    await in_thread(select_finals, desk_of(request).store, chosen, track=track, by=by)
    return RedirectResponse(f"/teams/{by.need_team()}?saved=1#track-{track}", SEE_OTHER)


@router.post("/submissions/{public_id}/code")
async def name_code(request: Request, public_id: str, who: Who, form: Form) -> Response:
    """Say where a submission's code is."""
    url = field(form, "url").strip()
    await in_thread(set_code_url, desk_of(request).store, public_id, url, by=who.known())
    return RedirectResponse(f"/submissions/{public_id}", SEE_OTHER)


@router.post("/tokens/{token_id}/revoke")
async def revoke(request: Request, token_id: int, who: Who, form: Form) -> Response:
    """Make a token of the team useless; the session's own ends the session."""
    del form
    by = who.known()
    await in_thread(revoke_token, desk_of(request).store, token_id, by=by)
    return RedirectResponse(f"/teams/{by.need_team()}?saved=1#tokens", SEE_OTHER)


@router.get("/review")
async def queue(request: Request, who: Who) -> Response:
    """The best of each track, to be looked at by people."""
    who.known().need("review")
    store = desk_of(request).store
    queues = {track: await in_thread(review_queue, store, track) for track in store.rules.tracks}
    return await html(request, "review.html", who=who, queues=queues)


@router.get("/review/{public_id}")
async def review_page(request: Request, public_id: str, who: Who) -> Response:
    """One submission with what the audit found, and the form for a verdict."""
    by = who.known()
    by.need("review")
    store = desk_of(request).store
    page = await in_thread(submission_page, store, public_id, viewer=by)
    verdicts = await in_thread(_verdicts, store, public_id)
    return await html(request, "review_one.html", who=who, page=page, verdicts=verdicts)


def _verdicts(store: Store, public_id: str) -> tuple[Verdict, ...]:
    with store.reading() as session:
        return verdicts_of(session, submission_row(session, public_id).id)


@router.post("/review/{public_id}")
async def review(request: Request, public_id: str, who: Who, form: Form) -> Response:
    """Record a verdict."""
    novelty = field(form, "novelty")
    if novelty and not (novelty.isascii() and novelty.isdigit()):
        raise BoardError(f"novelty is 1 to 5; got {novelty[:20]!r}")
    await in_thread(
        add_review, desk_of(request).store, public_id, verdict=field(form, "verdict"),
        reason=field(form, "reason"), novelty=int(novelty[:3]) if novelty else None, by=who.known(),
    )  # fmt: skip
    return RedirectResponse(f"/review/{public_id}?saved=1", SEE_OTHER)


@router.post("/review/{public_id}/disqualify")
async def disqualify(request: Request, public_id: str, who: Who, form: Form) -> Response:
    """Take a submission off the ranking with a reason; without one, put it back."""
    by = who.known()
    by.need("organise")
    await in_thread(disqualify_submission, desk_of(request).store, public_id, reason=field(form, "reason"), by=by)
    return RedirectResponse(f"/review/{public_id}?saved=1", SEE_OTHER)


@router.post("/announcements")
async def post_announcement(request: Request, who: Who, form: Form) -> Response:
    """Tell entrants something."""
    by = who.known()
    by.need("organise")
    await in_thread(announce, desk_of(request).store, field(form, "text"), by=by)
    return RedirectResponse("/announcements", SEE_OTHER)
