"""A predictor of another program, as a learner: files in, a command, files out.

So cross-validation deals the folds and hands out no label of a row that is to be answered, whatever language the
predictor is written in.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.challenge.formats import (
    read_predictions,
    sha256,
    write_labelled,
    write_predictions,
    write_questions,
)
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import InputError

PLACES: Final = ("{train}", "{questions}", "{output}")
"""What the command must name: the training rows, the questions without labels, the predictions to write."""


@dataclass(frozen=True, slots=True)
class ExternalLearner:
    """Runs ``command`` for each fit, without a shell; ``{seed}`` in it becomes a number of that fit's own.

    Answers of finished fits are kept in ``folder``, so that a run that was stopped does not repeat them.
    """

    command: str
    folder: Path
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        missing = [place for place in PLACES if place not in self.command]
        if missing:
            raise InputError(f"the command must name {', '.join(PLACES)}; it lacks {', '.join(missing)}")

    def __call__(self, train: LabelledQuestions, questions: Questions, *, rng: np.random.Generator) -> Predictions:
        """Answer the questions by the command.

        Raises
        ------
        InputError
            If the command cannot be started, fails, takes too long, or leaves a question unanswered.
        """
        seed = int(rng.integers(2**31))
        with tempfile.TemporaryDirectory() as scratch:
            names = {name: Path(scratch) / f"{name}.csv" for name in ("train", "questions", "output")}
            write_labelled(names["train"], train)
            write_questions(names["questions"], questions)
            kept = self.folder / f"{self._digest(names, seed)}.csv"
            if not kept.exists():
                self._run(names, seed)
                write_predictions(kept, _in_order(names["output"], questions))
        return _in_order(kept, questions)

    def _digest(self, names: dict[str, Path], seed: int) -> str:
        told = (self.command, str(seed), sha256(names["train"]), sha256(names["questions"]))
        return hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]

    def _run(self, names: dict[str, Path], seed: int) -> None:
        words = [_fill(word, names, seed) for word in shlex.split(self.command)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=self.timeout_s, check=False)
        except OSError as error:
            raise InputError(f"cannot start {words[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise InputError(f"the command took longer than {self.timeout_s:g} s (--timeout)") from error
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            raise InputError(f"the command ended with exit code {done.returncode}: {last[0]}")
        if not names["output"].exists():
            raise InputError("the command wrote no predictions to {output}")


def _fill(word: str, names: dict[str, Path], seed: int) -> str:
    for name, path in names.items():
        word = word.replace(f"{{{name}}}", str(path))
    return word.replace("{seed}", str(seed))


def _in_order(path: Path, questions: Questions) -> Predictions:
    answers = read_predictions(path)
    place = {id_: i for i, id_ in enumerate(answers.id)}
    missing = [id_ for id_ in questions.id if id_ not in place]
    if missing:
        raise InputError(
            f"the command must answer all {len(questions)} questions; {len(missing)} are missing, "
            f"e.g. {missing[0]}"
        )
    return answers.take(np.array([place[id_] for id_ in questions.id]))
