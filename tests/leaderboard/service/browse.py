"""What a test client does to be signed in, as a browser would do it."""

from __future__ import annotations

import re

from starlette.testclient import TestClient

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def csrf_of(client: TestClient, path: str) -> str:
    """The value of the first form on a page."""
    found = CSRF.search(client.get(path).text)
    assert found is not None, path
    return found[1]


def sign_in(client: TestClient, token: str) -> None:
    """Sign the client in by the form."""
    answer = client.post("/signin", data={"csrf": csrf_of(client, "/signin"), "token": token})
    assert answer.status_code == 303, answer.text


def upload(client: TestClient, content: bytes, *, track: str = "C", name: str = "entry.zip", **fields: str):
    """Hand in by the form."""
    csrf = csrf_of(client, "/upload")
    data = {"csrf": csrf, "track": track, **fields}
    return client.post("/upload", data=data, files={"file": (name, content, "application/zip")})


def bearer(token: str) -> dict[str, str]:
    """Headers of a program that hands in."""
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/zip"}
