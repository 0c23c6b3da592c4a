"""Training steps of random-weight Qwen3 models on a GPU: step time, memory, share of the peak, profile.

Run: python benchmarks/finetune_gpu.py [--sizes 0.6B 1.7B 4B 8B] [--batch 8] [--tokens 1024] [--steps 10]

Weights are random, so nothing is downloaded; time and memory do not depend on what weights say. LoRA on all linear
layers (rank 32) as the shipped settings have it, and all weights where they fit. Operations are counted as in
``tracks.finetune.costs``, beside whose computed memory the measured one stands. With --cpu the same steps run on
the CPU, with a small model and by processor time. Without a GPU and without --cpu it says so and does nothing.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3Config, Qwen3ForCausalLM

from perturbarena.tracks.finetune.costs import RANK, SIZES, ModelSize, training_costs
from perturbarena.tracks.finetune.quiet import quiet_loading

PEAK_TFLOPS = {"RTX 4090": 165, "L4": 121, "A10": 125, "A100": 312, "H100": 989, "H200": 989, "B200": 2250}
"""Dense bfloat16, from data sheets; --peak stands in for others."""
CPU_SIZE = ModelSize("5M", 0, 4, 256, 768, 256, 128, vocabulary=4096)


class Measured(NamedTuple):
    """One model and method."""

    step_s: float
    tokens_s: float
    memory_gib: float
    tflops: float
    profile: list[tuple[str, float]]


def build(size: ModelSize, method: str, device: str) -> Any:
    """A model of this size with random weights, ready to be trained."""
    head = 128 if size.width >= 1024 else 64
    config = Qwen3Config(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        head_dim=head,
        num_attention_heads=size.query // head,
        num_key_value_heads=size.key_value // head,
        intermediate_size=size.feed_forward,
        tie_word_embeddings=size.tied,
    )
    lora = method == "lora"
    dtype = torch.bfloat16 if lora and device == "cuda" else torch.float32
    with torch.device(device):
        model: Any = Qwen3ForCausalLM._from_config(config, dtype=dtype)
    model.config.use_cache = False
    with quiet_loading():
        # renamed within transformers 5
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        if lora:
            model = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
            model.enable_input_require_grads()
    return model.train()


def measure(size: ModelSize, method: str, *, batch: int, tokens: int, steps: int, device: str) -> Measured:
    """Mean step over ``steps`` after two to warm up, the highest memory, and a profile of one step."""
    model = build(size, method, device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4, fused=device == "cuda")
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(0, size.vocabulary, (batch, tokens), generator=rng).to(device)
    labels = ids.clone()
    labels[:, : tokens - 16] = -100

    def step() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(2):
        step()
    wait()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    # on a CPU, processor time: other work on the machine disturbs it less
    clock = time.perf_counter if device == "cuda" else time.process_time
    began = clock()
    for _ in range(steps):
        step()
    wait()
    a_step = (clock() - began) / steps
    memory = torch.cuda.max_memory_allocated() / 1024**3 if device == "cuda" else float("nan")
    parameters = size.parameters or sum(p.numel() for p in model.parameters())
    passes = 3 if method == "lora" else 4
    operations = passes * batch * tokens * (2 * parameters + 2 * size.layers * size.query * tokens)
    return Measured(
        a_step, batch * tokens / a_step, memory, operations / a_step / 1e12, profile(step, wait, device)
    )


def profile(step: Any, wait: Any, device: str) -> list[tuple[str, float]]:
    """The five kinds of operation that take most of one step, with their shares."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with record(activities=activities) as found:
        step()
        wait()
    name = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    events = sorted(((e.key, float(getattr(e, name))) for e in found.key_averages()), key=lambda pair: -pair[1])
    total = sum(value for _, value in events) or 1.0
    return [(key[:60], value / total) for key, value in events[:5]]


def peak(name: str, given: float | None) -> float:
    """TFLOP/s of this GPU; NaN where it is not known."""
    return given or next((float(value) for key, value in PEAK_TFLOPS.items() if key in name), float("nan"))


def shown(share: float) -> str:
    """A share in percent; a dash where it is not known."""
    return "–" if math.isnan(share) else f"{share:.1%}"


def gib(value: float) -> str:
    """Memory; a dash where it was not measured."""
    return "–" if math.isnan(value) else f"{value:.1f}"


def main() -> int:
    """Print a table and the profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=[size.name.removeprefix("Qwen3-") for size in SIZES])
    parser.add_argument("--methods", nargs="+", default=["lora", "full"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--peak", type=float, help="TFLOP/s of this GPU, dense bfloat16")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.cpu:
        print("There is no GPU here: nothing measured. (--cpu tries the script with a small model.)")
        return 0
    device = "cpu" if options.cpu else "cuda"
    sizes = [CPU_SIZE] if options.cpu else [s for s in SIZES if s.name.removeprefix("Qwen3-") in options.sizes]
    name = "CPU" if options.cpu else torch.cuda.get_device_name()
    top = float("nan") if options.cpu else peak(name, options.peak)
    room = float("inf") if options.cpu else torch.cuda.get_device_properties(0).total_memory / 1024**3
    print(
        f"{name}, torch {torch.__version__}; {options.batch} × {options.tokens} tokens, gradient checkpointing\n"
    )
    print("| model | method | step s | tokens/s | memory GiB | computed GiB | TFLOP/s | share of peak |")
    print("|---|---|---|---|---|---|---|---|")
    profiles: list[tuple[str, list[tuple[str, float]]]] = []
    shape = {"batch": options.batch, "tokens": options.tokens}
    for size in sizes:
        for cost in training_costs(rows=1, epochs=1.0, **shape, sizes=(size,)):
            if cost.method not in options.methods or cost.memory_gib > 0.95 * room:
                continue
            try:
                found = measure(size, cost.method, **shape, steps=options.steps, device=device)
            except torch.OutOfMemoryError:
                print(f"| {size.name} | {cost.method} | out of memory | | | {cost.memory_gib:.1f} | | |")
                continue
            finally:
                if device == "cuda":
                    torch.cuda.empty_cache()
            print(
                f"| {size.name} | {cost.method} | {found.step_s:.3f} | {found.tokens_s:,.0f} "
                f"| {gib(found.memory_gib)} | {cost.memory_gib:.1f} "
                f"| {found.tflops:.3f} | {shown(found.tflops / top)} |",
                flush=True,
            )
            profiles.append((f"{size.name} {cost.method}", found.profile))
    for title, rows in profiles:
        print(f"\nOne step of {title}: " + "; ".join(f"{key} {share:.0%}" for key, share in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
