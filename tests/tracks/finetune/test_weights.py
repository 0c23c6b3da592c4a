"""Which model it is: parameters counted from the weights, hashes of files, and what cannot be loaded."""

from __future__ import annotations

import json

import pytest

from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.finetune import (
    TinySettings,
    count_parameters,
    load_model,
    make_tiny_model,
    stored_parameters,
)
from perturbarena.tracks.finetune.weights import base_of_adapter, model_files


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny_model(
        tmp_path_factory.mktemp("tiny"), ["Knock out Stat1."], TinySettings(layers=1, hidden=32)
    )


def test_parameters_are_counted_without_loading_and_agree_with_the_loaded_model(tiny):
    loaded = load_model(tiny, device="cpu", max_parameters=10_000_000_000)
    assert stored_parameters(tiny) == loaded.identity.parameters == count_parameters(loaded.model) > 0
    assert not loaded.model.training


def test_a_model_that_is_too_big_is_refused_by_its_weights(tiny):
    count = stored_parameters(tiny)
    with pytest.raises(InputError, match=f"{count:,} parameters by its weights; fewer than {count:,}"):
        load_model(tiny, device="cpu", max_parameters=count)


def test_four_bit_weights_count_unpacked(tmp_path):
    header = {"w": {"dtype": "U8", "shape": [10, 3], "data_offsets": [0, 30]}}
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(30))
    assert stored_parameters(tmp_path) == 60


def test_one_changed_byte_changes_the_digest(tiny, tmp_path):
    before = model_files(tiny)
    for name in before.sha256_of:
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    assert model_files(tmp_path).digest == before.digest
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes() + b" ")
    after = model_files(tmp_path)
    assert after.digest != before.digest
    assert sum(after.sha256_of[name] != before.sha256_of[name] for name in before.sha256_of) == 1


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x05\x00\x00\x00\x00\x00\x00\x00[1,2]"])
def test_a_damaged_weights_file_is_told(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(FormatError, match="no safetensors file"):
        stored_parameters(tmp_path)


def test_what_is_no_model_is_told(tmp_path):
    with pytest.raises(InputError, match="no model folder at"):
        load_model(str(tmp_path / "none"))
    with pytest.raises(InputError, match="cannot be loaded as a causal language model"):
        load_model(tmp_path)
    with pytest.raises(InputError, match="holds no model"):
        model_files(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FormatError, match="does not name the adapter's base"):
        base_of_adapter(tmp_path)


def test_the_same_seed_makes_the_same_model(tiny, tmp_path):
    again = make_tiny_model(tmp_path, ["Knock out Stat1."], TinySettings(layers=1, hidden=32))
    assert model_files(again).sha256_of == model_files(tiny).sha256_of
