"""A running server and a browser for the tests: started and stopped here, on the loopback alone."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from perturbarena.leaderboard import Store, Worker
from perturbarena.leaderboard.service import ServiceSettings, create_app, server_options

BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser")
FLAGS = (
    "--no-sandbox",  # the tests may run as root in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


def chromium() -> str:
    """Debian's Chromium, or a skip with the reason."""
    stated = os.environ.get("PERTURBARENA_TEST_CHROMIUM")
    found = next((path for path in (stated, *BROWSERS) if path and Path(path).is_file()), shutil.which("chromium"))
    if found is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    return found


@contextmanager
def served(store: Store, settings: ServiceSettings | None = None, *, work: bool = True) -> Iterator[str]:
    """The board at a free port, with a worker beside it; its address."""
    settings = settings or ServiceSettings()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        options = server_options(settings)
        server = uvicorn.Server(uvicorn.Config(create_app(store, settings), lifespan="off", **options))
        running = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        running.start()
        stop = threading.Event()
        worker = threading.Thread(target=Worker(store).run, args=(stop,), daemon=True)
        if work:
            worker.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            server.should_exit = True
            running.join(timeout=20)
            if work:
                worker.join(timeout=20)


@contextmanager
def browser():
    """A headless Chromium that asks nobody for updates."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield running
        finally:
            running.close()
