"""What a Kaggle competition's pages say of its files, and what would go wrong on its leaderboard.

The tables are the question set's own; sample submissions and the metric follow from the challenge's rules.
"""

from __future__ import annotations

import numpy as np

from perturbarena.benchmark.folders import PUBLIC, USAGES, QuestionFolder, Solution
from perturbarena.challenge.describe import markdown_table
from perturbarena.challenge.formats import READ_AS_MISSING
from perturbarena.challenge.records import LABELS, Questions
from perturbarena.challenge.rules import Challenge, Column, Track
from perturbarena.challenge.words import counted


def data_description(folder: QuestionFolder, challenge: Challenge, *, samples: dict[str, str]) -> str:
    """The text of the data page, as Markdown; ``samples`` gives each track's sample submission by its name."""
    train, labels = folder.train, challenge.labels
    counts = ", ".join(f"{int((train.label == label).sum()):,} `{label}`" for label in LABELS)
    shared = [len(set(getattr(train, k)) & set(getattr(folder.hidden, k))) for k in ("pert", "gene")]
    parts = [
        f"# {folder.stated('title') or challenge.title}",
        "One row is one question: `pert` is perturbed, does the expression of `gene` go up, go down, or stay?",
        _experiment(folder, challenge),
        "## Files",
        markdown_table(
            ("File", "Rows", "Columns"),
            [
                ("`train.csv`", _shape(train.questions), "`id`, `pert`, `gene`, `label`"),
                ("`test.csv`", _shape(folder.hidden), "`id`, `pert`, `gene`; the labels are yours to predict"),
                *((f"`{file}`", f"{len(folder.hidden):,}", f"track {track}") for track, file in samples.items()),
            ],
        ),
        f"Training labels: {counts}. Shared by training and test rows: {counted(shared[0], 'perturbation')}, "
        f"{counted(shared[1], 'target gene')}.",
        "## Labels",
        markdown_table(
            ("Label", "Meaning"),
            [("`up`", labels.up), ("`down`", labels.down), ("`none`", labels.none)],
        ),
        "## Score",
        f"{challenge.score.definition} DE ranks by `{challenge.score.de}`, DIR by `{challenge.score.direction}`.",
        *(_track(name, track, samples[name]) for name, track in challenge.tracks.items() if name in samples),
        "## Reading the files",
        _reading(folder),
    ]
    licence, citation = folder.stated("licence"), folder.stated("citation")
    parts += [f"## Licence\n\n{licence}"] if licence else []
    parts += [f"## Citation\n\n{citation}"] if citation else []
    return "\n\n".join(parts) + "\n"


def solution_warnings(solution: Solution) -> tuple[str, ...]:
    """Sentences on blocks that a leaderboard could not score, and on ids that Kaggle would not read as text."""
    found = []
    for usage in USAGES:
        label = solution.rows.label[solution.usage == usage]
        absent = [name for name in LABELS if not (label == name).any()]
        if not len(label):
            what = "the public leaderboard" if usage == PUBLIC else "the final ranking"
            found.append(f"no hidden row has the Usage {usage}: {what} would have nothing to score")
        elif absent:
            found.append(f"no {usage} row is {' or '.join(absent)}: the metric stops there")
    missing = sorted(set(solution.rows.id) & READ_AS_MISSING)
    if missing:
        found.append(f"the id {missing[0]} is read as a missing value by the metric; rename it")
    return tuple(found)


def _experiment(folder: QuestionFolder, challenge: Challenge) -> str:
    """What was done to which cells: as the question set states it, else as the rules do, never a mixture."""
    names = ("species", "cell", "stimulus", "perturbation")
    stated = {name: folder.stated(name) for name in names}
    if not any(stated.values()):
        stated = {name: getattr(challenge.biology, name) for name in names}
    return "; ".join(f"{name}: {text}" for name, text in stated.items() if text)


def _track(name: str, track: Track, sample: str) -> str:
    rows = [(f"`{c.name}`", _bounds(track, c), c.meaning) for c in track.columns]
    head = f"## Track {name}: {track.title}\n\n{track.description} Start from `{sample}`.\n\n"
    return head + markdown_table(("Column", "Holds", "Meaning"), rows)


def _bounds(track: Track, column: Column) -> str:
    limit = track.limit_of(column)
    return column.type if limit is None else f"{column.type}, at most {limit:,}"


def _reading(folder: QuestionFolder) -> str:
    columns = (folder.train.pert, folder.train.gene, folder.hidden.pert, folder.hidden.gene)
    odd = sorted(set(np.concatenate(columns)) & READ_AS_MISSING)
    text = "UTF-8 CSV. Read every cell as text: `pandas.read_csv(path, dtype=str, keep_default_na=False)`."
    return text + (f" Here {', '.join(odd)} is a gene's name, not a missing value." if odd else "")


def _shape(questions: Questions) -> str:
    perts, genes = len(set(questions.pert)), len(set(questions.gene))
    return f"{len(questions):,} ({counted(perts, 'perturbation')}, {counted(genes, 'gene')})"
