"""A worker: takes jobs one after another, gives a sign of life while it works, and survives what jobs do to it.

Any number of workers may run, in processes or on machines that share the folder and the database. Scoring goes
before auditing, which is slower.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from perturbarena.errors import BoardError
from perturbarena.leaderboard import pipeline
from perturbarena.leaderboard.jobs import LEASE_SECONDS, Lease, LeaseLostError, fail, lease, release, renew
from perturbarena.leaderboard.store import Store
from perturbarena.leaderboard.submissions import sweep

log = logging.getLogger("perturbarena.worker")

IDLE_SECONDS: Final = 0.5
"""Between looks at an empty queue."""
STORAGE_SECONDS: Final = 2.0
"""Between tries while the database or the disk fails."""
SWEEP_SECONDS: Final = 3600.0
QUEUES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "all": (("check_score", "rescore"), ("audit",)),
    "score": (("check_score", "rescore"),),
    "audit": (("audit",),),
}
"""Which jobs a worker takes, in the order in which it looks for them."""


def process_name(pid: int) -> str:
    """How the names of all workers of a process on this machine begin."""
    return f"{socket.gethostname()}:{pid}:"


class Worker:
    """Works off jobs of a store. ``auditor`` audits; without one, audits look for copied answers alone."""

    def __init__(
        self,
        store: Store,
        *,
        name: str | None = None,
        auditor: pipeline.Auditor | None = None,
        queue: str = "all",
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.store = store
        self.name = name or f"{process_name(os.getpid())}{threading.get_ident()}"
        self._auditor = auditor
        self._kinds: Sequence[Sequence[str]] = QUEUES[queue]
        self._lease_seconds = lease_seconds
        self.done = 0
        """Jobs finished so far."""

    def step(self) -> bool:
        """Do one job; False where there is none.

        Raises
        ------
        BoardError
            With the reason ``storage`` where database or disk fail; the job's lease will run out.
        """
        held = next(
            (
                got
                for kinds in self._kinds
                if (got := lease(self.store, self.name, kinds=kinds, seconds=self._lease_seconds)) is not None
            ),
            None,
        )
        if held is None:
            return False
        try:
            with self._signs_of_life(held):
                self._do(held)
            self.done += 1
        except LeaseLostError:
            log.warning("job %s was taken over; what was worked out is thrown away", held.job_id)
        except KeyboardInterrupt:
            release(self.store, held)
            raise
        except BoardError as error:
            if error.reason == "storage":
                raise
            fail(self.store, held, str(error))
        except Exception as error:
            log.exception("job %s failed", held.job_id)
            fail(self.store, held, f"{type(error).__name__}: {error}")
        return True

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; wait while the queue is empty or the storage fails."""
        swept, told = 0.0, ""
        while not stop.is_set():
            try:
                if self.store.now().timestamp() - swept > SWEEP_SECONDS:
                    swept = self.store.now().timestamp()
                    sweep(self.store)
                if not self.step():
                    stop.wait(IDLE_SECONDS)
                told = ""
            except BoardError as error:
                if str(error) != told:  # once an outage, not once a try
                    told = str(error)
                    log.warning("%s; trying again until it works", told)
                stop.wait(STORAGE_SECONDS)

    def drain(self) -> int:
        """Work until the queue is empty; how many jobs were done."""
        before = self.done
        while self.step():
            pass
        return self.done - before

    def _do(self, held: Lease) -> None:
        if held.kind == "check_score":
            pipeline.check_and_score(self.store, held)
        elif held.kind == "rescore":
            pipeline.rescore(self.store, held)
        else:
            pipeline.audit(self.store, held, self._auditor)

    @contextmanager
    def _signs_of_life(self, held: Lease) -> Iterator[None]:
        over = threading.Event()

        def renewing() -> None:
            while not over.wait(self._lease_seconds / 3):
                try:
                    renew(self.store, held, seconds=self._lease_seconds)
                except LeaseLostError:
                    return
                except BoardError as error:
                    log.warning("no sign of life for job %s: %s", held.job_id, error)

        thread = threading.Thread(target=renewing, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
