"""A question set from files → the smallest difference it can show, and its figure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.benchmark import read_question_set
from perturbarena.benchmark.entrants import EntrantModel, GeneLabels, LabelMix
from perturbarena.benchmark.power import Power, PowerSettings, measure_power
from perturbarena.errors import InputError
from perturbarena.report import Curve, draw_power

NAMES: Final = {"score": "Score", "de_auroc": "DE", "dir_auroc": "DIR"}


def power_of_files(
    path: Path,
    *,
    rng: np.random.Generator,
    truth: Path | None = None,
    mix: LabelMix | None = None,
    model: EntrantModel | None = None,
    settings: PowerSettings | None = None,
) -> Power:
    """The power of the rows that entrants are compared on: the hidden ones where there are any, else all.

    Hidden rows take their labels from ``truth``, or draw them with ``mix``, or borrow those of training genes.

    Raises
    ------
    InputError
        If the files are no question set, nothing is known of the labels, or labels and ``mix`` are both given.
    """
    asked = read_question_set(path, truth=truth)
    labelled = asked.truth or (asked.train if asked.hidden is None else None)
    if labelled is not None and mix is not None:
        raise InputError(f"--mix is for rows without labels; of {path} its labels are known")
    if labelled is not None:
        rows, labels = labelled.rows.questions, labelled.rows.label
    elif asked.hidden is None:
        raise InputError(f"{path} has no questions")
    elif mix is not None:
        rows, labels = asked.hidden, mix
    elif asked.train is not None:
        rows, labels = asked.hidden, GeneLabels.of(asked.train.rows)
    else:
        raise InputError(f"{path} has no labels; give them (--truth) or their shares (--mix UP,DOWN,NONE)")
    return measure_power(rows, labels, rng=rng, model=model, settings=settings)


def power_figure(path: Path, power: Power, *, title: str) -> None:
    """Draw the smallest visible difference over the number of questions."""
    n = np.array([point.n for point in power.curve])
    curves = [
        Curve(name, n, np.array([point.smallest[measure] for point in power.curve]))
        for measure, name in NAMES.items()
    ]
    draw_power(path, curves=curves, power=power.settings.power, title=title)
