"""Recorded outputs as a model: what was said once is said again, with the probabilities it was said with.

A recording is a table with one row a question: ``id`` (and ``pert``, ``gene`` where the id alone does not tell
them apart), and for each seed n a column ``reasoning_trace_seed{n}``; ``prediction_up_seed{n}`` and
``prediction_down_seed{n}`` where probabilities were recorded. That is the layout of a track A submission, so any
submission can be replayed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perturbarena.errors import FormatError
from perturbarena.tracks.models.completion import Answer, split_trace
from perturbarena.tracks.models.conversation import Conversation, QuestionFinder, UnanswerableError
from perturbarena.tracks.parsing import DEFAULT_LETTERS

if TYPE_CHECKING:
    import pandas as pd

_TRACE: Final = re.compile(r"reasoning_trace_seed(\d+)")


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded: texts and letter probabilities by (question, seed)."""

    finder: QuestionFinder
    seeds: tuple[int, ...]
    texts: Mapping[tuple[str, int], str]
    p_letter: Mapping[tuple[str, int], Mapping[str, float]]

    def answer(self, conversation: Conversation, question: str) -> Answer:
        """What was said to ``question`` under the request's seed.

        Raises
        ------
        UnanswerableError
            If nothing was recorded under that seed.
        """
        seed = conversation.seed
        if seed is None or seed not in self.seeds:
            known = ", ".join(map(str, self.seeds))
            raise UnanswerableError(f"the recording has the seeds {known}; the request's seed is {seed}")
        reasoning, final = split_trace(self.texts[question, seed])
        return Answer(reasoning, final, self.p_letter.get((question, seed)), reasoning_is_one_token=True)


def read_recording(path: Path) -> Recording:
    """Recorded outputs from a CSV file, ``.gz`` too.

    Raises
    ------
    FormatError
        If the file lacks ``id`` or any ``reasoning_trace_seed…`` column, or a probability is no number.
    """
    from perturbarena.challenge.formats import read_table, with_pairs

    table = with_pairs(read_table(path, required=("id",)), questions=None, source=path)
    seeds = tuple(sorted(int(m[1]) for name in table.columns if (m := _TRACE.fullmatch(name))))
    if not seeds:
        raise FormatError(
            f"{path} needs columns reasoning_trace_seed42, …; it has {', '.join(map(str, table.columns))}"
        )
    ids = table["id"].tolist()
    texts = {
        (id_, seed): text
        for seed in seeds
        for id_, text in zip(ids, table[f"reasoning_trace_seed{seed}"], strict=True)
    }
    finder = QuestionFinder(zip(ids, table["pert"], table["gene"], strict=True))
    return Recording(finder, seeds, texts, _probabilities(table, seeds, path))


def read_texts(path: Path) -> tuple[QuestionFinder, dict[str, str]]:
    """A CSV file with ``id,text``: what to say to each question, whatever the seed."""
    from perturbarena.challenge.formats import read_table, with_pairs

    table = with_pairs(read_table(path, required=("id", "text")), questions=None, source=path)
    finder = QuestionFinder(zip(table["id"], table["pert"], table["gene"], strict=True))
    return finder, dict(zip(table["id"], table["text"], strict=True))


def _probabilities(
    table: pd.DataFrame, seeds: tuple[int, ...], path: Path
) -> dict[tuple[str, int], dict[str, float]]:
    from perturbarena.challenge.formats import numbers

    found: dict[tuple[str, int], dict[str, float]] = {}
    for seed in seeds:
        names = f"prediction_up_seed{seed}", f"prediction_down_seed{seed}"
        if not set(names) <= set(table.columns):
            continue
        up, down = (numbers(table[name], name, source=path).tolist() for name in names)
        for id_, p_up, p_down in zip(table["id"], up, down, strict=True):
            # rounding may leave the sum a last bit above 1
            values = (p_up, p_down, max(0.0, 1.0 - p_up - p_down))
            found[id_, seed] = dict(zip(DEFAULT_LETTERS, values, strict=True))
    return found
