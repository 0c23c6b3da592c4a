"""What the shape of a question set gives away: scores made of row counts alone, without any biology.

A question set is a bipartite graph, perturbations on one side, target genes on the other, one edge a question.
Where the rows were drawn depending on the answers, degrees predict labels. The scores here use nothing but
that graph; those that are trained use labels of other rows as well, and never a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.errors import InputError

TOP_PER_PERTURBATION: Final = 9
"""Most differentially expressed genes asked per perturbation under the published sampling rule."""
MAX_SWEEPS: Final = 500
TOLERANCE: Final = 1e-9
"""Largest relative change of an expected value in the last sweep."""
BOOSTING: Final[dict[str, Any]] = {
    "max_iter": 60,
    "learning_rate": 0.08,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 30,
    "early_stopping": False,
}
"""Small trees, few of them: there are nine features and some thousand rows."""
SIGNIFICANT: Final = 8
"""Digits of a fitted value that are kept: below, equal places in the graph differ by the order of summation."""
LOG_ODDS_DECIMALS: Final = 9
"""Decimals of a trained score: fits that find no split differ in the last bit, and that would rank their folds."""
MIN_PER_CLASS: Final = 10
"""Training rows of either class below which no classifier is fitted."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The graph of n questions.

    ``pert`` and ``gene`` are codes 0 … of the rows' perturbations and target genes, shape (n,), int64;
    ``pert_size`` and ``gene_size`` the number of rows of each code.
    """

    pert: np.ndarray
    gene: np.ndarray
    pert_size: np.ndarray
    gene_size: np.ndarray

    @classmethod
    def of(cls, pert: np.ndarray, gene: np.ndarray) -> Structure:
        """The graph of rows given by names or codes.

        Raises
        ------
        InputError
            If there are no rows or the lengths differ.
        """
        if not len(pert) or len(pert) != len(gene):
            raise InputError(f"a question set needs rows with both pert and gene; got {len(pert)} and {len(gene)}")
        codes = [np.unique(np.asarray(names), return_inverse=True)[1] for names in (pert, gene)]
        return cls(codes[0], codes[1], np.bincount(codes[0]), np.bincount(codes[1]))

    @property
    def pert_rows(self) -> np.ndarray:
        """Rows of each row's perturbation, shape (n,)."""
        return self.pert_size[self.pert]

    @property
    def gene_rows(self) -> np.ndarray:
        """Rows of each row's target gene, shape (n,)."""
        return self.gene_size[self.gene]


class Margins(NamedTuple):
    """Supposed number of moved rows of each perturbation and of each gene."""

    pert: np.ndarray
    gene: np.ndarray


def matched_margins(structure: Structure, *, top: int = TOP_PER_PERTURBATION) -> Margins:
    """Positives under the published sampling rule, from row counts alone.

    A perturbation gives its ``top`` strongest genes (one with fewer rows, all of them). A gene's negatives are
    matched to its positives, and topping up adds negatives only, so of K rows at most ⌊K/2⌋ are positives: none of
    a gene that stands once.
    """
    return Margins(np.minimum(float(top), structure.pert_size), (structure.gene_size // 2).astype(float))


def proportional_fit(structure: Structure, margins: Margins, *, sweeps: int = MAX_SWEEPS) -> np.ndarray:
    """Expected positives of each row, a_p·b_g, whose sums meet the margins; shape (n,), float64.

    Iterative proportional fitting (doi:10.1214/aoms/1177731829): starting from 1, rows are scaled to their
    perturbation's margin, then to their gene's, until nothing changes. Where the two margins' totals differ only
    the genes' are met, and the ratios still settle. Values may exceed 1: they rank, they are no probabilities.

    Raises
    ------
    InputError
        If a margin is negative, not finite, or of the wrong length.
    """
    for margin, size in ((margins.pert, structure.pert_size), (margins.gene, structure.gene_size)):
        if np.shape(margin) != size.shape or not np.all(np.isfinite(margin) & (np.asarray(margin) >= 0)):
            raise InputError(f"a margin needs {len(size)} finite values of at least 0")
    expected = np.ones(len(structure.pert))
    for _ in range(sweeps):
        before = expected
        expected = _scale(expected, structure.pert, margins.pert)
        expected = _scale(expected, structure.gene, margins.gene)
        if np.allclose(expected, before, rtol=TOLERANCE, atol=0.0):
            break
    return expected


def _scale(expected: np.ndarray, code: np.ndarray, margin: np.ndarray) -> np.ndarray:
    total = np.bincount(code, expected, minlength=len(margin))
    factor = np.divide(margin, total, out=np.zeros(len(margin)), where=total > 0)
    return expected * factor[code]


class Components(NamedTuple):
    """Connected parts of the graph: each row's part, shape (n,), and the parts' rows."""

    part: np.ndarray
    size: np.ndarray


def components(structure: Structure) -> Components:
    """Parts of the question graph that share no perturbation and no gene."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_pert, n_gene = len(structure.pert_size), len(structure.gene_size)
    edges = (np.ones(len(structure.pert)), (structure.pert, structure.gene + n_pert))
    graph = coo_array(edges, shape=(n_pert + n_gene, n_pert + n_gene))
    part = connected_components(graph, directed=False)[1][structure.pert]
    return Components(part, np.bincount(part))


def fixed_scores(structure: Structure) -> dict[str, np.ndarray]:
    """Scores that need no label at all, by name; higher means "moves" under the published sampling rule.

    =====================  ============================================================
    gene rows              rows of the target gene
    perturbation rows      rows of the perturbation, fewest first
    singletons             0 for a gene that stands once, else 1
    proportional fitting   :func:`proportional_fit` to :func:`matched_margins`
    graph components       rows in the connected part
    =====================  ============================================================
    """
    parts = components(structure)
    return {
        "gene rows": structure.gene_rows.astype(float),
        "perturbation rows": -structure.pert_rows.astype(float),
        "singletons": (structure.gene_rows > 1).astype(float),
        "proportional fitting": _rounded(proportional_fit(structure, matched_margins(structure))),
        "graph components": parts.size[parts.part].astype(float),
    }


def _rounded(values: np.ndarray) -> np.ndarray:
    """To ``SIGNIFICANT`` digits."""
    size = np.abs(values)
    magnitude = np.floor(np.log10(size, out=np.zeros(len(values)), where=size > 0))
    unit = 10.0 ** np.maximum(magnitude - (SIGNIFICANT - 1), -300.0)  # smaller ones divide to infinity
    return np.round(values / unit) * unit


def features(structure: Structure) -> np.ndarray:
    """What a classifier may see of each row's place in the graph, shape (n, 9), float64.

    The five fixed scores; mean rows of the perturbation's genes and share of singletons among them; mean rows of
    the gene's perturbations; whether the gene's number of rows is odd. They do not depend on names or row order.
    """
    pert_rows, gene_rows = structure.pert_rows, structure.gene_rows
    return np.column_stack(
        [
            *fixed_scores(structure).values(),
            _mean_by(structure.pert, gene_rows),
            _mean_by(structure.pert, gene_rows == 1),
            _mean_by(structure.gene, pert_rows),
            gene_rows % 2,
        ]
    )


def _mean_by(code: np.ndarray, value: np.ndarray) -> np.ndarray:
    return (np.bincount(code, value) / np.bincount(code))[code]


def trained_score(train: np.ndarray, positive: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Log odds above the training rows' own, from boosted trees on structure features.

    Parameters
    ----------
    train, test
        Features of the training rows, shape (m, d), and of the rows to be scored, shape (n, d).
    positive
        Class of the training rows, shape (m,), bool.

    Returns
    -------
    Shape (n,), float64, to ``LOG_ODDS_DECIMALS``. The training rows' log odds are taken off, so that scores of
    several fits can be pooled; all 0 where no feature tells, and with fewer than ``MIN_PER_CLASS`` training rows
    of either class.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    n_pos = int(np.sum(positive))
    if min(n_pos, len(positive) - n_pos) < MIN_PER_CLASS:
        return np.zeros(len(test))
    model = HistGradientBoostingClassifier(**BOOSTING)
    with threadpool_limits(1, user_api="openmp"):  # threads that wait for a busy core take ten times as long
        log_odds = np.asarray(model.fit(train, positive).decision_function(test), np.float64)
    return np.round(log_odds - np.log(n_pos / (len(positive) - n_pos)), LOG_ODDS_DECIMALS)


def cross_fitted_score(
    table: np.ndarray, positive: np.ndarray, folds: Iterable[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """:func:`trained_score` of every row by a model that has not seen it; NaN for rows that no fold tests.

    ``folds`` gives positions of training and of test rows. Features can identify a gene or a perturbation, so
    folds must be disjoint in both, or labels come through by identity.
    """
    score = np.full(len(table), np.nan)
    for train, test in folds:
        score[test] = trained_score(table[train], positive[train], table[test])
    return score


class LeftOut(NamedTuple):
    """A leave-one-out mean and where it is defined.

    ``score`` (n,) is the share of positives among the *other* rows of the same cluster (0 where undefined),
    ``among`` (n,) marks rows that have another. ``null`` is the AUROC expected where labels do not depend on the
    cluster: below ½, because within a cluster a positive row always has the lower mean of the others.
    """

    score: np.ndarray
    among: np.ndarray
    null: float


def leave_one_out(cluster: np.ndarray, positive: np.ndarray, *, among: np.ndarray | None = None) -> LeftOut:
    """Mean label of a row's cluster without the row itself: (S_c − y_i) / (n_c − 1).

    With P_c positives and N_c negatives in cluster c the expected AUROC without dependence is
    ½·(1 − Σ_c P_c·N_c / (P·N)). NaN where a class is missing.
    """
    taken = np.ones(len(positive), bool) if among is None else np.asarray(among, bool)
    code = np.unique(np.asarray(cluster), return_inverse=True)[1]
    y = np.asarray(positive, bool) & taken
    size, total = np.bincount(code, taken), np.bincount(code, y)
    others = size[code] - 1
    defined = taken & (others > 0)
    score = np.divide(total[code] - y, others, out=np.zeros(len(y)), where=defined)
    pos = np.bincount(code, y & defined)
    neg = np.bincount(code, ~y & defined)
    pairs = float(pos.sum() * neg.sum())
    null = 0.5 * (1.0 - float(pos @ neg) / pairs) if pairs else float("nan")
    return LeftOut(score, defined, null)
