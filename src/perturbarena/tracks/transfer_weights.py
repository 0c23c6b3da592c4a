"""How much each block of features counts, and where: one table for all parts of the transfer predictor.

Chosen with fold seeds 100–102 of the published training questions, see docs/transfer.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from perturbarena.knowledge import PAIR_BLOCKS, Block

ALL: Final = 10**6
"""Every column there is."""


class Role(NamedTuple):
    """A block's weight in one place, and how many of its leading principal components stand there."""

    weight: float = 0.0
    columns: int = ALL


NO_ROLE: Final = Role()


class Roles(NamedTuple):
    """Where a block counts. ``gene…`` roles describe the target gene, ``pert…`` roles the perturbation.

    Attributes
    ----------
    gene, pert
        In the linear model of the direction.
    gene_kernel, pert_kernel
        In the kernel model of the direction.
    gene_alone
        In "does this gene move at all?".
    gene_pair, pert_pair
        In "which perturbation moves this gene?", whose features are products of the two sides.
    """

    gene: Role = NO_ROLE
    pert: Role = NO_ROLE
    gene_kernel: Role = NO_ROLE
    pert_kernel: Role = NO_ROLE
    gene_alone: Role = NO_ROLE
    gene_pair: Role = NO_ROLE
    pert_pair: Role = NO_ROLE

    def describes(self, side: str) -> bool:
        """Whether any role of this side ("gene" or "pert") counts."""
        return any(getattr(self, name).weight for name in self._fields if name.startswith(side))

    def columns(self) -> int:
        """How many leading components are needed."""
        return max((role.columns for role in self if role.weight), default=0)


COMPONENTS: Final = 40
"""Of a collection of gene sets, for the direction. 20 and 80 gave 0.737 and 0.743 for 0.752, see docs/LOG.md."""
_SETS: Final = Roles(gene=Role(0.26, COMPONENTS), gene_kernel=Role(0.55, COMPONENTS))

ROLES: Final[Mapping[str, Roles]] = {
    "expression": Roles(
        gene=Role(0.5), pert=Role(0.5), gene_kernel=Role(1.0), pert_kernel=Role(0.5),
        gene_pair=Role(0.7, 4), pert_pair=Role(0.7, 8),
    ),
    "coexpression": Roles(gene=Role(1.0), gene_kernel=Role(1.0), gene_pair=Role(0.7, 6)),
    "gene_sets": Roles(pert=Role(0.3), pert_kernel=Role(0.3), pert_pair=Role(0.4, 4)),
    "m2.cgp": _SETS,
    "mh.hallmark": _SETS,
    "m8.celltype": _SETS,
    "m5.go.cc": Roles(pert_pair=Role(0.4, 6)),
    "m5.go.bp": Roles(pert_pair=Role(0.4, 4)),
    "annotations": Roles(gene_alone=Role(1.0)),
    "level": Roles(gene_alone=Role(0.45)),
    "ko_elsewhere": Roles(pert=Role(0.32)),
    "response_elsewhere": Roles(gene=Role(0.32)),
}  # fmt: skip
PAIRS_ONLY: Final = Roles()
"""Tables of pairs, and collections not named above (GO functions, Reactome, …): for what two genes share."""
ANY_BLOCK: Final = Roles(
    gene=Role(1.0), pert=Role(1.0), gene_kernel=Role(1.0), pert_kernel=Role(1.0),
    gene_alone=Role(1.0), gene_pair=Role(0.7, 4), pert_pair=Role(0.7, 8),
)  # fmt: skip
"""For blocks nobody has tried, and for the side that nothing else describes."""


def roles_of(blocks: Sequence[Block]) -> list[Roles]:
    """Each block's roles; where a side would be left undescribed, any table of genes stands in."""
    tables = [not is_collection(block) and not isinstance(block, PAIR_BLOCKS) for block in blocks]
    found = [
        ROLES.get(block.name, ANY_BLOCK if table else PAIRS_ONLY)
        for block, table in zip(blocks, tables, strict=True)
    ]
    for side, names in (
        ("gene", ("gene", "gene_kernel")), ("pert", ("pert", "pert_kernel")),
        ("gene_alone", ("gene_alone",)), ("gene_pair", ("gene_pair",)), ("pert_pair", ("pert_pair",)),
    ):  # fmt: skip
        if not any(getattr(roles, side).weight for roles in found):
            stand_in = {name: getattr(ANY_BLOCK, name) for name in names}
            found = [
                roles._replace(**stand_in) if table else roles for roles, table in zip(found, tables, strict=True)
            ]
    return found


def is_collection(block: Block) -> bool:
    """Whether the block is a collection of gene sets."""
    return hasattr(block, "membership")
