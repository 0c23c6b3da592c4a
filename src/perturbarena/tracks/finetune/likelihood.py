"""How likely a model finds each answer, without a word being sampled: log-likelihoods of given continuations.

For a prompt x and an option o = (o_1 … o_m), both token ids, it is Σ_j log p(o_j | x, o_1 … o_{j-1}).
:func:`naive_log_likelihoods` says just that: one pass over prompt and option for each option. What runs is
:class:`OptionScorer`, which computes what is shared once:

* the beginning that all prompts of a run have in common, once for the run (its keys and values are kept);
* the rest of each prompt, once for all options, many questions in a batch (padded on the left);
* the beginning that all options have in common, as part of the prompt;
* only what is left of the options, one continuation each; nothing at all where one token is left.

Softmax over the options gives their probabilities; what they sum to before it (the ``mass``) tells how much of the
model's belief lies on answers at all.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from perturbarena.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Ids = Sequence[int]
"""Token ids of a text."""

_LEAST_SHARED: Final = 8
"""Tokens from which the prompts' common beginning is kept: below, copying it costs more than it saves."""


@dataclass(frozen=True, slots=True)
class OptionScores:
    """Of n prompts and k options; ``log_likelihood`` is natural, shape (n, k), float64."""

    log_likelihood: np.ndarray
    tokens_read: int
    """Tokens of prompts and options, as a loop over questions and options would read them."""
    tokens_computed: int
    """Tokens that went through the model, padding included."""

    @property
    def probability(self) -> np.ndarray:
        """Each option's share of the options' likelihood, shape (n, k); rows sum to 1."""
        shifted = np.exp(self.log_likelihood - self.log_likelihood.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    @property
    def mass(self) -> np.ndarray:
        """What the options' likelihoods sum to, shape (n,); 1 where the model would say nothing else."""
        return np.exp(self.log_likelihood).sum(axis=1)


class OptionScorer:
    """Scores the same options after many prompts, on one model.

    Parameters
    ----------
    model
        A causal model of transformers. Where some layers see a window only, nothing is shared between prompts, as
        the gap that padding leaves would count as part of the window; where layers keep a state in place of keys
        and values, every option is scored by the definition.
    options
        Token ids of each option; none may be the beginning of another, or they would not exclude each other.
    shared
        What all prompts begin with (:func:`shared_beginning`); it is computed once and kept.
    """

    def __init__(self, model: PreTrainedModel, options: Sequence[Ids], *, shared: Ids = ()) -> None:
        _check_options(options)
        self._model = model
        self._common = common_prefix(options)
        self._left = [list(option[len(self._common) :]) for option in options]
        self._n_option_tokens = sum(len(option) for option in options)
        self._options = [list(option) for option in options]
        self._shared = list(shared) if _sees_everything(model) else []
        self._by_definition = keeps_state(model)
        self._kept: Any = None
        self._can_keep = takes_logits_to_keep(model)

    def score(self, prompts: Sequence[Ids]) -> OptionScores:
        """One batch. Padding follows the longest prompt, so prompts of like length belong together.

        Raises
        ------
        InputError
            If a prompt does not begin with what is shared, or has nothing beyond it.
        """
        import torch

        if self._by_definition:
            return naive_log_likelihoods(self._model, prompts, self._options)
        rests = [[*self._rest(prompt), *self._common] for prompt in prompts]
        with torch.inference_mode():
            log_likelihood, computed = self._score(rests)
        read = sum(map(len, prompts)) * len(self._left) + self._n_option_tokens * len(prompts)
        return OptionScores(log_likelihood.double().cpu().numpy(), read, computed)

    def _rest(self, prompt: Ids) -> Ids:
        n = len(self._shared)
        if len(prompt) <= n or list(prompt[:n]) != self._shared:
            raise InputError(f"a prompt of {len(prompt)} tokens does not go on after the {n} tokens shared by all")
        return prompt[n:]

    def _score(self, rests: list[list[int]]) -> tuple[torch.Tensor, int]:
        import torch

        device = self._model.device
        n, n_shared = len(rests), len(self._shared)
        length = torch.tensor([len(rest) for rest in rests], device=device)
        width = int(length.max())
        ids = torch.zeros((n, width), dtype=torch.long, device=device)
        for i, rest in enumerate(rests):
            ids[i, width - len(rest) :] = torch.tensor(rest, device=device)
        own = torch.arange(width, device=device)[None, :] - (width - length)[:, None]
        mask = torch.cat([torch.ones((n, n_shared), device=device, dtype=torch.long), (own >= 0).long()], dim=1)
        goes_on = max(map(len, self._left)) > 1
        output = self._model(
            input_ids=ids, attention_mask=mask, position_ids=n_shared + own.clamp(min=0),
            past_key_values=self._shared_cache(n), use_cache=goes_on or n_shared > 0,
            **self._keep(len(self._common) + 1),
        )  # fmt: skip
        # the common beginning is at the end of every row, so the last positions predict it and what comes after
        log_p = torch.log_softmax(output.logits[:, -len(self._common) - 1 :].float(), dim=-1)
        total = log_p[:, -1, [left[0] for left in self._left]]
        if self._common:
            common = torch.tensor(self._common, device=device)[None, :, None].expand(n, -1, 1)
            total = total + log_p[:, :-1].gather(-1, common).sum(dim=(1, 2))[:, None]
        if goes_on:
            cache = output.past_key_values
            cache.batch_repeat_interleave(len(self._left))
            total = total + self._continued(cache, mask, n_shared + length)
        computed = n * width + (n * len(self._left) * (max(map(len, self._left)) - 1) if goes_on else 0)
        return total, computed

    def _continued(self, cache: Any, mask: torch.Tensor, begin: torch.Tensor) -> torch.Tensor:
        """Log-likelihood of what follows each option's first remaining token, shape (n, k)."""
        import torch

        device, k = self._model.device, len(self._left)
        width = max(map(len, self._left)) - 1
        given = torch.zeros((k, width), dtype=torch.long, device=device)
        wanted = torch.zeros_like(given)
        counts = torch.zeros((k, width), device=device)
        for i, left in enumerate(self._left):
            m = len(left) - 1
            given[i, :m] = torch.tensor(left[:-1], device=device, dtype=torch.long)
            wanted[i, :m] = torch.tensor(left[1:], device=device, dtype=torch.long)
            counts[i, :m] = 1.0
        n = len(mask)
        mask = torch.cat([mask.repeat_interleave(k, dim=0), counts.long().repeat(n, 1)], dim=1)
        # a row whose option has ended still needs a position; what it computes there is not counted
        position = begin.repeat_interleave(k)[:, None] + torch.arange(width, device=device)[None, :]
        logits = self._model(
            input_ids=given.repeat(n, 1), attention_mask=mask, position_ids=position, past_key_values=cache,
            use_cache=True,
        ).logits  # fmt: skip
        log_p = torch.log_softmax(logits.float(), dim=-1).gather(-1, wanted.repeat(n, 1)[..., None])[..., 0]
        return (log_p * counts.repeat(n, 1)).sum(dim=1).view(n, k)

    def _keep(self, n: int) -> dict[str, int]:
        """Only the last n positions' logits, where the model can leave the others out: a vocabulary is wide."""
        return {"logits_to_keep": n} if self._can_keep else {}

    def _shared_cache(self, n: int) -> Any:
        """Keys and values of the shared beginning for n rows; None where nothing is shared."""
        import torch

        if not self._shared:
            return None
        if self._kept is None:
            ids = torch.tensor([self._shared], device=self._model.device)
            output = self._model(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True, **self._keep(1)
            )
            self._kept = output.past_key_values
        cache = copy.deepcopy(self._kept)
        cache.batch_repeat_interleave(n)
        return cache


def option_log_likelihoods(
    model: PreTrainedModel, prompts: Sequence[Ids], options: Sequence[Ids], *, batch_size: int = 16
) -> OptionScores:
    """Log-likelihoods of k options after n prompts, in the prompts' order; see :class:`OptionScorer`."""
    scorer = OptionScorer(model, options, shared=shared_beginning(prompts))
    found = np.zeros((len(prompts), len(options)))
    read = computed = 0
    for batch in length_batches([len(prompt) for prompt in prompts], batch_size):
        scores = scorer.score([prompts[i] for i in batch])
        found[batch] = scores.log_likelihood
        read, computed = read + scores.tokens_read, computed + scores.tokens_computed
    return OptionScores(found, read, computed)


def naive_log_likelihoods(model: PreTrainedModel, prompts: Sequence[Ids], options: Sequence[Ids]) -> OptionScores:
    """The definition as a loop: every prompt with every option through the model, one at a time."""
    import torch

    found = np.zeros((len(prompts), len(options)))
    read = 0
    with torch.inference_mode():
        for i, prompt in enumerate(prompts):
            for k, option in enumerate(options):
                ids = torch.tensor([[*prompt, *option]], device=model.device)
                log_p = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), dim=-1)
                chosen = log_p.gather(-1, ids[0, 1:, None])[:, 0]
                found[i, k] = float(chosen[len(prompt) - 1 :].double().sum())
                read += ids.numel()
    return OptionScores(found, read, read)


def length_batches(lengths: Sequence[int], batch_size: int) -> Iterator[np.ndarray]:
    """Positions in batches of like length, the longest first: what does not fit into memory shows at once."""
    order = np.argsort(-np.asarray(lengths, int), kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def shared_beginning(prompts: Iterable[Ids]) -> list[int]:
    """What all prompts begin with, short of the whole of any; empty where keeping it would cost more."""
    shared: list[int] | None = None
    several = False
    for prompt in prompts:
        several = shared is not None
        shared = list(prompt[:-1]) if shared is None else common_prefix([shared, prompt[:-1]])
    return shared if shared is not None and several and len(shared) >= _LEAST_SHARED else []


def common_prefix(texts: Sequence[Ids]) -> list[int]:
    """The tokens that all texts begin with."""
    shared: list[int] = []
    for column in zip(*texts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return shared


def _check_options(options: Sequence[Ids]) -> None:
    if len(options) < 2:
        raise InputError(f"two or more answer options are needed; got {len(options)}")
    for i, one in enumerate(options):
        for k, other in enumerate(options):
            if i != k and list(other[: len(one)]) == list(one):
                raise InputError(
                    f"answer option {i + 1} is the beginning of option {k + 1} in this model's tokens: "
                    "they would not exclude each other"
                )


def _sees_everything(model: PreTrainedModel) -> bool:
    """Whether every layer attends to all tokens before it."""
    kinds = getattr(model.config, "layer_types", None)
    if kinds is not None:
        return set(kinds) == {"full_attention"}
    return getattr(model.config, "sliding_window", None) is None


def keeps_state(model: PreTrainedModel) -> bool:
    """Whether some layers are recurrent: their state cannot be padded, nor repeated along a batch."""
    kinds = getattr(model.config, "layer_types", None) or ()
    recurrent = any(not str(kind).endswith("attention") or "linear" in str(kind) for kind in kinds)
    return recurrent or bool(getattr(model, "_is_stateful", False))


def takes_logits_to_keep(model: PreTrainedModel) -> bool:
    """Whether the model can leave out logits of positions that nobody reads."""
    base = cast(Any, model).get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(base.forward).parameters
