"""A real transformer of a few thousand parameters, made on the spot, answers through ``hf/`` without a hub."""

from __future__ import annotations

import json

import pytest

from perturbarena.cli import run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("accelerate")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of torch and transformers
    pytest.mark.slow,  # loading torch and transformers takes longer than the answers
]


@pytest.fixture
def model(tmp_path):
    """A GPT-2 with random weights that favour the closing of an answer, and a byte tokenizer trained on a line."""
    torch.manual_seed(0)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<end>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(["<answer>A</answer> <answer>B</answer> <answer>C</answer>"] * 9, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")
    fast.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}<answer>"
    config = transformers.GPT2Config(
        vocab_size=len(fast), n_positions=2048, n_embd=8, n_layer=1, n_head=2, eos_token_id=0, bos_token_id=0
    )
    network = transformers.GPT2LMHeadModel(config)
    folder = tmp_path / "model"
    network.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_a_transformer_made_on_the_spot_answers_offline(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    questions = tmp_path / "q.csv"
    questions.write_text("pert,gene\nA,X\nB,Y\n")
    folder = tmp_path / "run"
    arguments = ["-M", f"model_path={model}", "-M", "device=cpu", "--max-completion-tokens", "8", "--retries", "0"]
    assert run(["run", "prompt", str(questions), "--model", "hf/tiny", *arguments, "-o", str(folder)]) == 0
    capsys.readouterr()
    traces = [json.loads(line) for line in (folder / "traces" / "answers.jsonl").read_text().splitlines()]
    calls = [call for trace in traces for call in trace["calls"]]
    assert len(calls) == 6
    assert all(call["prompt_tokens"] > 0 and 0 < call["output_tokens"] <= 8 for call in calls)
    # random weights: what it writes need not be readable, and then it is recorded as such
    assert all(call["answered"] or call["reason"] for call in calls)
    assert json.loads((folder / "run.json").read_text())["counts"]["questions"] == 2
