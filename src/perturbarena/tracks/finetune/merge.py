"""One ordinary model folder out of base and adapter, for servers and for handing on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perturbarena.errors import InputError
from perturbarena.tracks.finetune.chat import load_prompt
from perturbarena.tracks.finetune.models import LoadedModel, ModelIdentity, load_model, locate
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.finetune.weights import base_of_adapter

_TEXTS: Final = ("Perturbed gene: Stat1\nTarget gene: Irf7", "<answer>A</answer>", "What does it do?")
"""What both are asked, to see that they say the same."""
TOLERANCE: Final = {"torch.float32": 1e-3, "torch.bfloat16": 0.5, "torch.float16": 0.1}
"""Largest difference of logits that rounding explains, by type of the weights: adding the update to the weights
rounds it once, applying it beside them rounds elsewhere."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged model, which one it is, and by how much its logits differ from those of base and adapter."""

    folder: Path
    identity: ModelIdentity
    merged_from: ModelIdentity
    largest_difference: float
    texts: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "folder": str(self.folder),
            "model": self.identity.as_json(),
            "merged_from": self.merged_from.as_json(),
            "largest_difference": self.largest_difference,
            "texts": self.texts,
        }


def merge_model(trained: Path, output: Path, *, base: str | None = None) -> Merged:
    """Merge an adapter into its base, write the model, read it back and compare logits.

    Parameters
    ----------
    trained
        A finished training's folder, or an adapter's.
    output
        A folder that does not exist yet.
    base
        The base's name or folder, where the adapter's own note of it is out of date.

    Raises
    ------
    InputError
        If there is no adapter, the output exists, or the merged model says something else.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} exists; choose another folder (-o)")
    adapter = _adapter(trained, base)
    loaded = load_model(trained) if base is None else load_model(base, adapter=adapter)
    expected = _logits(loaded)
    merged: Any = loaded.model
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with quiet_loading():
        merged.merge_and_unload().save_pretrained(part)
    loaded.tokenizer.save_pretrained(part)
    prompt = load_prompt(loaded.folder)
    if prompt is not None:
        prompt.save(part)
    read_back = load_model(part, dtype=_dtype(loaded))
    found = _logits(read_back)
    difference = max(float((a - b).abs().max()) for a, b in zip(expected, found, strict=True))
    limit = TOLERANCE.get(str(loaded.model.dtype), 1e-3)
    if not difference <= limit:
        shutil.rmtree(part, ignore_errors=True)
        raise InputError(
            f"the merged model's logits differ by {difference:.2g} from base and adapter; nothing written"
        )
    if output.is_dir():
        output.rmdir()
    part.rename(output)
    final = locate(output)
    identity = ModelIdentity(
        type(read_back.identity.base)(str(output), str(final.base), read_back.identity.base.sha256_of),
        None,
        read_back.identity.parameters,
    )
    return Merged(output, identity, loaded.identity, difference, len(_TEXTS))


def _adapter(trained: Path, base: str | None) -> Path:
    """The adapter's folder; its base need not be found where another is named."""
    inner = trained / "model" if (trained / "model" / "adapter_config.json").is_file() else trained
    if not (inner / "adapter_config.json").is_file():
        raise InputError(f"{trained} holds no adapter (no adapter_config.json): there is nothing to merge")
    if base is None:
        base_of_adapter(inner)
    return inner


def _dtype(loaded: LoadedModel) -> Any:
    return str(loaded.model.dtype).removeprefix("torch.")


def _logits(loaded: LoadedModel) -> list[Any]:
    import torch

    found = []
    with torch.inference_mode():
        for text in _TEXTS:
            ids = loaded.tokenizer(text, return_tensors="pt")["input_ids"].to(loaded.model.device)  # pyright: ignore[reportAttributeAccessIssue]
            found.append(loaded.model(input_ids=ids).logits.float().cpu())
    return found
