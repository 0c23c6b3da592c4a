"""The options that say which tools there are: the store, training rows, and the questions to hide from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from perturbarena.tracks.tools import ToolSet

Knowledge = Annotated[
    Path,
    typer.Option(
        "--knowledge", "-k", metavar="KB.sqlite", envvar="PERTURBARENA_KNOWLEDGE", help="The knowledge base."
    ),
]
Train = Annotated[
    Path | None,
    typer.Option(
        metavar="TRAIN.csv", help="Labelled rows: adds tools that tell what was measured for like genes."
    ),
]
Questions = Annotated[
    Path | None,
    typer.Option(
        metavar="QUESTIONS.csv",
        help="The questions that will be asked: training rows that share a perturbation or a gene are not seen.",
    ),
]


def read_tools(knowledge: Path, train: Path | None, questions: Path | None) -> ToolSet:
    """The tools that the options ask for."""
    from perturbarena.challenge.formats import read_labelled, read_questions
    from perturbarena.errors import InputError
    from perturbarena.tracks.tools import built_in_tools

    if (train is None) != (questions is None):
        given, needed = ("--train", "--questions") if questions is None else ("--questions", "--train")
        raise InputError(
            f"{given} needs {needed}: rows that share a name with a question that will be asked are hidden"
        )
    if train is None or questions is None:
        return built_in_tools(knowledge)
    return built_in_tools(knowledge, train=read_labelled(train), hidden=read_questions(questions))
