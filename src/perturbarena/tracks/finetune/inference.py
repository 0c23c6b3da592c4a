"""How a fine-tuned model is asked, resolved from a track's rules before anything is loaded or sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.rerank import CRITICS, RERANKS, Rerank

if TYPE_CHECKING:
    from perturbarena.tracks.finetune.models import ModelIdentity

AnswerWay = Literal["likelihood", "logprobs", "stated", "label"]
"""How an answer becomes probabilities.

``likelihood``: of each answer as the model's next words, nothing is written. ``logprobs``: of the answer's letter
after the reasoning that the model has written. ``stated``: as its text states them. ``label``: 0 and 1.
"""
ANSWER_WAYS: Final[tuple[str, ...]] = get_args(AnswerWay)
_FOLDER_NAMES: Final = ("model", "adapter", "merged", "checkpoint")
"""Folder names that say nothing; the folder above names the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSettings:
    """What decides the answers; written into the run's folder and held to when it is resumed."""

    challenge: str
    """The challenge's name."""
    track: str
    """The track's name."""
    model_name: str
    """As the submission names the model."""
    weights: str | None
    """SHA-256 over the files of the base and of the adapter; None where only a server has them."""
    parameters: int | None
    """Counted from the weights; None where only a server has them."""
    answers: AnswerWay
    """How an answer becomes probabilities."""
    samples: int
    """Texts sampled for each question; 1, and none is written, for ``likelihood``."""
    rerank: Rerank
    """How several answers become one."""
    seed: int
    """Of the sampling; the k-th sample of a question has the seed ``seed + k``."""
    temperature: float
    """Sampling temperature."""
    top_p: float
    """Probability mass that is sampled from."""
    top_k: int
    """Likeliest tokens that are sampled from; 0 for all."""
    max_new_tokens: int
    """Most tokens of one text, reasoning included."""
    batch_size: int
    """Rows in a batch in this process. It moves the last digits of a probability, so it decides them too."""
    device: str
    """``cpu`` or ``cuda``; ``server`` where a server answers."""
    dtype: str
    """Type of the weights in this process."""
    critic: str | None
    """SHA-256 over the critic's files, where there is one."""
    ranked: bool
    """False where the caller has set the track's limits aside."""
    unanswered: tuple[float, float]
    """(p_up, p_down) of what has no answer, from the rules."""

    @property
    def written(self) -> bool:
        """Whether the model writes text at all."""
        return self.answers != "likelihood"

    @property
    def seeds(self) -> tuple[int, ...]:
        """One for each sample."""
        return tuple(self.seed + k for k in range(self.samples))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the caller asks for; None leaves it to the model or to the default."""

    answers: AnswerWay | None = None
    samples: int = 1
    rerank: Rerank | None = None
    seed: int = 0
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_new_tokens: int | None = None
    batch_size: int = 16
    model_name: str | None = None
    unranked: bool = False


DEFAULT_NEW_TOKENS: Final = 4_096
"""Room for reasoning; a text that needs less ends earlier."""


def resolve_inference(
    challenge: Challenge,
    track: str,
    wishes: Wishes,
    *,
    model: str,
    identity: ModelIdentity | None,
    device: str,
    dtype: str,
    advised: Mapping[str, float | int] | None = None,
    critic: str | None = None,
) -> InferenceSettings:
    """Settings from a track's rules and what the caller wishes.

    Parameters
    ----------
    challenge, track, wishes
        The rules, and what is asked for.
    model
        How the caller names the model.
    identity
        Its weights; None where only a server has them.
    device, dtype
        Where it runs; ``server`` and an empty text where a server answers.
    advised
        The model's own advice on sampling.
    critic
        SHA-256 over the critic's files.

    Raises
    ------
    InputError
        If a limit of the track is broken and ``unranked`` is not set, or wishes contradict each other.
    """
    rules = challenge.track(track)
    on_server = device == "server"
    answers: AnswerWay = wishes.answers or ("stated" if on_server else "likelihood")
    rerank: Rerank = wishes.rerank or _usual_rerank(answers, wishes.samples, critic)
    _check_wishes(wishes, answers, rerank, critic=critic, on_server=on_server)
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0} | dict(advised or {})
    sampling |= {name: value for name in sampling if (value := getattr(wishes, name)) is not None}
    return InferenceSettings(
        challenge=challenge.name,
        track=challenge.track_name(track),
        model_name=wishes.model_name or published_name(model, None if on_server else identity),
        weights=None if identity is None else weights_digest(identity),
        parameters=None if identity is None else identity.parameters,
        answers=answers,
        samples=wishes.samples,
        rerank=rerank,
        seed=wishes.seed,
        temperature=float(sampling["temperature"]),
        top_p=float(sampling["top_p"]),
        top_k=int(sampling["top_k"]),
        max_new_tokens=_new_tokens(wishes, answers, rules.limits.max_new_tokens, track),
        batch_size=wishes.batch_size,
        device=device.split(":")[0],
        dtype=dtype,
        critic=critic,
        ranked=not wishes.unranked,
        unanswered=challenge.unanswered,
    )


def identify_weights(folder: Path, *, max_parameters: int | None) -> ModelIdentity:
    """Count and hash the weights of a model (or of an adapter and its base) that runs elsewhere; none is loaded.

    Raises
    ------
    InputError
        If there is no model in the folder, its weights are in no safetensors files, or there are too many.
    """
    from perturbarena.tracks.finetune.models import ModelIdentity, check_parameters, locate
    from perturbarena.tracks.finetune.weights import model_files, stored_parameters

    found = locate(folder)
    adapter = None if found.adapter is None else model_files(found.adapter)
    own = 0 if found.adapter is None else stored_parameters(found.adapter)
    base = stored_parameters(found.base)
    if base is None or own is None:
        raise InputError(f"{folder} has no weights in safetensors files that could be counted")
    check_parameters(base + own, max_parameters, str(folder))
    return ModelIdentity(model_files(found.base, name=found.base_name), adapter, base + own)


def published_name(model: str, identity: ModelIdentity | None) -> str:
    """The name that a submission shows: a hub's name as it is, a folder without the path to it."""
    if identity is None:
        return _without_path(model)
    base = _without_path(identity.base.name)
    if identity.adapter is None:
        return base
    # an adapter that was itself asked for knows its base, which then has another name
    own = model if identity.base.name != model else identity.adapter.name
    return f"{base}+{_without_path(own)}"


def weights_digest(identity: ModelIdentity) -> str:
    """One SHA-256 for base and adapter; two models with the same one are the same model."""
    adapter = "" if identity.adapter is None else f"+{identity.adapter.digest}"
    return identity.base.digest + adapter


def _without_path(name: str) -> str:
    path = Path(name)
    if not path.is_dir():
        return name
    parts = [part for part in path.resolve().parts if part != "/"]
    while len(parts) > 1 and re.split(r"[-_\d]", parts[-1])[0] in _FOLDER_NAMES:
        parts.pop()
    return parts[-1] if parts else name


def _usual_rerank(answers: AnswerWay, samples: int, critic: str | None) -> Rerank:
    if critic is not None:
        return "weighted"
    if samples == 1:
        return "first"
    return "majority" if answers == "label" else "mean"


def _check_wishes(
    wishes: Wishes, answers: AnswerWay, rerank: Rerank, *, critic: str | None, on_server: bool
) -> None:
    if answers not in ANSWER_WAYS or rerank not in RERANKS:
        raise InputError(
            f"--answers is one of {', '.join(ANSWER_WAYS)} and --rerank one of {', '.join(RERANKS)}; "
            f"got {answers} and {rerank}"
        )
    if answers == "likelihood" and on_server:
        raise InputError(
            "--answers likelihood needs the model in this process; a server answers with logprobs, stated or label"
        )
    if on_server and wishes.top_k:
        raise InputError("--top-k is no part of the servers' protocol; set it where the server is started")
    if answers == "likelihood" and (wishes.samples > 1 or critic is not None or rerank != "first"):
        raise InputError(
            "--answers likelihood writes nothing that could be sampled or judged; leave --samples, --rerank and "
            "--critic out, or choose --answers logprobs, stated or label"
        )
    if (rerank in CRITICS) != (critic is not None):
        raise InputError(
            f"--rerank {rerank} {'needs' if critic is None else 'does not use'} a critic: "
            f"--critic DIR goes with --rerank {' or '.join(CRITICS)}"
        )
    if wishes.samples < 1 or wishes.batch_size < 1:
        raise InputError(f"samples and batch size are 1 or more; got {wishes.samples} and {wishes.batch_size}")


def _new_tokens(wishes: Wishes, answers: AnswerWay, limit: int | None, track: str) -> int:
    if answers == "likelihood":
        return 0
    wish = wishes.max_new_tokens
    if wish is None:
        return DEFAULT_NEW_TOKENS if limit is None else min(DEFAULT_NEW_TOKENS, limit)
    if limit is not None and wish > limit and not wishes.unranked:
        raise InputError(f"track {track} allows {limit:,} new tokens; got {wish:,} (--unranked allows it)")
    return wish


def settings_as_json(settings: InferenceSettings) -> dict[str, Any]:
    """For the run's folder, tuples as lists."""
    from dataclasses import asdict

    return asdict(settings) | {"unanswered": list(settings.unanswered)}
