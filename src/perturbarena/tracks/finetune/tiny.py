"""A small causal language model made on the spot: Qwen3's architecture, random weights, its own tokenizer.

For tests, trials and measurements where no model hub is at hand. It is saved as an ordinary model folder, with a
chat template, and is loaded, trained, merged and asked by the very code that a downloaded model goes through.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from perturbarena.tracks.finetune.quiet import quiet_loading

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD: Final = "<|endoftext|>"
TURN_END: Final = "<|im_end|>"
SPECIAL_TOKENS: Final = (PAD, "<|im_start|>", TURN_END, "<think>", "</think>")
"""Qwen3's own, as far as a chat needs them; their ids are their places here."""

CHAT_TEMPLATE: Final = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}THINK{%- endif %}"
)
"""ChatML, as Qwen3 writes it. ``THINK`` stands where the thinking variant opens its block."""


class TinySettings(BaseModel):
    """Size of a small model; the defaults give about 0.3 million parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: int = Field(default=512, ge=300, le=100_000)
    """Tokens at most, special ones and 256 single bytes included."""
    hidden: int = Field(default=96, ge=8, le=4096)
    """Width; a multiple of ``heads``."""
    layers: int = Field(default=2, ge=1, le=64)
    """Transformer blocks."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads; as many key-value heads as half of them, at least one."""
    intermediate: int = Field(default=256, ge=8, le=16_384)
    """Width of the feed-forward layer."""
    positions: int = Field(default=2048, ge=64, le=262_144)
    """Longest text, tokens."""
    thinking: bool = False
    """The chat template opens a think block at the model's turn, as Qwen3's thinking models do."""
    seed: int = Field(default=0, ge=0)
    """Of the random weights."""


def make_tiny_model(folder: Path, texts: Iterable[str], settings: TinySettings | None = None) -> Path:
    """Make a model folder: weights, configuration, tokenizer with chat template; returns ``folder``.

    Parameters
    ----------
    folder
        Made if missing; files of the same names are replaced.
    texts
        What the tokenizer learns its words from; must not be the texts that the model is tested on.
    settings
        Its size; without, the defaults.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    settings = settings or TinySettings()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(texts, settings)
    kv_heads = max(1, settings.heads // 2)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=kv_heads,
        head_dim=settings.hidden // settings.heads,
        intermediate_size=settings.intermediate,
        max_position_embeddings=settings.positions,
        tie_word_embeddings=True,
        eos_token_id=SPECIAL_TOKENS.index(TURN_END),
        pad_token_id=SPECIAL_TOKENS.index(PAD),
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = Qwen3ForCausalLM(config)
    with quiet_loading():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(texts: Iterable[str], settings: TinySettings) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that any text can be written, with Qwen3's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    core.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    think = "{{- '<think>\\n' }}" if settings.thinking else ""
    tokenizer.chat_template = CHAT_TEMPLATE.replace("THINK", think)
    return tokenizer
