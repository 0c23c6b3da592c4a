"""Which questions a text speaks of."""

from __future__ import annotations

import re
from typing import Final

from perturbarena.challenge.records import Questions

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*")


def words_of(text: str) -> set[str]:
    """Every word in lower case, also without what a sentence may add: ``Il6-`` and ``Il6``."""
    words = {word.lower() for word in _WORD.findall(text)}
    bare = {word.rstrip(".-") for word in words}
    return words | bare | {part for word in bare if "-" in word or "." in word for part in re.split(r"[-.]", word)}


class NameIndex:
    """Questions by the names of their genes, whatever the case."""

    def __init__(self, questions: Questions) -> None:
        self.pert = [str(name).lower() for name in questions.pert]
        self.gene = [str(name).lower() for name in questions.gene]
        self.genes_of: dict[str, dict[str, int]] = {}
        for i, (pert, gene) in enumerate(zip(self.pert, self.gene, strict=True)):
            self.genes_of.setdefault(pert, {})[gene] = i
        self.all_genes = set(self.gene)

    def names_pert(self, i: int, text: str) -> bool:
        """Whether a text in lower case holds question i's perturbed gene, within a word or not."""
        return self.pert[i] in text

    def names_gene(self, i: int, text: str) -> bool:
        """The same for the target gene."""
        return self.gene[i] in text

    def asked_in(self, words: set[str]) -> list[int]:
        """Positions of the questions both of whose genes are among the words."""
        genes = words & self.all_genes
        if not genes:
            return []
        return [
            asked[gene]
            for pert in words & self.genes_of.keys()
            for asked in (self.genes_of[pert],)
            for gene in genes & asked.keys()
        ]
