"""The model that a training changes: loaded or made, with a fresh adapter, an old one, or all its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perturbarena.challenge.records import LabelledQuestions
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.chat import ChatPrompt
from perturbarena.tracks.finetune.models import ModelIdentity, default_device, load_model
from perturbarena.tracks.finetune.options import OPTION_TEXTS, VERDICT_ASKED
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.finetune.settings import TINY, LoraSettings, ModelChoice
from perturbarena.tracks.finetune.tiny import make_tiny_model
from perturbarena.tracks.finetune.weights import ModelFiles

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BASE: Final = "base"
"""Inside a training's folder: the small model made on the spot."""
_TINY_TEXTS: Final = 2000
WORDS: Final = ("user", "assistant", "system", *OPTION_TEXTS, VERDICT_ASKED)
"""What every small model's tokenizer shall know beside the words of its prompts."""
_OFTEN: Final = 200


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready to be trained, its tokenizer, what it was before, and how an adapter is to name its base."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    identity: ModelIdentity
    base_name: str
    device: str
    trainable: int
    """Parameters that move."""


def prepare_model(
    choice: ModelChoice,
    folder: Path,
    *,
    rows: LabelledQuestions,
    prompt: ChatPrompt,
    max_parameters: int | None,
    seed: int,
) -> Prepared:
    """Load the model that settings name and make ready what is to be trained of it.

    Parameters
    ----------
    folder
        The training's; a model made on the spot goes into its folder ``base``.
    rows
        Training rows, from whose prompts a small model's tokenizer learns its words.
    seed
        Of a fresh adapter's weights.

    Raises
    ------
    InputError
        If the model cannot be loaded, is too big, or an adapter is wanted in a way that is not possible.
    """
    import peft
    import torch

    name = choice.name
    if name == TINY:
        name = str(_tiny(choice, folder / BASE, rows, prompt))
    device = default_device()
    full = choice.method == "full"
    loaded = load_model(
        name,
        adapter=choice.adapter,
        device=device,
        dtype="float32" if full and choice.dtype == "auto" else choice.dtype,  # masters of all weights
        max_parameters=max_parameters,
        four_bit=choice.method == "qlora",
        trainable_adapter=not full,
    )
    model: Any = loaded.model
    adapted = isinstance(model, peft.PeftModel)
    if full and adapted:
        model = model.merge_and_unload()
    elif not full and not adapted:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = _with_adapter(model, choice)
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = loaded.identity.base.folder  # or peft would look for it on the hub
    if full:
        model.requires_grad_(requires_grad=True)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    base = loaded.identity.base
    base_name = f"../{BASE}" if choice.name == TINY else _findable(base)
    return Prepared(model, loaded.tokenizer, loaded.identity, base_name, device, trainable)


def save_model(model: Any, prepared: Prepared, prompt: ChatPrompt | None, folder: Path) -> None:
    """Write the adapter or the whole model, its tokenizer and its prompt; ``folder`` appears when all is there."""
    import shutil

    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    adapters = getattr(model, "peft_config", {})
    for config in adapters.values():
        config.base_model_name_or_path = prepared.base_name
    with quiet_loading():
        # the vocabulary never grows here; to find that out, peft would ask the model hub
        model.save_pretrained(part, **({"save_embedding_layers": False} if adapters else {}))
    (part / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    prepared.tokenizer.save_pretrained(part)
    if prompt is not None:
        prompt.save(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _tiny(choice: ModelChoice, folder: Path, rows: LabelledQuestions, prompt: ChatPrompt) -> Path:
    if not (folder / "config.json").is_file():
        texts = [
            m["content"]
            for question in rows.questions.take(np.arange(min(len(rows), _TINY_TEXTS)))
            for m in prompt.messages(question)
        ]  # pyright: ignore[reportArgumentType]
        make_tiny_model(folder, [*texts, *WORDS * _OFTEN], choice.tiny)
    return folder


def _with_adapter(model: Any, choice: ModelChoice) -> Any:
    from peft import get_peft_model, prepare_model_for_kbit_training

    if choice.method == "qlora":
        model = prepare_model_for_kbit_training(model)
    try:
        with quiet_loading():
            return get_peft_model(model, _lora(choice.lora))
    except ValueError as error:
        raise InputError(
            f"model.lora.targets do not fit the model: {' '.join(str(error).split())[:200]}"
        ) from error


def _lora(settings: LoraSettings) -> Any:
    from peft import LoraConfig

    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def _findable(base: ModelFiles) -> str:
    """How an adapter names its base to find it again: a hub's name stays, a folder gets its whole path."""
    local = Path(base.name).is_dir() or base.name.startswith((".", "/", "~"))
    return str(Path(base.folder).resolve()) if local else base.name
