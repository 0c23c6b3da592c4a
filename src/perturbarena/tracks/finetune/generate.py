"""Sample answers in this process with transformers, each row with its own random numbers.

Libraries draw all rows of a batch from one stream, so what a question is answered depends on which others are
asked beside it. Here each row has a generator of its own, seeded with the run's seed, the question's id and the
sample's number; its next token is the argmax of log p/T + G with Gumbel noise G, which is a draw from the softmax
(Maddison et al. 2014, doi:10.48550/arXiv.1411.0030). Temperature, top-k and top-p come before the noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from perturbarena.errors import InputError
from perturbarena.tracks.finetune.likelihood import keeps_state, takes_logits_to_keep

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an answer is sampled."""

    temperature: float = 1.0
    """0 takes the likeliest token each time."""
    top_p: float = 1.0
    """Probability mass that is sampled from."""
    top_k: int = 0
    """The likeliest tokens that are sampled from; 0 for all."""
    max_new_tokens: int = 1_024
    """Most tokens of one answer, reasoning included."""


class Generated(NamedTuple):
    """One sampled text. ``stop_reason`` is ``stop``, or ``max_tokens`` where it was cut off."""

    text: str
    n_tokens: int
    stop_reason: str
    ids: list[int]


def own_sampling(model: PreTrainedModel) -> dict[str, float | int]:
    """Temperature, top-p and top-k that a model's own ``generation_config.json`` advises; 1, 1 and 0 without."""
    config = model.generation_config
    if config is None or not config.do_sample:
        return {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
    return {
        "temperature": 1.0 if config.temperature is None else float(config.temperature),
        "top_p": 1.0 if config.top_p is None else float(config.top_p),
        "top_k": int(config.top_k or 0),
    }


def row_seed(*parts: object) -> int:
    """A 63-bit seed from a run's seed, a question's id and a sample's number: unrelated for different parts."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    seeds: Sequence[int],
    sampling: Sampling,
    samples: int = 1,
) -> list[Generated]:
    """Sample ``samples`` texts after each prompt, all in one batch; a prompt is read once for all its texts.

    Parameters
    ----------
    model, tokenizer
        A causal model in evaluation mode; where it ends its turn is read from its generation settings.
    prompts
        Token ids of each prompt.
    seeds
        Each text's seed, those of the first prompt first; see :func:`row_seed`.
    sampling
        The same for all texts.

    Raises
    ------
    InputError
        If a prompt and the tokens that may follow are more than the model's positions.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    width = max(map(len, prompts))
    _check_room(model, width, sampling.max_new_tokens)
    ends = end_tokens(model, tokenizer)
    pad = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else ends[0]
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[i, width - len(prompt) :] = 1
    config = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens, do_sample=False, num_beams=1, eos_token_id=ends, pad_token_id=pad,
        temperature=1.0, top_p=1.0, top_k=50, use_cache=True,
    )  # fmt: skip
    noise = LogitsProcessorList(_processors(sampling, seeds, model.device))
    ids, mask = ids.to(model.device), mask.to(model.device)
    with torch.inference_mode():
        read = _read_once(model, ids, mask, samples) if samples > 1 else {}
        written = cast(Any, model).generate(
            ids.repeat_interleave(samples, dim=0), attention_mask=mask.repeat_interleave(samples, dim=0),
            generation_config=config, logits_processor=noise, **read,
        )  # fmt: skip
    return [_cut(row[width:].tolist(), tokenizer, ends) for row in written]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens that end the model's turn: those of its generation settings and its tokenizer's own."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    own = [stated] if isinstance(stated, int) else list(stated or [])
    if isinstance(tokenizer.eos_token_id, int):
        own.append(tokenizer.eos_token_id)
    if not own:
        raise InputError("the model names no token that ends its answer (eos_token_id); its text would never end")
    return sorted(set(own))


def _read_once(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, samples: int) -> dict[str, Any]:
    """Keys and values of every prompt but for its last token, repeated for each of its texts."""
    if keeps_state(model) or ids.shape[1] < 2:
        return {}
    position = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    cache = model(
        input_ids=ids[:, :-1], attention_mask=mask[:, :-1], position_ids=position[:, :-1], use_cache=True,
        **({"logits_to_keep": 1} if takes_logits_to_keep(model) else {}),
    ).past_key_values  # fmt: skip
    cache.batch_repeat_interleave(samples)
    return {"past_key_values": cache}


def _check_room(model: PreTrainedModel, prompt: int, new: int) -> None:
    room = getattr(model.config, "max_position_embeddings", None)
    if isinstance(room, int) and prompt + new > room:
        raise InputError(
            f"the longest prompt has {prompt:,} tokens and {new:,} new ones may follow; the model has "
            f"{room:,} positions: lower --max-new-tokens to {max(room - prompt, 0):,} or fewer"
        )


def _cut(ids: list[int], tokenizer: PreTrainedTokenizerBase, ends: list[int]) -> Generated:
    end = next((i for i, token in enumerate(ids) if token in ends), None)
    own = ids if end is None else ids[:end]
    text = str(tokenizer.decode(own, skip_special_tokens=False))
    return Generated(text, len(own) + (end is not None), "max_tokens" if end is None else "stop", own)


def _processors(sampling: Sampling, seeds: Sequence[int], device: torch.device) -> list[Any]:
    """Temperature, top-k, top-p and the noise; nothing at temperature 0."""
    import torch
    from transformers import LogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    class RowNoise(LogitsProcessor):
        """Gumbel noise, each row from its own generator."""

        def __init__(self) -> None:
            self._own = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            del input_ids
            drawn = torch.empty(scores.shape, dtype=torch.float32, device=device)
            for row, generator in zip(drawn, self._own, strict=True):
                row.exponential_(generator=generator)
            return scores.float() - drawn.log()

    if sampling.temperature == 0:
        return []
    warpers: list[Any] = [] if sampling.temperature == 1 else [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    return [*warpers, RowNoise()]
