"""A fake model that knows some answers, and more of them when a phrase stands in the prompt.

Whoever tunes prompts needs to see that an improvement which is there is found, and that one which is not there is
not. Here both can be planted: the share of questions that the model knows is ``skill``, or ``phrase_skill`` where
the prompt holds ``phrase``. What it does not know it guesses, anew for every prompt and seed, as a model that is
sampled does. As the model that reflects, it proposes the text it was shown with one of a list of sentences added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perturbarena.challenge.records import LABELS, LabelledQuestions
from perturbarena.errors import FormatError
from perturbarena.tracks.models.completion import Answer
from perturbarena.tracks.models.conversation import Conversation, QuestionFinder, UnanswerableError, draw
from perturbarena.tracks.parsing import DEFAULT_LETTERS

REFLECTION: Final = "reflection"
"""A request whose ``user`` field begins so asks for a better prompt, and not a question."""
_SURE: Final = (0.5, 0.95)
"""Range of the probability that the likeliest option gets, known or guessed alike."""
_FENCED: Final = re.compile(r"```\n(.*?)\n```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Planted:
    """What the model knows; see :func:`read_planted`."""

    labels: Mapping[str, str]
    """The label of each question's id."""
    skill: float
    """Share of answers that are known."""
    phrase: str | None = None
    """With these words in the prompt the share is ``phrase_skill``; letters' case does not matter."""
    phrase_skill: float = 0.0
    seed: int = 0

    def probabilities(self, prompt: str, id_: str, seed: int | None) -> dict[str, float]:
        """Of the letters A, B, C for up, down, none; the same for the same prompt, question and seeds."""
        rng = draw(prompt, seed, self.seed, id_)
        has_phrase = self.phrase is not None and self.phrase.casefold() in prompt.casefold()
        known = rng.random() < (self.phrase_skill if has_phrase else self.skill)
        likeliest = LABELS.index(self.labels[id_]) if known else rng.randrange(len(LABELS))
        top, share = rng.uniform(*_SURE), rng.random()
        rest = iter((share * (1 - top), (1 - share) * (1 - top)))
        return {letter: top if i == likeliest else next(rest) for i, letter in enumerate(DEFAULT_LETTERS)}

    def answer(self, prompt: str, id_: str, seed: int | None, *, stated: bool) -> Answer:
        """The likeliest letter, with stated probabilities where asked for."""
        p_letter = self.probabilities(prompt, id_, seed)
        letter = max(p_letter, key=lambda option: p_letter[option])
        reason = "The pathways between the two genes point this way."
        if not stated:
            return Answer(reason, f"<answer>{letter}</answer>", p_letter)
        shares = [round(p_letter[option], 3) for option in DEFAULT_LETTERS]
        said = f"P_up={shares[0]}, P_down={shares[1]}, P_none={round(1 - shares[0] - shares[1], 3)}"
        return Answer(reason, f"{said}\n<answer>{letter}</answer>", p_letter)


def read_truth(path: Path) -> tuple[QuestionFinder, LabelledQuestions]:
    """Labelled questions, and what finds them in a prompt."""
    from perturbarena.challenge.formats import read_labelled

    rows = read_labelled(path)
    return QuestionFinder(zip(rows.id, rows.pert, rows.gene, strict=True)), rows


def read_proposals(path: Path) -> tuple[str, ...]:
    """Sentences to propose, one a line.

    Raises
    ------
    FormatError
        If the file cannot be read or is empty.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read as text: {error}") from error
    sentences = tuple(line.strip() for line in lines if line.strip())
    if not sentences:
        raise FormatError(f"{path} must hold at least one sentence to propose, one a line; it has none")
    return sentences


def proposed(prompt: str, sentences: Sequence[str], *, seed: int | None, own_seed: int = 0) -> str:
    """The first fenced text of a prompt with one of the sentences before it, fenced again.

    The request's seed counts through the sentences, so that each comes once before any comes twice.

    Raises
    ------
    UnanswerableError
        If the prompt shows no fenced text.
    """
    shown = _FENCED.search(prompt)
    if shown is None:
        raise UnanswerableError("a request to reflect must show a text between lines of ```; it shows none")
    sentence = sentences[((seed or 0) + own_seed) % len(sentences)]
    return f"This might help.\n```\n{sentence}\n{shown.group(1)}\n```"


def is_reflection(conversation: Conversation) -> bool:
    """Whether a request asks for a better prompt."""
    return conversation.question.startswith(REFLECTION)
