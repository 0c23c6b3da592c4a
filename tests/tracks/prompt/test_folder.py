"""The run folder: torn lines, other settings, two runs at once; settings and shards."""

from __future__ import annotations

import pytest

from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.prompt import resolve_settings
from perturbarena.tracks.running.endpoint import full_model_name, model_name
from perturbarena.tracks.running.folder import RunFolder

RULES = load_challenge("bioreasoning-2026")


def trace(id_: str, *, answered: bool = True) -> dict:
    return {"id": id_, "calls": [{"answered": answered}], "text": "é\n\ud800"}


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path, cut):
    with RunFolder(tmp_path).open({"a": 1}):
        pass
    run = RunFolder(tmp_path)
    with run.open({"a": 1}) as positions:
        for id_ in ("x", "y", "z"):
            run.append(trace(id_))
        assert [t["id"] for t in run.read([positions[i] for i in ("z", "x")])] == ["z", "x"]
    data = run.traces.read_bytes()
    run.traces.write_bytes(data[:-cut])
    again = RunFolder(tmp_path)
    with again.open({"a": 1}) as positions:
        assert list(positions) == ["x", "y"]
        again.append(trace("z"))
    assert run.traces.read_bytes() == data


def test_the_last_line_of_an_id_counts(tmp_path):
    run = RunFolder(tmp_path)
    with run.open({}) as positions:
        run.append(trace("x", answered=False))
        run.append(trace("x"))
        (kept,) = run.read([positions["x"]])
    assert kept["calls"][0]["answered"]
    assert run.positions() == positions


def test_another_setting_is_refused_in_one_line(tmp_path):
    with RunFolder(tmp_path).open({"seeds": (1, 2), "model": "a"}):
        pass
    with (
        pytest.raises(InputError, match=r'was run with model "a", not "b"; choose'),
        RunFolder(tmp_path).open({"seeds": (1, 2), "model": "b"}),
    ):
        pass


def test_a_folder_serves_one_run_at_a_time(tmp_path):
    with (
        RunFolder(tmp_path).open({}),
        pytest.raises(InputError, match="in use by another run"),
        RunFolder(tmp_path).open({}),
    ):
        pass


def test_damage_in_the_middle_is_an_error(tmp_path):
    run = RunFolder(tmp_path)
    with run.open({}):
        run.append(trace("x"))
    run.traces.write_bytes(b"nonsense\n" + run.traces.read_bytes())
    with pytest.raises(FormatError, match="damaged on line 1"), RunFolder(tmp_path).open({}):
        pass


def test_sampling_is_the_rules_unless_unranked():
    common = {"model": "mockllm/model", "answers": "stated"}
    ruled = resolve_settings(RULES, "a", **common)
    assert (ruled.seeds, ruled.temperature, ruled.top_p, ruled.ranked) == ((42, 43, 44), 1.0, 1.0, True)
    with pytest.raises(InputError, match=r"seeds 42, 43, 44; got 1 \(--unranked"):
        resolve_settings(RULES, "A", **common, seeds=[1])
    with pytest.raises(InputError, match=r"temperature 1\.0; got 0"):
        resolve_settings(RULES, "A", **common, temperature=0.0)
    free = resolve_settings(RULES, "A", **common, seeds=[1], temperature=0.0, unranked=True)
    assert (free.seeds, free.temperature, free.ranked) == ((1,), 0.0, False)


def test_model_names():
    fixed, url = "openai/gpt-oss-120b", "http://h/v1"
    assert full_model_name(fixed, base_url=url, fixed=fixed) == f"openai-api/local/{fixed}"
    assert full_model_name("own", base_url=url, fixed=fixed) == "openai-api/local/own"
    assert full_model_name("hf/x", base_url=None, fixed=fixed) == "hf/x"
    assert [model_name(n) for n in (f"openai-api/vllm/{fixed}", "hf/x")] == [fixed, "x"]
    with pytest.raises(InputError, match="names no provider"):
        full_model_name("own", base_url=None, fixed=fixed)


@pytest.mark.parametrize("url", ["http://me:sesame@h/v1", "http://h/v1?key=sesame"])
def test_a_key_in_the_address_is_refused_and_not_repeated(url):
    with pytest.raises(InputError, match="environment") as refused:
        full_model_name("own", base_url=url, fixed=None)
    assert "sesame" not in str(refused.value)


def test_shards_part_the_questions():
    from perturbarena.tracks.prompt.runner import shard_of

    questions = Questions.from_pairs(list("abcdefg"), list("hijklmn"))
    parts = [shard_of(questions, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(id_ for part in parts for id_ in part.id) == sorted(questions.id)
    for wrong in ("0/2", "3/2", "1", "a/b", "1/8"):
        with pytest.raises(InputError, match="shard"):
            shard_of(questions, wrong)
