"""The fair design: every gene is asked equally often, every perturbation too, whatever their labels.

Where all degrees of the question graph are equal, its shape can tell nothing. Labels are first dealt at random to
the genes' rows and to the perturbations' rows; then genes are chosen that can carry their deal, and pairs found
that meet both sides at once (maximum flow). Edge swaps that keep all of this make the pairs random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perturbarena.benchmark.labels import CALL_DOWN, CALL_NONE, CALL_UP, Labels
from perturbarena.benchmark.sampling.matching import margins_matching, swap_edges
from perturbarena.benchmark.sampling.pairs import Pairs
from perturbarena.errors import InputError

CODES: Final = (CALL_UP, CALL_DOWN, CALL_NONE)
"""Order of the three columns of every table of margins below."""
ROUNDS: Final = 12
"""Choices of genes, each paying more heed to perturbations that the last one left short."""
NEAREST: Final = 30
"""Pairs of row counts tried for a better label mix once one fits; large blocks take the first."""
TRIES: Final = 5
"""Choices of genes that may turn out to have too few unchanged pairs; only blocks of a few genes need a second."""
ENOUGH: Final = 0.75
"""Part of the wanted share of moved rows with which a draw is taken; small blocks reach it with fewer rows."""
SPARE: Final = 0.25
"""Share of a perturbation's moved genes up to which it takes over rows that weaker ones cannot carry."""
NOTED: Final = 0.02
"""How far the share of moved rows may be from the wanted one before a note says so."""
SWAPS_PER_EDGE: Final = 30
"""Proposed swaps a pair, by which the matching is made random."""


class FairDesign(BaseModel):
    """How many rows are asked, and the mix of their labels."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Literal["fair"] = "fair"
    """How questions are drawn: fair or bioreasoning-2026."""
    rows_per_perturbation: Annotated[int, Field(ge=2, le=10_000)] = 20
    """Rows of every perturbation."""
    rows_per_gene: Annotated[int, Field(ge=2, le=10_000)] = 5
    """Rows of every asked gene: more give more pairs of rows within a gene, on fewer genes."""
    moved_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.4
    """Share of rows whose gene moves."""
    up_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.6
    """Share of moved rows whose gene goes up."""


def draw_fair(labels: Labels, settings: FairDesign | None = None, *, rng: np.random.Generator) -> Pairs:
    """Draw the pairs of one block: :func:`draw_fair_together` of that block alone."""
    return draw_fair_together([labels], settings, rng=rng)[0]


def draw_fair_together(
    blocks: Sequence[Labels], settings: FairDesign | None = None, *, rng: np.random.Generator
) -> list[Pairs]:
    """Draw the pairs of blocks whose rows will stand in one file, alike in row counts and in label mix.

    Were they not, a row's counts would tell its block, and the block something of its label.

    Moved rows that a weak perturbation cannot carry go to stronger ones; those that no matching reaches become
    rows of unchanged genes: the graph stays regular, the label mix shifts a little, and the notes say how far.

    Raises
    ------
    InputError
        If a block is too small for any regular graph.
    """
    settings = settings or FairDesign()
    able = [np.stack([block.call == code for code in CODES]) for block in blocks]
    usable = [np.flatnonzero(a[2].any(axis=1)) for a in able]
    sizes = [(len(u), int(a.any(axis=(0, 1)).sum())) for u, a in zip(usable, able, strict=True)]
    able = [a[:, u] for a, u in zip(able, usable, strict=True)]
    best: tuple[list[_Edges], _Degrees] | None = None
    for tried, degrees in enumerate(_degrees(sizes, settings), start=1):
        edges = next((e for _ in range(TRIES) if (e := _fill_alike(able, degrees, settings, rng))), None)
        if edges is not None and (best is None or edges[0].moved_share > best[0][0].moved_share):
            best = edges, degrees
        enough = best is not None and best[0][0].moved_share >= ENOUGH * settings.moved_share
        if enough or (best is not None and tried >= NEAREST):
            break
    if best is not None:
        edges, degrees = best
        return [Pairs(u[e.pert], e.gene, _notes(e, degrees, settings)) for u, e in zip(usable, edges, strict=True)]
    names = ", ".join(f"{len(b.perturbations)} perturbations × {len(b.genes)} genes" for b in blocks)
    raise InputError(
        f"{names} have too few clear pairs for a question set in which every perturbation and every gene has as "
        "many rows as any other"
    )


class _Degrees(NamedTuple):
    """Rows of every perturbation and of every gene."""

    pert: int
    gene: int


class _Edges(NamedTuple):
    """Positions of the pairs' perturbations and genes, and the share of pairs that move."""

    pert: np.ndarray
    gene: np.ndarray
    moved_share: float


def _degrees(sizes: Sequence[tuple[int, int]], settings: FairDesign) -> list[_Degrees]:
    """Degrees of regular graphs that fit blocks of these numbers of perturbations and genes, the nearest first."""
    wanted = _Degrees(settings.rows_per_perturbation, settings.rows_per_gene)
    most = min(2 * wanted.gene, *(n_perts for n_perts, _ in sizes))
    fitting = [
        _Degrees(pert, gene)
        for pert in range(2, wanted.pert + 1)
        for gene in range(2, most + 1)
        if all(n * pert % gene == 0 and pert <= n * pert // gene <= genes for n, genes in sizes)
    ]
    return sorted(fitting, key=lambda d: abs(np.log(d.pert / wanted.pert)) + abs(np.log(d.gene / wanted.gene)))


def _fill_alike(
    able: Sequence[np.ndarray], degrees: _Degrees, settings: FairDesign, rng: np.random.Generator
) -> list[_Edges] | None:
    """Pairs of a regular graph in each block, all with the share of moved rows that the poorest can have.

    None where the unchanged genes of a block do not suffice.
    """
    chosen = [_match_moved(a, degrees, settings, rng) for a in able]
    sizes = [a.shape[1] * degrees.pert for a in able]
    share = min(sum(e.shape[1] for e in c.moved) / n for c, n in zip(chosen, sizes, strict=True))
    filled = []
    for a, c, n in zip(able, chosen, sizes, strict=True):
        edges = _fill_up(a, c, degrees, round(share * n), rng)
        if edges is None:
            return None
        filled.append(edges)
    return filled


def _match_moved(able: np.ndarray, degrees: _Degrees, settings: FairDesign, rng: np.random.Generator) -> _Choice:
    """The genes of a block, and its moved pairs."""
    n_perts = able.shape[1]
    n_genes = n_perts * degrees.pert // degrees.gene
    of_pert, of_gene = (
        _deal_labels(n, each, settings, rng) for n, each in ((n_perts, degrees.pert), (n_genes, degrees.gene))
    )
    return _choose_genes(able, _suit(of_pert, able.sum(axis=2).T, rng), of_gene, rng)


def _fill_up(
    able: np.ndarray, choice: _Choice, degrees: _Degrees, n_moved: int, rng: np.random.Generator
) -> _Edges | None:
    """``n_moved`` of the moved pairs, unchanged genes for the other rows, all swapped at random."""
    genes = choice.genes
    label = np.repeat([0, 1], [e.shape[1] for e in choice.moved])
    kept = rng.permutation(len(label))[:n_moved]
    moved = np.concatenate(choice.moved, axis=1)
    parts = [moved[:, kept[label[kept] == k]] for k in range(2)]
    taken = np.concatenate(parts, axis=1)
    wanted = (
        degrees.pert - np.bincount(taken[0], minlength=able.shape[1]),
        degrees.gene - np.bincount(taken[1], minlength=len(genes)),
    )
    parts.append(margins_matching(able[2][:, genes], *wanted, rng=rng))
    if parts[2].shape[1] < wanted[0].sum():
        return None
    swapped = [
        swap_edges(e, a[:, genes], rng=rng, proposals=SWAPS_PER_EDGE) for e, a in zip(parts, able, strict=True)
    ]
    whole = np.concatenate(swapped, axis=1)
    return _Edges(whole[0], genes[whole[1]], n_moved / whole.shape[1])


def _deal_labels(n: int, each: int, settings: FairDesign, rng: np.random.Generator) -> np.ndarray:
    """Labels in the wanted mix, dealt at random to n × each rows: counts of each, shape (n, 3)."""
    up = round(n * each * settings.moved_share * settings.up_share)
    down = round(n * each * settings.moved_share) - up
    deck = rng.permutation(np.repeat([0, 1, 2], [up, down, n * each - up - down])).reshape(n, each)
    return np.stack([(deck == k).sum(axis=1) for k in range(3)], axis=1)


def _suit(deal: np.ndarray, capacity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each perturbation one of the dealt rows of counts that it can carry, the weakest first.

    ``deal`` (P, 3), ``capacity`` (P, 3): its clear pairs. Who can carry none gets the one it falls least short of,
    and stronger ones take over the rest.
    """
    given = np.empty_like(deal)
    left = rng.permutation(deal)
    free = np.ones(len(left), bool)
    weakest_first = np.argsort(capacity[:, :2].sum(axis=1) + rng.random(len(capacity)), kind="stable")
    for p in weakest_first:
        short = np.maximum(left[:, :2] - capacity[p, :2], 0).sum(axis=1)
        pick = int(np.argmin(np.where(free, short, np.iinfo(np.int64).max)))
        free[pick] = False
        given[p] = left[pick]
    each = int(deal[0].sum())
    moved = np.minimum(given[:, :2], capacity[:, :2])
    for k in range(2):
        _spread(moved, k, int(deal[:, k].sum() - moved[:, k].sum()), capacity[:, k] * SPARE, each, rng)
    return np.column_stack([moved, each - moved.sum(axis=1)])


def _spread(moved: np.ndarray, k: int, n: int, capacity: np.ndarray, each: int, rng: np.random.Generator) -> None:
    """Hand ``n`` rows of label ``k`` that weak perturbations cannot carry to others, one at a time, at random."""
    for _ in range(n):
        can = np.flatnonzero((moved[:, k] < capacity) & (moved.sum(axis=1) < each))
        if not len(can):
            return
        moved[rng.choice(can), k] += 1


class _Choice(NamedTuple):
    """Genes (G,), and the matched pairs of moved labels, up and down, each (2, n)."""

    genes: np.ndarray
    moved: list[np.ndarray]


def _choose_genes(able: np.ndarray, pert: np.ndarray, deal: np.ndarray, rng: np.random.Generator) -> _Choice:
    """Genes for the dealt counts, and the matched moved pairs, of the round that leaves fewest out."""
    capacity = able.sum(axis=1).T
    reach = np.maximum(able[:2].sum(axis=2), 1)
    heed = np.ones(pert[:, :2].shape)
    best, most = None, -1
    for _ in range(ROUNDS):
        pull = sum((heed[:, k] * pert[:, k] / reach[k]) @ able[k] for k in range(2))
        chosen, gene = _seat(deal, capacity, np.asarray(pull), rng)
        edges = [margins_matching(able[k][:, chosen], pert[:, k], gene[:, k], rng=rng) for k in range(2)]
        n = sum(e.shape[1] for e in edges)
        if n > most:
            best, most = _Choice(chosen, edges), n
        short = np.stack([pert[:, k] - np.bincount(edges[k][0], minlength=len(pert)) for k in range(2)], axis=1)
        if not short.any():
            break
        heed *= 1 + short
    assert best is not None
    return best


def _seat(
    deal: np.ndarray, capacity: np.ndarray, pull: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A different gene for each dealt row of counts, and the counts in the genes' order.

    Genes are drawn in proportion to ``pull`` among those that can carry the row; where none is left, one that has
    most unchanged pairs takes a row of those.
    """
    keys = np.log(pull + 1e-3 * pull.mean() + 1e-12) + rng.gumbel(size=len(pull))
    kinds, of = np.unique(deal, axis=0, return_inverse=True)
    free = np.ones(len(pull), bool)
    chosen, counts = [], []
    for k in np.argsort(-kinds[:, 0] - 2 * kinds[:, 1], kind="stable"):
        n = int((of == k).sum())
        can = np.flatnonzero(free & (capacity >= kinds[k]).all(axis=1))
        picked = can[np.argsort(-keys[can])[:n]]
        free[picked] = False
        chosen.append(picked)
        counts.append(np.tile(kinds[k], (len(picked), 1)))
    missing = len(deal) - sum(map(len, chosen))
    rest = np.flatnonzero(free)
    rest = rest[np.argsort(-capacity[rest, 2] - rng.random(len(rest)))[:missing]]
    chosen.append(rest)
    none_only = np.array([0, 0, deal[0].sum()])
    counts.append(np.tile(none_only, (len(rest), 1)))
    return np.concatenate(chosen), np.concatenate(counts)


def _notes(edges: _Edges, degrees: _Degrees, settings: FairDesign) -> tuple[str, ...]:
    notes = []
    if degrees != (settings.rows_per_perturbation, settings.rows_per_gene):
        notes.append(
            f"{degrees.pert} rows a perturbation and {degrees.gene} a gene instead of "
            f"{settings.rows_per_perturbation} and {settings.rows_per_gene}, as more do not fit"
        )
    if abs(edges.moved_share - settings.moved_share) > NOTED:
        notes.append(
            f"{edges.moved_share:.1%} of rows move instead of {settings.moved_share:.1%}: no more can be matched"
        )
    return tuple(notes)
