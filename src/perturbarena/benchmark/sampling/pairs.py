"""What every sampling design gives: pairs of a block of labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perturbarena.benchmark.labels import NAME_OF, Labels
from perturbarena.challenge.records import LabelledQuestions, Questions


class Pairs(NamedTuple):
    """n asked pairs of a block: positions of perturbations and of genes in its :class:`Labels`, shape (n,), int.

    ``notes`` says, in sentences, what the design could not do on this block.
    """

    pert: np.ndarray
    gene: np.ndarray
    notes: tuple[str, ...] = ()

    def questions(self, labels: Labels) -> LabelledQuestions:
        """The pairs as labelled questions, sorted by perturbation and gene, so that order says nothing."""
        pert, gene = labels.perturbations[self.pert], labels.genes[self.gene]
        order = np.lexsort((gene.astype(str), pert.astype(str)))
        label = np.array([NAME_OF[int(code)] for code in labels.call[self.pert, self.gene][order]], object)
        return LabelledQuestions(Questions.from_pairs(pert[order], gene[order]), label)
