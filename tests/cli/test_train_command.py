"""``perturbarena train``: help, settings, costs, and one line for what is wrong."""

from __future__ import annotations

import json

import pytest
from tests.tracks.finetune.training_cases import write_case

from perturbarena.cli import run
from perturbarena.tracks.finetune import load_settings


def test_shipped_settings_are_printed_whole_and_can_be_loaded(capsys, tmp_path):
    assert run(["train", "settings"]) == 0
    listed = capsys.readouterr().out
    for name in ("qwen3-4b-thinking", "tiny-cpu"):
        assert name in listed
        assert run(["train", "settings", name]) == 0
        copy = tmp_path / f"{name}.toml"
        copy.write_text(capsys.readouterr().out, encoding="utf-8")
        assert load_settings(str(copy)) == load_settings(name)
    assert run(["train", "settings", "nix"]) == 2
    assert "shipped: qwen3-4b-thinking, tiny-cpu" in capsys.readouterr().err


def test_costs_say_that_they_are_computed(capsys):
    assert run(["train", "costs", "--tokens", "1500"]) == 0
    assert "Computed, not measured" in " ".join(capsys.readouterr().out.split())
    assert run(["train", "costs", "--json"]) == 0
    costs = json.loads(capsys.readouterr().out)
    assert {cost["method"] for cost in costs} == {"qlora", "lora", "full"}
    assert all(cost["computed"] for cost in costs)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("steps = 130", "stesp = 130", "unknown key training.stesp"),
        ("steps = 130", "steps = 0", "training.steps: Input should be greater than or equal to 1; got 0"),
        ('method = "full"', 'method = "half"', "model.method"),
        ('name = "tiny"', "", "the key model.name is missing"),
        ("format_version = 1", "format_version = 2", "format_version"),
        (
            "[validation]",
            '[targets]\nkind = "rationale"\n[validation]',
            "targets.kind rationale needs data.traces",
        ),
        ('name = "tiny"', 'name = "no/such-folder/here"', "no model folder at no/such-folder/here"),
        ('train = "train.csv"', 'train = "gone.csv"', "gone.csv"),
        ('template = "prompt.txt"', 'template = "gone.txt"', "no such file: gone.txt"),
        ("[model]", "[model", "is not TOML"),
    ],
)
def test_wrong_settings_get_one_line_and_leave_nothing(capsys, tmp_path, old, new, told):
    settings = write_case(tmp_path / "case", (old, new), questions=300)
    assert run(["train", "sft", str(settings), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert told in said
    assert said.startswith("error: ")
    assert "\n" not in said
    assert not (tmp_path / "out" / "train.json").exists()


def test_a_settings_file_that_is_not_there_names_the_shipped_ones(capsys, tmp_path):
    assert run(["train", "sft", str(tmp_path / "none.toml"), "-o", str(tmp_path / "out")]) == 2
    assert "shipped: qwen3-4b-thinking, tiny-cpu" in capsys.readouterr().err


def test_train_and_model_on_the_command_line_stand_in_for_the_files(tmp_path):
    settings = write_case(tmp_path, questions=300)
    loaded = load_settings(str(settings), train="other.csv", model="owner/model")
    assert (loaded.data.train, loaded.model.name) == ("other.csv", "owner/model")
    assert load_settings(str(settings)).data.train == str(tmp_path / "train.csv")


def test_what_cannot_be_merged_is_told(capsys, tmp_path):
    assert run(["train", "merge", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "holds no adapter" in capsys.readouterr().err
