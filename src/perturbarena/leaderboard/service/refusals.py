"""Refusals and failures as answers: the status, one line of why; JSON for programs, a page for people."""

from __future__ import annotations

import logging
import uuid
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from perturbarena.errors import BoardError, InputError, RulesError
from perturbarena.leaderboard.service.desk import in_thread
from perturbarena.leaderboard.service.who import SIGN_IN, SignInNeededError

STATUS: Final = {
    "forbidden": 403,
    "missing": 404,
    "conflict": 409,
    "closed": 409,
    "limit": 429,
    "large": 413,
    "invalid": 422,
    "storage": 503,
}
"""BoardError's reasons as HTTP statuses."""
_log = logging.getLogger("perturbarena.board")


def install(app: FastAPI) -> None:
    """Answer every refusal of the domain, of the framework, and of the unforeseen."""
    app.add_exception_handler(InputError, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _broken)


async def _refused(request: Request, error: Exception) -> Response:
    headers: dict[str, str] = {}
    if isinstance(error, SignInNeededError):
        if not _is_api(request):
            return RedirectResponse(SIGN_IN, status_code=303)
        headers["WWW-Authenticate"] = "Bearer"
        return await answer(request, 401, "sign_in", str(error), headers)
    reason = (
        error.reason
        if isinstance(error, BoardError)
        else "missing"
        if isinstance(error, RulesError)
        else "invalid"
    )
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if reason == "storage":
        _log.error("storage: %s", error)
        return await answer(
            request, 503, reason, "the board's storage fails for the moment; nothing was lost", headers
        )
    return await answer(request, STATUS[reason], reason, str(error), headers)


async def _not_understood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return await answer(request, 422, "invalid", f"{where}: {first['msg']}")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reasons = {404: "missing", 405: "method", 408: "slow", 413: "large"}
    detail = error.detail
    if detail == HTTPStatus(error.status_code).phrase:
        detail = {404: "there is nothing at this address", 405: "this address does not take that method"}.get(
            error.status_code, detail
        )
    return await answer(
        request, error.status_code, reasons.get(error.status_code, "invalid"), detail, dict(error.headers or {})
    )


async def _broken(request: Request, error: Exception) -> Response:
    number = uuid.uuid4().hex[:8]
    _log.error("error %s at %s %s", number, request.method, request.url.path, exc_info=error)
    return await answer(
        request, 500, "broken", f"something broke here; organisers find it in their log as {number}"
    )


async def answer(
    request: Request, status: int, reason: str, message: str, headers: dict[str, Any] | None = None
) -> Response:
    """A refusal in the form that the asker reads."""
    message = message.encode("utf-8", "replace").decode()  # it may quote what was sent
    if _is_api(request):
        return JSONResponse({"error": {"reason": reason, "message": message}}, status, headers=headers)
    desk = request.app.state.desk
    page = await in_thread(desk.templates.page, "refused.html", desk=desk, status=status, message=message)
    return Response(page, status, headers=headers, media_type="text/html")


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")
