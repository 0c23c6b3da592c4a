"""Weighted means of what each row has, by bin: losses, calibration, reliability.

All of it is sums over rows, so a resample is one pass of adding up.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from perturbarena.errors import InputError
from perturbarena.stats.resampling import Draws, draw

N_BINS: Final = 10


def quantile_bins(value: np.ndarray, n_bins: int = N_BINS) -> np.ndarray:
    """The bin 0, 1, … of each value, shape (n,), int64: nearly equally many rows a bin, equal values together.

    Where many rows share a value there are fewer bins.
    """
    value = np.asarray(value, np.float64)
    inner = np.quantile(value, np.linspace(0, 1, n_bins + 1)[1:-1], method="inverted_cdf")
    return np.unique(np.searchsorted(np.unique(inner), value, side="left"), return_inverse=True)[1]


def bin_sums(bins: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rows of each bin and the sums of their values, shape (n_bins, 1 + k), of ``values`` of shape (n, k)."""
    bins, values = _checked(bins, values)
    out = np.empty((int(bins.max()) + 1, 1 + values.shape[1]))
    _add(np.ones(len(bins), np.int64), np.arange(len(bins)), bins, values, out)
    return out


def bin_sum_replicates(bins: np.ndarray, values: np.ndarray, draws: Draws) -> list[np.ndarray]:
    """:func:`bin_sums` under resampling of perturbations, genes and rows; each of shape (B, n_bins, 1 + k)."""
    bins, values = _checked(bins, values)
    programs = [(int(way.max()) + 1, way, bins, values) for way in draws.ways]
    return draws.replicate(_sums, programs, (int(bins.max()) + 1, 1 + values.shape[1]))


def calibration_error(sums: np.ndarray) -> np.ndarray:
    """Expected calibration error of bin sums (rows, predicted, observed) of shape (…, n_bins, 3).

    ``Σ_b |Σ_{i∈b} (p_i − y_i)| / n`` (doi:10.1609/aaai.v29i1.9602).
    """
    return np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1)


def _checked(bins: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bins, values = np.asarray(bins, np.int64), np.ascontiguousarray(values, np.float64)
    if values.ndim != 2 or bins.shape != (len(values),) or not len(bins):
        raise InputError(f"bins need the shape (n,) and values (n, k), n > 0; got {bins.shape} and {values.shape}")
    return bins, values


@nb.njit(cache=True, nogil=True)
def _add(counts, cluster, bins, values, out):
    out[:] = 0.0
    for i in range(len(cluster)):
        w = counts[cluster[i]]
        if w == 0:
            continue
        out[bins[i], 0] += w
        for k in range(values.shape[1]):
            out[bins[i], 1 + k] += w * values[i, k]


@nb.njit(cache=True, nogil=True)
def _sums(keys, n_clusters, cluster, bins, values, out):
    counts = np.zeros(n_clusters, np.int64)
    for b in range(len(keys)):
        draw(keys[b], counts)
        _add(counts, cluster, bins, values, out[b])
