"""``run finetuned``: from simulated questions to a checked and audited submission, servers, kills, wrong input."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tracks.finetune.writers import make_writer, short_chat

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.formats import read_predictions, read_table, write_labelled, write_questions
from perturbarena.cli import run
from perturbarena.tracks.models import FakeModel

pytestmark = [
    # inspect's own use of its libraries
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """These models are so small that threads cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def collected():
    """inspect leaves sockets to the garbage collector, which shall find them while its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_writer(tmp_path_factory.mktemp("models") / "macrophage-tiny")


@pytest.fixture(scope="module")
def simulated():
    return simulate_questions(np.random.default_rng(0), n_perts=30, n_genes=40, n_questions=240).questions


@pytest.fixture
def questions(simulated, tmp_path) -> Path:
    write_questions(tmp_path / "questions.csv", simulated.questions)
    return tmp_path / "questions.csv"


@pytest.fixture
def labelled(simulated, tmp_path) -> Path:
    write_labelled(tmp_path / "labelled.csv", simulated)
    return tmp_path / "labelled.csv"


def finetuned(model: Path | str, questions: Path, *more: str) -> list[str]:
    return ["run", "finetuned", str(model), str(questions), *more]


def submitted(folder: Path, questions: Path, capsys) -> tuple[dict, dict]:
    """The check's and the audit's report on a run's submission."""
    entry = folder.parent / f"{folder.name}.zip"
    common = ["--track", "C", "--questions", str(questions), "--json"]
    capsys.readouterr()
    table, prompt = str(folder / "predictions.csv"), str(folder / "prompt.txt")
    assert run(["submit", "pack", table, "--prompt", prompt, "-o", str(entry), *common]) == 0
    capsys.readouterr()
    assert run(["submit", "check", str(entry), *common]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert run(["audit", str(entry), "--strict", *common]) == 0
    return checked, json.loads(capsys.readouterr().out)


WAYS = {
    "likelihood": [],
    "three texts, one letter each": ["--answers", "label", "--samples", "3"],
    # at temperature 1 this model, which knows nothing, would write letters that its probabilities do not follow
    "letters after reasoning": ["--answers", "logprobs", "--temperature", "0"],
}


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_from_simulated_questions_to_a_checked_and_audited_submission(model, questions, tmp_path, capsys, how):
    folder = tmp_path / "run"
    more = ["--max-new-tokens", "24", "--batch-size", "60"] if how else []
    assert run(finetuned(model, questions, "-o", str(folder), *how, *more)) == 0
    shown = capsys.readouterr().out
    assert "240 questions" in shown
    assert "fewer than 10,000,000,000" in shown
    assert "submit pack" in shown
    checked, audited = submitted(folder, questions, capsys)
    assert checked["ok"]
    assert not [problem for problem in checked["problems"] if problem["severity"] == "error"]
    assert not [finding for finding in audited["findings"] if finding["severity"] == "severe"]
    table = read_table(folder / "predictions.csv")
    assert set(table["model_name"]) == {"macrophage-tiny"}
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["model"]["base"]["sha256"].keys() >= {"model.safetensors", "config.json", "tokenizer.json"}
    assert manifest["rules"] == {
        "parameters": manifest["model"]["parameters"], "max_parameters": 10_000_000_000, "max_new_tokens": 16_000,
        "tools": 0,
    }  # fmt: skip
    assert manifest["prompt"]["source"] == "short"  # the prompt that it was trained with


def test_labelled_questions_are_scored_at_once(model, labelled, tmp_path, capsys):
    assert run(finetuned(model, labelled, "-o", str(tmp_path / "run"), "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.3 < found["score"]["score"] < 0.7  # it knows nothing of these genes
    assert found["counts"]["questions"] == 240
    assert found["parameters"] > 10_000


def test_a_run_killed_with_9_goes_on_to_the_same_bytes(model, questions, tmp_path, capsys):
    how = ["--answers", "label", "--samples", "2", "--max-new-tokens", "24", "--batch-size", "8", "--limit", "48"]
    assert run(finetuned(model, questions, "-o", str(tmp_path / "whole"), *how)) == 0
    killed = tmp_path / "killed"
    code = "import torch; torch.set_num_threads(1); from perturbarena.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *finetuned(model, questions, "-o", str(killed), *how)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    traces = killed / "traces" / "answers.jsonl"
    while process.poll() is None and not (traces.is_file() and traces.read_bytes().count(b"\n") >= 8):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "run.json").exists()
    kept = traces.read_bytes().count(b"\n")
    assert 8 <= kept < 48
    capsys.readouterr()
    assert run(finetuned(model, questions, "-o", str(killed), *how, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["resumed"] in (kept, kept - 1)
    assert (killed / "predictions.csv").read_bytes() == (tmp_path / "whole" / "predictions.csv").read_bytes()


@pytest.mark.usefixtures("collected")
def test_a_server_answers_with_the_same_messages(model, questions, tmp_path, capsys):
    folder, chat = tmp_path / "served", short_chat()
    how = ["--answers", "label", "--samples", "3", "--limit", "40", "--concurrency", "8"]
    with FakeModel(latency_ms=1, fail_rate=0.1) as fake:
        arguments = finetuned("lab/tuned-4B", questions, "-o", str(folder), "--base-url", fake.url, *how)
        assert run([*arguments, "--weights", str(model)]) == 0
        sent = fake.requests()
    assert {request["model"] for request in sent} == {"lab/tuned-4B"}
    assert {request["seed"] for request in sent} == {0, 1, 2}
    assert all("tools" not in request for request in sent)
    assert {request["max_completion_tokens"] for request in sent} == {4096}
    assert sent[0]["messages"][0]["content"].startswith("Knock out ")
    assert chat.template.text.startswith("Knock out ")
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["model"]["counted_from_weights"]
    assert manifest["model_name"] == "lab/tuned-4B"
    table = read_table(folder / "predictions.csv")
    written = [json.loads(line) for line in (folder / "traces" / "answers.jsonl").read_text().splitlines()]
    of_id = {line["id"]: sum(call["output_tokens"] for call in line["calls"]) for line in written}
    assert [int(n) for n in table["tokens_used"]] == [of_id[id_] for id_ in table["id"]]
    first = tmp_path / "first.csv"
    first.write_text("\n".join(questions.read_text().splitlines()[:41]) + "\n")
    checked, _ = submitted(folder, first, capsys)
    assert checked["ok"]


@pytest.mark.usefixtures("collected")
def test_a_server_whose_weights_nobody_gave_is_told(questions, tmp_path, capsys):
    with FakeModel(latency_ms=1) as fake:
        arguments = finetuned("tuned", questions, "-o", str(tmp_path / "run"), "--base-url", fake.url)
        assert run([*arguments, "--limit", "2"]) == 0
    assert "parameters not counted: give --weights" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["counted_from_weights"] is False


def test_a_dry_run_shows_the_exact_prompt_and_writes_nothing(model, questions, tmp_path, capsys):
    assert run(finetuned(model, questions, "--dry-run", "--answers", "label", "--samples", "5")) == 0
    shown = capsys.readouterr().out
    assert "<|im_start|>assistant" in shown
    assert "nothing was asked" in shown
    assert "5 texts a question" in shown
    assert "as it was trained" in shown
    assert run(finetuned(model, questions, "--dry-run", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_questions"] == 240
    assert found["positions"] == 512
    assert found["longest"]["tokens"] > 20


def test_another_prompt_than_the_trained_one_is_told(model, questions, tmp_path, capsys):
    template = tmp_path / "template.txt"
    template.write_text("{pert} {gene}?")
    system = tmp_path / "system.txt"
    system.write_text("You know macrophages.\n")
    more = ["--template", str(template), "--system", str(system), "-o", str(tmp_path / "run"), "--limit", "3"]
    assert run(finetuned(model, questions, *more)) == 0
    assert "NOT the prompt that the model was trained with" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "run" / "prompt.txt").read_text() == "You know macrophages.\n\n{pert} {gene}?"


def test_shards_answer_their_own_questions_and_are_merged(model, questions, tmp_path, capsys):
    for i in (1, 2):
        assert (
            run(
                finetuned(model, questions, "--limit", "60", "--shard", f"{i}/2", "-o", str(tmp_path / f"part{i}"))
            )
            == 0
        )
    assert run(finetuned(model, questions, "--limit", "60", "-o", str(tmp_path / "whole"))) == 0
    whole = read_predictions(tmp_path / "whole" / "predictions.csv")
    part = read_predictions(tmp_path / "part1" / "predictions.csv")
    assert part.id.tolist() == whole.id[::2].tolist()
    np.testing.assert_allclose(part.p_up, whole.p_up[::2], atol=1e-5)
    folders = [str(tmp_path / name) for name in ("part2", "part1")]
    assert run(["run", "merge", *folders, "-o", str(tmp_path / "merged")]) == 0
    merged = read_predictions(tmp_path / "merged" / "predictions.csv")
    assert merged.id.tolist() == whole.id.tolist()
    np.testing.assert_allclose(merged.p_up, whole.p_up, atol=1e-5)
    manifest = json.loads((tmp_path / "merged" / "run.json").read_text())
    assert manifest["kind"] == "finetuned"
    assert [part["shard"] for part in manifest["merged_from"]] == ["2/2", "1/2"]
    other = ["--limit", "9", "--answers", "label", "--max-new-tokens", "9", "-o", str(tmp_path / "odd")]
    assert run(finetuned(model, questions, *other)) == 0
    capsys.readouterr()
    assert run(["run", "merge", folders[0], str(tmp_path / "odd"), "-o", str(tmp_path / "no")]) == 2
    assert "was run with answers 'label'" in " ".join(capsys.readouterr().err.split())


def small_rules(tmp_path: Path) -> Path:
    """The published challenge, with a track C for models of fewer than a thousand parameters."""
    from importlib import resources

    text = (resources.files("perturbarena.challenge") / "bioreasoning-2026.toml").read_text()
    path = tmp_path / "small.toml"
    path.write_text(text.replace("max_parameters = 10_000_000_000", "max_parameters = 1_000"))
    return path


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--max-new-tokens", "16001", "--answers", "label"], "track C allows 16,000 new tokens; got 16,001"),
        (["--samples", "2"], "writes nothing that could be sampled"),
        (["--rerank", "best", "--answers", "label"], "needs a critic"),
        (["--weights", "."], "goes with --base-url"),
        (["--system", "nowhere.txt"], "no such file: nowhere.txt"),
        (["--limit", "3", "--max-new-tokens", "600", "--answers", "label"], "512 positions"),
    ],
)
def test_wrong_options_get_one_line(model, questions, tmp_path, capsys, more, message):
    assert run(finetuned(model, questions, "-o", str(tmp_path / "run"), *more)) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "run" / "predictions.csv").exists()


def test_a_model_that_is_too_big_is_refused(model, questions, tmp_path, capsys):
    rules = ["--challenge", str(small_rules(tmp_path)), "-o", str(tmp_path / "run")]
    assert run(finetuned(model, questions, *rules)) == 2
    assert "fewer than 1,000 are allowed" in " ".join(capsys.readouterr().err.split())
    assert run(finetuned(model, questions, *rules, "--unranked", "--limit", "2")) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["ranked"] is False
    server = ["--base-url", "http://127.0.0.1:9/v1", "--weights", str(model)]
    assert run(finetuned("tuned", questions, *rules[:2], "-o", str(tmp_path / "served"), *server)) == 2
    assert "fewer than 1,000 are allowed" in " ".join(capsys.readouterr().err.split())


def test_no_model_and_no_output_get_one_line(questions, tmp_path, capsys):
    assert run(finetuned("./nowhere", questions, "-o", str(tmp_path / "run"))) == 2
    assert "no model folder at ./nowhere" in capsys.readouterr().err
    assert run(finetuned("./nowhere", questions)) == 2
    assert "needs -o RUN_DIR" in capsys.readouterr().err
