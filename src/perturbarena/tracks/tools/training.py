"""Tools over training rows: what was measured for genes like the asked ones. Their answers use labels, and say so.

A row is seen only if it shares neither its perturbation nor its target gene with a hidden question, whatever name
the gene goes by; the others are dropped before any tool is made, so no call can bring them back. A perturbation
or a gene that is asked for is left out of its own answer as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from perturbarena.challenge.records import DOWN, NONE, UP, LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import KnowledgeBase
from perturbarena.tracks.tools.evidence import Tool, known_name, listed, unknown, written
from perturbarena.tracks.tools.similarity import Alike, Likeness
from perturbarena.tracks.tools.toolset import uses_training_labels

N_NEAREST: Final = 6
N_NAMED: Final = 5
"""Moved genes (or moving perturbations) named for each neighbour."""
N_QUESTIONS: Final = 6
N_COUNTED: Final = 200
"""Nearest questions whose labels are counted."""


def seen_rows(train: LabelledQuestions, *, hidden: Questions, base: KnowledgeBase) -> LabelledQuestions:
    """The training rows that share neither perturbation nor gene with a hidden question, under current names.

    Raises
    ------
    InputError
        If none is left.
    """
    name = {symbol: base.resolve(symbol).gene or symbol for symbol in {*train.pert, *train.gene}}
    pert = np.array([name[p] for p in train.pert], object)
    gene = np.array([name[g] for g in train.gene], object)
    hidden_pert = {(base.resolve(p).gene or p).casefold() for p in hidden.pert}
    hidden_gene = {(base.resolve(g).gene or g).casefold() for g in hidden.gene}
    seen = np.array(
        [
            p.casefold() not in hidden_pert and g.casefold() not in hidden_gene
            for p, g in zip(pert, gene, strict=True)
        ],
        bool,
    )
    if not seen.any():
        raise InputError(
            f"training tools need rows that share no perturbation and no gene with the {len(hidden):,} hidden "
            f"questions; none of {len(train):,} is left"
        )
    return LabelledQuestions(Questions.from_pairs(pert[seen], gene[seen]), train.label[seen])


class TrainingTools:
    """The tools that use labels of training rows; :meth:`tools` lists them.

    Parameters
    ----------
    base
        The store.
    train
        Training rows.
    hidden
        Every question that will be asked; see :func:`seen_rows`.
    of_knockouts, of_targets
        Likeness of genes, to share its vectors between several of these; made from the store by default.
    """

    def __init__(
        self,
        base: KnowledgeBase,
        train: LabelledQuestions,
        *,
        hidden: Questions,
        of_knockouts: Likeness | None = None,
        of_targets: Likeness | None = None,
    ) -> None:
        self.base = base
        self.rows = seen_rows(train, hidden=hidden, base=base)
        self.of_knockouts = of_knockouts or Likeness.of_knockouts(base)
        self.of_targets = of_targets or Likeness.of_targets(base)
        self._perts = np.array(sorted(set(self.rows.pert)), object)
        self._genes = np.array(sorted(set(self.rows.gene)), object)
        self._pert_code = np.searchsorted(self._perts, self.rows.pert)
        self._gene_code = np.searchsorted(self._genes, self.rows.gene)

    def tools(self) -> tuple[Tool, ...]:
        """Every tool, in the order in which an agent should read of them."""
        return (self.knockouts_like, self.genes_like, self.similar_questions)

    @uses_training_labels
    def knockouts_like(self, perturbed: str) -> str:
        """Measured knockouts of genes linked to, or most like, a gene, and what they did.

        Args:
            perturbed: Gene symbol of the one knocked out; its own measurements are left out.
        """
        if (sorry := unknown(self.base, perturbed)) is not None:
            return sorry
        name = str(known_name(self.base, perturbed))
        near = self.of_knockouts.nearest(name, self._perts, most=N_NEAREST)
        lines = [f"Training knockouts most like {name}, and the genes that they moved:"]
        lines += [self._did(item, self.rows.pert, self.rows.gene) for item in near]
        return self._told(lines, near, of=self.of_knockouts, name=name)

    @uses_training_labels
    def genes_like(self, gene: str) -> str:
        """Measured target genes most like a gene, and which knockouts moved them.

        Args:
            gene: Gene symbol of the one that may move; its own measurements are left out.
        """
        if (sorry := unknown(self.base, gene)) is not None:
            return sorry
        name = str(known_name(self.base, gene))
        near = self.of_targets.nearest(name, self._genes, most=N_NEAREST)
        lines = [f"Training target genes most like {name}, and the knockouts that moved them:"]
        lines += [self._did(item, self.rows.gene, self.rows.pert) for item in near]
        return self._told(lines, near, of=self.of_targets, name=name)

    @uses_training_labels
    def similar_questions(self, perturbed: str, gene: str) -> str:
        """Measured pairs of a knockout and a target gene most like this pair, and what happened.

        Args:
            perturbed: Gene symbol of the one knocked out; its own measurements are left out.
            gene: Gene symbol of the one that may move; its own measurements are left out.
        """
        if (sorry := unknown(self.base, perturbed, gene)) is not None:
            return sorry
        rows = self.rows
        pert, target = str(known_name(self.base, perturbed)), str(known_name(self.base, gene))
        of_pert = _positive(self.of_knockouts.to(pert, self._perts))[self._pert_code]
        of_gene = _positive(self.of_targets.to(target, self._genes))[self._gene_code]
        score = np.where((self.rows.pert != pert) & (self.rows.gene != target), of_pert * of_gene, 0.0)
        order = [i for i in np.lexsort((self.rows.id, -score))[:N_COUNTED] if score[i] > 0]
        looked = (*self.of_knockouts.looked_at, *self.of_targets.looked_at)
        if not order:
            return written([f"No training question is like {pert} → {target}."], looked_at=looked)
        counted = _counts(self.rows.label[order])
        lines = [
            f"The {len(order)} training questions most like {pert} → {target}: {counted}. {self._usual()}",
            "Nearest (likeness of the knockouts × of the genes):",
        ]
        lines += [
            f"{rows.pert[i]} → {rows.gene[i]}: {rows.label[i]} ({of_pert[i]:.2f} × {of_gene[i]:.2f})"
            for i in order[:N_QUESTIONS]
        ]
        return written(lines, looked_at=looked)

    def _did(self, item: Alike, of: np.ndarray, partner: np.ndarray) -> str:
        rows = of == item.gene
        parts = [f"{item.gene} ({item.how} {item.likeness:.2f}): {_counts(self.rows.label[rows])}"]
        for label in (UP, DOWN):
            names = sorted(partner[rows & (self.rows.label == label)])
            if names:
                parts.append(f"{label}: {listed(names, most=N_NAMED)}")
        return "; ".join(parts)

    def _told(self, lines: Sequence[str], near: Sequence[Alike], *, of: Likeness, name: str) -> str:
        if not near:
            lines = [f"Nothing measured is known to be like {name}."]
        return written([*lines, self._usual()], looked_at=of.looked_at)

    def _usual(self) -> str:
        n = len(self.rows)
        up, down = (float((self.rows.label == label).mean()) for label in (UP, DOWN))
        return f"Of all {n:,} training questions {up:.0%} are up, {down:.0%} down."


def _positive(likeness: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(likeness, nan=0.0), 0.0, None)


def _counts(labels: np.ndarray) -> str:
    up, down, none = (int((labels == label).sum()) for label in (UP, DOWN, NONE))
    return f"{up} up, {down} down, {none} unchanged"
