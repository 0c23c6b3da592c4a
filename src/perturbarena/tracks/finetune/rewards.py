"""What reinforcement learning rewards: small named functions of one written answer, centred.

An answer that is the same for every question, well-formed or not, gets a mean of 0 at most over rows in which the
labels' weights balance out. So the only way up is to tell questions apart. ``w`` is the weight of the row's label,
``1 / (3 · its share of the training rows)``.

=============  ===================================================================================================
``correct``    ``w·2/3`` for the right answer, ``−w/3`` for a wrong one, ``−w`` for one that cannot be read
``proper``     ``w·(B(⅓, ⅓, ⅓) − B(p))``, B the Brier score of the stated probabilities: a proper scoring rule,
               zero for "no opinion"; a bare letter counts as certainty; ``−2w`` for an unreadable answer
``format``     0 where the text ends in exactly one answer of the form asked for, −1 otherwise
``length``     0 up to ``good_tokens``, falling to −1 at ``max_new_tokens``
=============  ===================================================================================================

The Brier score and its being proper: Brier 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2;
Gneiting & Raftery 2007, https://doi.org/10.1198/016214506000001437.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena.challenge.records import LABELS
from perturbarena.tracks.finetune.options import read_text

_ENDS: Final = re.compile(r"<answer>\s{0,2}[A-C]\s{0,2}</answer>\s*$")
_TAG: Final = re.compile(r"<answer>[^<\n]{0,40}</answer>")
_AFTER: Final = re.compile(r".*</think(?:ing)?>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Written:
    """One sampled answer: its text, the row's label and that label's weight, and how many tokens it took."""

    text: str
    label: str
    weight: float = 1.0
    tokens: int = 0
    good_tokens: int = 512
    max_tokens: int = 1024


Reward = Callable[[Written], float]


def reward_correct(written: Written) -> float:
    """Is the label right? See the module."""
    answer = read_text(written.text)
    if not answer.parsed:
        return -written.weight
    return written.weight * (float(answer.label == written.label) - 1 / 3)


def reward_proper(written: Written) -> float:
    """How good are the stated probabilities? See the module."""
    answer = read_text(written.text)
    if not answer.parsed:
        return -2 * written.weight
    p = np.array([answer.p_up, answer.p_down, 1 - answer.p_up - answer.p_down])
    truth = np.array([float(label == written.label) for label in LABELS])
    return written.weight * float(((1 / 3 - truth) ** 2).sum() - ((p - truth) ** 2).sum())


def reward_format(written: Written) -> float:
    """Does the final part end in one answer and hold no other? See the module."""
    final = _AFTER.sub("", written.text)
    return 0.0 if _ENDS.search(final) and len(_TAG.findall(final)) == 1 else -1.0


def reward_length(written: Written) -> float:
    """Is it short enough? See the module."""
    over = written.tokens - written.good_tokens
    room = max(1, written.max_tokens - written.good_tokens)
    return -float(np.clip(over / room, 0.0, 1.0))


REWARDS: Final[Mapping[str, Reward]] = {
    "correct": reward_correct,
    "proper": reward_proper,
    "format": reward_format,
    "length": reward_length,
}
"""The rewards by the names that settings use."""


def label_weights(labels: np.ndarray) -> dict[str, float]:
    """``1 / (3 · share)`` of each label: over rows with these labels, the weights of each label sum alike."""
    shares = {label: float(np.mean(labels == label)) for label in LABELS}
    present = sum(share > 0 for share in shares.values())
    return {label: 1 / (present * share) for label, share in shares.items() if share > 0}


def trainer_reward(name: str, *, weights: Mapping[str, float], good_tokens: int, max_tokens: int) -> Any:
    """A reward as TRL calls one: over a batch of texts, with the column ``label`` beside them."""
    reward = REWARDS[name]

    def batch(
        completions: Sequence[str], completion_ids: Sequence[Sequence[int]], label: Sequence[str], **_: Any
    ) -> list[float]:
        return [
            reward(Written(text, own, weights[own], len(ids), good_tokens, max_tokens))
            for text, ids, own in zip(completions, completion_ids, label, strict=True)
        ]

    batch.__name__ = name
    return batch
