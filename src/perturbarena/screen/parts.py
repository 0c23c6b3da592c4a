"""The parts of an AnnData that a screen needs, wherever they lie: in memory, in HDF5 or in zarr.

anndata's own readers load every layer and every obsm; here a matrix stays on disk until it is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from perturbarena.errors import FormatError, MissingExtraError

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, slots=True)
class Parts:
    """What is needed of an AnnData; ``matrix`` opens X (None), a layer or raw. What is not there is None."""

    obs: pd.DataFrame
    genes: Callable[[str | None], np.ndarray]
    layers: tuple[str, ...]
    matrix: Callable[[str | None], Any]
    obsm_keys: tuple[str, ...]
    obsm: Callable[[str], Any]
    uns: Callable[[str], Any]


def parts_of(adata: AnnData) -> Parts:
    """The parts of an AnnData object."""
    raw = adata.raw is not None and "raw" not in adata.layers
    names = tuple(str(name) for name in adata.layers) + (("raw",) if raw else ())

    def matrix(layer: str | None) -> Any:
        if layer is None:
            return adata.X
        return adata.raw.X if raw and layer == "raw" else adata.layers[layer]

    def genes(layer: str | None) -> np.ndarray:
        return (adata.raw if raw and layer == "raw" else adata).var_names.to_numpy(object)

    return Parts(
        cast(pd.DataFrame, adata.obs), genes, names, matrix, tuple(adata.obsm), adata.obsm.get, adata.uns.get
    )


@contextlib.contextmanager
def open_parts(path: Path | str) -> Iterator[Parts]:
    """The parts of a file, its matrices still on disk.

    Raises
    ------
    FormatError
        If the file is missing or no AnnData.
    """
    path = Path(path)
    if not path.exists():
        raise FormatError(f"no such file: {path}")
    _require_anndata()
    if path.suffix == ".zarr":
        import zarr

        try:
            group: Any = zarr.open_group(path, mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise _not_anndata(path, "no zarr group") from error
        yield _stored_parts(group, path)
    elif path.suffix in (".h5ad", ".h5"):
        import h5py

        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise _not_anndata(path, "no HDF5 file, or a damaged one") from error
        with file:
            yield _stored_parts(file, path)
    else:
        raise FormatError(f"{path}: a screen is read from .h5ad or .zarr; got {path.suffix or 'no suffix'}")


def _require_anndata() -> None:
    try:
        import anndata  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "reading a screen needs anndata, which is not installed: pip install 'perturbarena[screen]'"
        ) from error


def _not_anndata(path: Path, why: str) -> FormatError:
    return FormatError(f"{path} is no AnnData ({why}); a screen is an .h5ad or .zarr with X, obs and var")


def _stored_parts(group: Any, path: Path) -> Parts:
    from anndata.io import read_elem, sparse_dataset

    if "matrix" in group and "obs" not in group:
        raise _not_anndata(
            path, "it looks like Cell Ranger's; scanpy.read_10x_h5 reads it, add obs and write h5ad"
        )
    missing = [name for name in ("obs", "var") if name not in group]
    if missing:
        raise _not_anndata(path, f"it has no {missing[0]}")
    if "encoding-type" not in group["obs"].attrs:  # written by anndata before 0.7
        from anndata import read_h5ad

        return parts_of(read_h5ad(path))
    layers = tuple(group["layers"]) if "layers" in group else ()
    raw = "raw" in group and "raw" not in layers
    names = (*layers, "raw") if raw else layers

    def frame(key: str) -> pd.DataFrame:
        return cast(pd.DataFrame, read_elem(group[key]))

    def matrix(layer: str | None) -> Any:
        key = "X" if layer is None else "raw/X" if raw and layer == "raw" else f"layers/{layer}"
        if key not in group:
            return None
        stored = group[key]
        return sparse_dataset(stored) if hasattr(stored, "keys") else stored  # a group is sparse, an array dense

    def genes(layer: str | None) -> np.ndarray:
        return frame("raw/var" if raw and layer == "raw" else "var").index.to_numpy(object)

    def element(place: str) -> Callable[[str], Any]:
        return lambda key: read_elem(group[f"{place}/{key}"]) if f"{place}/{key}" in group else None

    obsm_keys = tuple(group["obsm"]) if "obsm" in group else ()
    return Parts(frame("obs"), genes, names, matrix, obsm_keys, element("obsm"), element("uns"))
