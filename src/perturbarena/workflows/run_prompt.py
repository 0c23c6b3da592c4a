"""Answer questions with prompts, and score at once where the questions are labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.challenge.formats import labelled_from_table, read_labelled, read_questions, read_table, sha256
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.evaluation import ScoreResult, metric_rules, score_strict
from perturbarena.tracks.prompt import (
    ChosenExamples,
    Examples,
    Prompts,
    PromptSettings,
    Transport,
    file_prompts,
    load_template,
    shipped_template,
    template_prompts,
)
from perturbarena.tracks.prompt.runner import RunPlan, RunResult, run_prompts, shard_of

_SECRETS: Final = ("api_key", "apikey", "secret", "password", "auth_token", "access_token")
"""Names of model arguments that would put a key into the run's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSource:
    """Where prompts come from: a file of prompts, or a template with or without examples."""

    template: Path | None = None
    prompts: Path | None = None
    examples: Path | None = None
    shot_set: Path | None = None
    """The same examples for every question, all of the file's."""
    shots: int = 0
    seed: int = 0
    """Of the draw of examples."""

    def hashes(self) -> dict[str, Any]:
        """Each file that is given, with its hash."""
        files = {"template": self.template, "prompts": self.prompts, "examples": self.examples}
        files["shot_set"] = self.shot_set
        hashed = {name: file_hash(p) for name, p in files.items() if p is not None}
        return hashed | ({"shots": self.shots, "shots_seed": self.seed} if self.shots else {})


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions to ask, and all rows of their file, labelled where it has labels."""

    questions: Questions
    table_questions: Questions
    labelled: LabelledQuestions | None
    shard: str | None


@dataclass(frozen=True, slots=True)
class AnsweredPrompts:
    """The run, and its score where the questions are labelled."""

    run: RunResult
    score: ScoreResult | None
    unscored: str = ""
    """Why there is no score although there are labels."""


def file_hash(path: Path) -> dict[str, str]:
    """A file's name and hash, for a manifest."""
    return {"file": path.name, "sha256": sha256(path)}


def read_asked(path: Path, *, limit: int | None = None, shard: str | None = None) -> Asked:
    """Questions from a file: the first ``limit`` of them, then the shard's."""
    everything = read_questions(path)
    table = read_table(path)
    labelled = None
    if "label" in table.columns:
        labelled = labelled_from_table(table.assign(id=everything.id), questions=everything, source=path)
    chosen = everything.take(np.arange(len(everything) if limit is None else min(limit, len(everything))))
    if shard is not None:
        chosen = shard_of(chosen, shard)
    return Asked(chosen, everything, labelled, shard)


def make_prompts(source: PromptSource, asked: Questions, *, challenge: Challenge, answers: str) -> Prompts:
    """Prompts for these questions.

    Raises
    ------
    InputError
        If options contradict each other.
    """
    if source.prompts is not None:
        others = (source.template, source.examples, source.shot_set)
        if any(path is not None for path in others) or source.shots:
            raise InputError(
                "--prompts holds whole prompts; --template, --examples, --shots and --shot-set do not go with it"
            )
        return file_prompts(source.prompts, asked)
    if (source.examples is None) != (source.shots == 0):
        raise InputError("--examples TRAIN.csv and --shots K (1 or more) go together")
    shots = None
    if source.shot_set is not None:
        if source.examples is not None:
            raise InputError("--shot-set and --examples are two ways of choosing examples; give one")
        shots = ChosenExamples(read_labelled(source.shot_set))
    elif source.examples is not None:
        shots = Examples(read_labelled(source.examples), source.shots, seed=source.seed)
    name = "stated" if answers == "stated" else "letter"
    template = shipped_template(name) if source.template is None else load_template(source.template)
    return template_prompts(template, challenge=challenge, examples=shots)


def answer_prompts(
    file: Path,
    asked: Asked,
    prompts: Prompts,
    folder: Path,
    *,
    challenge: Challenge,
    settings: PromptSettings,
    transport: Transport,
    inputs: Mapping[str, Any] | None = None,
    ask_unanswered: bool = False,
    patience: float | None = None,
    resamples: int = 2_000,
    quiet: bool = False,
) -> AnsweredPrompts:
    """Run, then score against the file's own labels."""
    hashes = {"questions": file_hash(file), **(inputs or {})}
    plan = RunPlan(
        questions=asked.questions,
        prompts=prompts,
        challenge=challenge,
        settings=settings,
        transport=transport,
        shard=asked.shard,
        inputs=hashes,
        ask_unanswered=ask_unanswered,
        **({} if patience is None else {"patience": patience}),
    )
    run = run_prompts(plan, folder, quiet=quiet)
    if asked.labelled is None:
        return AnsweredPrompts(run, None)
    score, unscored = score_run(
        run.folder.predictions, asked, challenge=challenge, track=settings.track, resamples=resamples
    )
    return AnsweredPrompts(run, score, unscored)


class ScoredRun(NamedTuple):
    """The score, or why there is none."""

    score: ScoreResult | None
    unscored: str = ""


def score_run(predictions: Path, asked: Asked, *, challenge: Challenge, track: str, resamples: int) -> ScoredRun:
    """Score a run's table against the labels of the questions' own file."""
    assert asked.labelled is not None
    position = {id_: i for i, id_ in enumerate(asked.labelled.id)}
    truth = asked.labelled.take(np.asarray([position[id_] for id_ in asked.questions.id], int))
    if len(set(truth.is_de)) < 2 or len(set(truth.is_up[truth.is_de])) < 2:
        return ScoredRun(None, "the questions asked hold too few labels of each kind to be scored")
    score = score_strict(
        truth,
        read_table(predictions),
        rng=np.random.default_rng(0),
        n_resamples=resamples,
        counted_genes=asked.table_questions.gene,
        rules=metric_rules(challenge, track, mode="strict"),
    )
    return ScoredRun(score)


def model_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """``name=value`` pairs; a value that reads as JSON (a number, true) is one."""
    import json

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"a model argument must be name=value; got {pair!r}")
        if any(word in name.casefold() for word in _SECRETS):
            raise InputError(f"the model argument {name} looks like a key; give keys by environment variable")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
