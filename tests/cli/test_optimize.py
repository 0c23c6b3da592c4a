"""``optimize prompt`` against the fake server: as an entrant runs it, killed and gone on with, and wrong input."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from perturbarena import cli
from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.formats import write_labelled, write_questions
from perturbarena.tracks.models import FakeModel

pytestmark = [
    # inspect's: it names an argument of tenacity's by its old name, and leaves sockets to the garbage collector
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SMALL = ("--proposals", "4", "--minibatch", "16", "--train-rows", "120", "--selection-rows", "60",
         "--confirmation-rows", "160", "--resamples", "200")  # fmt: skip


@pytest.fixture(autouse=True)
def collected():
    """inspect leaves sockets to the garbage collector, which shall find them while its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("optimize")
    rows = simulate_questions(np.random.default_rng(5), n_perts=90, n_genes=240, n_questions=3_000).questions
    write_labelled(found / "train.csv", rows)
    (found / "sentences.txt").write_text("Be careful.\nWeigh both routes.\n")
    return found


@pytest.fixture(scope="module")
def fake(folder):
    settings = {"truth": folder / "train.csv", "skill": 0.3, "phrase": "weigh both routes", "phrase_skill": 0.9}
    with FakeModel(latency_ms=1, stated=True, proposals=folder / "sentences.txt", **settings) as server:
        yield server


def words(folder, fake, output):
    return ["optimize", "prompt", str(folder / "train.csv"), "--model", "fake-model", "--base-url", fake.url,
            "-o", str(folder / output), *SMALL]  # fmt: skip


def test_killed_and_given_again_it_ends_as_if_nothing_had_happened(folder, fake, capsys):
    command = words(folder, fake, "evo")
    code = "import sys; from perturbarena.cli import main; main(sys.argv[1:])"
    started = subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.DEVNULL)
    traces = folder / "evo" / "traces" / "answers.jsonl"
    for _ in range(600):
        if traces.exists() and traces.read_bytes().count(b"\n") > 90:
            break
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    kept = traces.read_bytes().count(b"\n")
    assert kept > 90
    assert not (folder / "evo" / "evolve.json").exists()
    before = fake.stats()["calls"]
    assert cli.run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "improved"
    assert "Weigh both routes." in (folder / "evo" / "prompt.txt").read_text()
    assert fake.stats()["calls"] - before == traces.read_bytes().count(b"\n") - kept  # nothing is asked twice
    assert found["budget"]["calls"] >= traces.read_bytes().count(b"\n")
    assert json.loads((folder / "looks.json").read_text())["looks"][0]["accepted"]
    assert cli.run(command) == 0
    out = capsys.readouterr().out
    assert "improved" in out
    assert "160 untouched rows" in out


def test_tokens_are_the_servers_own_count(folder, fake, capsys):
    before = fake.stats()
    assert cli.run([*words(folder, fake, "counted"), "--proposals", "1", "--shots", "2", "--json"]) == 0
    budget = json.loads(capsys.readouterr().out)["budget"]
    after = fake.stats()
    assert budget["calls"] == after["calls"] - before["calls"]
    assert budget["tokens"] == sum(after["tokens"].values()) - sum(before["tokens"].values())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--max-calls", "100"], "is too few"),
        (["--seeds", "7"], "--seeds must be different ones of track A's"),
        (["--reflection-base-url", "http://127.0.0.1:1/v1"], "needs --reflection-model"),
        (["--shots", "5000"], "more than the 120 rows"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(folder, fake, capsys, more, told):
    before = fake.stats()["calls"]
    assert cli.run([*words(folder, fake, "wrong"), *more]) == 2
    assert told in capsys.readouterr().err
    assert not (folder / "wrong").exists()
    assert fake.stats()["calls"] == before


def test_a_server_that_is_gone_is_told_and_what_was_answered_is_kept(folder, fake, capsys):
    gone = words(folder, fake, "gone")
    gone[gone.index(fake.url)] = "http://127.0.0.1:9/v1"
    assert cli.run([*gone, "--patience", "0.5"]) == 2
    assert "give the same command again" in capsys.readouterr().err


def test_the_chosen_examples_are_used_by_run_prompt(folder, fake, capsys):
    rows = (folder / "train.csv").read_text().splitlines()
    (folder / "shots.csv").write_text("\n".join(rows[:3]) + "\n")
    from perturbarena.challenge.formats import read_questions

    write_questions(folder / "asked.csv", read_questions(folder / "train.csv").take(np.array([0, 9])))
    shown = ["run", "prompt", str(folder / "asked.csv"), "--model", "fake-model", "--base-url", fake.url]
    assert cli.run([*shown, "--shot-set", str(folder / "shots.csv"), "--dry-run", "--json"]) == 0
    prompts = [one["prompt"] for one in json.loads(capsys.readouterr().out)["prompts"]]
    assert [text.count("Perturbed gene: Gene") for text in prompts] == [2, 3]  # its own example is left out
    assert cli.run([*shown, "--shot-set", "a.csv", "--examples", "b.csv", "--shots", "2", "--dry-run"]) == 2
