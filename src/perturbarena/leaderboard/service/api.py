"""The HTTP API, version 1. A token in a header says who asks; cookies count for nothing."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perturbarena.errors import BoardError
from perturbarena.leaderboard.board import Board, board
from perturbarena.leaderboard.export import board_csv
from perturbarena.leaderboard.identity import Identity
from perturbarena.leaderboard.phases import ChallengeInfo, announce, challenge_info, notices
from perturbarena.leaderboard.results import results
from perturbarena.leaderboard.reviews import ReviewItem, add_review, review_queue
from perturbarena.leaderboard.service.desk import desk_of, in_thread
from perturbarena.leaderboard.service.pages import moderate, zip_of
from perturbarena.leaderboard.service.texts import Text, plain
from perturbarena.leaderboard.service.uploads import take_body
from perturbarena.leaderboard.service.who import bearer
from perturbarena.leaderboard.submissions import (
    Receipt,
    disqualify_submission,
    remaining_today,
    select_finals,
    set_code_url,
    verify_receipt,
)
from perturbarena.leaderboard.tokens import list_tokens, revoke_token
from perturbarena.leaderboard.views import (
    HistoryPoint,
    SubmissionPage,
    history,
    own_submissions,
    submission_page,
    team_page,
)

MAX_ID: Final = 2**31 - 1
"""Largest number that both databases keep as an id."""


class Refusal(BaseModel):
    """Why something was refused."""

    reason: str
    """A word for programs: sign_in, forbidden, missing, conflict, closed, limit, large, slow, invalid, storage."""
    message: str
    """A line for people."""


class Refused(BaseModel):
    """The body of every answer that is not a success."""

    error: Refusal


class Me(BaseModel):
    """Who a token belongs to and what it may do."""

    label: str
    team: str | None
    team_id: int | None
    scopes: list[str]
    remaining_today: int | None
    """Submissions that the team may still hand in today (UTC)."""


class NoticeText(BaseModel):
    """An announcement."""

    at: str
    text: str


class TokenLine(BaseModel):
    """A token of the team, without its secret."""

    id: int
    hint: str
    label: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class Finals(BaseModel):
    """Ids of the chosen submissions."""

    submissions: Annotated[list[Annotated[Text, Field(max_length=64)]], Field(max_length=100)]


class ReceiptCheck(BaseModel):
    """Whether a receipt holds; ``wrong`` says what does not."""

    valid: bool
    wrong: list[str]


class VerdictGiven(BaseModel):
    """A reviewer's verdict."""

    verdict: Annotated[Text, Field(description="sound, doubtful or unsound", max_length=40)]
    reason: Annotated[Text, Field(min_length=1, max_length=10_000)]
    novelty: Annotated[int | None, Field(ge=1, le=5)] = None
    kind: Annotated[Text, Field(description="expert, or model for a language model's", max_length=20)] = "expert"


class Words(BaseModel):
    """Text of an announcement or of a reason."""

    text: Annotated[Text, Field(max_length=10_000)]


class CodeLink(BaseModel):
    """Where the code is: an http(s) address."""

    url: Annotated[Text, Field(max_length=2_000)]


class Done(BaseModel):
    """It was done."""

    done: bool = True


_SAID: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": Refused, "description": text}
    for code, text in {
        401: "no valid token",
        403: "not allowed with this token",
        404: "no such thing, or not yours to see",
        408: "the body came too slowly",
        409: "not at this time, or already so",
        413: "the body is too large",
        422: "not understood",
        429: "too often; see Retry-After",
        503: "the board's storage fails for the moment",
    }.items()
}
_scheme = HTTPBearer(auto_error=False, description="A token, as organisers hand out: pa_…")


async def _bearer(request: Request, _shown: Annotated[Any, Security(_scheme)]) -> Identity:
    return await bearer(request)


Bearer = Annotated[Identity, Depends(_bearer)]
Track = Annotated[str, Path(description="A track's name, such as A", max_length=40)]
PublicId = Annotated[str, Path(description="A submission's id", max_length=64)]
router = APIRouter(prefix="/api/v1", dependencies=[Depends(moderate)], responses=_SAID)


async def _private_read(request: Request, by: Bearer) -> Identity:
    desk = desk_of(request)
    per_minute = desk.settings.private_reads_per_minute
    desk.rates.take(
        "too many looks at submissions", str(by.token_id), capacity=per_minute, seconds_each=60 / per_minute
    )
    return by


Reader = Annotated[Identity, Depends(_private_read)]


@router.get("/health", tags=["challenge"], response_model=Done)
async def health(request: Request) -> Response:
    """Whether the board can reach its database."""
    await in_thread(challenge_info, desk_of(request).store)
    return JSONResponse({"done": True})


@router.get("/challenge", tags=["challenge"], response_model=ChallengeInfo)
async def challenge(request: Request) -> Response:
    """The challenge: tracks, deadline, phase, limits."""
    return JSONResponse((await in_thread(challenge_info, desk_of(request).store)).as_json())


@router.get("/announcements", tags=["challenge"], response_model=list[NoticeText])
async def announcements(request: Request) -> Response:
    """Announcements, newest first."""
    found = await in_thread(notices, desk_of(request).store)
    return JSONResponse([{"at": n.at.isoformat(), "text": n.text} for n in found])


@router.post("/announcements", tags=["organise"], status_code=201, response_model=NoticeText)
async def post_announcement(request: Request, words: Words, by: Bearer) -> Response:
    """Tell entrants something (scope organise)."""
    by.need("organise")
    notice = await in_thread(announce, desk_of(request).store, words.text, by=by)
    return JSONResponse({"at": notice.at.isoformat(), "text": notice.text}, 201)


@router.get("/boards/{track}", tags=["board"], response_model=Board)
async def get_board(request: Request, track: Track) -> Response:
    """A track's board as it may be seen now: the public part, after the release the private one."""
    return JSONResponse((await in_thread(board, desk_of(request).store, track)).as_json())


@router.get(
    "/boards/{track}/csv", tags=["board"], response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def get_board_csv(request: Request, track: Track) -> Response:
    """The same as CSV; cells that a spreadsheet would take for a formula begin with an apostrophe."""
    found = await in_thread(board, desk_of(request).store, track)
    name = f'attachment; filename="board-{found.track}.csv"'
    return Response(board_csv(found), media_type="text/csv", headers={"Content-Disposition": name})


@router.get("/boards/{track}/history", tags=["board"], response_model=list[HistoryPoint])
async def get_history(request: Request, track: Track) -> Response:
    """Listed submissions in order of arrival with their public scores."""
    points = await in_thread(history, desk_of(request).store, track)
    return JSONResponse(
        [
            {
                "at": p.at.isoformat(), "team": p.team, "team_id": p.team_id, "submission": p.submission,
                "score": p.score, "record": p.record,
            }
            for p in points
        ]
    )  # fmt: skip


@router.get("/results", tags=["board"], response_model=dict[str, Any])
async def get_results(request: Request) -> Response:
    """Everything final, once the private board is out: boards, awards, code links, versions of the truth."""
    return JSONResponse((await in_thread(results, desk_of(request).store)).as_json())


@router.get("/teams/{team_id}", tags=["board"], response_model=dict[str, Any])
async def get_team(request: Request, team_id: Annotated[int, Path(ge=1, le=MAX_ID)]) -> Response:
    """A team and its listed submissions."""
    return JSONResponse((await in_thread(team_page, desk_of(request).store, team_id, viewer=None)).as_json())


@router.get("/me", tags=["entrants"], response_model=Me)
async def me(request: Request, by: Bearer) -> Response:
    """Who the token belongs to, and how many submissions are left today."""
    left = None
    if by.team_id is not None:
        left = await in_thread(remaining_today, desk_of(request).store, by.team_id)
    return JSONResponse(
        {
            "label": by.label, "team": by.team, "team_id": by.team_id, "scopes": sorted(by.scopes),
            "remaining_today": left,
        }
    )  # fmt: skip


@router.get("/submissions", tags=["entrants"], response_model=list[dict[str, Any]])
async def get_submissions(
    request: Request, by: Reader, track: Annotated[str | None, Query(max_length=40)] = None
) -> Response:
    """The team's submissions, newest first."""
    lines = await in_thread(own_submissions, desk_of(request).store, by, track=track)
    return JSONResponse([line.as_json() for line in lines])


@router.post(
    "/submissions", tags=["entrants"], status_code=201, response_model=Receipt,
    responses={200: {"model": Receipt, "description": "the team had handed in this very file before"}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)  # fmt: skip
async def post_submission(
    request: Request,
    by: Bearer,
    track: Annotated[str, Query(description="A track's name, such as A", max_length=40)],
    filename: Annotated[str, Query(max_length=200)] = "submission.zip",
    note: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Hand in a zip as the request's body (scope submit). It is stored whole; the answer is its receipt."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/zip", "application/octet-stream"):
        raise BoardError("send the zip itself, as Content-Type: application/zip")
    receipt = await take_body(request, by=by, track=track, filename=filename, note=note)
    return JSONResponse(receipt.as_json(), 200 if receipt.repeated else 201)


@router.get("/submissions/{public_id}", tags=["entrants"], response_model=SubmissionPage)
async def get_submission(request: Request, public_id: PublicId, by: Reader) -> Response:
    """One submission: state, problems, receipt, public scores."""
    page = await in_thread(submission_page, desk_of(request).store, public_id, viewer=by)
    return JSONResponse(page.as_json())


@router.put("/submissions/{public_id}/code", tags=["entrants"], response_model=Done)
async def put_code(request: Request, public_id: PublicId, link: CodeLink, by: Bearer) -> Response:
    """Say where a submission's code is, also after the deadline (scope submit)."""
    await in_thread(set_code_url, desk_of(request).store, public_id, link.url, by=by)
    return JSONResponse({"done": True})


@router.get(
    "/submissions/{public_id}/file", tags=["entrants"], response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)  # fmt: skip
async def get_file(request: Request, public_id: PublicId, by: Reader) -> Response:
    """The file as it was handed in, for its team and for organisers."""
    return await zip_of(desk_of(request), public_id, by)


@router.put("/finals/{track}", tags=["entrants"], response_model=Finals)
async def put_finals(request: Request, track: Track, chosen: Finals, by: Bearer) -> Response:
    """Choose the track's final submissions, in place of those chosen before (scope submit)."""
    ids = await in_thread(select_finals, desk_of(request).store, chosen.submissions, track=track, by=by)
    return JSONResponse({"submissions": ids})


@router.get("/tokens", tags=["entrants"], response_model=list[TokenLine])
async def get_tokens(request: Request, by: Reader) -> Response:
    """The team's tokens, without their secrets."""
    found = await in_thread(list_tokens, desk_of(request).store, team_id=by.need_team())
    return JSONResponse(
        [
            {
                "id": t.id, "hint": t.hint, "label": t.label, "scopes": list(t.scopes),
                "created_at": t.created_at.isoformat(),
                "expires_at": None if t.expires_at is None else t.expires_at.isoformat(),
                "revoked_at": None if t.revoked_at is None else t.revoked_at.isoformat(),
            }
            for t in found
        ]
    )  # fmt: skip


@router.delete("/tokens/{token_id}", tags=["entrants"], response_model=Done)
async def delete_token(request: Request, token_id: Annotated[int, Path(ge=1, le=MAX_ID)], by: Bearer) -> Response:
    """Make a token of the team useless at once."""
    await in_thread(revoke_token, desk_of(request).store, token_id, by=by)
    return JSONResponse({"done": True})


@router.post("/receipts/check", tags=["challenge"], response_model=ReceiptCheck)
async def check_receipt(request: Request, receipt: dict[str, Any], by: Reader) -> Response:
    """Hold the board to a receipt of one's own team: against its tables, its log and the file."""
    public_id = plain(str(receipt.get("submission"))[:64])
    page = await in_thread(submission_page, desk_of(request).store, public_id, viewer=by)
    if page.receipt is None:
        raise BoardError(f"there is no submission {public_id[:40]!r} of yours", reason="missing")
    wrong = await in_thread(verify_receipt, desk_of(request).store, receipt)
    return JSONResponse({"valid": not wrong, "wrong": [line[:500] for line in wrong]})


@router.get("/reviews/{track}", tags=["review"], response_model=list[ReviewItem])
async def get_queue(request: Request, track: Track, by: Reader) -> Response:
    """The best of a track with the verdicts so far (scope review)."""
    by.need("review")
    items = await in_thread(review_queue, desk_of(request).store, track)
    return JSONResponse([item.as_json() for item in items])


@router.post("/reviews/{public_id}", tags=["review"], status_code=201, response_model=Done)
async def post_review(request: Request, public_id: PublicId, given: VerdictGiven, by: Bearer) -> Response:
    """Record a verdict on a submission (scope review)."""
    await in_thread(
        add_review, desk_of(request).store, public_id, verdict=given.verdict, reason=given.reason,
        novelty=given.novelty, kind=given.kind, by=by,
    )  # fmt: skip
    return JSONResponse({"done": True}, 201)


@router.put("/disqualifications/{public_id}", tags=["organise"], response_model=Done)
async def put_disqualification(request: Request, public_id: PublicId, words: Words, by: Bearer) -> Response:
    """Take a submission off the ranking with the reason, which is shown; no text puts it back (scope organise)."""
    by.need("organise")
    await in_thread(disqualify_submission, desk_of(request).store, public_id, reason=words.text, by=by)
    return JSONResponse({"done": True})
