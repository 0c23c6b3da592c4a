"""Why a prediction says what it says: paths for and against it, what it leaned on, and how it moves without each.

Three kinds of "without", each defined by what is taken away and what is learned again:

path              the question's own path is left out of its path evidence; nothing is learned again
perturbation      its training rows are left out and both heads learned anew (axes and landmarks stay)
block, paths      a block of features is taken away and everything learned anew from the same rows

A shift says what the predictor did with a piece of evidence. It is no statement about the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import (
    Block,
    KnowledgeBase,
    PathTable,
    Perturbation,
    SignedPath,
    implied_direction,
    read_paths,
)
from perturbarena.tracks import Evidence, Relearner, TransferModel, evidence, fit_transfer, pulls_of

N_LEANED: Final = 8
"""Training perturbations that are shown."""
N_TRIED: Final = 24
"""Training perturbations that are left out one by one: those with the largest estimated pull."""

Progress = Callable[[int, int], None]


class Odds(NamedTuple):
    """A question's answer: that the gene goes up, that it goes down; the rest is no change."""

    p_up: float
    p_down: float

    @property
    def direction(self) -> str:
        """The likelier way, if it moves."""
        return "up" if self.p_up >= self.p_down else "down"


@dataclass(frozen=True, slots=True)
class Shift:
    """The answer without something, ``odds``, and by how much it differs from the answer with everything."""

    name: str
    odds: Odds
    d_up: float
    d_down: float

    @property
    def size(self) -> float:
        """The larger of the two changes."""
        return max(abs(self.d_up), abs(self.d_down))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"p_up": self.odds.p_up, "p_down": self.odds.p_down, "d_up": self.d_up, "d_down": self.d_down}


@dataclass(frozen=True, slots=True)
class PathEvidence:
    """A signed path, the way it says the gene goes, whether the prediction's likelier way is the same one."""

    path: SignedPath
    implies: str
    agrees: bool
    without: Shift

    @property
    def text(self) -> str:
        """The path as ``A ⊣ B → C``."""
        arrow = {1: "→", -1: "⊣"}
        first = self.path.steps[0].regulator
        return first + "".join(f" {arrow.get(step.sign, '–')} {step.target}" for step in self.path.steps)


@dataclass(frozen=True, slots=True)
class Leaned:
    """A training perturbation: its rows, how alike it is to the asked one, the answer without its rows."""

    pert: str
    n_rows: int
    n_moved: int
    n_up: int
    cosine: float
    estimated: float
    """Change of p_up − p_down that was estimated before the rows were left out."""
    without: Shift


_PLAIN: Final = (
    "pert", "gene", "p_de", "p_dir", "basis", "measured", "n_train", "n_pert_rows", "n_gene_rows", "left_out",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one answer.

    Attributes
    ----------
    answer, p_de, p_dir, basis
        As the predictor gives it; see :class:`perturbarena.tracks.TransferAnswers`.
    measured
        The pair's label where it stands in the training rows; else empty.
    n_pert_rows, n_gene_rows
        Training rows that share the perturbation, and the gene.
    left_out
        Training rows that were left out because they share either.
    paths, why_no_paths
        All paths found, the ones that agree first; why there are none.
    leaned
        Perturbations by the size of their shift, the largest first.
    blocks
        Shifts without each block of features; ``paths`` among them where there is a network.
    near
        Nearest known perturbations and genes, and shared gene sets.
    """

    pert: str
    gene: str
    answer: Odds
    p_de: float
    p_dir: float
    basis: str
    measured: str
    n_train: int
    n_pert_rows: int
    n_gene_rows: int
    left_out: int
    paths: tuple[PathEvidence, ...]
    why_no_paths: str
    leaned: tuple[Leaned, ...]
    n_tried: int
    blocks: tuple[Shift, ...]
    near: Evidence

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        own = (
            "pert",
            "gene",
            "p_de",
            "p_dir",
            "basis",
            "measured",
            "n_train",
            "n_pert_rows",
            "n_gene_rows",
            "left_out",
        )
        return {name: getattr(self, name) for name in own} | {
            "p_up": self.answer.p_up,
            "p_down": self.answer.p_down,
            "direction": self.answer.direction,
            "paths": [
                {
                    "path": one.text,
                    "steps": [
                        {"regulator": s.regulator, "target": s.target, "sign": s.sign, "source": s.source.name}
                        for s in one.path.steps
                    ],
                    "sign": one.path.sign,
                    "implies": one.implies,
                    "agrees": one.agrees,
                    "without": one.without.as_json(),
                }
                for one in self.paths
            ],
            "why_no_paths": self.why_no_paths,
            "perturbations_tried": self.n_tried,
            "leaned_on": [
                {"pert": one.pert, "rows": one.n_rows, "moved": one.n_moved, "up": one.n_up, "cosine": one.cosine,
                 "estimated": one.estimated, "without": one.without.as_json()}
                for one in self.leaned
            ],
            "blocks": [{"block": shift.name, "without": shift.as_json()} for shift in self.blocks],
            "nearest_perturbations": [near._asdict() for near in self.near.perts],
            "nearest_genes": [near._asdict() for near in self.near.genes],
            "shared_sets": [{"name": name, "size": size} for name, size in self.near.shared_sets],
        }  # fmt: skip


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
    answer = _odds(model, asked)
    leaned = _leaned(model, train, asked, answer, n_tried=n_tried, progress=progress)
    found, why = _paths(model, table, network, asked, answer, max_length=max_length)
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
        leaned=leaned[:n_leaned],
        n_tried=len(leaned),
        blocks=_without_blocks(train, blocks, asked, answer, seed=seed, progress=progress),
        near=evidence(model, train, asked, features)[0],
    )


def _odds(model: TransferModel, asked: Questions) -> Odds:
    found = model.answer(asked).predictions
    return Odds(float(found.p_up[0]), float(found.p_down[0]))


def _shift(name: str, odds: Odds, answer: Odds) -> Shift:
    return Shift(name, odds, odds.p_up - answer.p_up, odds.p_down - answer.p_down)


def _leaned(
    model: TransferModel,
    train: LabelledQuestions,
    asked: Questions,
    answer: Odds,
    *,
    n_tried: int,
    progress: Progress | None,
) -> tuple[Leaned, ...]:
    """Leave out the perturbations with the largest estimated pull, one by one; the largest shift first."""
    learner = Relearner(model, train)
    pulls = pulls_of(learner, asked)
    names, code = np.unique(train.pert.astype(str), return_inverse=True)
    up, down = (np.bincount(code, pull, minlength=len(names)) for pull in pulls)
    likely = np.argsort(-np.maximum(np.abs(up), np.abs(down)), kind="stable")[: min(n_tried, len(names) - 1)]
    described = [model.design.described(part, "pert") for part in (names.astype(object), asked.pert)]
    cosine = _cosines(*described)
    found = []
    for done, k in enumerate(likely, start=1):
        own = code == k
        shift = _shift(str(names[k]), _odds(learner.without(own), asked), answer)
        n_moved, n_up = int(train.is_de[own].sum()), int(train.is_up[own].sum())
        found.append(
            Leaned(str(names[k]), int(own.sum()), n_moved, n_up, float(cosine[k]), float(up[k] - down[k]), shift)
        )
        if progress is not None:
            progress(done, len(likely))
    return tuple(sorted(found, key=lambda one: -one.without.size))


def _cosines(many: np.ndarray, one: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(many, axis=1) * np.linalg.norm(one)
    return np.divide(many @ one[0], length, where=length > 0, out=np.zeros(len(many)))


def _paths(
    model: TransferModel,
    table: PathTable | None,
    network: KnowledgeBase | None,
    asked: Questions,
    answer: Odds,
    *,
    max_length: int,
) -> tuple[tuple[PathEvidence, ...], str]:
    if table is None or network is None:
        return (), "no network was given"
    pert, gene = str(asked.pert[0]), str(asked.gene[0])
    paths = table.known.get((pert, gene), ())
    if not paths:
        why = network.paths(pert, gene, max_length=max_length).why
        return (), why or f"no path of at most {max_length} steps"
    found = []
    for path in paths:
        implies = "up" if implied_direction(path, table.perturbation) > 0 else "down"
        without = _odds(_with_table(model, table, table.without(pert, gene, path)), asked)
        found.append(PathEvidence(path, implies, implies == answer.direction, _shift("path", without, answer)))
    return tuple(sorted(found, key=lambda one: (not one.agrees, len(one.path.steps)))), ""


def _with_table(model: TransferModel, old: PathTable, new: PathTable) -> TransferModel:
    """The same model, reading path evidence from another table."""
    pairs = model.design.pairs
    sources = tuple(new if source is old else source for source in pairs.sources)
    return replace(model, design=replace(model.design, pairs=replace(pairs, sources=sources)))


def _without_blocks(
    train: LabelledQuestions,
    blocks: Sequence[Block],
    asked: Questions,
    answer: Odds,
    *,
    seed: int,
    progress: Progress | None,
) -> tuple[Shift, ...]:
    """Learn everything anew without each block in turn; a block that alone can be learned from has no shift."""
    found = []
    for i, block in enumerate(blocks):
        rest = [other for k, other in enumerate(blocks) if k != i]
        try:
            model = fit_transfer(train, rest, rng=np.random.default_rng(seed))
        except InputError:  # nothing else describes a gene or a perturbation
            continue
        found.append(_shift(block.name, _odds(model, asked), answer))
        if progress is not None:
            progress(i + 1, len(blocks))
    return tuple(sorted(found, key=lambda shift: -shift.size))
