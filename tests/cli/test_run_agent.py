"""``run agent`` against the fake model: designs, faults, kills, tools that change, packing, replay."""

from __future__ import annotations

import csv
import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.tracks.tool_store import make_store

from perturbarena.cli import run
from perturbarena.tracks.models import FakeModel

pytestmark = [
    # inspect's own use of its libraries
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MODEL = "openai/gpt-oss-120b"
ANSWER = {"tool": "answer", "arguments": {"p_up": 0.2, "p_down": 0.3}}
LOOK = {"tool": "look_up", "arguments": {"gene": "Stat1"}}
TOOLS = '''
"""Lookups."""
import itertools

_count = itertools.count()


def look_up(gene: str) -> str:
    """What is known of a gene."""
    return f"{gene}: nothing is known"


def counting(gene: str) -> str:
    """Never says the same twice."""
    return f"{gene} {next(_count)}"


def escape(address: str) -> str:
    """Opens a socket."""
    import socket
    socket.create_connection((address, 80))
    return "out"
'''
SCRIPTS = {
    "react": {"*": [{"tools": [LOOK, LOOK]}, ANSWER]},
    "team": {
        "*": [{"tool": "ask_biology", "arguments": {"question": "?"}}, ANSWER],
        "*/biology": [LOOK, {"answer": "A report."}],
    },
    "debate": {
        "*": [ANSWER],
        "*/judge_moved": [{"tool": "judge_moved", "arguments": {"p_moved": 0.4}}],
        **{f"*/advocate_{side}": [LOOK, {"answer": side}] for side in ("moved", "unmoved", "up", "down")},
    },
}
CALLS = {"react": 3, "team": 3, "debate": 6}


@pytest.fixture(autouse=True)
def collected():
    """inspect leaves sockets to the garbage collector, which shall find them while its warnings are expected."""
    yield
    gc.collect()


@pytest.fixture
def tools(tmp_path) -> Path:
    folder = tmp_path / "my_tools"
    folder.mkdir()
    (folder / "lookups.py").write_text(TOOLS)
    return folder


def questions(tmp_path: Path, n: int) -> Path:
    path = tmp_path / "questions.csv"
    path.write_text("\n".join(("id,pert,gene", *(f"Pert{i}_Gene{i},Pert{i},Gene{i}" for i in range(n)))) + "\n")
    return path


def fake(tmp_path: Path, script: object, **settings) -> FakeModel:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script))
    return FakeModel(latency_ms=2, script=path, **settings)


def command(file: Path, url: str, folder: Path, *more: str) -> list[str]:
    return ["run", "agent", str(file), "--model", MODEL, "--base-url", url, "-o", str(folder), *more]


def manifest(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _whole_way(tmp_path: Path, tools: Path, design: str, n: int) -> Path:
    """Run, pack, check, replay."""
    file, folder = questions(tmp_path, n), tmp_path / "run"
    with fake(tmp_path, SCRIPTS[design]) as server:
        assert run(command(file, server.url, folder, "--design", design, "--tools", str(tools))) == 0
        sent = server.requests()
    assert {(request["temperature"], request["top_p"]) for request in sent} == {(1, 1)}
    counts = manifest(folder)["counts"]
    assert (counts["answered"], counts["tool_calls"], counts["most_tool_calls"]) == (
        n,
        CALLS[design] * n,
        CALLS[design],
    )
    for row in table(folder):
        assert int(row["num_tool_calls"]) == CALLS[design]
        assert "look_up(" in row["reasoning_trace"]
        assert row["model_name"] == MODEL
    common = ["--track", "B", "--questions", str(file)]
    zip_ = tmp_path / "entry.zip"
    pack = ["submit", "pack", str(folder / "predictions.csv"), "--prompt", str(folder / "prompt.txt"), *common]
    assert run([*pack, "--tools", str(folder / "tools"), "-o", str(zip_)]) == 0
    assert run(["submit", "check", str(zip_), *common]) == 0
    assert run(["run", "agent", "--replay", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("design", sorted(SCRIPTS))
def test_from_questions_to_a_checked_submission(tmp_path, tools, design):
    folder = _whole_way(tmp_path, tools, design, 4)
    (trace, *_) = (json.loads(line) for line in (folder / "traces" / "answers.jsonl").read_text().splitlines())
    kinds = [step["type"] for step in trace["steps"]]
    assert {"user", "model", "tool"} <= set(kinds)
    tokens = sum(step["total_tokens"] for step in trace["steps"] if step["type"] == "model")
    row = next(row for row in table(folder) if row["id"] == trace["id"])
    assert int(row["tokens_used"]) == tokens > 0
    shown = json.loads((folder / "agents.json").read_text())["roles"]
    assert int(row["prompt_tokens"]) == max(role["prompt_tokens"] for role in shown)
    names = {tool["function"]["name"] for role in shown for tool in role["tools"]}
    assert int(row["num_distinct_tools"]) == len(names)


@pytest.mark.slow  # fifty questions of up to ten requests each
@pytest.mark.parametrize("design", sorted(SCRIPTS))
def test_fifty_questions_complete(tmp_path, tools, design):
    _whole_way(tmp_path, tools, design, 50)


@pytest.mark.slow  # 84 requests with ever longer conversations
def test_a_model_that_never_stops_ends_at_exactly_250_calls(tmp_path, tools):
    folder = tmp_path / "run"
    with fake(tmp_path, [{"tools": [LOOK] * 3}]) as server:
        assert run(command(questions(tmp_path, 2), server.url, folder, "--tools", str(tools))) == 0
    counts = manifest(folder)["counts"]
    assert (counts["most_tool_calls"], counts["tool_calls"]) == (250, 500)
    assert counts["unanswered"] == {"tool_limit": 2}


def _limited(tmp_path: Path, server: FakeModel, n: int, tools: Path, *more: str) -> dict:
    """The counts of a run of questions with six calls each, and two attempts of each request."""
    folder = tmp_path / "run"
    limits = ["--tools", str(tools), "--max-tool-calls", "6", "--attempts", "2"]
    assert run(command(questions(tmp_path, n), server.url, folder, *limits, *more)) == 0
    return manifest(folder)["counts"]


def test_whatever_a_model_says_ends_in_a_recorded_outcome(tmp_path, tools):
    script = {
        "Pert0_Gene0": [{"tool": "answer", "arguments": "{broken"}],
        "Pert1_Gene1": [{"tool": "nothing", "arguments": {}}, ANSWER],
        "Pert2_Gene2": [{"tool": "look_up", "arguments": {"genes": 1}}, ANSWER],
        "Pert3_Gene3": [{"answer": "I cannot say."}],
    }
    with fake(tmp_path, script) as server:
        counts = _limited(tmp_path, server, 4, tools)
    assert counts["unanswered"] == {"tool_limit": 1, "no_answer_call": 1}
    assert counts["tool_errors"] == {"malformed": 6, "unknown": 1, "invalid": 1}
    assert counts["rejected"] == {"no_answer_call": 2}
    third = "0.3333333333333333"
    assert [row["prediction_up"] for row in table(tmp_path / "run")] == [third, "0.2", "0.2", third]


def test_empty_answers_and_http_429_are_overcome(tmp_path, tools):
    with fake(tmp_path, [ANSWER], empty=1, rate_limit_every=2, retry_after_s=0.05) as server:
        counts = _limited(tmp_path, server, 3, tools)
    assert (counts["answered"], counts["rejected"]) == (3, {"empty": 3})
    assert counts["failures"]["http_429"] > 0


@pytest.mark.parametrize(
    ("faults", "kind"), [({"fail_rate": 1.0}, "http_500"), ({"stall_rate": 1.0, "stall_s": 9}, "timeout")]
)
def test_a_server_that_fails_is_recorded_and_asked_again(tmp_path, tools, faults, kind):
    with fake(tmp_path, [ANSWER], **faults) as server:
        counts = _limited(tmp_path, server, 3, tools, "--timeout", "0.3" if kind == "timeout" else "60")
    assert counts["unanswered"] == {f"transport:{kind}": 3}
    assert counts["failures"] == {kind: 6}
    with fake(tmp_path, [ANSWER]) as server:  # another start, a server that has recovered
        counts = _limited(tmp_path, server, 3, tools)
    assert (counts["answered"], counts["unanswered"]) == (3, {})


def test_a_killed_run_goes_on_where_it_was(tmp_path, tools):
    file, folder = questions(tmp_path, 9), tmp_path / "run"
    with fake(tmp_path, SCRIPTS["react"], max_rate=20) as server:
        arguments = command(file, server.url, folder, "--tools", str(tools), "--concurrency", "2")
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; from perturbarena.cli import run; run(sys.argv[1:])", *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        traces, until = folder / "traces" / "answers.jsonl", time.monotonic() + 60
        while not (traces.is_file() and traces.read_bytes().count(b"\n") >= 2) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = traces.read_bytes().count(b"\n")
        assert 2 <= before < 9
        assert not (folder / "run.json").exists()
        assert run(arguments) == 0
    assert [json.loads(line)["id"] for line in traces.read_text().splitlines()][:before]
    assert manifest(folder)["last_start"]["questions"] == 9 - before
    assert len(table(folder)) == 9
    assert manifest(folder)["counts"]["answered"] == 9


def test_what_is_packed_is_what_ran(tmp_path, tools, capsys):
    file, folder = questions(tmp_path, 2), tmp_path / "run"
    with fake(tmp_path, SCRIPTS["react"]) as server:
        arguments = command(file, server.url, folder, "--tools", str(tools))
        assert run(arguments) == 0
        pack = ["submit", "pack", str(folder / "predictions.csv"), "--track", "B", "-o", str(tmp_path / "e.zip")]
        pack += ["--prompt", str(folder / "prompt.txt"), "--tools"]
        assert run([*pack, str(tools)]) == 0
        (tools / "extra.py").write_text("")
        assert run([*pack, str(tools)]) == 2
        assert "extra.py did not run" in capsys.readouterr().err
        (tools / "extra.py").unlink()
        (tools / "lookups.py").write_text(TOOLS + "# changed\n")
        assert run([*pack, str(tools)]) == 2
        assert "lookups.py is not the one that ran" in capsys.readouterr().err
        assert run(arguments) == 2
        assert "was run with" in capsys.readouterr().err
        (folder / "tools" / "lookups.py").write_text(TOOLS + "# changed\n")
        (tools / "lookups.py").write_text(TOOLS)
        assert run(arguments) == 2
        assert "was changed since the run began" in capsys.readouterr().err
        assert run(["run", "agent", "--replay", str(folder)]) == 2
        assert "is not the file that ran" in capsys.readouterr().err


def test_replay_reports_what_differs_and_the_run_what_was_held_back(tmp_path, tools, capsys):
    folder = tmp_path / "run"
    tried = [
        {"tool": "counting", "arguments": {"gene": "Il6"}},
        {"tools": [LOOK, {"tool": "escape", "arguments": {"address": "127.0.0.1"}}]},
        ANSWER,
    ]
    with fake(tmp_path, tried) as server:
        more = ["--tools", str(tools), "--tool-workers", "1"]
        assert run(command(questions(tmp_path, 2), server.url, folder, *more)) == 0
    assert "held back: 2 network" in capsys.readouterr().out
    assert manifest(folder)["counts"]["blocked"] == {"network": 2}
    assert run(["run", "agent", "--replay", str(folder), "--json", "--tool-workers", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] == 6
    lines = (folder / "traces" / "answers.jsonl").read_text()
    (folder / "traces" / "answers.jsonl").write_text(lines.replace("Stat1: nothing is known", "Stat1: a kinase"))
    assert run(["run", "agent", "--replay", str(folder)]) == 1
    assert "recorded: Stat1: a kinase" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "more", "message"),
    [
        ("def f(x: str) -> str:\n    'd'\nf.uses_training_labels = True\n", [], "f uses labels of training rows"),
        ("def f(x: str) -> str:\n    '''" + "word " * 20_000 + "'''\n", [], "prompt and tools of react have"),
        ("".join(f"def f{i}() -> str:\n    'd'\n" for i in range(100)), [], "101 different tools; the track"),
        ("def answer(x: str) -> str:\n    'd'\n", [], "answer is a name of the agents' own"),
        ("", ["--temperature", "0.5"], "track B samples with temperature 1.0; got 0.5"),
        ("", ["--max-tool-calls", "251"], "track B allows 250 tool calls; got 251"),
        ("", ["--track", "A"], "track A of bioreasoning-2026 has no place for tool calls"),
    ],
)  # fmt: skip
def test_rules_are_held_before_the_first_call(tmp_path, tools, capsys, code, more, message):
    (tools / "lookups.py").write_text(code)
    arguments = command(questions(tmp_path, 1), "http://127.0.0.1:9/v1", tmp_path / "run", "--tools", str(tools))
    assert run([*arguments, *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_tools_over_training_rows_need_rules_that_allow_them(tmp_path, monkeypatch, capsys):
    store = make_store(tmp_path / "store", monkeypatch)
    (tmp_path / "train.csv").write_text("id,pert,gene,label\nStat2_Irf1,Stat2,Irf1,up\nRela_Il6,Rela,Il6,down\n")
    asked = command(questions(tmp_path, 2), "http://127.0.0.1:9/v1", tmp_path / "run")
    more = ["--train", str(tmp_path / "train.csv"), "--dry-run", "--json"]
    assert run([*asked, *more]) == 2
    assert "tools over training rows need a knowledge store too" in capsys.readouterr().out
    more += ["--knowledge", str(store)]
    assert run([*asked, *more]) == 2
    assert "uses labels of training rows, which track B" in capsys.readouterr().out
    assert run([*asked, *more, "--unranked"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["distinct_tools"] == 10


def test_a_dry_run_shows_agents_and_limits_and_sends_nothing(tmp_path, tools, capsys):
    arguments = command(questions(tmp_path, 2), "http://127.0.0.1:9/v1", tmp_path / "run", "--tools", str(tools))
    assert run([*arguments, "--design", "team", "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [role["name"] for role in shown["roles"]] == ["coordinator", "biology", "data"]
    assert shown["distinct_tools"] == 6
    assert 0 < shown["prompt_tokens"] < shown["max_prompt_tokens"] == 16384
    assert "Perturbed gene: Pert0" in shown["opening"]
    assert run([*arguments, "--dry-run"]) == 0
    assert "nothing was sent" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
