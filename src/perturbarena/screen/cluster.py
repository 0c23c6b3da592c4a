"""Blocks of comparisons on Dask: other processes of this machine, or a cluster that runs already.

Workers read the screen's file themselves, once, and keep what they made of it; a task is the number of a block,
and its result comes back as arrays (five float64 values a perturbation and gene). So workers need to see the
screen, but not the folder of the output: one process alone writes there.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from perturbarena.errors import InputError, MissingExtraError, PerturbarenaError
from perturbarena.screen.blocks import BlockRunner
from perturbarena.screen.comparisons import Comparisons
from perturbarena.screen.effects import prepare_file
from perturbarena.screen.fits import Fits

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS: Final = 10
"""How long a scheduler may take to answer."""
WORKER_SECONDS: Final = 120
"""How long a cluster may take until its first worker is there."""
ADDRESS: Final = re.compile(r"((tcp|tls)://)?[^/\s]+:\d+")

_made: dict[str, Comparisons] = {}
"""In a worker: the comparisons in use, by digest; one at most."""
_making = threading.Lock()


@contextlib.contextmanager
def on_cluster(address: str) -> Iterator[BlockRunner]:
    """Fit blocks by the workers of the scheduler at ``address``, such as ``tcp://host:8786``.

    Raises
    ------
    InputError
        If no scheduler answers there.
    MissingExtraError
        If Dask is not installed.
    """
    distributed = _distributed()
    if not ADDRESS.fullmatch(address):
        raise InputError(f"a Dask scheduler's address looks like tcp://host:8786; got {address!r} (--cluster)")
    with contextlib.ExitStack() as stack:
        stack.enter_context(distributed.utils.silence_logging_cmgr(logging.CRITICAL))  # errors are said below
        try:
            client = stack.enter_context(
                distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
            )
        except OSError as error:
            raise InputError(
                f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s (--cluster); "
                "`dask scheduler` starts one"
            ) from error
        yield partial(_map, client)
        client.run(_forget, on_error="ignore")  # the cluster outlives this run; the counts need not


@contextlib.contextmanager
def on_processes(n: int) -> Iterator[BlockRunner]:
    """Fit blocks by ``n`` processes of one thread each on this machine.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    """
    distributed = _distributed()
    with (
        distributed.LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # Dask's own is this machine's memory times n over its processors, and ends workers
            dashboard_address="127.0.0.1:0",  # any free port: the usual one may be taken
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield partial(_map, client)


def _map(client: Client, comparisons: Comparisons, blocks: Sequence[range]) -> Iterator[tuple[range, Fits]]:
    from distributed import as_completed

    if not blocks:
        return
    if comparisons.recipe is None:
        raise InputError("Dask workers read the screen themselves: it must be a file, and this one is in memory")
    _check_workers(client)
    task = partial(_fit_block, comparisons.recipe, comparisons.digest)
    futures = {
        client.submit(task, block, key=f"perturbarena-{comparisons.digest}-{block.start}-{block.stop}"): block
        for block in blocks
    }
    for future in as_completed(list(futures), loop=client.loop):
        block = futures.pop(future)
        yield block, _result(future, block)
        future.release()


def _check_workers(client: Client) -> None:
    """Workers are there and have this package: one that cannot read a task closes itself, and Dask waits."""
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
        answers = cast("dict[str, Any]", client.run(_installed, on_error="return"))
    except TimeoutError as error:
        raise InputError(
            f"no worker has joined the Dask scheduler within {WORKER_SECONDS} s; `dask worker ADDRESS` starts one"
        ) from error
    for worker, answer in answers.items():
        if isinstance(answer, Exception):
            raise InputError(f"Dask workers need the same installation as this process; {worker}: {answer}")


def _installed() -> None:
    """Can be run where this module is."""


def _result(future: Future, block: range) -> Fits:
    from distributed import KilledWorker

    try:
        return future.result()
    except PerturbarenaError as error:
        raise InputError(f"on a Dask worker: {error}") from error
    except ImportError as error:
        raise InputError(f"Dask workers need the same installation as this process: {error}") from error
    except KilledWorker as error:
        raise InputError(
            f"workers died of perturbations {block.start + 1} to {block.stop} again and again, the last at "
            f"{error.last_worker.address}; each needs memory for the whole screen"
        ) from error
    except CancelledError as error:
        raise InputError("the Dask scheduler went away; the same command goes on where this one stood") from error


def _fit_block(recipe: Callable[[], Comparisons], digest: str, block: range) -> Fits:
    return _comparisons(recipe, digest).fit_block(block)


def _comparisons(recipe: Callable[[], Comparisons], digest: str) -> Comparisons:
    """In a worker: the comparisons with this digest, made anew where they are not at hand."""
    with _making:
        if digest not in _made:
            _made.clear()
            made = recipe()
            if made.digest != digest:  # the file may have been replaced since it was read here
                prepare_file.cache_clear()
                made = recipe()
            if made.digest != digest:
                raise InputError(
                    "the screen that lies here under the same path, or this version of perturbarena, is another "
                    "one than where the command was given"
                )
            _made[digest] = made
        return _made[digest]


def _forget() -> None:
    with _making:
        _made.clear()
        prepare_file.cache_clear()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "running on Dask needs dask and distributed, which are not installed: "
            "pip install 'perturbarena[screen]'"
        ) from error
    return distributed
