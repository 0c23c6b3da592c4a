"""Pairs that meet the numbers wanted on both sides, and random ones among all that do."""

from __future__ import annotations

import numba as nb
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow


def margins_matching(
    able: np.ndarray, n_pert: np.ndarray, n_gene: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray:
    """As many pairs as possible with at most ``n_pert`` of each perturbation and ``n_gene`` of each gene.

    Maximum flow from a source over perturbations and genes to a sink; both sides are shuffled first, so that ties
    are not settled by position.

    Parameters
    ----------
    able
        Pairs that may be taken, shape (P, G), bool.
    n_pert, n_gene
        Shape (P,) and (G,), int, not negative.

    Returns
    -------
    Positions of perturbations and of genes, shape (2, n).
    """
    n_p, n_g = able.shape
    shuffle_p, shuffle_g = rng.permutation(n_p), rng.permutation(n_g)
    pert, gene = np.nonzero(able[shuffle_p][:, shuffle_g])
    source, sink = n_p + n_g, n_p + n_g + 1
    tail = np.concatenate([np.full(n_p, source), pert, n_p + np.arange(n_g)])
    head = np.concatenate([np.arange(n_p), n_p + gene, np.full(n_g, sink)])
    room = np.concatenate([n_pert[shuffle_p], np.ones(len(pert), np.int64), n_gene[shuffle_g]]).astype(np.int32)
    graph = coo_array((room, (tail, head)), shape=(sink + 1, sink + 1)).tocsr()
    flow = maximum_flow(graph, source, sink).flow.tocoo()
    used = (flow.data > 0) & (flow.row < n_p) & (flow.col < source)
    return np.stack([shuffle_p[flow.row[used]], shuffle_g[flow.col[used] - n_p]])


def swap_edges(edges: np.ndarray, able: np.ndarray, *, rng: np.random.Generator, proposals: int) -> np.ndarray:
    """Random pairs with the same margins: partners of two pairs are exchanged where both new ones are able.

    The chain's stationary distribution is uniform over what swaps can reach
    (doi:10.1002/(SICI)1098-2418(199907)14:4<293::AID-RSA1>3.0.CO;2-G); ``proposals`` are tried for each pair.
    """
    n = edges.shape[1]
    if n < 2:
        return edges
    picks = rng.integers(n, size=(proposals * n, 2))
    return _swapped(edges.astype(np.int64), able, picks)


@nb.njit(cache=True)
def _swapped(edges, able, picks):
    edges = edges.copy()
    taken = np.zeros(able.shape, np.bool_)
    for i in range(edges.shape[1]):
        taken[edges[0, i], edges[1, i]] = True
    for k in range(len(picks)):
        i, j = picks[k]
        p, g, q, h = edges[0, i], edges[1, i], edges[0, j], edges[1, j]
        if p == q or g == h or taken[p, h] or taken[q, g] or not able[p, h] or not able[q, g]:
            continue
        taken[p, g] = taken[q, h] = False
        taken[p, h] = taken[q, g] = True
        edges[1, i], edges[1, j] = h, g
    return edges
