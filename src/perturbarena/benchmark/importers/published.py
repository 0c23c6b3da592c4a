"""A challenge's published files, as they are: same rows, same ids, same order."""

from __future__ import annotations

from pathlib import Path

from perturbarena.benchmark.folders import TEST, TRAIN, read_folder, read_solution
from perturbarena.benchmark.importers.imported import Imported, Source
from perturbarena.challenge.data import data_sets
from perturbarena.challenge.formats import read_table, sha256


def import_published(folder: Path, *, solution: Path | None = None) -> Imported:
    """``train.csv`` (id, pert, gene, label) and ``test.csv`` (id, pert, gene) of a folder, and a solution.

    Title, licence and citation are those of the known data set whose train.csv has the same SHA-256.

    Raises
    ------
    FormatError
        As :func:`~perturbarena.benchmark.folders.read_folder` and ``read_solution`` do.
    """
    found = read_folder(folder)
    files = {name: sha256(folder / name) for name in (TRAIN, TEST)}
    extra = [name for name in read_table(folder / TRAIN).columns if name not in ("id", "pert", "gene", "label")]
    notes = ["Rows, ids and order are those of the published files."]
    if extra:
        notes.append(f"Columns of {TRAIN} that were left out: {', '.join(extra)}.")
    known = next((d for d in data_sets().values() if any(f.sha256 == files[TRAIN] for f in d.files)), None)
    if known is None:
        source = Source("challenge", folder.resolve().name, files)
    else:
        source = Source("challenge", known.title, files, licence=known.licence, citation=known.citation)
    truth = None if solution is None else read_solution(solution, found.hidden)
    return Imported(found.train, found.hidden, truth, source, notes=tuple(notes))
