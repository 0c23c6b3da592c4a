"""Handing in over HTTP: the receipt is held against the file, and what goes wrong is told in a line."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from contextlib import contextmanager

import pytest

from perturbarena.errors import BoardError, FormatError
from perturbarena.submission import BoardClient

TOKEN = "pa_secret-of-the-team"


def a_receipt(content: bytes, **changes):
    told = {
        "submission": "s1", "team": "Alpha", "track": "A", "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content), "received_at": "2026-11-02T09:00:00+00:00", "event": 4, "event_hash": "0" * 64,
        "repeated": False,
    }  # fmt: skip
    return told | changes


@contextmanager
def a_server(*answers):
    """Answers requests in turn, the last for ever: (status, body, headers), or a function of the content."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.path, dict(self.headers), content))
            answer = answers[min(len(seen), len(answers)) - 1]
            status, body, headers = answer(content) if callable(answer) else answer
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = threading.Thread(target=server.serve_forever, daemon=True)
    running.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        running.join()


@pytest.fixture
def entry(tmp_path):
    file = tmp_path / "entry.zip"
    file.write_bytes(b"PK" + bytes(range(256)) * 1000)
    return file


def client(address: str, waits: list[float] | None = None) -> BoardClient:
    return BoardClient(address, TOKEN, wait=(waits if waits is not None else []).append)


def test_the_whole_file_arrives_with_its_token_and_the_receipt_holds(entry):
    steps = []
    with a_server(lambda content: (201, a_receipt(content), {})) as (address, seen):
        receipt = client(address).push(
            entry, track="A", note="a & b", progress=lambda done, total: steps.append((done, total))
        )
    path, headers, content = seen[0]
    assert content == entry.read_bytes()
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert path == "/api/v1/submissions?track=A&filename=entry.zip&note=a+%26+b"
    assert TOKEN not in path
    assert receipt.size == len(content)
    assert steps[-1] == (len(content), len(content))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize("changes", [{"sha256": "f" * 64}, {"size": 1}])
def test_a_receipt_for_another_file_is_refused(entry, changes):
    with (
        a_server(lambda content: (201, a_receipt(content, **changes), {})) as (address, _),
        pytest.raises(BoardError, match="the receipt is for another file"),
    ):
        client(address).push(entry, track="A")


@pytest.mark.parametrize("body", [b"<html>", {}, {"submission": 1}, [1]])
def test_an_answer_that_is_no_receipt_is_said_to_be_none(entry, body):
    with a_server((201, body, {})) as (address, _), pytest.raises(BoardError, match="no receipt"):
        client(address).push(entry, track="A")


def test_a_refusal_is_told_in_the_boards_words_without_control_characters(entry):
    refusal = {"error": {"reason": "closed", "message": "the deadline was yesterday\x1b[31m"}}
    with a_server((409, refusal, {})) as (address, seen):
        with pytest.raises(BoardError, match="the deadline was yesterday") as caught:
            client(address).push(entry, track="A")
        assert len(seen) == 1
    assert "\x1b" not in str(caught.value)
    assert caught.value.reason == "conflict"


def test_a_busy_board_is_asked_again_as_late_as_it_says(entry):
    waits: list[float] = []
    busy = {"error": {"reason": "limit", "message": "many uploads"}}
    with a_server(
        (429, busy, {"Retry-After": "7"}), (503, busy, {}), lambda c: (201, a_receipt(c, repeated=True), {})
    ) as (address, seen):
        receipt = client(address, waits).push(entry, track="A")
    assert receipt.repeated
    assert waits == [7.0, 2.0]
    assert all(content == entry.read_bytes() for _, _, content in seen)


def test_the_days_limit_is_not_tried_again(entry):
    used_up = {"error": {"reason": "limit", "message": "a team may hand in 5 a day"}}
    with a_server((429, used_up, {})) as (address, seen):
        with pytest.raises(BoardError, match="5 a day"):
            client(address).push(entry, track="A")
        assert len(seen) == 1


def test_nobody_there_is_told_after_some_tries(entry):
    waits: list[float] = []
    with pytest.raises(BoardError, match="cannot be used after 5 tries"):
        client("http://127.0.0.1:9", waits).push(entry, track="A")
    assert waits == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://board.example.org", "unencrypted"),
        ("ftp://board.example.org", "a board's address is needed"),
        ("board.example.org", "a board's address is needed"),
        ("https://", "a board's address is needed"),
    ],
)
def test_addresses_that_would_give_the_token_away_are_refused(address, why):
    with pytest.raises(FormatError, match=why):
        BoardClient(address, TOKEN)


@pytest.mark.parametrize("token", ["", "two\nlines", "ä"])
def test_a_token_that_cannot_travel_in_a_header_is_refused_without_showing_it(token):
    with pytest.raises(FormatError, match="PERTURBARENA_TOKEN") as caught:
        BoardClient("https://board.example.org", token)
    assert not token or token not in str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        BoardClient("https://board.example.org", TOKEN).push(tmp_path / "none.zip", track="A")
