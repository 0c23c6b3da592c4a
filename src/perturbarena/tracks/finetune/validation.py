"""How well a model in training answers rows that share no name with what it learns: its DE and DIR AUROC.

The three answers are scored by their likelihood, so a look samples nothing and leaves the state of every random
number generator as it was: a training that is watched takes the same course as one that is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perturbarena.challenge.records import LABELS, LabelledQuestions, Predictions
from perturbarena.stats.auroc import auroc
from perturbarena.tracks.finetune.chat import ChatPrompt, encode
from perturbarena.tracks.finetune.likelihood import option_log_likelihoods
from perturbarena.tracks.finetune.options import OPTION_TEXTS

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Look(NamedTuple):
    """One look: AUROCs (NaN where a class is missing), log loss in nats, mean mass of the three answers."""

    de: float
    direction: float
    log_loss: float
    mass: float


class Watched:
    """Rows held back, ready to be answered at any step.

    Parameters
    ----------
    rows
        Labelled questions that are not learned from.
    """

    def __init__(
        self, rows: LabelledQuestions, prompt: ChatPrompt, tokenizer: PreTrainedTokenizerBase, *, batch_size: int
    ) -> None:
        self.rows, self._batch_size = rows, batch_size
        texts = [prompt.text(question, tokenizer) for question in rows.questions]
        self._prompts = [encode(text, tokenizer) for text in texts]
        self._options = [
            encode(prompt.completion(option, tokenizer, prompt=texts[0]), tokenizer) for option in OPTION_TEXTS
        ]

    def answer(self, model: PreTrainedModel) -> tuple[Predictions, np.ndarray]:
        """Predictions, and the mass of the three answers of each row, shape (n,); the model's mode is kept."""
        trained = model.training
        model.eval()
        try:
            scores = option_log_likelihoods(model, self._prompts, self._options, batch_size=self._batch_size)
        finally:
            model.train(trained)
        p = scores.probability
        return Predictions(self.rows.id, p[:, 0], p[:, 1]), scores.mass

    def look(self, model: PreTrainedModel) -> Look:
        """AUROCs, log loss and mass at this moment."""
        answers, mass = self.answer(model)
        return look(self.rows, answers, mass=float(mass.mean()))


def look(rows: LabelledQuestions, answers: Predictions, *, mass: float) -> Look:
    """Measure answers to labelled rows."""
    p = np.stack([answers.p_up, answers.p_down, 1 - answers.p_up - answers.p_down], axis=1)
    own = p[np.arange(len(rows)), [LABELS.index(label) for label in rows.label]]
    moved = rows.is_de
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = np.nan_to_num(answers.p_up / (answers.p_up + answers.p_down), nan=0.5)
    return Look(
        auroc(moved, answers.p_up + answers.p_down),
        auroc(rows.is_up[moved], direction[moved]) if moved.any() else float("nan"),
        float(-np.log(np.clip(own, 1e-12, 1)).mean()),
        mass,
    )


def sample_rows(rows: LabelledQuestions, *, most: int, rng: np.random.Generator) -> LabelledQuestions:
    """At most so many rows, drawn at random, in their order."""
    return rows if len(rows) <= most else rows.take(np.sort(rng.choice(len(rows), size=most, replace=False)))
