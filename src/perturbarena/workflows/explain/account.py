"""Why a prediction says what it says: paths for and against it, what it leaned on, and how it moves without each.

Three kinds of "without", each defined by what is taken away and what is learned again:

path              the question's own path is left out of its path evidence; nothing is learned again
perturbation      its training rows are left out and both heads learned anew (axes and landmarks stay)
block, paths      a block of features is taken away and everything learned anew from the same rows

A shift says what the predictor did with a piece of evidence. It is no statement about the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import Block, KnowledgeBase, PathTable, Perturbation, read_paths
from perturbarena.tracks import evidence, fit_transfer
from perturbarena.workflows.explain.ablation import (
    Progress,
    odds_of,
    paths_for_and_against,
    perturbations_leaned_on,
    without_blocks,
)
from perturbarena.workflows.explain.record import Explanation

N_LEANED: Final = 8
"""Training perturbations that are shown."""
N_TRIED: Final = 24
"""Training perturbations that are left out one by one: those with the largest estimated pull."""


def explain(
    train: LabelledQuestions,
    pert: str,
    gene: str,
    features: Sequence[Block],
    *,
    network: KnowledgeBase | None = None,
    max_length: int = 3,
    perturbation: Perturbation = "loss",
    blind: bool = False,
    seed: int = 0,
    n_tried: int = N_TRIED,
    n_leaned: int = N_LEANED,
    progress: Progress | None = None,
) -> Explanation:
    """Explain the transfer predictor's answer to one question.

    Parameters
    ----------
    train, features, seed
        As for :func:`perturbarena.workflows.predict.answer_transfer`: the same ones give the same answer.
    network
        Signed regulations. With it the predictor gets the pairs' path evidence as two more columns.
    max_length
        Steps a path may have.
    perturbation
        ``loss``: a path of activations says that the gene goes down; ``gain``: up.
    blind
        Leave out training rows that share the perturbation or the gene.
    n_tried
        So many training perturbations are left out one by one; those with the largest estimated pull.

    Raises
    ------
    InputError
        If a gene is asked about its own perturbation, or no row is left to learn from.
    """
    if pert == gene:
        raise InputError(f"the effect of {pert} on itself is the perturbation's own efficiency; name another gene")
    own_pert, own_gene = train.pert == pert, train.gene == gene
    measured = train.label[own_pert & own_gene]
    left_out = int((own_pert | own_gene).sum()) if blind else 0
    if blind:
        train = train.take(np.flatnonzero(~(own_pert | own_gene)))
    if not len(train):
        raise InputError(f"--blind leaves no training row: all of them share {pert} or {gene}")
    table = None
    if network is not None:
        pairs = [*zip(train.pert, train.gene, strict=True), (pert, gene)]
        table = read_paths(network, pairs, max_length=max_length, perturbation=perturbation, progress=progress)
    blocks = [*features, *([table] if table is not None else [])]
    asked = Questions.from_pairs([pert], [gene])
    model = fit_transfer(train, blocks, rng=np.random.default_rng(seed))
    answers = model.answer(asked)
    answer = odds_of(model, asked)
    leaned = perturbations_leaned_on(model, train, asked, answer, n_tried=n_tried, progress=progress)
    found, why = paths_for_and_against(model, table, network, asked, answer, max_length=max_length)
    return Explanation(
        pert=pert,
        gene=gene,
        answer=answer,
        p_de=float(answers.p_de[0]),
        p_dir=float(answers.p_dir[0]),
        basis=str(answers.basis[0]),
        measured=str(measured[0]) if len(measured) else "",
        n_train=len(train),
        n_pert_rows=int(own_pert.sum()),
        n_gene_rows=int(own_gene.sum()),
        left_out=left_out,
        paths=found,
        why_no_paths=why,
        n_path_rows=_with_paths(table, train),
        leaned=leaned[:n_leaned],
        n_tried=len(leaned),
        blocks=without_blocks(train, blocks, asked, answer, seed=seed, progress=progress),
        near=evidence(model, train, asked, features)[0],
    )


def _with_paths(table: PathTable | None, train: LabelledQuestions) -> int:
    if table is None:
        return 0
    return sum(bool(table.known.get(pair)) for pair in zip(train.pert, train.gene, strict=True))
