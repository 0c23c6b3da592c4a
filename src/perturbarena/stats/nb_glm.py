"""The negative-binomial GLM of one perturbation against controls, all genes at once.

:func:`fit_perturbation` is the whole path of one perturbation: first θ → β → θ by maximum likelihood → trend →
β again with the trend → reduced model → quasi-likelihood F test. It reproduces glmGamPoi's ``glm_gp`` and
``test_de`` for ``~ perturbed + batch`` (doi:10.1093/bioinformatics/btaa1009) in the compressed form of
:mod:`nb_groups`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba as nb
import numpy as np

from perturbarena.stats import dispersion, nb_groups, quasi_likelihood
from perturbarena.stats.fdr import benjamini_hochberg
from perturbarena.stats.nb_groups import Side
from perturbarena.stats.zero_sums import tabulate

MAX_LOG2FC: Final = 10.0
"""Fold changes are clipped here, as in the reference; a gene with counts on one side only stands at the bound."""


@dataclass(frozen=True, slots=True)
class PerturbationFit:
    """Results for G genes, arrays of shape (G,), float64.

    ``log2fc`` (clipped to ±``MAX_LOG2FC``) and ``se_log2fc`` are base 2; ``deviance_gain`` is the deviance of the
    model without the perturbation minus that with it; ``statistic`` the F statistic on 1 and ``df2`` degrees of
    freedom; ``mean`` the mean of fitted μ; ``theta`` the maximum-likelihood overdispersion. ``state`` (int64)
    tells genes with counts on one side only or none (``nb_groups.ESTIMATED`` and its neighbours).
    """

    log2fc: np.ndarray
    se_log2fc: np.ndarray
    pvalue: np.ndarray
    fdr: np.ndarray
    statistic: np.ndarray
    deviance_gain: np.ndarray
    mean: np.ndarray
    theta: np.ndarray
    theta_trend: np.ndarray
    quasi: quasi_likelihood.QuasiDispersion
    state: np.ndarray
    df2: float

    @classmethod
    def of(
        cls,
        beta: np.ndarray,
        se: np.ndarray,
        deviance_gain: np.ndarray,
        mean: np.ndarray,
        theta: np.ndarray,
        theta_trend: np.ndarray,
        quasi: quasi_likelihood.QuasiDispersion,
        *,
        state: np.ndarray,
        df: int,
    ) -> PerturbationFit:
        """From the tested coefficient and its standard error (natural log); ``df`` are left over by the design."""
        log2fc = np.clip(beta / np.log(2.0), -MAX_LOG2FC, MAX_LOG2FC)
        log2fc[state == nb_groups.ZERO_IN_PERTURBED] = -MAX_LOG2FC
        log2fc[state == nb_groups.ZERO_IN_CONTROL] = MAX_LOG2FC
        pvalue = quasi_likelihood.f_test(deviance_gain, quasi, df=df)
        return cls(
            log2fc=log2fc,
            se_log2fc=se / np.log(2.0),
            pvalue=pvalue,
            fdr=benjamini_hochberg(pvalue),
            statistic=deviance_gain / quasi.shrunken,
            deviance_gain=deviance_gain,
            mean=mean,
            theta=theta,
            theta_trend=theta_trend,
            quasi=quasi,
            state=state,
            df2=quasi.df0 + df,
        )


def side(
    count: np.ndarray, cell: np.ndarray, start: np.ndarray, size_factor: np.ndarray, group_start: np.ndarray
) -> Side:
    """One side's cells, ready to fit.

    Parameters
    ----------
    count, cell
        Non-zero counts and their cell's position, gene by gene and batch by batch, shape (nnz,).
    start
        Where each gene and batch begins in them, shape (G, b + 1).
    size_factor
        Of the side's n cells, ordered by batch, shape (n,).
    group_start
        Where each batch begins among the cells, with n at the end, shape (b + 1,).
    """
    zeros = tabulate(size_factor, group_start)
    return Side(zeros.table, zeros.sums, size_factor[cell], np.asarray(count, np.float64), start)


def fit_perturbation(control: Side, perturbed: Side, *, mean_size_factor: float) -> PerturbationFit:
    """Fit and test every gene.

    Parameters
    ----------
    control, perturbed
        The two sides over the same b batches. A batch with perturbed cells but no controls says nothing about the
        perturbation; hand its cells over as controls of their own batch.
    mean_size_factor
        Mean of all cells' size factors when their geometric mean is 1: the first θ depends on it.

    Raises
    ------
    InputError
        If there are no more cells than coefficients.
    """
    n_cells = float(control.sums[:, 0].sum() + perturbed.sums[:, 0].sum())
    batches = (control.sums[:, 0] + perturbed.sums[:, 0]) > 0
    df = int(n_cells) - int(batches.sum()) - 1
    state, beta, beta_p, mean, theta = _estimate(control, perturbed, n_cells, 1.0 / mean_size_factor)
    theta_trend = dispersion.local_median(mean, theta)
    quasi = quasi_likelihood.shrink(mean, theta, theta_trend, df=df)
    beta_p, gain, se = _test(control, perturbed, theta, theta_trend, beta, beta_p)
    return PerturbationFit.of(beta_p, se, gain, mean, theta, theta_trend, quasi, state=state, df=df)


@nb.njit(cache=True, nogil=True)
def _size_sums(control, perturbed):
    """Σ s of each group, shape (2, b), and whether a batch has cells of both kinds."""
    n = len(control.sums)
    sums, paired = np.zeros((2, n)), np.zeros(n, np.bool_)
    for b in range(n):
        for k in range(2):
            side = perturbed if k else control
            if side.sums[b, 0] > 0.0:
                sums[k, b] = side.sums[b, 1] * np.exp(side.sums[b, 5])
        paired[b] = sums[0, b] > 0.0 and sums[1, b] > 0.0
    return sums, paired


@nb.njit(cache=True, nogil=True)
def _estimate(control, perturbed, n_cells, inverse_mean_size):
    """First fit and overdispersion of every gene."""
    n_genes, n_batches = len(control.start), len(control.sums)
    size_sums, paired = _size_sums(control, perturbed)
    fit = nb_groups.new_fit(n_batches)
    exceed = np.zeros(dispersion.CAP)
    state = np.empty(n_genes, np.int64)
    betas, beta_ps = np.zeros((n_genes, n_batches)), np.zeros(n_genes)
    means, thetas = np.zeros(n_genes), np.zeros(n_genes)
    for gene in range(n_genes):
        state[gene] = nb_groups.sum_counts(control, perturbed, gene, paired, fit)
        total, squares, largest = dispersion.count_above(control, perturbed, gene, exceed)
        if total == 0.0:
            continue
        average = total / n_cells
        variance = (squares - total * average) / (n_cells - 1.0)
        first_theta = max(0.0, (variance - inverse_mean_size * average) / average**2)
        beta_p = nb_groups.start_beta(size_sums, paired, state[gene], fit)
        beta_p = nb_groups.fit_full(control, perturbed, gene, first_theta, fit, beta_p)
        for b in range(n_batches):
            if fit.active[0, b]:
                means[gene] += size_sums[0, b] * np.exp(fit.beta[b]) / n_cells
            if fit.active[1, b]:
                means[gene] += size_sums[1, b] * np.exp(fit.beta[b] + beta_p) / n_cells
        betas[gene], beta_ps[gene] = fit.beta, beta_p
        start = (variance - average) / average**2
        thetas[gene] = dispersion.maximum_likelihood(control, perturbed, gene, fit, beta_p, exceed, largest, start)
    return state, betas, beta_ps, means, thetas


@nb.njit(cache=True, nogil=True)
def _test(control, perturbed, theta, theta_trend, betas, beta_ps):
    """Refit with the trend, fit the reduced model: β_p, deviance gain, standard error (natural log)."""
    n_genes, n_batches = betas.shape
    _, paired = _size_sums(control, perturbed)
    fit = nb_groups.new_fit(n_batches)
    reduced = np.empty(n_batches)
    beta_out, gain = np.zeros(n_genes), np.zeros(n_genes)
    se = np.full(n_genes, nb_groups.SE_SEPARATED)
    for gene in range(n_genes):
        nb_groups.sum_counts(control, perturbed, gene, paired, fit)
        if fit.total.sum() == 0.0:
            continue
        fit.beta[:] = betas[gene]
        beta_p = nb_groups.fit_full(control, perturbed, gene, theta_trend[gene], fit, beta_ps[gene])
        for b in range(n_batches):
            both = fit.total[0, b] + fit.total[1, b]
            reduced[b] = fit.beta[b] + (beta_p * fit.total[1, b] / both if both > 0.0 else 0.0)
        nb_groups.fit_reduced(control, perturbed, gene, theta_trend[gene], fit, reduced)
        gain[gene] = nb_groups.deviance_gain(control, perturbed, gene, theta_trend[gene], fit, beta_p, reduced)
        beta_out[gene] = beta_p
        se[gene] = nb_groups.standard_error(control, perturbed, theta[gene], fit, beta_p)
    return beta_out, gain, se
