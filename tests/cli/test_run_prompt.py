"""``run prompt`` against the fake model: whole runs, kills, faults of servers, shards, dry runs, ``ask``."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from perturbarena.challenge.formats import read_table
from perturbarena.cli import run
from perturbarena.tracks.models import FakeModel

pytestmark = [
    # inspect's own use of its libraries
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MODEL = "openai/gpt-oss-120b"
LABELS = ("up", "down", "none")


@pytest.fixture(autouse=True)
def collected():
    """inspect leaves sockets to the garbage collector, which shall find them while its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture
def questions(tmp_path) -> Path:
    path = tmp_path / "questions.csv"
    rows = [f"Pert{i}_Gene{i},Pert{i},Gene{i}" for i in range(12)]
    path.write_text("\n".join(("id,pert,gene", *rows)) + "\n")
    return path


@pytest.fixture
def labelled(tmp_path) -> Path:
    path = tmp_path / "labelled.csv"
    rows = [f"P{i}_G{j},P{i},G{j},{LABELS[(i + j) % 3]}" for i in range(6) for j in range(6)]
    path.write_text("\n".join(("id,pert,gene,label", *rows)) + "\n")
    return path


def command(file: Path, fake: FakeModel, folder: Path, *more: str) -> list[str]:
    return ["run", "prompt", str(file), "--model", MODEL, "--base-url", fake.url, "-o", str(folder), *more]


def manifest(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def test_from_questions_to_a_checked_submission(questions, tmp_path, capsys):
    folder = tmp_path / "run"
    with FakeModel(latency_ms=5, stated=True, reasoning=True) as fake:
        arguments = command(questions, fake, folder, "--max-completion-tokens", "99", "--reasoning-effort", "high")
        assert run(arguments) == 0
        sent = fake.requests()
        assert run(arguments) == 0  # nothing is left to ask
        assert fake.stats()["calls"] == 36
    assert Counter(request["seed"] for request in sent) == {42: 12, 43: 12, 44: 12}
    for request in sent:
        asked = {
            key: request[key] for key in ("temperature", "top_p", "max_completion_tokens", "reasoning_effort")
        }
        assert asked == {"temperature": 1, "top_p": 1, "max_completion_tokens": 99, "reasoning_effort": "high"}
        assert "max_tokens" not in request
        assert "Cas9" in request["messages"][0]["content"]
    zip_ = tmp_path / "entry.zip"
    table, prompt = folder / "predictions.csv", folder / "prompt.txt"
    common = ["--track", "A", "--questions", str(questions)]
    assert run(["submit", "pack", str(table), "--prompt", str(prompt), *common, "-o", str(zip_)]) == 0
    assert run(["submit", "check", str(zip_), *common]) == 0
    assert "well-formed" in capsys.readouterr().out
    written = manifest(folder)
    assert written["ranked"]
    assert written["model_is_the_tracks"]
    assert written["counts"]["calls"] == 36
    assert list((folder / "logs").glob("*.eval"))


def test_labelled_questions_are_scored_with_examples_and_without_keys(labelled, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LOCAL_API_KEY", "sesame-open")
    folder = tmp_path / "run"
    with FakeModel(latency_ms=2) as fake:
        more = ("--answers", "logprobs", "--examples", str(labelled), "--shots", "3", "--json")
        assert run(command(labelled, fake, folder, *more)) == 0
        for request in fake.requests():
            assert request["logprobs"]
            assert request["messages"][0]["content"].count("<answer>") == 4
    result = json.loads(capsys.readouterr().out)
    assert 0 <= result["score"]["score"] <= 1
    assert result["counts"]["how"] == {"logprobs": 108}
    for file in folder.rglob("*"):
        assert not file.is_file() or b"sesame-open" not in file.read_bytes(), file


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


def test_a_killed_run_resumes_and_repeats_only_what_was_in_flight(labelled, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "calls.jsonl"
    with FakeModel(latency_ms=100, stated=True, log=log) as fake:
        arguments = command(labelled, fake, folder, "--concurrency", "6")
        code = "from perturbarena.cli import main; main()"
        killed = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=_environment(), stderr=subprocess.PIPE
        )
        traces = folder / "traces" / "answers.jsonl"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (traces.is_file() and traces.read_bytes().count(b"\n") >= 8):
            assert killed.poll() is None, killed.stderr.read()
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stderr.close()
        done = traces.read_bytes().count(b"\n")
        assert 8 <= done < 36
        assert not (folder / "run.json").exists()
        time.sleep(0.3)  # what was in flight reaches the server's count
        before = fake.stats()["calls"]
        assert run(arguments) == 0
        assert fake.stats()["calls"] - before == 3 * (36 - done)
        assert before <= 3 * done + 3 * 4  # six calls at once: four questions in flight
    table = read_table(folder / "predictions.csv")
    assert len(table) == len(set(table["id"])) == 36
    assert manifest(folder)["counts"]["answered"] == 36


@pytest.mark.parametrize(
    ("faults", "more"),
    [
        ({"fail_rate": 0.1}, ()),
        ({"empty": 2}, ()),
        ({"rate_limit_every": 5, "retry_after_s": 0.2}, ()),
        ({"stall_rate": 0.15, "stall_s": 30.0}, ("--timeout", "1.5")),
    ],
)
def test_faults_that_pass_leave_every_question_answered(faults, more, questions, tmp_path):
    with FakeModel(latency_ms=2, stated=True, **faults) as fake:
        assert run(command(questions, fake, tmp_path / "run", *more)) == 0
        assert fake.stats()["calls"] > 36
    counts = manifest(tmp_path / "run")["counts"]
    assert counts["answered"] == 12
    assert counts["rejected"] or counts["failures"]


def test_an_answer_that_stays_empty_is_recorded_and_asked_again_only_on_demand(questions, tmp_path, capsys):
    folder = tmp_path / "run"
    with FakeModel(latency_ms=2, stated=True, empty=3) as fake:
        assert run(command(questions, fake, folder)) == 0
        assert "recorded as such: 36 empty" in capsys.readouterr().out
        table = read_table(folder / "predictions.csv")
        assert set(table["prediction_up_seed42"].astype(float).round(6)) == {0.333333}
        assert set(table["reasoning_trace_seed42"]) == {"none"}
        counts = manifest(folder)["counts"]
        assert (counts["unanswered"], counts["calls_unanswered"]) == (12, {"empty": 36})
        assert fake.stats()["calls"] == 108
        assert run(command(questions, fake, folder)) == 0
        assert fake.stats()["calls"] == 108
        assert run(command(questions, fake, folder, "--ask-unanswered")) == 0
        assert fake.stats()["calls"] == 144
    assert manifest(folder)["counts"]["answered"] == 12


def test_a_server_that_dies_leaves_a_record_and_the_same_command_goes_on(questions, tmp_path):
    folder = tmp_path / "run"
    with FakeModel(latency_ms=2, stated=True, die_after=20) as fake:
        assert run(command(questions, fake, folder, "--patience", "1", "--concurrency", "3")) == 0
    counts = manifest(folder)["counts"]
    assert counts["questions"] == 12
    assert counts["unanswered"] > 0
    assert all(reason.startswith("transport:") for reason in counts["calls_unanswered"])
    with FakeModel(latency_ms=2, stated=True, port=fake.port) as fake:
        assert run(command(questions, fake, folder)) == 0
        assert fake.stats()["calls"] == sum(counts["calls_unanswered"].values())
    assert manifest(folder)["counts"]["answered"] == 12


def test_shards_merge_into_the_run_of_one(questions, tmp_path):
    with FakeModel(latency_ms=2, stated=True) as fake:
        assert run(command(questions, fake, tmp_path / "whole")) == 0
        for i in (1, 2):
            assert run(command(questions, fake, tmp_path / f"part{i}", "--shard", f"{i}/2")) == 0
    parts = [str(tmp_path / "part2"), str(tmp_path / "part1")]
    assert run(["run", "merge", *parts, "-o", str(tmp_path / "merged")]) == 0
    whole, merged = (tmp_path / name / "predictions.csv" for name in ("whole", "merged"))
    assert merged.read_bytes() == whole.read_bytes()
    assert len(manifest(tmp_path / "merged")["merged_from"]) == 2
    assert run(["run", "merge", *parts, "-o", str(tmp_path / "merged")]) == 2
    assert run(["run", "merge", parts[0], parts[0], "-o", str(tmp_path / "twice")]) == 2


@pytest.mark.parametrize(
    ("faults", "more", "match"),
    [
        ({"logprobs": False}, ("--answers", "logprobs"), "needs log probabilities"),
        ({}, ("--temperature", "0"), "temperature 1.0; got 0.0"),
        ({}, ("--shots", "2"), "go together"),
        ({}, ("-M", "api_key=x"), "looks like a key"),
    ],
)
def test_what_cannot_work_is_one_line(faults, more, match, questions, tmp_path, capsys):
    with FakeModel(latency_ms=2, **faults) as fake:
        assert run(command(questions, fake, tmp_path / "run", *more)) == 2
        assert fake.stats()["calls"] <= 6
    assert match in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_prompt_beyond_the_limit_stops_after_the_first_question(questions, tmp_path, capsys):
    (tmp_path / "long.txt").write_text("word " * 4500 + "{pert} {gene}")
    template = ("--template", str(tmp_path / "long.txt"))
    with FakeModel(latency_ms=2) as fake:
        assert run(command(questions, fake, tmp_path / "run", *template)) == 2
        assert fake.stats()["calls"] <= 3
        assert "track A allows 4,096" in capsys.readouterr().err
        assert run(command(questions, fake, tmp_path / "free", *template, "--unranked")) == 0
    assert not manifest(tmp_path / "free")["ranked"]


def test_another_setting_in_the_same_folder_is_refused(questions, tmp_path, capsys):
    with FakeModel(latency_ms=2) as fake:
        assert run(command(questions, fake, tmp_path / "run", "--limit", "2")) == 0
        assert run(command(questions, fake, tmp_path / "run", "--limit", "2", "--answers", "label")) == 2
    assert 'answers "stated", not "label"' in capsys.readouterr().err


def test_a_dry_run_sends_nothing(questions, tmp_path, capsys):
    with FakeModel() as fake:
        more = ("--dry-run", "--price-in", "1", "--price-out", "2", "--json")
        assert run(command(questions, fake, tmp_path / "run", *more)) == 0
        assert fake.stats()["calls"] == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["prompts"]) == 3
    assert (found["n_calls"], found["output_tokens"]) == (36, 36_000)
    assert found["cost"] == pytest.approx((found["input_tokens"] + 2 * 36_000) / 1e6)
    assert not (tmp_path / "run").exists()


def test_ask_prints_the_answer_with_its_reasoning(capsys):
    with FakeModel(latency_ms=2, stated=True, reasoning=True) as fake:
        assert run(["ask", "Tlr4", "Il6", "--model", MODEL, "--base-url", fake.url]) == 0
        assert fake.stats()["calls"] == 1
    out = capsys.readouterr().out
    assert "Tlr4 → Il6:" in out
    assert "P_up=" in out


def test_inspect_runs_the_registered_task(questions, tmp_path):
    logs = tmp_path / "logs"
    extension = tmp_path / "site" / "perturbarena_here-0.dist-info"
    extension.mkdir(parents=True)
    (extension / "METADATA").write_text("Metadata-Version: 2.1\nName: perturbarena-here\nVersion: 0\n")
    entry = "perturbarena = perturbarena.tracks.prompt._registry"
    (extension / "entry_points.txt").write_text(f"[inspect_ai]\n{entry}\n")
    environment = _environment()
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path / "site")
    with FakeModel(latency_ms=2, stated=True) as fake:
        environment |= {"LOCAL_API_KEY": "none", "LOCAL_BASE_URL": fake.url}
        done = subprocess.run(
            [sys.executable, "-m", "inspect_ai", "eval", "perturbarena/prompt_only", "-T",
             f"questions={questions}",
             "--model", f"openai-api/local/{MODEL}", "--log-dir", str(logs), "--display", "none"],
            env=environment, capture_output=True, text=True, timeout=240, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert fake.stats()["calls"] == 36
        assert {request["temperature"] for request in fake.requests()} == {1}
    assert list(logs.glob("*.eval"))


@pytest.mark.slow  # 7,497 calls through one process
def test_replay_of_recorded_outputs_reproduces_their_score(shared, tmp_path, capsys):
    outputs = shared / "data" / "llm_outputs"
    with FakeModel(latency_ms=1, replay=outputs / "prompt_train2499.csv.gz") as fake:
        file = outputs / "prompt_train2499_labels.csv"
        assert run(command(file, fake, tmp_path / "run", "--answers", "logprobs", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"]["score"] == pytest.approx(0.5792, abs=1e-4)
    assert result["counts"]["calls"] == 7_497
