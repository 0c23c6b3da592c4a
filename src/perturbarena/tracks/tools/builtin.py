"""Tools over the knowledge base alone: what was known of genes before the screen; no labels.

Each method is a plain typed function with a docstring. It can be called in Python, handed to inspect-ai or served
over MCP. Absence is an answer: what was looked at and found empty reads differently from what is not in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from perturbarena.knowledge import KnowledgeBase, Profile, Regulation, SetMembership, SignedPath, SourceRef
from perturbarena.tracks.tools.evidence import Tool, known_name, listed, not_here, spoken, unknown, written
from perturbarena.tracks.tools.similarity import PATHWAYS
from perturbarena.tracks.tools.telling import most_telling

SIGNATURES: Final = "cgp"
LARGEST_SET: Final = 500
"""Sets of more genes (such as "cytoplasm") say little of a pair."""
N_SETS: Final = {"hallmark": 4, "reactome": 3, "go-bp": 4, "go-mf": 2, "go-cc": 2}
N_SHARED: Final = 8
N_PATHS: Final = 3
N_NAMED: Final = 3
SUMMARY_CHARS: Final = 400
IMMUNE_CELLS: Final = ("Macrophages", "Monocytes", "Dendritic cells", "Microglia", "Monocyte")
ACTIVATIONS: Final = (("Microglia", "Microglia activated"),)
"""Not the reference's activated macrophages: of 24 genes that LPS induces 8 are higher there (docs/LOG.md)."""
STIMULI: Final = frozenset(
    {"LPS", "TNF", "INTERFERON", "IFN", "IFNA", "IFNB", "IFNG", "MACROPHAGE", "INFLAMMATORY", "TLR", "IL4", "IL6"}
    | {"IL1", "IL10", "VIRAL", "POLYIC", "CSF1", "GMCSF", "M1", "M2", "TNFSF11"}
)
"""Words in the names of published signatures that tell of a stimulus a macrophage may meet."""


class KnowledgeTools:
    """The tools that need nothing but the store; :meth:`tools` lists them."""

    def __init__(self, base: KnowledgeBase) -> None:
        self.base = base

    def tools(self) -> tuple[Tool, ...]:
        """Every tool, in the order in which an agent should read of them."""
        return (
            self.gene_summary, self.shared_pathways, self.regulators_and_targets, self.signed_path,
            self.cell_type_expression, self.stimulus_response,
        )  # fmt: skip

    def gene_summary(self, gene: str) -> str:
        """What a gene is: names, function in words, essentiality, its main pathways and where it acts.

        Args:
            gene: Gene symbol, for example Irf3.
        """
        base = self.base
        if (sorry := unknown(base, gene)) is not None:
            return sorry
        name, human = base.gene(gene).found[0], base.orthologue(gene)
        also = [f"asked as {gene}"] if name.symbol != gene else []
        also += [f"human {human.found[0].symbol}"] if human.found else ["no human orthologue known"]
        lines = [f"{name.symbol} ({', '.join(also)})"]
        lines += [f"{item.text[:SUMMARY_CHARS]}" for item in base.summary(gene).found[:1]]
        lines.append(f"Essential: {self._essential(gene)}")
        sets = base.sets_of(gene)
        for collection, most in N_SETS.items():
            of = most_telling([item for item in sets if item.source.name == collection], most=most)
            if of:
                lines.append(f"{collection}: {'; '.join(spoken(item.name) for item in of)}")
        if len(sets) == 0:
            lines.append("In no gene set.")
        looked = (*base.looked_at("essential", "summaries"), *self._named(*N_SETS))
        return written(lines, looked_at=looked, missing=not_here(base, "summaries"))

    def shared_pathways(self, gene_a: str, gene_b: str) -> str:
        """Pathways and processes that hold both genes, the most specific first, with their sizes.

        Args:
            gene_a: Gene symbol.
            gene_b: Another gene symbol.
        """
        if (sorry := unknown(self.base, gene_a, gene_b)) is not None:
            return sorry
        shared = [s for s in self.base.shared_sets(gene_a, gene_b) if s.source.name in PATHWAYS]
        small = [s for s in shared if s.size <= LARGEST_SET]
        if not small:
            wide = f"; {len(shared)} larger ones hold both" if shared else ""
            first = (
                f"No pathway or process of {LARGEST_SET} genes or fewer holds both {gene_a} and {gene_b}{wide}."
            )
            return written([first], looked_at=self._named(*PATHWAYS))
        lines = [f"{len(small)} pathways and processes hold {gene_a} and {gene_b}:"]
        lines += [f"{spoken(s.name)} ({s.size} genes, {s.source.name})" for s in small[:N_SHARED]]
        return written(lines, looked_at=self._named(*PATHWAYS))

    def regulators_and_targets(self, gene: str) -> str:
        """Transcription factors that regulate a gene, and genes that it regulates itself, with sign where known.

        Args:
            gene: Gene symbol.
        """
        base = self.base
        if (sorry := unknown(base, gene)) is not None:
            return sorry
        regulators, targets = base.regulators(gene), base.targets(gene)
        lines = [
            *_by_sign(f"of {gene}", [(r.regulator, r) for r in regulators], "Regulators"),
            *_by_sign(f"of {gene}", [(r.target, r) for r in targets], "Targets"),
        ]
        return written(lines, looked_at=regulators.looked_at, missing=not_here(base, "regulons"))

    def signed_path(self, source: str, target: str) -> str:
        """Whether one gene regulates another, directly or over up to two others, with sign; named signatures.

        Args:
            source: Gene symbol of the one knocked out.
            target: Gene symbol of the one that may move.
        """
        base = self.base
        if (sorry := unknown(base, source, target)) is not None:
            return sorry
        start, end = known_name(base, source), known_name(base, target)
        direct = [r for r in base.targets(source) if r.target == end and r.sign == 0]
        lines = [f"{start} binds near {end} ({r.source.name}; no sign)" for r in direct]
        if not direct:
            known = len({item.target for item in base.targets(source)})
            lines.append(
                f"{end} is not among the {known:,} genes that {start} binds near or regulates."
                if known
                else f"{start} binds near no gene and regulates none in these sources."
            )
        paths = base.paths(source, target)
        lines += [_path(path) for path in paths.found[:N_PATHS]]
        signed = base.looked_at("regulons")
        if signed and not paths.found:
            lines.append(f"No signed path of up to 3 steps from {start} to {end}.")
        if not signed:
            lines.append("No signed network is in this store, so no path can be told.")
        lines += [
            f"{s.name} ({s.size} genes), a published signature, holds {end}"
            for s in self._named_for(source, target)
        ]
        looked = (*base.targets(source).looked_at, *self._named(SIGNATURES))
        return written(lines, looked_at=looked, missing=not_here(base, "regulons"))

    def cell_type_expression(self, gene: str) -> str:
        """How strongly a gene is expressed in macrophages and their kin, against other cell types.

        Args:
            gene: Gene symbol.
        """
        base = self.base
        if (sorry := unknown(base, gene)) is not None:
            return sorry
        found = base.expression(gene)
        lines = [_profile(gene, profile) for profile in found]
        if not lines:
            lines = [f"No expression of {gene} is known here."]
        return written(lines, looked_at=found.looked_at)

    def stimulus_response(self, gene: str) -> str:
        """How a gene responds to stimuli: pathway activity, microglial activation, published signatures.

        Args:
            gene: Gene symbol.
        """
        base = self.base
        if (sorry := unknown(base, gene)) is not None:
            return sorry
        lines = [line for profile in base.expression(gene) for line in _activation(profile)]
        feet = base.footprints(gene)
        if feet.found:
            weights = ", ".join(f"{f.pathway} {f.weight:+.1f}" for f in feet.found[:5])
            lines.append(f"Responds to pathway activity (PROGENy weight, + rises): {weights}")
        else:
            lines.append("Among the responsive genes of no PROGENy pathway.")
        sets = base.sets_of(gene)
        stimuli = [s for s in sets if s.source.name == SIGNATURES and STIMULI & set(s.name.split("_"))]
        lines.append(f"Published stimulus signatures: {listed([_short(s) for s in stimuli], most=6)}")
        halls = [spoken(s.name) for s in sets if s.source.name == "hallmark"]
        lines.append(f"Hallmark responses: {listed(halls, most=6)}")
        looked = (*base.looked_at("expression", "footprints"), *self._named(SIGNATURES), *self._named("hallmark"))
        return written(lines, looked_at=looked)

    def _named_for(self, perturbed: str, gene: str) -> list[SetMembership]:
        """Published signatures that hold a gene and are named for another: its knockout, or its targets."""
        names = {perturbed.upper(), str(known_name(self.base, perturbed)).upper()}
        names |= {human.symbol.upper() for human in self.base.orthologue(perturbed)}
        held = self.base.sets_of(gene)
        return [s for s in held if s.source.name == SIGNATURES and names & set(s.name.split("_"))][:N_NAMED]

    def _named(self, *names: str) -> tuple[SourceRef, ...]:
        return tuple(record.ref for record in self.base.sources if record.name in names)

    def _essential(self, gene: str) -> str:
        found = self.base.essential(gene)
        words = [
            f"{'core essential' if item.essential else 'non-essential'} ({item.source.name})" for item in found
        ]
        return ", ".join(words) if words else "in no list of essential or non-essential genes"


def _by_sign(of: str, named: Sequence[tuple[str, Regulation]], what: str) -> list[str]:
    if not named:
        return [f"{what} {of}: none known."]
    lines = []
    for sign, words in ((1, "activating"), (-1, "repressing"), (0, "by binding, no sign")):
        names = sorted({name for name, item in named if item.sign == sign})
        if names:
            lines.append(f"{what} {of}, {words} ({len(names)}): {listed(names)}")
    return lines


def _path(path: SignedPath) -> str:
    arrows = {1: "→", -1: "⊣"}
    way = "".join(f" {arrows[step.sign]} {step.target}" for step in path.steps)
    start, end = path.steps[0].regulator, path.steps[-1].target
    moves = "lower" if path.sign > 0 else "raise"
    sources = ", ".join(dict.fromkeys(step.source.name for step in path.steps))
    return f"{start}{way}: losing {start} would {moves} {end} ({sources})"


def _profile(gene: str, profile: Profile) -> str:
    level = dict(zip(profile.columns, profile.values, strict=True))
    ranked = sorted(level, key=lambda column: (-level[column], column))
    told = [f"{c} {level[c]:.1f} (rank {ranked.index(c) + 1})" for c in IMMUNE_CELLS if c in level]
    top = ", ".join(f"{c} {level[c]:.1f}" for c in ranked[:2])
    return (
        f"{gene} in {len(level)} cell types ({profile.source.name}, log2): {', '.join(told) or 'no macrophages'}; "
        f"median {np.median(profile.values):.1f}; highest {top}"
    )


def _activation(profile: Profile) -> list[str]:
    level = dict(zip(profile.columns, profile.values, strict=True))
    return [
        f"{rest} {level[rest]:.1f} → activated {level[active]:.1f} ({level[active] - level[rest]:+.1f} log2)"
        for rest, active in ACTIVATIONS
        if rest in level and active in level
    ]


def _short(item: SetMembership) -> str:
    return f"{spoken(item.name)} ({item.size})"
