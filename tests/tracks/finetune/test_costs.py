"""Computed costs: they grow as they must, and the dimensions are those of the models."""

from __future__ import annotations

import pytest

from perturbarena.tracks.finetune.costs import GPUS, RANK, SIZES, ModelSize, training_costs
from perturbarena.tracks.finetune.quiet import quiet_loading


def test_bigger_models_and_methods_cost_more():
    costs = training_costs(rows=7705, tokens=320, epochs=2, batch=8)
    of = {(cost.size.name, cost.method): cost for cost in costs}
    for size in SIZES:
        qlora, lora, full = (of[size.name, m] for m in ("qlora", "lora", "full"))
        assert qlora.memory_gib < lora.memory_gib < full.memory_gib
        assert lora.operations < full.operations
    assert all(cost.as_json()["computed"] for cost in costs)
    assert not of["Qwen3-8B", "full"].fits(GPUS[0])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_parameters_follow_from_the_dimensions(size):
    """Layers and embeddings give the published count, but for the norms."""
    a_layer = size.width * (2 * size.query + 2 * size.key_value + 3 * size.feed_forward)
    assert size.layers * a_layer + size.embeddings == pytest.approx(size.parameters, rel=1e-3)


def test_the_adapter_is_as_big_as_peft_makes_it():
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3Config, Qwen3ForCausalLM

    size = ModelSize("small", 0, 2, 32, 48, 64, 16, vocabulary=300)
    config = Qwen3Config(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
        head_dim=16, intermediate_size=48,
    )  # fmt: skip
    with quiet_loading():
        lora = LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM")
        adapted = get_peft_model(Qwen3ForCausalLM(config), lora)
    assert size.adapter == sum(p.numel() for p in adapted.parameters() if p.requires_grad)
