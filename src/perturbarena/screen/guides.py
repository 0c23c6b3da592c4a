"""Which guide a cell got, told from guide counts; and which gene a guide is aimed at, told from its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from perturbarena.errors import FormatError, InputError
from perturbarena.screen import counts as raw_counts
from perturbarena.screen.parts import Parts

MIN_UMI: Final = 5
MIN_SHARE: Final = 0.8
"""A cell has one guide if its top guide has so many UMIs and such a share of the cell's guide UMIs: the thresholds
of sceptre's "maximum" assignment (doi:10.1186/s13059-024-03254-2)."""

NAMES_IN_UNS: Final = ("{key}_names", "{key}_columns", "guide_names", "{key}")
"""Where names of an ``obsm`` matrix's columns are looked for."""

GUIDE_NAME: Final = r"^(.+?)(?:[_-][+-][_-].*|[-_.](?:sg|g|guide|grna)?\d+|(?:sg|g)\d+|[-_.][A-H])$"
"""Gene and number in a guide's name: STAT1g2, MYC-A, Stat1_3, JAK2-sg1, CCNE2_+_95907328.23-P1P2."""

CONTROL_NAME: Final = (
    r"(?i)^(?:sg|g)?(?:non[-_ ]?target(?:ing)?|ntc?|neg(?:ative)?|nc|scrambled?|control|ctrl"
    r"|no[-_ ]?(?:site|target)|safe(?:[-_ ]?(?:target(?:ing)?|harbou?r))?|aavs1)(?=$|[-_ .]|(?:sg|g)?\d+$)"
)
"""How guides that aim at nothing are called; NT5E, NEGR1 and WT1 are genes and do not match."""

NONE, SINGLE, SEVERAL = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Assignment:
    """Guides of n cells, arrays of shape (n,).

    ``guide``: the cell's one guide, ``""`` where it has none or several. ``status``: ``NONE``, ``SINGLE`` or
    ``SEVERAL``. ``n_guides``: guides with at least ``MIN_UMI`` UMIs. ``top``: the guide with the most UMIs, ``""``
    without any.
    """

    guide: np.ndarray
    status: np.ndarray
    n_guides: np.ndarray
    top: np.ndarray


def assign_guides(
    counts: Any, names: Sequence[str] | np.ndarray, *, min_umi: int = MIN_UMI, min_share: float = MIN_SHARE
) -> Assignment:
    """One guide for each cell, from a matrix of guide UMIs, cells × guides.

    The top guide is the cell's if it has at least ``min_umi`` UMIs and at least ``min_share`` of the cell's guide
    UMIs. A cell whose top guide has enough UMIs but not that share holds several; one with fewer UMIs holds none.
    """
    matrix = sp.csr_matrix(counts)
    n_cells, n_guides = cast(tuple[int, int], matrix.shape)
    if len(names) != n_guides:
        raise InputError(f"{n_guides} columns of guide counts need as many names; got {len(names)}")
    if not n_guides:
        raise InputError("guide counts need at least one guide; got none")
    total = np.asarray(matrix.sum(axis=1), np.float64).ravel()
    top = np.asarray(matrix.argmax(axis=1)).ravel()
    highest = matrix.max(axis=1).toarray().ravel()
    status = np.full(n_cells, NONE, np.int8)
    enough = highest >= min_umi
    status[enough] = np.where(highest[enough] >= min_share * total[enough], SINGLE, SEVERAL)
    label = np.asarray(names, object)[top]
    return Assignment(
        guide=np.where(status == SINGLE, label, "").astype(object),
        status=status,
        n_guides=np.diff(sp.csr_matrix(matrix >= min_umi).indptr),
        top=np.where(highest > 0, label, "").astype(object),
    )


def assignment_from(parts: Parts, key: str, *, source: str) -> Assignment:
    """Guides assigned by the counts in ``obsm[key]``, whose columns are named by a DataFrame or in ``uns``.

    Raises
    ------
    FormatError
        If there is no such matrix, its values are no counts, or its columns have no names.
    """
    stored = parts.obsm(key)
    if stored is None:
        there = ", ".join(parts.obsm_keys) or "nothing"
        raise FormatError(f"{source}: obsm has no {key!r} (--guide-counts); it has {there}")
    where = f"obsm {key!r} of {source}"
    names = _names(parts, key, stored, where)
    matrix = stored.to_numpy() if isinstance(stored, pd.DataFrame) else stored
    keep = np.ones(matrix.shape[0], bool)
    return assign_guides(raw_counts.to_csr(matrix, keep=keep, where=where), names)


def _names(parts: Parts, key: str, stored: Any, where: str) -> np.ndarray:
    if isinstance(stored, pd.DataFrame):
        return stored.columns.astype(str).to_numpy(object)
    places = [place.format(key=key) for place in NAMES_IN_UNS]
    for place in places:
        found = parts.uns(place)
        if isinstance(found, np.ndarray | list | tuple) and len(found) == stored.shape[1]:
            return np.array([str(name) for name in found], object)
    raise FormatError(
        f"{where}: its {stored.shape[1]:,} columns need names: a DataFrame's, or an array of that length in uns "
        f"({', '.join(places)})"
    )


def perturbation_of_guides(
    guide: np.ndarray, *, control: str, pattern: str = GUIDE_NAME, control_pattern: str = CONTROL_NAME
) -> np.ndarray:
    """What each cell's guide is aimed at, shape (n,), object: a gene, ``control``, or ``""`` without a guide.

    Parameters
    ----------
    pattern
        Its first group is the gene, as in ``GUIDE_NAME``.
    control_pattern
        Guides that match are controls. A guide named exactly ``control`` is one too.

    Raises
    ------
    InputError
        If a guide's name does not match ``pattern``.
    """
    codes, names = pd.factorize(guide)
    aims = []
    for name in (str(name) for name in names):
        if not name:
            aims.append("")
        elif name == control or re.search(control_pattern, name):
            aims.append(control)
        elif match := re.search(pattern, name):
            aims.append(match[1])
        else:
            raise InputError(
                f"the gene of guide {name!r} cannot be told from its name; "
                "name the column that says what was done to a cell (--perturbation)"
            )
    return np.array([*aims, ""], object)[codes]
