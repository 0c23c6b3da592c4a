"""Memory and time of fine-tuning, computed from a model's dimensions; nothing here is measured.

Memory is the sum of

* weights: 2 bytes a parameter (LoRA, bfloat16), 0.52 and embeddings at 2 (QLoRA, nf4 with double quantisation:
  Dettmers et al. 2023, https://doi.org/10.48550/arXiv.2305.14314), or 4 (full);
* gradients and AdamW's two moments: 12 bytes a trained parameter (and 4 for an adapter's own weights);
* activations with gradient checkpointing: one bfloat16 vector of the width a layer and token, and one layer's own
  (about 34 bytes a token and unit of width: Korthikanti et al. 2022, https://doi.org/10.48550/arXiv.2205.05198);
* the output layer: logits in bfloat16 and their softmax in float32, for the tokens of one batch;
* 1.5 GiB for the runtime.

Operations a token: 2 a parameter forward, 2 again for checkpointing, and backward 4 where all weights move, 2
where only an adapter does (gradients of the activations alone); attention adds ``2 · layers · width · tokens``
forward, causal, and as much more for each pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

GIB: Final = 1024**3
EFFICIENCY: Final = 0.35
"""Share of the peak that training reaches; 0.3 to 0.5 is usual for models of this size."""
RUNTIME_GIB: Final = 1.5
RANK: Final = 32
"""Of the adapter, on all linear layers."""
Method = Literal["qlora", "lora", "full"]


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Dimensions of a model, from its published configuration."""

    name: str
    parameters: int
    layers: int
    width: int
    feed_forward: int
    query: int
    """Heads × width of a head."""
    key_value: int
    vocabulary: int = 151_936
    tied: bool = True

    @property
    def embeddings(self) -> int:
        """Parameters of input and output embeddings."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def adapter(self) -> int:
        """Parameters of a LoRA of rank ``RANK`` on all linear layers."""
        w, f, q, kv = self.width, self.feed_forward, self.query, self.key_value
        return self.layers * RANK * ((w + q) + 2 * (w + kv) + (q + w) + 3 * (w + f))


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: memory in GiB and dense bfloat16 peak in TFLOP/s, from its data sheet."""

    name: str
    memory_gib: float
    tflops: float


SIZES: Final = (
    ModelSize("Qwen3-0.6B", 596_049_920, 28, 1024, 3072, 2048, 1024),
    ModelSize("Qwen3-1.7B", 1_720_574_976, 28, 2048, 6144, 2048, 1024),
    ModelSize("Qwen3-4B", 4_022_468_096, 36, 2560, 9728, 4096, 1024),
    ModelSize("Qwen3-8B", 8_190_735_360, 36, 4096, 12288, 4096, 1024, tied=False),
)
"""Qwen3 technical report 2025, https://doi.org/10.48550/arXiv.2505.09388, and the models' configurations."""
GPUS: Final = (Gpu("RTX 4090 (24 GiB)", 24, 165), Gpu("A100 (80 GiB)", 80, 312), Gpu("H100 (80 GiB)", 80, 989))


@dataclass(frozen=True, slots=True)
class Cost:
    """Computed memory and operations of one training."""

    size: ModelSize
    method: Method
    memory_gib: float
    operations: float

    def fits(self, gpu: Gpu) -> bool:
        """With a twentieth of the memory to spare."""
        return self.memory_gib <= 0.95 * gpu.memory_gib

    def hours_on(self, gpu: Gpu) -> float:
        """At ``EFFICIENCY`` of the peak."""
        return self.operations / (EFFICIENCY * gpu.tflops * 1e12) / 3600

    def as_json(self) -> dict[str, Any]:
        """Plain values; hours on the GPUs whose memory is enough."""
        hours = {gpu.name: self.hours_on(gpu) for gpu in GPUS if self.fits(gpu)}
        return {
            "model": self.size.name,
            "method": self.method,
            "memory_gib": round(self.memory_gib, 2),
            "hours": hours,
            "computed": True,
        }


def training_costs(
    *, rows: int, tokens: int, epochs: float, batch: int, sizes: tuple[ModelSize, ...] = SIZES
) -> list[Cost]:
    """Cost of each size with each method.

    Parameters
    ----------
    rows
        Training rows.
    tokens
        Tokens of an example, prompt and answer.
    epochs
        Passes over the rows.
    batch
        Examples on the device at once.
    """
    methods: tuple[Method, ...] = ("qlora", "lora", "full")
    times = rows * epochs
    return [
        Cost(size, m, _memory(size, m, batch * tokens) / GIB, times * _operations(size, m, tokens))
        for size in sizes
        for m in methods
    ]


def _memory(size: ModelSize, method: Method, tokens: int) -> float:
    """Bytes, with so many tokens on the device at once."""
    n = size.parameters
    weights = {"qlora": 0.52 * (n - size.embeddings) + 2 * size.embeddings, "lora": 2.0 * n, "full": 4.0 * n}
    trained = 12.0 * n if method == "full" else 16.0 * size.adapter
    activations = tokens * size.width * (2 * size.layers + 34)
    logits = tokens * size.vocabulary * (2 + 4)
    return weights[method] + trained + activations + logits + RUNTIME_GIB * GIB


def _operations(size: ModelSize, method: Method, tokens: int) -> float:
    """Floating-point operations for one example of so many tokens."""
    passes = 4 if method == "full" else 3
    return passes * tokens * (2 * size.parameters + 2 * size.layers * size.query * tokens)
