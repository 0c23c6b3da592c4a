"""What ``screen effects`` and ``screen null`` share: options of the fit, and who works it off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import console, print_json

if TYPE_CHECKING:
    from perturbarena.challenge.shards import Shard
    from perturbarena.screen import EffectSettings
    from perturbarena.screen.blocks import BlockRunner, Remaining

Controls = Annotated[str, typer.Option(help="Control cells drawn once and shared by all perturbations; or all.")]
Genes = Annotated[str, typer.Option(help="Highly variable genes to test; or all.")]
MinCells = Annotated[int, typer.Option(min=1, help="Perturbations with fewer cells are left out, with a reason.")]
Flavor = Annotated[str, typer.Option(help="How variable genes are told: seurat_v3 or seurat.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads; default: one a processor.")]
Cluster = Annotated[
    str | None, typer.Option(metavar="TCP://HOST:PORT", help="Fit on the Dask cluster of this scheduler.")
]
LocalWorkers = Annotated[
    int | None, typer.Option(min=1, help="Fit in this many processes (Dask) of this machine instead of threads.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Fit the I-th of N shares and keep it; the command without --shard then puts all together.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def settings_of(**values: Any) -> EffectSettings:
    """Settings, or InputError that names the wrong one."""
    from pydantic import ValidationError

    from perturbarena.errors import InputError
    from perturbarena.screen import EffectSettings

    try:
        return EffectSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}: {first['msg']}; got {first['input']!r}") from error


def number_or_all(text: str, option: str) -> int | None:
    """A positive number; None for ``all``."""
    from perturbarena.errors import InputError

    if text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"{option} takes a positive number or all; got {text!r}")
    return int(text)


def shard_of(text: str | None) -> Shard | None:
    """The value of ``--shard``."""
    from perturbarena.challenge.shards import Shard

    return None if text is None else Shard.parse(text)


@contextlib.contextmanager
def block_runner(workers: int | None, cluster: str | None, local_workers: int | None) -> Iterator[BlockRunner]:
    """Who fits: threads of this process, processes of this machine, or a cluster."""
    from perturbarena.errors import InputError
    from perturbarena.screen.blocks import Threads

    options = {"--workers": workers, "--cluster": cluster, "--local-workers": local_workers}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{given[0]} and {given[1]} are two ways of running; give one")
    if cluster is not None:
        from perturbarena.screen.cluster import on_cluster

        with on_cluster(cluster) as run:
            yield run
    elif local_workers is not None:
        from perturbarena.screen.cluster import on_processes

        with on_processes(local_workers) as run:
            yield run
    else:
        yield Threads(workers)


def print_remaining(shard: Shard, remaining: Remaining, *, as_json: bool) -> None:
    """What a shard's command says at its end."""
    missing, total = remaining
    if as_json:
        print_json({"shard": str(shard), "missing": missing, "total": total})
        return
    then = (
        f"{missing:,} of {total:,} perturbations remain for other shards"
        if missing
        else f"all {total:,} perturbations are fitted: the command without --shard puts them together"
    )
    console().print(f"shard {shard} is done; {then}")
