"""An upload's form, read as it streams in: small fields first, then the file, whose bytes go straight to a sink.

The framework's own form reader would store the whole file before anything could be refused. Here the fields that
decide (the form's token, the track) have been seen before the first byte of the file is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from perturbarena.errors import BoardError

MAX_FIELDS: Final = 20
MAX_FIELD_BYTES: Final = 8 * 1024
BATCH_BYTES: Final = 1024 * 1024
"""Bytes of the file are handed on in pieces of about this size."""


class FilePart(NamedTuple):
    """The file's part: the name that the browser gave it, and the fields that came before it."""

    filename: str
    fields: dict[str, str]


class UploadForm:
    """Reads one ``multipart/form-data`` body with at most one file."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise BoardError("the form must be sent as multipart/form-data")
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._disposition: dict[bytes, bytes] = {}
        self._in_file = self._ended = False
        self._field = bytearray()
        self._pending = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    async def read(
        self,
        chunks: AsyncIterator[bytes],
        *,
        begin: Callable[[FilePart], Awaitable[None]],
        write: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """Feed the body; ``begin`` is awaited before the first ``write``, and may refuse by raising.

        Raises
        ------
        BoardError
            If the body is no such form, has too many or too large fields, more than one file, or ends early.
        """
        begun = False
        async for chunk in chunks:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise BoardError(f"the form cannot be read: {error}") from error
            if self.filename is not None and not begun:
                begun = True
                await begin(FilePart(self.filename, dict(self.fields)))
            if begun and (len(self._pending) >= BATCH_BYTES):
                await self._flush(write)
        if not self._ended:
            raise BoardError("the form ends before its end mark; it was cut off")
        if begun:
            await self._flush(write)

    async def _flush(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        if self._pending:
            piece, self._pending = bytes(self._pending), bytearray()
            await write(piece)

    def _part_begin(self) -> None:
        self._headers, self._field, self._in_file = {}, bytearray(), False
        self._name, self._value = bytearray(), bytearray()

    def _header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        kind, self._disposition = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in self._disposition:
            raise BoardError("a part of the form has no name")
        if b"filename" in self._disposition:
            if self.filename is not None:
                raise BoardError("one file is taken at a time")
            self._in_file = True
            self.filename = self._disposition[b"filename"].decode("utf-8", "replace")
        elif len(self.fields) >= MAX_FIELDS:
            raise BoardError(f"the form has more than {MAX_FIELDS} fields")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pending.extend(data[start:end])
            return
        self._field.extend(data[start:end])
        if len(self._field) > MAX_FIELD_BYTES:
            raise BoardError(f"a field of the form has more than {MAX_FIELD_BYTES:,} bytes")

    def _part_end(self) -> None:
        if not self._in_file:
            name = self._disposition[b"name"].decode("utf-8", "replace")
            self.fields[name] = self._field.decode("utf-8", "replace")
        self._in_file = False

    def _end(self) -> None:
        self._ended = True
