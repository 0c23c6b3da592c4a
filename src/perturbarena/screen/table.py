"""The effect table: an AnnData of perturbations × genes, and its file."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from perturbarena.errors import FormatError, InputError, MissingExtraError

if TYPE_CHECKING:
    from anndata import AnnData

    from perturbarena.screen.design import Design
    from perturbarena.screen.features import GeneSelection
    from perturbarena.screen.fits import Fits, Shrunk
    from perturbarena.screen.read import Screen

LAYERS: Final = ("log2fc", "se_log2fc", "log2fc_shrunk", "lfsr", "pvalue", "fdr")
EXACT: Final = ("pvalue", "fdr")
"""Layers kept in float64: their smallest values are below what float32 holds."""
SUFFIXES: Final = (".h5ad", ".zarr")


def effect_table(
    screen: Screen,
    design: Design,
    genes: GeneSelection,
    fits: Fits,
    shrunk: Shrunk,
    *,
    provenance: Mapping[str, Any],
) -> AnnData:
    """Assemble the table. ``obs`` has n_cells, n_significant, df2 and the reason of a perturbation left out."""
    anndata = _anndata()
    layers = {
        "log2fc": fits.log2fc,
        "se_log2fc": fits.se_log2fc,
        "log2fc_shrunk": shrunk.log2fc,
        "lfsr": shrunk.lfsr,
        "pvalue": fits.pvalue,
        "fdr": fits.fdr,
    }
    obs = pd.DataFrame(
        {
            "n_cells": design.n_cells,
            "n_significant": np.nansum(fits.fdr < 0.05, axis=1),
            "df2": fits.df2,
            "reason": design.reason.astype(str),
        },
        index=pd.Index(design.perturbations.astype(str), name="perturbation"),
    )
    controls = screen.counts[design.control_rows][:, genes.positions]
    var = pd.DataFrame(
        {
            "mean_count_control": np.asarray(controls.mean(axis=0)).ravel(),
            "share_of_control_cells": np.asarray((controls > 0).mean(axis=0)).ravel(),
        },
        index=pd.Index(screen.genes[genes.positions].astype(str), name="gene"),
    )
    stored = {name: value if name in EXACT else value.astype(np.float32) for name, value in layers.items()}
    table = anndata.AnnData(X=None, obs=obs, var=var, layers=stored)
    table.uns["perturbarena"] = {
        **provenance,
        "source": screen.source,
        "control": screen.control,
        "n_control_cells": len(design.control_rows),
    }
    return table


def write_effect_table(path: Path | str, table: AnnData) -> None:
    """Write ``.h5ad`` or ``.zarr``; the file appears only when it is whole.

    Raises
    ------
    InputError
        If the suffix is neither, or the folder cannot be written.
    """
    path = check_suffix(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    try:
        whole = part / path.name
        if path.suffix == ".zarr":
            with warnings.catch_warnings():  # anndata announces which zarr version it will write one day
                warnings.simplefilter("ignore", UserWarning)
                table.write_zarr(whole)
            if path.is_dir():
                path.rename(part / "replaced")
        else:
            table.write_h5ad(whole, compression="gzip", compression_opts=1)
        whole.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def read_effect_table(path: Path | str) -> AnnData:
    """An effect table written before.

    Raises
    ------
    FormatError
        If the file is missing, cannot be read, or lacks a layer.
    """
    path = check_suffix(path)
    if not path.exists():
        raise FormatError(f"no such file: {path}")
    anndata = _anndata()
    try:
        table = anndata.read_zarr(path) if path.suffix == ".zarr" else anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as an effect table: {error}") from error
    missing = [name for name in LAYERS if name not in table.layers]
    if missing:
        raise FormatError(f"{path} is no effect table: it lacks the layer {missing[0]}")
    return table


def check_suffix(path: Path | str) -> Path:
    """The path, if it names an ``.h5ad`` or ``.zarr``."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError(f"an effect table's name ends in {' or '.join(SUFFIXES)}; got {path.name}")
    return path


def _anndata() -> Any:
    try:
        import anndata
    except ImportError as error:
        raise MissingExtraError("effect tables need anndata: pip install 'perturbarena[screen]'") from error
    return anndata
