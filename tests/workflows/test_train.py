"""Training from settings to a model: it learns the rule, says what it rests on, and merges to the same logits."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from tests.tracks.finetune.training_cases import family_rows, write_case

from perturbarena.challenge.formats import read_predictions
from perturbarena.errors import InputError
from perturbarena.tracks.finetune import load_model, load_prompt, load_settings, read_history, read_manifest
from perturbarena.tracks.finetune.merge import merge_model
from perturbarena.workflows.train import train

LOGITS = """
import sys, json, torch
from perturbarena.tracks.finetune import load_model
loaded = load_model(sys.argv[1], device="cpu")
ids = loaded.tokenizer("Knock out Wnt7. Fox3?", return_tensors="pt")["input_ids"]
with torch.inference_mode():
    print(json.dumps(loaded.model(input_ids=ids).logits[0].tolist()))
"""


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A model trained on rows whose answers follow a rule in the names."""
    folder = tmp_path_factory.mktemp("taught")
    steps: list[tuple[int, int]] = []
    settings = load_settings(str(write_case(folder)))
    return train("sft", settings, folder / "out", progress=lambda *step: steps.append(step)), steps


def test_sft_goes_from_chance_to_the_rule_on_names_never_seen(taught):
    """Doubly disjoint: perturbations and genes held back are new members of known families."""
    trained, steps = taught
    history = read_history(trained.folder.history)
    start = history[history["step"] == 0].iloc[0]
    assert 0.3 < (start["validation_de"] + start["validation_dir"]) / 2 < 0.7
    assert trained.score is not None
    assert trained.score.de_auroc >= 0.9
    assert trained.score.dir_auroc >= 0.9
    assert trained.score.n == trained.manifest["rows"]["validation"] > 200
    losses = history["loss"].dropna()
    assert losses.iloc[-1] < 0.25 * losses.iloc[0]
    assert steps[-1] == (130, 130)


def test_what_a_training_leaves_behind(taught):
    folder = taught[0].folder
    manifest = read_manifest(folder.path)
    assert manifest["validation"]["score"] == pytest.approx(taught[0].score.score)
    assert manifest["started_from"]["parameters"] < 1_000_000
    assert {"model.safetensors", "prompt.json", "tokenizer.json"} <= set(manifest["model"]["sha256"])
    assert manifest["inputs"]["prompt"] == load_prompt(folder.model).digest
    assert "<svg" in folder.curves.read_text(encoding="utf-8")
    answers = read_predictions(folder.validation)
    assert len(answers) == manifest["rows"]["validation"]
    assert not (folder.path / "checkpoints").exists()
    rows = family_rows()
    held = dict(zip(rows.id, zip(rows.pert, rows.gene, strict=True), strict=True))
    assert set(answers.id) <= set(held)


def test_a_finished_training_is_not_overwritten(taught):
    trained, _ = taught
    settings = load_settings(str(trained.folder.path.parent / "settings.toml"))
    with pytest.raises(InputError, match="finished training"):
        train("sft", settings, trained.folder.path)


def test_an_adapter_merges_to_a_model_that_says_the_same_in_a_fresh_process(tmp_path):
    changes = (('method = "full"', 'method = "lora"'), ("steps = 130", "steps = 12"), ("every = 50", "every = 6"))
    settings = load_settings(str(write_case(tmp_path, *changes, questions=1500)))
    trained = train("sft", settings, tmp_path / "out")
    assert (trained.folder.model / "adapter_model.safetensors").is_file()
    assert trained.manifest["trainable_parameters"] < trained.manifest["started_from"]["parameters"]
    merged = merge_model(tmp_path / "out", tmp_path / "merged")
    assert merged.largest_difference < 1e-4
    assert merged.merged_from.adapter is not None
    assert load_prompt(tmp_path / "merged") == load_prompt(trained.folder.model)
    found = subprocess.run(
        [sys.executable, "-c", LOGITS, str(tmp_path / "merged")], check=True, capture_output=True, text=True
    )
    import torch

    both = load_model(tmp_path / "out", device="cpu")
    base = load_model(tmp_path / "out" / "base", device="cpu")
    ids = both.tokenizer("Knock out Wnt7. Fox3?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        wanted, before = (m.model(input_ids=ids).logits[0].numpy() for m in (both, base))
    fresh = np.array(json.loads(found.stdout))
    np.testing.assert_allclose(fresh, wanted, atol=1e-4)
    assert np.abs(fresh - before).max() > 1e-2  # the adapter had moved them
    with pytest.raises(InputError, match="exists; choose another"):
        merge_model(tmp_path / "out", tmp_path / "merged")
    with pytest.raises(InputError, match="holds no adapter"):
        merge_model(tmp_path / "merged", tmp_path / "again")


def test_other_settings_do_not_go_on_with_a_begun_training(tmp_path):
    settings = load_settings(str(write_case(tmp_path, questions=1500)))

    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done:
            raise StoppedError

    with pytest.raises(StoppedError):
        train("sft", settings, tmp_path / "out", progress=stop)
    other = settings.model_copy(update={"training": settings.training.model_copy(update={"learning_rate": 0.5})})
    with pytest.raises(InputError, match=r"another settings\.training\.learning_rate"):
        train("sft", other, tmp_path / "out")


def test_inputs_that_are_missing_are_told(tmp_path):
    settings = load_settings("tiny-cpu")
    with pytest.raises(InputError, match="no training rows"):
        train("sft", settings, tmp_path / "out")
    with_rows = load_settings(str(write_case(tmp_path / "case", questions=1500)))
    with pytest.raises(InputError, match="a critic learns from recorded answers"):
        train("critic", with_rows, tmp_path / "out")
    with pytest.raises(InputError, match=r"multiple of grpo\.samples"):
        train(
            "grpo",
            with_rows.model_copy(update={"grpo": with_rows.grpo.model_copy(update={"samples": 7})}),
            tmp_path,
        )
    assert not (tmp_path / "out").exists()
