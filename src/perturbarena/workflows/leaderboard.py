"""Running a challenge: a board from a question set's folders, the audit it needs, the processes that serve it."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from perturbarena.benchmark.folders import CARD, RECORD, SOLUTION, TEST, TRAIN, read_folder, read_solution
from perturbarena.challenge.rules import bundled_challenges, load_challenge
from perturbarena.errors import BoardError, FormatError
from perturbarena.leaderboard import (
    CONSOLE,
    AuditRequest,
    ChallengePlan,
    Store,
    Verdict,
    Worker,
    add_review,
    open_store,
    submission_page,
)
from perturbarena.leaderboard.jobs import end_leases
from perturbarena.leaderboard.worker import process_name
from perturbarena.workflows.audit_submission import audit_submissions
from perturbarena.workflows.review_submission import review_submission

_SWITCH_SECONDS: Final = 0.0005
"""How long the thread that makes a board anew may keep the interpreter from the one that answers. By default 5 ms,
and a page would wait for that several times."""

log = logging.getLogger("perturbarena.serve")

RESTART_SECONDS: Final = 1.0
"""Before a background process that died is started again."""
BACKGROUND_NICENESS: Final = 10
"""Pages go before scores where both want the processor."""
ORPHAN_SECONDS: Final = 2.0
"""How often a background process looks whether its server is still there."""
_APPROVAL: Final = "nothing found"
"""What the shipped rubric has the model say where nothing is wrong."""
_CEILING_SPLITS: Final = {"public": "validation", "private": "test"}


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """What an organiser may set when a challenge is made; see :class:`ChallengePlan`."""

    deadline: datetime
    timezone: str = "UTC"
    title: str = ""
    opens_at: datetime | None = None
    release_at: datetime | None = None
    daily_limit: int = 5
    max_finals: int = 2
    max_mib: int = 256
    seed: int = 0
    resamples: int = 1000
    baselines: Mapping[str, Path] | None = None


def plan_from_folders(bench: Path, truth: Path, *, challenge: str, options: BoardOptions) -> ChallengePlan:
    """A challenge from a question set's folder and its truth folder, as ``benchmark build`` writes them.

    Training rows and the card are handed to entrants; ceilings come from ``benchmark.json``.

    Raises
    ------
    InputError
        If a folder is broken, the truth does not answer the questions, or no such rules are found.
    """
    folder = read_folder(bench)
    read_solution(truth, folder.hidden)
    solution = truth / SOLUTION if truth.is_dir() else truth
    extra = {name: bench / name for name in (TRAIN, TEST, CARD, RECORD) if (bench / name).is_file()}
    return ChallengePlan(
        rules=rules_text(challenge),
        questions=bench / TEST,
        truth=solution,
        deadline=options.deadline,
        timezone=options.timezone,
        title=options.title,
        opens_at=options.opens_at,
        release_at=options.release_at,
        daily_limit=options.daily_limit,
        max_finals=options.max_finals,
        max_bytes=options.max_mib * 2**20,
        seed=options.seed,
        n_resamples=options.resamples,
        baselines=dict(options.baselines or {}),
        ceiling=ceiling_rows(folder.record),
        extra=extra,
    )


def rules_text(challenge: str) -> str:
    """The text of a bundled rules file, or of the one at this path; RulesError where it does not hold."""
    load_challenge(challenge)
    if challenge in bundled_challenges():
        return resources.files("perturbarena.challenge").joinpath(f"{challenge}.toml").read_text(encoding="utf-8")
    return Path(challenge).read_text(encoding="utf-8-sig")


def ceiling_rows(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a replicate of half the cells reaches, by part, from a question set's record; None where unknown."""
    ceilings = record.get("ceilings")
    found = {}
    for part, split in _CEILING_SPLITS.items():
        stated = (ceilings.get(split) or {}).get("split_half") if isinstance(ceilings, dict) else None
        if stated:
            low, high = (stated.get("intervals") or {}).get("score") or (None, None)
            found[part] = {
                "score": stated.get("score"), "low": low, "high": high, "de": stated.get("de_auroc"),
                "dir": stated.get("dir_auroc"), "note": "a replicate with half the cells",
            }  # fmt: skip
    return found or None


def audit_one(request: AuditRequest) -> dict[str, Any]:
    """The audit of one submission against others, as the board keeps it: no path of the server in it."""
    found = audit_submissions(
        [request.path],
        challenge=request.challenge,
        track=request.track,
        questions=request.questions,
        against=request.against,
    )
    report = json.loads(json.dumps(found.as_json()))
    report.pop("file", None)
    report["unread"] = len(report.get("unread", {}))
    return report


def run_worker(folder: Path, *, url: str | None = None, queue: str = "all", parent: int | None = None) -> None:
    """Work off a challenge's jobs until told to stop (SIGTERM, SIGINT), or the process ``parent`` is gone."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if parent is not None:
        threading.Thread(target=_stop_when_orphaned, args=(parent, stop), daemon=True).start()
    store = open_store(folder, url=url)
    try:
        Worker(store, auditor=audit_one, queue=queue).run(stop)
    finally:
        store.close()


@contextmanager
def background_workers(folder: Path, *, url: str | None = None, n: int = 1) -> Iterator[None]:
    """``n`` processes that score beside a server; one that dies is started again; all end with the block."""
    stop = threading.Event()
    keepers = [threading.Thread(target=_keep_alive, args=(folder, url, stop), daemon=True) for _ in range(n)]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        stop.set()
        for keeper in keepers:
            keeper.join(timeout=15)


def serve_challenge(
    folder: Path, *, url: str | None = None, host: str = "127.0.0.1", port: int = 8000, workers: int = 1,
    behind_tls: bool = False,
) -> None:  # fmt: skip
    """Serve a challenge's pages and HTTP API, with ``workers`` background processes, until told to stop.

    Raises
    ------
    InputError
        If the folder holds no challenge, the database cannot be reached, or the port is taken.
    """
    import uvicorn

    from perturbarena.leaderboard.service import ServiceSettings, create_app, server_options

    store = open_store(folder, url=url)
    _need_port(host, port)
    settings = ServiceSettings(secure_cookies=behind_tls)
    config = uvicorn.Config(create_app(store, settings=settings), host=host, port=port, **server_options(settings))
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        with background_workers(folder, url=url, n=workers):
            uvicorn.Server(config).run()
    finally:
        store.close()


def _need_port(host: str, port: int) -> None:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise FormatError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _keep_alive(folder: Path, url: str | None, stop: threading.Event) -> None:
    context = multiprocessing.get_context("spawn")
    while not stop.is_set():
        process = context.Process(target=_background, args=(folder, url, os.getpid()), daemon=True)
        process.start()
        while process.is_alive() and not stop.wait(0.2):
            pass
        if process.is_alive():
            process.terminate()
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
                process.join()
        else:
            log.warning("the background process ended (%s); starting another", process.exitcode)
            _end_leases(folder, url, process.pid)
            stop.wait(RESTART_SECONDS)


def _end_leases(folder: Path, url: str | None, pid: int | None) -> None:
    """What a dead process held is free at once, not when its leases run out."""
    with contextlib.suppress(BoardError):  # the database may be what failed; then they run out
        store = open_store(folder, url=url)
        end_leases(store, process_name(pid or 0))
        store.close()


def _background(folder: Path, url: str | None, parent: int) -> None:
    os.nice(BACKGROUND_NICENESS)
    run_worker(folder, url=url, parent=parent)


def _stop_when_orphaned(parent: int, stop: threading.Event) -> None:
    while not stop.wait(ORPHAN_SECONDS):
        if os.getppid() != parent:
            stop.set()


def review_by_model(
    store: Store, public_id: str, *, model: str, base_url: str | None, n_rows: int = 16
) -> tuple[Verdict, dict[str, Any]]:
    """Ask a model for its opinion of a submission and record it, as advice; the verdict and the whole review.

    The verdict is ``sound`` where every opinion says that nothing was found, else ``doubtful``.

    Raises
    ------
    InputError
        If there is no such submission, or the model cannot be asked.
    """
    page = submission_page(store, public_id, viewer=CONSOLE)
    found = audit_submissions(
        [store.folder.file(page.sha256)], challenge=store.rules, track=page.line.track, questions=store.questions
    )
    review = review_submission(
        found.audits[0], model=model, base_url=base_url, rng=np.random.default_rng(0), n_rows=n_rows
    )
    said = [f"{opinion.verdict}: {opinion.reason}" for opinion in review.opinions]
    plain = all(opinion.verdict.strip().casefold() == _APPROVAL for opinion in review.opinions)
    verdict = add_review(
        store, public_id, verdict="sound" if plain and said else "doubtful", kind="model",
        reason="\n".join(said) or "no opinion", reviewer=review.model[:60],
    )  # fmt: skip
    return verdict, review.as_json()
