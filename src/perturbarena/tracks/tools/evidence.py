"""How a tool's answer is written: a few lines, capped, with what was looked at and what was not there to look at.

An agent pays for every token of an answer, so lines are counted, lists are cut and the cut is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from perturbarena.knowledge import KnowledgeBase, SourceRef, declared_sources

MAX_LINES: Final = 12
MAX_CHARS: Final = 1_200
"""About 400 tokens: gene symbols take more tokens than words do."""
MAX_LISTED: Final = 12
"""Names told of a list; the rest is counted."""
LONGEST_NAME: Final = 60

Tool = Callable[..., str]
"""A plain function: typed arguments, a docstring, a text."""


def written(lines: Iterable[str], *, looked_at: Sequence[SourceRef] = (), missing: Sequence[str] = ()) -> str:
    """The answer: its lines within the caps, then sources with versions, then those not in the store."""
    tail = []
    if looked_at:
        tail.append(f"Sources: {cited(looked_at)}.")
    if missing:
        tail.append(f"Not in this store: {', '.join(missing)}.")
    room = MAX_CHARS - sum(len(line) + 1 for line in tail)
    kept: list[str] = []
    cut = False
    for line in lines:
        if len(kept) == MAX_LINES or len(line) + 1 > room:
            cut = True
            break
        kept.append(line)
        room -= len(line) + 1
    if cut and kept:
        kept[-1] += " …"
    return "\n".join([*kept, *tail])


def cited(refs: Sequence[SourceRef]) -> str:
    """Sources by version: ``go-bp, reactome (MSigDB 2023.1.Mm); string (12.0)``."""
    by_version: dict[str, list[str]] = defaultdict(list)
    for ref in dict.fromkeys(refs):
        by_version[ref.version].append(ref.name)
    return "; ".join(f"{', '.join(names)} ({version})" for version, names in by_version.items())


def not_here(base: KnowledgeBase, *kinds: str) -> list[str]:
    """Declared sources of these kinds that the store was built without, with their versions."""
    have = {record.name for record in base.sources}
    return [
        f"{source.name} ({source.version})"
        for source in declared_sources().values()
        if source.kind in kinds and source.name not in have
    ]


def listed(names: Sequence[str], *, most: int = MAX_LISTED) -> str:
    """``a, b, c and 9 more``; ``none`` without any."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "") if names else "none"


def spoken(name: str, *, longest: int | None = LONGEST_NAME) -> str:
    """A set's name in fewer tokens: ``GOBP_RESPONSE_TO_VIRUS`` → ``response to virus``; cut at ``longest``."""
    head, _, rest = name.partition("_")
    words = rest if head in ("GOBP", "GOCC", "GOMF", "REACTOME", "WP", "HALLMARK") and rest else name
    words = words.replace("_", " ").lower()
    return words if longest is None or len(words) <= longest else words[: longest - 1] + "…"


def known_name(base: KnowledgeBase, symbol: str) -> str | None:
    """The gene's current name, or None."""
    return base.resolve(symbol.strip()).gene if len(symbol) <= LONGEST_NAME else None


def unknown(base: KnowledgeBase, *symbols: str) -> str | None:
    """What to answer where a symbol cannot be mapped; None where all can. An agent's slip is no error of a run."""
    lines = []
    for symbol in symbols:
        if known_name(base, symbol) is not None:
            continue
        options = base.resolve(symbol.strip()).options
        if not symbol.strip() or len(symbol) > LONGEST_NAME:
            lines.append(f"A gene symbol of 1 to {LONGEST_NAME} letters is needed; got {symbol[:LONGEST_NAME]!r}.")
        elif options:
            lines.append(f"{symbol} may be {' or '.join(options)}: ask for one of them.")
        else:
            lines.append(f"{symbol} is in no source of this store; nothing is known of it here.")
    return "\n".join(lines) or None
