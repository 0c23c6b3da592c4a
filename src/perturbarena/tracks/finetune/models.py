"""Load a causal language model by name or path, with or without an adapter, and say exactly which one it is.

``MODEL`` may be a model folder, an adapter folder (its base is then found in its configuration), the folder of a
finished training, or a name on the model hub. No code that a model brings along is ever run.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from perturbarena.errors import InputError, MissingExtraError
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.finetune.weights import (
    ADAPTER_CONFIG,
    ModelFiles,
    base_of_adapter,
    model_files,
    stored_parameters,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TRAINED: Final = "model"
"""The folder inside a training's folder where its model lies."""
DType = Literal["auto", "float32", "bfloat16", "float16"]
"""``auto``: bfloat16 on a GPU, float32 on a CPU."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model it is: base and adapter with the hashes of their files, and the parameters of both together."""

    base: ModelFiles
    adapter: ModelFiles | None
    parameters: int

    @property
    def name(self) -> str:
        """Base name, with the adapter's where there is one."""
        return self.base.name if self.adapter is None else f"{self.base.name}+{Path(self.adapter.name).name}"

    def as_json(self) -> dict[str, Any]:
        """For a manifest."""
        adapter = None if self.adapter is None else self.adapter.as_json()
        return {"base": self.base.as_json(), "adapter": adapter, "parameters": self.parameters}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to be asked or trained, its tokenizer, and which one it is.

    ``folder`` is where its own files lie (the adapter's, where there is one), ``prompt.json`` among them.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: ModelIdentity
    folder: Path


@dataclass(frozen=True, slots=True)
class Located:
    """Where a model's files lie. ``name`` is how it was asked for."""

    name: str
    base: Path
    base_name: str
    adapter: Path | None


def check_extra() -> None:
    """Raise MissingExtraError unless torch, transformers, trl and peft are installed."""
    for name in ("torch", "transformers", "trl", "peft", "datasets", "accelerate"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(f"track C needs {name}; install the extra: pip install 'perturbarena[train]'")


def locate(name: str | Path, *, adapter: str | Path | None = None) -> Located:
    """Find the folders of a model and its adapter; a name that is no folder is asked of the model hub.

    Raises
    ------
    InputError
        If there is no such folder and the hub does not have it or does not answer.
    """
    found = _folder(str(name))
    if adapter is None and (found / ADAPTER_CONFIG).is_file():
        base = base_of_adapter(found)
        base_folder = _relative(base, found)
        return Located(str(name), base_folder, str(base), found)
    own = None if adapter is None else _folder(str(adapter))
    return Located(str(name), found, str(name), own)


def load_model(
    name: str | Path,
    *,
    adapter: str | Path | None = None,
    device: str | None = None,
    dtype: DType = "auto",
    max_parameters: int | None = None,
    four_bit: bool = False,
    trainable_adapter: bool = False,
) -> LoadedModel:
    """Load a model for asking or training; it comes in evaluation mode.

    Parameters
    ----------
    name
        A folder or a hub's name; see the module.
    adapter
        A PEFT adapter's folder, put on top of it.
    device
        Such as ``cuda:0`` or ``cpu``; without, the GPU where there is one.
    max_parameters
        Refuse a model that has as many parameters or more; counted from the weights, before they are loaded where
        that is possible.
    four_bit
        Load the base quantised to four bits (bitsandbytes on a GPU).
    trainable_adapter
        The adapter is to be trained further.

    Raises
    ------
    InputError
        If the model cannot be found or read, or is too big.
    MissingExtraError
        If an optional part of the installation is needed.
    """
    check_extra()
    place = device or default_device()
    located = locate(name, adapter=adapter)
    stored = stored_parameters(located.base)
    extra = 0 if located.adapter is None else (stored_parameters(located.adapter) or 0)
    if stored is not None:
        check_parameters(stored + extra, max_parameters, located.name)
    with quiet_loading():
        model = _load_base(located, device=place, dtype=dtype, four_bit=four_bit)
        if located.adapter is not None:
            model = _put_on(model, located.adapter, trainable=trainable_adapter)
        tokenizer = _load_tokenizer(located)
    if stored is None:
        check_parameters(count_parameters(model), max_parameters, located.name)
    identity = ModelIdentity(
        model_files(located.base, name=located.base_name),
        None if located.adapter is None else model_files(located.adapter),
        count_parameters(model) if stored is None else stored + extra,
    )
    return LoadedModel(model.eval(), tokenizer, identity, located.adapter or located.base)


def count_parameters(model: torch.nn.Module) -> int:
    """Parameters of a loaded model; a tensor used twice counts once, one packed to four bits counts unpacked."""
    seen: dict[int, int] = {}
    for parameter in model.parameters():
        packed = 2 if type(parameter).__name__ == "Params4bit" else 1
        seen[id(parameter)] = parameter.numel() * packed
    return sum(seen.values())


def check_parameters(count: int, limit: int | None, name: str) -> None:
    """Raise InputError where a model has as many parameters as the track's rules forbid, or more."""
    if limit is not None and count >= limit:
        raise InputError(f"{name} has {count:,} parameters by its weights; fewer than {limit:,} are allowed")


def default_device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def torch_dtype(dtype: DType, device: str) -> torch.dtype:
    """The type of the weights on this device."""
    import torch

    if dtype == "auto":
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]


def _folder(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        own = path / TRAINED
        return own if (path / "train.json").is_file() and own.is_dir() else path
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise InputError(f"no model folder at {name} (a hub's name reads owner/model)")
    return _from_hub(name)


def _from_hub(name: str) -> Path:
    check_extra()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{name} is no folder here, and the model hub did not give it: {reason}") from error


def _relative(name: str, beside: Path) -> Path:
    """An adapter's base by its recorded name, which may be a path relative to the adapter."""
    beside_it = (beside / name).resolve()
    return beside_it if not Path(name).is_dir() and beside_it.is_dir() else _folder(name)


def _load_base(located: Located, *, device: str, dtype: DType, four_bit: bool) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"dtype": torch_dtype(dtype, device), "trust_remote_code": False}
    if four_bit:
        options |= {"quantization_config": _four_bit(device), "device_map": {"": device}}
    try:
        model = AutoModelForCausalLM.from_pretrained(located.base, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{located.base_name} cannot be loaded as a causal language model: {reason}") from error
    return model if four_bit else model.to(device)  # pyright: ignore[reportArgumentType]


def _four_bit(device: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None or not device.startswith("cuda"):
        raise MissingExtraError(
            "four-bit weights (qlora) need a CUDA GPU and bitsandbytes: pip install bitsandbytes"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _put_on(model: PreTrainedModel, adapter: Path, *, trainable: bool) -> Any:
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter, is_trainable=trainable)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the adapter {adapter} does not fit its base: {reason}") from error


def _load_tokenizer(located: Located) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    own = located.adapter if located.adapter and (located.adapter / "tokenizer_config.json").is_file() else None
    try:
        tokenizer = AutoTokenizer.from_pretrained(own or located.base, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{own or located.base} has no usable tokenizer: {reason}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
