"""What an explanation holds: the answer, its evidence, and its shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from perturbarena.knowledge import SignedPath
from perturbarena.tracks import Evidence


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
    n_path_rows
        Training rows whose pair has a path: what the weight of path evidence was learned from.
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
    n_path_rows: int
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
            "path_rows": self.n_path_rows,
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
