"""A folder that results are dropped into: what is new and whole is taken in, once, and the next order is
written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from perturbarena.errors import InputError
from perturbarena.lab import Campaign, History
from perturbarena.screen import EffectSettings
from perturbarena.screen.table import SUFFIXES
from perturbarena.workflows.build.source import ScreenColumns
from perturbarena.workflows.lab.ingest import Ingested, ingest_results
from perturbarena.workflows.lab.propose import Ordered, ProposePlan, propose_round

SETTLE_S: Final = 2.0
"""A file that was changed within so many seconds may still be under way, and is left for the next look."""


class Looked(NamedTuple):
    """What became of one file: taken in, or refused in words; ``ordered`` the round that was proposed then."""

    path: Path
    ingested: Ingested | None
    refused: str = ""
    ordered: Ordered | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPlan:
    """See ``lab watch``. ``propose``: write the next order when a round has come back; ``settle_s`` see
    SETTLE_S."""

    inbox: Path
    columns: ScreenColumns | None = None
    settings: EffectSettings | None = None
    propose: ProposePlan | None = None
    every_s: float = 10.0
    settle_s: float = SETTLE_S


def look(root: Path, plan: WatchPlan, *, seen: dict[Path, float]) -> Iterator[Looked]:
    """Take in what is new in the folder, in order of name. ``seen`` holds when what was looked at was last
    changed.

    Raises
    ------
    InputError
        If the folder or the campaign is missing.
    """
    if not plan.inbox.is_dir():
        raise InputError(f"no such folder to watch: {plan.inbox}")
    for path in sorted(p for p in plan.inbox.iterdir() if p.suffix in SUFFIXES and not p.name.startswith(".")):
        changed = _changed(path)
        if seen.get(path) == changed or time.time() - changed < plan.settle_s:
            continue
        seen[path] = changed
        try:
            came = ingest_results(root, path, columns=plan.columns, settings=plan.settings)
            ordered = _next(root, plan.propose) if plan.propose is not None else None
        except InputError as error:
            yield Looked(path, None, " ".join(str(error).split()))
            continue
        yield Looked(path, came, ordered=ordered)


def watch(root: Path, plan: WatchPlan, *, tell: Callable[[Looked], None]) -> None:
    """Look again and again, until interrupted."""
    seen: dict[Path, float] = {}
    while True:
        for one in look(root, plan, seen=seen):
            tell(one)
        time.sleep(plan.every_s)


def _next(root: Path, plan: ProposePlan) -> Ordered | None:
    """The next round, unless one waits for its results or too few candidates are left."""
    campaign = Campaign.open(root)
    history = History.of(campaign)
    wanted = plan.n or campaign.settings.batch
    if history.waiting is not None or len(history.may_be_proposed()) < wanted:
        return None
    return propose_round(root, plan)


def _changed(path: Path) -> float:
    """When a file, or any file of a folder, was last changed."""
    parts = [path, *path.rglob("*")] if path.is_dir() else [path]
    return max(part.stat().st_mtime for part in parts)
