"""A run of a fine-tuned model from questions to a folder: resume what is there, ask what is left, table last.

The folder is that of every run (:mod:`perturbarena.tracks.running.folder`). Two passes: the model answers, then
the critic, where there is one, scores what was written; a line with scores replaces the line without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from perturbarena.challenge.formats import atomic, write_json
from perturbarena.challenge.records import Question, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.chat import ChatPrompt
from perturbarena.tracks.finetune.inference import InferenceSettings, settings_as_json
from perturbarena.tracks.finetune.samples import trace_line, whole_text
from perturbarena.tracks.finetune.table import write_finetuned_table
from perturbarena.tracks.prompt.table import Tally
from perturbarena.tracks.running.folder import FORMAT_VERSION, RunFolder
from perturbarena.tracks.running.progress import Progress

KIND: Final = "finetuned"
"""As the manifest names a run of a fine-tuned model."""


class Critic(Protocol):
    """What scores answers: a model of its own, trained on training rows."""

    def score(self, questions: Sequence[Question], answers: Sequence[str]) -> np.ndarray:
        """The probability that each answer, given with its reasoning, is right: shape (n,), in [0, 1]."""
        ...

    def provenance(self) -> Mapping[str, Any]:
        """Which model it is: files, hashes, parameters."""
        ...


class Work(Protocol):
    """What an answering model is handed: which questions are left, and where answers go."""

    progress: Progress

    def is_left(self, question: Question) -> bool:
        """Whether the question still needs an answer."""
        ...

    def kept(self, question: Question) -> list[dict[str, Any]]:
        """Calls of an earlier start that stand."""
        ...

    def done(self, question: Question, prompt: str, calls: Sequence[Mapping[str, Any]]) -> None:
        """Keep a question's calls."""
        ...


class Answering(Protocol):
    """A model that answers: in this process, or behind a server."""

    def answer(self, questions: Questions, work: Work) -> None:
        """Answer what is left of the questions."""
        ...

    def as_json(self) -> Mapping[str, Any]:
        """How it was reached and with which versions, for the manifest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetunedPlan:
    """Everything a run needs to know."""

    questions: Questions
    chat: ChatPrompt
    challenge: Challenge
    settings: InferenceSettings
    model: Mapping[str, Any]
    """Which model: base and adapter with the hashes of their files, parameters."""
    critic: Critic | None = None
    shard: str | None = None
    """``i/n`` where the questions are a shard."""
    inputs: Mapping[str, Any] | None = None
    """Files and their hashes, for the manifest."""
    ask_unanswered: bool = False
    """Ask a server again what it answered with nothing readable."""


@dataclass(frozen=True, slots=True)
class FinetunedResult:
    """What a run left behind: its folder, the counts over all its starts, and what this start did."""

    folder: RunFolder
    tally: Tally
    seconds: float
    resumed: int
    """Questions that an earlier start had finished."""
    manifest: dict[str, Any]


def run_finetuned(
    plan: FinetunedPlan, answering: Answering, folder: Path, *, quiet: bool = False
) -> FinetunedResult:
    """Answer every question that the folder does not hold, then write ``predictions.csv`` and ``run.json``.

    Raises
    ------
    InputError
        If the folder belongs to another run, there are no questions, or an id is repeated.
    """
    if not len(plan.questions):
        raise InputError("there are no questions to ask")
    if len(set(plan.questions.id)) < len(plan.questions):
        raise InputError("an id may stand once among the questions")
    run = RunFolder(folder)
    began = datetime.now(UTC)
    with run.open(_held(plan)) as positions:
        if not run.prompt.is_file():
            with atomic(run.prompt) as file:
                file.write(kept_prompt(plan.chat))
        desk = _Desk(plan, run, positions, quiet=quiet)
        resumed = len(plan.questions) - desk.n_left
        if desk.n_left or desk.unscored():
            run.manifest.unlink(missing_ok=True)  # a folder with a manifest is a finished run
        if desk.n_left:
            _answer(plan, answering, desk, run)
        _criticise(plan, desk, quiet=quiet)
        traces = run.read(iter([positions[id_] for id_ in plan.questions.id]))
        tally = write_finetuned_table(run.predictions, traces, challenge=plan.challenge, settings=plan.settings)
        manifest = _manifest(plan, answering, run, tally, began=began, progress=desk.progress)
        write_json(run.manifest, manifest)
    return FinetunedResult(run, tally, desk.progress.seconds, resumed, manifest)


def kept_prompt(chat: ChatPrompt) -> str:
    """What a submission hands in as its prompt: system text and template, with places for the two genes."""
    asked = chat.template.render(pert="{pert}", gene="{gene}", cell_context=chat.context)
    return f"{chat.system}\n\n{asked}" if chat.system else asked


class _Desk:
    """The work that is left, and the folder that takes it."""

    def __init__(self, plan: FinetunedPlan, run: RunFolder, positions: dict[str, int], *, quiet: bool) -> None:
        self._plan, self._run, self._at, self._quiet = plan, run, positions, quiet
        again = {
            trace["id"]
            for trace in run.read(list(positions.values()))
            if any(self._asked_again(call) for call in trace["calls"])
        }
        self._left = {id_ for id_ in plan.questions.id if id_ not in positions or id_ in again}
        self.n_left = len(self._left)
        total = len(plan.questions)
        self.progress = Progress(total, done=total - self.n_left, unit="answers")

    def is_left(self, question: Question) -> bool:
        return question.id in self._left

    def kept(self, question: Question) -> list[dict[str, Any]]:
        if question.id not in self._at:
            return []
        return [call for call in self._trace(question)["calls"] if not self._asked_again(call)]

    def done(self, question: Question, prompt: str, calls: Sequence[Mapping[str, Any]]) -> None:
        line = trace_line(question, prompt, calls)
        self._run.append(line | {"finished": datetime.now(UTC).isoformat(timespec="seconds")})
        self._left.discard(question.id)
        self.progress.question_done(quiet=self._quiet)

    def finish(self) -> None:
        self.progress.finish(quiet=self._quiet)

    def unscored(self) -> list[Question]:
        """Answered questions whose texts the critic has not seen."""
        if self._plan.critic is None:
            return []
        return [
            q for q in self._plan.questions
            if q.id in self._at and not all("score" in call for call in self._trace(q)["calls"])
        ]  # fmt: skip

    def score(self, batch: Sequence[Question], critic: Critic) -> None:
        """Keep the critic's scores of a batch's texts; a text that nobody can read gets one too."""
        traces = [self._trace(question) for question in batch]
        rows = [(question, call) for question, trace in zip(batch, traces, strict=True) for call in trace["calls"]]
        scores = critic.score([question for question, _ in rows], [whole_text(call) for _, call in rows])
        for (_, call), score in zip(rows, scores, strict=True):
            call["score"] = float(score)
        for trace in traces:
            self._run.append({name: value for name, value in trace.items() if name != "format_version"})

    def _trace(self, question: Question) -> dict[str, Any]:
        (trace,) = self._run.read([self._at[question.id]])
        return trace

    def _asked_again(self, call: Mapping[str, Any]) -> bool:
        if call["answered"]:
            return False
        # the reasons' beginning is the server's word for a request without an answer
        return self._plan.ask_unanswered or call["reason"].startswith("transport:")


def _answer(plan: FinetunedPlan, answering: Answering, desk: _Desk, run: RunFolder) -> None:
    try:
        answering.answer(plan.questions, desk)
    except InputError:
        if not run.positions():
            run.settings.unlink(missing_ok=True)  # nothing was answered: other settings may have the folder
        raise
    desk.finish()


def _criticise(plan: FinetunedPlan, desk: _Desk, *, quiet: bool) -> None:
    """Score in batches dealt from all questions, so that a run that goes on computes the same bits."""
    unscored = {question.id for question in desk.unscored()}
    if plan.critic is None or not unscored:
        return
    questions = list(plan.questions)
    size = max(1, plan.settings.batch_size // plan.settings.samples)
    progress = Progress(len(questions), done=len(questions) - len(unscored), unit="scores")
    for start in range(0, len(questions), size):
        batch = questions[start : start + size]
        if any(question.id in unscored for question in batch):
            desk.score(batch, plan.critic)
            progress.counts.calls += len(batch) * plan.settings.samples
            for question in batch:
                if question.id in unscored:
                    progress.question_done(quiet=quiet)
    progress.finish(quiet=quiet)


def _held(plan: FinetunedPlan) -> dict[str, Any]:
    """What a second start in the same folder must share with the first."""
    total = hashlib.sha256()
    for question in plan.questions:
        total.update(f"{question.id}\t{question.pert}\t{question.gene}\n".encode())
    return {
        **settings_as_json(plan.settings),
        "shard": plan.shard,
        "questions": len(plan.questions),
        "questions_sha256": total.hexdigest(),
        "prompt_sha256": plan.chat.digest,
    }


def _manifest(
    plan: FinetunedPlan, answering: Answering, run: RunFolder, tally: Tally, *, began: datetime, progress: Progress
) -> dict[str, Any]:
    limits = plan.challenge.track(plan.settings.track).limits
    return {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "ranked": plan.settings.ranked,
        "settings": settings_as_json(plan.settings),
        "model_name": plan.settings.model_name,
        "model": dict(plan.model),
        "critic": None if plan.critic is None else dict(plan.critic.provenance()),
        "rules": {
            "parameters": plan.settings.parameters,
            "max_parameters": limits.max_parameters,
            "max_new_tokens": limits.max_new_tokens,
            "tools": 0,
        },
        "prompt": plan.chat.as_json(),
        "shard": plan.shard,
        "inputs": dict(plan.inputs or {}),
        "reached": dict(answering.as_json()),
        "last_start": progress.account(began),
        "counts": tally.as_json(),
        "files": {
            "predictions": run.predictions.name,
            "prompt": run.prompt.name,
            "traces": "traces/answers.jsonl",
        },
    }
