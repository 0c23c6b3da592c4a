"""What a question set is built from: a screen's counts, or an effect table made before; told by its layers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perturbarena.benchmark.labels import Effects
from perturbarena.challenge.formats import read_table, sha256
from perturbarena.errors import FormatError
from perturbarena.screen import Screen, read_screen
from perturbarena.screen.parts import open_parts
from perturbarena.screen.table import LAYERS

if TYPE_CHECKING:
    from anndata import AnnData

USUAL_GUIDE: Final = "guide"
"""Column of obs that is taken for the guides where it is there and none is named."""
SHARE: Final = "share_of_control_cells"


@dataclass(frozen=True, slots=True)
class ScreenColumns:
    """The options of ``screen effects`` that say where in the file things stand."""

    perturbation: str = "perturbation"
    control: str = "control"
    batch: str | None = None
    guide: str | None = None
    size_factors: str | None = None
    layer: str | None = None
    guide_counts: str | None = None


@dataclass(frozen=True)
class Source:
    """The input file, by its hash, and whether it is an effect table; the screen is read when it is asked for."""

    path: Path
    sha256: str
    is_table: bool
    columns: ScreenColumns

    @classmethod
    def of(cls, path: Path, columns: ScreenColumns) -> Source:
        """Look at a file without reading its matrices.

        Raises
        ------
        FormatError
            If it is missing or no AnnData.
        """
        with open_parts(path) as parts:
            is_table = set(LAYERS) <= set(parts.layers)
            if not is_table and columns.guide is None and USUAL_GUIDE in parts.obs.columns:
                columns = ScreenColumns(**(asdict(columns) | {"guide": USUAL_GUIDE}))
        return cls(path, _hash(path), is_table, columns)

    @cached_property
    def screen(self) -> Screen:
        """The screen, checked."""
        return read_screen(self.path, **asdict(self.columns))

    def as_json(self) -> dict[str, Any]:
        """The file's name, what it is, its hash, and where in it things stand."""
        kind = "effect table" if self.is_table else "screen"
        columns = {} if self.is_table else {"columns": asdict(self.columns)}
        return {"file": self.path.name, "kind": kind, "sha256": self.sha256} | columns


def effects_of(table: AnnData, source: str) -> Effects:
    """What labels are made of, out of an effect table.

    Raises
    ------
    FormatError
        If the table does not say in how many control cells a gene is seen.
    """
    if SHARE not in table.var.columns:
        raise FormatError(f"{source}: var needs the column {SHARE}, which `screen effects` writes")
    return Effects(
        table.obs_names.to_numpy(object),
        table.var_names.to_numpy(object),
        np.asarray(table.layers["log2fc_shrunk"], np.float64),
        np.asarray(table.layers["fdr"], np.float64),
        table.var[SHARE].to_numpy(np.float64),
    )


def reasons_of(table: AnnData) -> dict[str, str]:
    """Why a perturbation was not estimated, where the table says so."""
    if "reason" not in table.obs.columns:
        return {}
    return dict(zip(map(str, table.obs_names), map(str, table.obs["reason"]), strict=True))


def effects_record(table: AnnData) -> dict[str, Any]:
    """What an effect table says of its making: settings, prior, control cells, version."""
    stored = dict(table.uns.get("perturbarena", {}))
    if isinstance(stored.get("settings"), str):
        stored["settings"] = json.loads(stored["settings"])
    stored.pop("source", None)  # a path of somebody's disk
    return {key: plain(value) for key, value in sorted(stored.items())}


def plain(value: Any) -> Any:
    """NumPy scalars, and mappings of them, as Python's own."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def read_groups(path: Path | None) -> Mapping[str, str]:
    """Names that must not be dealt apart, from a CSV ``gene,group``.

    Raises
    ------
    FormatError
        If the file cannot be read, lacks a column, or puts a name into two groups.
    """
    if path is None:
        return {}
    table = read_table(path, required=("gene", "group"))
    again = table.drop_duplicates()["gene"].duplicated()
    if again.any():
        gene = table.drop_duplicates()["gene"][again].iloc[0]
        raise FormatError(f"{path}: a gene may be in one group; {gene} is in several")
    return dict(zip(table["gene"], table["group"], strict=True))


def _hash(path: Path) -> str:
    try:
        if path.is_file():
            return sha256(path)
        digest = hashlib.sha256()  # a zarr folder: every file with its name
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
