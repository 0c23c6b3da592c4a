"""A prompt run from questions to a folder: resume what is there, ask what is left, write the table last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perturbarena.challenge.formats import atomic, write_json
from perturbarena.challenge.records import Question, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.challenge.shards import Shard
from perturbarena.errors import InputError
from perturbarena.tracks.prompt.calls import Caller, CallRecord
from perturbarena.tracks.prompt.prompts import Prompts
from perturbarena.tracks.prompt.reading import Reading, Written
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.prompt.table import Tally, write_run_table
from perturbarena.tracks.prompt.task import build_task
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.evaluate import evaluate
from perturbarena.tracks.running.folder import RunFolder
from perturbarena.tracks.running.manifest import common_manifest
from perturbarena.tracks.running.model import build_model
from perturbarena.tracks.running.progress import Progress
from perturbarena.tracks.running.server import PATIENCE, TRANSPORT, Server
from perturbarena.tracks.running.tokens import token_counter


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left behind: its folder, the counts over all its starts, and the calls of this start."""

    folder: RunFolder
    tally: Tally
    calls_sent: int
    seconds: float
    resumed: int
    """Questions that an earlier start had finished."""
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything a run needs to know."""

    questions: Questions
    prompts: Prompts
    challenge: Challenge
    settings: PromptSettings
    transport: Transport = field(default_factory=Transport)
    shard: str | None = None
    """``i/n`` where the questions are a shard."""
    inputs: Mapping[str, Any] | None = None
    """Files and their hashes, for the manifest."""
    ask_unanswered: bool = False
    """Ask again what models answered with nothing readable; failed requests are always made again."""
    patience: float = PATIENCE


def run_prompts(plan: RunPlan, folder: Path, *, quiet: bool = False) -> RunResult:
    """Ask every question that the folder does not hold, then write ``predictions.csv`` and ``run.json``.

    Raises
    ------
    InputError
        If the folder belongs to another run, there are no questions, or a prompt is longer than the rules allow.
    ModelServerError
        If the server refuses every call, or does not send the log probabilities that were asked for.
    """
    if not len(plan.questions):
        raise InputError("there are no questions to ask")
    if len(set(plan.questions.id)) < len(plan.questions):
        raise InputError("an id may stand once among the questions")
    run = RunFolder(folder)
    began = datetime.now(UTC)
    digest = plan.prompts.digest(plan.questions)
    with run.open(_held(plan, digest)) as positions:
        if not run.prompt.is_file():
            with atomic(run.prompt) as file:
                file.write(plan.prompts.kept)
        pending = _pending(plan, run, positions)
        n_pending = len(pending)
        progress = Progress(len(plan.questions), done=len(plan.questions) - n_pending)
        if pending:
            run.manifest.unlink(missing_ok=True)  # a folder with a manifest is a finished run
            check_prompts(plan, pending)
            _evaluate(plan, run, pending, positions, progress=progress, quiet=quiet)
        traces = run.read(iter([positions[id_] for id_ in plan.questions.id]))
        tally = write_run_table(run.predictions, traces, challenge=plan.challenge, settings=plan.settings)
        manifest = _manifest(plan, run, tally, digest, began=began, progress=progress)
        write_json(run.manifest, manifest)
    resumed = len(plan.questions) - n_pending
    return RunResult(run, tally, progress.counts.calls, progress.seconds, resumed, manifest)


def check_prompts(plan: RunPlan, questions: list[Question]) -> None:
    """Hold every prompt to the track's limit where the model's own vocabulary is at hand.

    Raises
    ------
    InputError
        If one is longer.
    """
    limit = plan.settings.max_prompt_tokens
    counter = token_counter(plan.settings.model)
    if limit is None or not counter.exact or not plan.settings.ranked:
        return
    for question in questions:
        count = counter.count(plan.prompts.text_of(question))
        if count > limit:
            raise InputError(
                f"the prompt of {question.id} has {count:,} tokens ({counter.name}); track {plan.settings.track} "
                f"allows {limit:,}; shorten it, or set --unranked"
            )


def shard_of(questions: Questions, shard: str) -> Questions:
    """The i-th of n shards, ``"i/n"``: every n-th question from the i-th on.

    Raises
    ------
    InputError
        If the shard is not ``i/n`` with 1 ≤ i ≤ n, or n exceeds the number of questions.
    """
    i, n = Shard.parse(shard)
    if n > max(1, len(questions)):
        raise InputError(f"--shard i/n needs n ≤ {len(questions):,} questions; got {shard}")
    return Questions(questions.id[i - 1 :: n], questions.pert[i - 1 :: n], questions.gene[i - 1 :: n])


def _held(plan: RunPlan, digest: str) -> dict[str, Any]:
    """What a second start in the same folder must share with the first."""
    return {
        **asdict(plan.settings),
        "shard": plan.shard,
        "questions": len(plan.questions),
        "prompts": plan.prompts.source,
        "prompts_sha256": digest,
    }


def _pending(plan: RunPlan, run: RunFolder, positions: dict[str, int]) -> list[Question]:
    """Questions still to ask, the longest prompt first: it is the one that may break a limit."""
    again = {
        trace["id"]
        for trace in run.read(list(positions.values()))
        if any(_asked_again(call, plan) for call in trace["calls"])
    }
    pending = [q for q in plan.questions if q.id not in positions or q.id in again]
    if pending:
        longest = max(range(len(pending)), key=lambda i: len(plan.prompts.text_of(pending[i])))
        pending.insert(0, pending.pop(longest))
    return pending


def _asked_again(call: dict[str, Any], plan: RunPlan) -> bool:
    if call["answered"]:
        return False
    return plan.ask_unanswered or call["reason"].startswith(TRANSPORT)


def _evaluate(
    plan: RunPlan,
    run: RunFolder,
    pending: list[Question],
    positions: dict[str, int],
    *,
    progress: Progress,
    quiet: bool,
) -> None:
    server = Server(plan.transport, counts=progress.counts, patience=plan.patience)
    model = build_model(plan.settings, plan.transport, logprobs=plan.settings.answers == "logprobs")

    def done(question: Question, prompt: str, records: list[CallRecord]) -> None:
        run.append(_trace(question, prompt, records))
        progress.question_done(quiet=quiet)

    def kept(id_: str) -> list[CallRecord]:
        if id_ not in positions:
            return []
        (trace,) = run.read([positions[id_]])
        return [_record(call) for call in trace["calls"] if not _asked_again(call, plan)]

    caller = Caller(plan.settings, server)
    task = build_task(pending, plan.prompts.text_of, settings=plan.settings, caller=caller, done=done, kept=kept)
    evaluate(task, model, n=len(pending), logs=run.logs, server=server, max_samples=plan.transport.max_samples)
    progress.finish(quiet=quiet)


def _trace(question: Question, prompt: str, records: list[CallRecord]) -> dict[str, Any]:
    return {
        "id": question.id,
        "pert": question.pert,
        "gene": question.gene,
        "prompt": prompt,
        "calls": [record.as_json() for record in records],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _record(call: dict[str, Any]) -> CallRecord:
    """A call as its trace holds it."""
    reading = Reading(
        call.get("label", ""), call.get("p_up", 0.0), call.get("p_down", 0.0), call.get("how", ""),
        mass=call.get("mass"), reason="" if call["answered"] else call["reason"],
    )  # fmt: skip
    same = ("seed", "stop_reason", "prompt_tokens", "output_tokens", "total_tokens", "seconds")
    return CallRecord(
        reading=reading,
        written=Written(call["content"], call["reasoning"]),
        rejected=tuple(call["rejected"]),
        failures=tuple(call["failures"]),
        **{name: call[name] for name in same},
    )


def _manifest(
    plan: RunPlan, run: RunFolder, tally: Tally, digest: str, *, began: datetime, progress: Progress
) -> dict[str, Any]:
    return common_manifest(
        "prompt", plan.settings, plan.transport, challenge=plan.challenge, began=began, progress=progress, run=run
    ) | {
        "shard": plan.shard,
        "inputs": dict(plan.inputs or {}),
        "prompts": {"source": plan.prompts.source, "sha256": digest},
        "counts": tally.as_json(),
    }
