"""Taking an upload in while it streams: who may, how many at once, and on to disk without a second copy."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from perturbarena.errors import BoardError
from perturbarena.leaderboard.identity import Identity
from perturbarena.leaderboard.service.desk import desk_of, in_thread
from perturbarena.leaderboard.service.multipart import BATCH_BYTES, FilePart, UploadForm
from perturbarena.leaderboard.service.who import Visitor, need_csrf
from perturbarena.leaderboard.submissions import Incoming, Receipt, receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def take_body(request: Request, *, by: Identity, track: str, filename: str, note: str) -> Receipt:
    """A file sent as the request's whole body."""
    desk = desk_of(request)
    desk.store.rules.track_name(track)
    async with _place(request, by), _incoming(request) as incoming:
        pending = bytearray()
        async for chunk in _chunks(request):
            pending.extend(chunk)
            if len(pending) >= BATCH_BYTES:
                await in_thread(incoming.write, bytes(pending))
                pending.clear()
        if pending:
            await in_thread(incoming.write, bytes(pending))
        return await in_thread(receive, desk.store, incoming, by=by, track=track, filename=filename, note=note)


async def take_form(request: Request, *, who: Visitor) -> Receipt:
    """A file sent by the upload page's form, whose fields ``csrf``, ``track`` and ``note`` come before it."""
    desk, by = desk_of(request), who.known()
    form = UploadForm(request.headers.get("content-type", ""))
    seen: list[FilePart] = []

    async def begin(part: FilePart) -> None:
        need_csrf(who.csrf, part.fields.get("csrf"))
        desk.store.rules.track_name(part.fields.get("track", ""))
        seen.append(part)

    async with _place(request, by), _incoming(request) as incoming:

        async def write(piece: bytes) -> None:
            await in_thread(incoming.write, piece)

        await form.read(_chunks(request), begin=begin, write=write)
        if not seen:
            need_csrf(who.csrf, form.fields.get("csrf"))
            raise BoardError("choose a file")
        filename, fields = seen[0]
        if not filename:
            raise BoardError("choose a file")
        return await in_thread(
            receive, desk.store, incoming, by=by, track=fields["track"], filename=filename,
            note=fields.get("note", ""),
        )  # fmt: skip


@asynccontextmanager
async def _place(request: Request, by: Identity) -> AsyncIterator[None]:
    """Refused before a byte is read: who may not submit, who does so too often, who has too many under way."""
    desk = desk_of(request)
    by.need("submit")
    team_id = by.need_team()
    per_minute = desk.settings.uploads_per_minute
    desk.rates.take(
        "too many uploads of this team", str(team_id), capacity=per_minute, seconds_each=60 / per_minute
    )
    async with desk.upload_place(team_id):
        yield


@asynccontextmanager
async def _incoming(request: Request) -> AsyncIterator[Incoming]:
    incoming = await in_thread(Incoming, desk_of(request).store)
    try:
        yield incoming
    finally:
        await in_thread(incoming.__exit__, None, None, None)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise BoardError("the upload was broken off") from error
