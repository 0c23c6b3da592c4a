"""Hand a question set on: as a Kaggle competition's files, or as a Hugging Face data set.

The public half is made from the question set's folder alone. The truth goes into ``organiser/`` and nowhere else;
the Hugging Face export does not even take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perturbarena.benchmark.exporters import data_description, dataset_card, parquet_table, solution_warnings
from perturbarena.benchmark.exporters.huggingface import TEST_FILE, TRAIN_FILE
from perturbarena.benchmark.folders import (
    TRAIN,
    QuestionFolder,
    keep_apart,
    read_folder,
    read_solution,
    whole_folders,
)
from perturbarena.challenge.data import data_sets
from perturbarena.challenge.describe import sample_table
from perturbarena.challenge.formats import sha256, write_labelled, write_questions, write_table
from perturbarena.challenge.rules import Challenge
from perturbarena.evaluation import render

PUBLIC_FOLDER: Final = "data"
ORGANISER_FOLDER: Final = "organiser"
_ORGANISER_README: Final = """# For organisers only

`solution.csv` holds the answers. Upload it as the competition's solution file; publish nothing of this folder,
and keep it out of repositories that others can read. `metric_track_*.py` is the metric of each track, whole in one
file. Everything in `../data/` is meant for entrants.
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """Paths relative to the folder: what everybody may see, what only organisers may, and what to look at."""

    public: tuple[str, ...]
    organiser: tuple[str, ...]
    warnings: tuple[str, ...]


def export_kaggle(bench: Path, truth: Path, output: Path, *, challenge: Challenge) -> Exported:
    """``data/`` for entrants (tables, a sample submission per track, a description), ``organiser/`` with the rest.

    Raises
    ------
    InputError
        If the question set or its solution is broken, or ``output`` is not empty or lies in either.
    """
    folder = read_folder(bench)
    solution = read_solution(truth, folder.hidden)
    keep_apart(output, bench)
    samples = {name: f"sample_submission_track_{name.lower()}.csv" for name in challenge.tracks}
    with whole_folders(output) as (part,):
        data, organiser = part / PUBLIC_FOLDER, part / ORGANISER_FOLDER
        write_labelled(data / "train.csv", folder.train)
        write_questions(data / "test.csv", folder.hidden)
        for name, file in samples.items():
            write_table(data / file, sample_table(challenge, challenge.tracks[name], folder.hidden))
        description = data_description(folder, challenge, samples=samples)
        (data / "data_description.md").write_text(description, encoding="utf-8")
        write_table(organiser / "solution.csv", solution.table())
        (organiser / "README.md").write_text(_ORGANISER_README, encoding="utf-8")
        for name in challenge.tracks:
            source = render(challenge, name)
            (organiser / f"metric_track_{name.lower()}.py").write_text(source, encoding="utf-8")
        files = _files(part)
    public = tuple(f for f in files if f.startswith(f"{PUBLIC_FOLDER}/"))
    private = tuple(f for f in files if f not in public)
    warnings = (*solution_warnings(solution), *_licence_warning(folder), *_rules_warning(folder, challenge))
    return Exported(public, private, warnings)


def export_huggingface(bench: Path, output: Path) -> Exported:
    """``data/*.parquet`` and the card; all of it is public, and the hidden rows' labels are not read.

    Raises
    ------
    InputError
        If the question set is broken, or ``output`` is not empty or lies in it.
    """
    import pyarrow.parquet as pq

    folder = read_folder(bench)
    keep_apart(output, bench)
    with whole_folders(output) as (part,):
        (part / "data").mkdir()
        pq.write_table(parquet_table(folder.train), part / TRAIN_FILE)
        pq.write_table(parquet_table(folder.hidden), part / TEST_FILE)
        (part / "README.md").write_text(dataset_card(folder), encoding="utf-8")
        files = _files(part)
    return Exported(files, (), _licence_warning(folder))


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))


def _rules_warning(folder: QuestionFolder, challenge: Challenge) -> tuple[str, ...]:
    """Rules that go with a known data set describe its cells and labels; they would be wrong of any other set."""
    known = data_sets().get(challenge.name)
    if known is None or sha256(folder.path / TRAIN) in {file.sha256 for file in known.files}:
        return ()
    return (
        f"data_description.md states the rules of {challenge.name}, made for another question set; "
        "give rules of its own (--challenge)",
    )


def _licence_warning(folder: QuestionFolder) -> tuple[str, ...]:
    stated = folder.stated("licence")
    if not stated or stated == "none stated":
        return ("the question set states no licence; publish it only if it is yours to publish",)
    if "non-commercial" in stated.casefold():
        return (f"the source's licence goes with it: {stated}",)
    return ()
