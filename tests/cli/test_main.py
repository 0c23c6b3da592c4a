"""The command line's promises: quick help, one line for an error, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from perturbarena import __version__
from perturbarena.cli import app, main, run

HEAVY = (
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "numba",
    "pyarrow",
    "anndata",
    "requests",
    "pooch",
    "inspect_ai",
    "openai",
    "torch",
)

_ASK = """
import sys
from perturbarena.cli import run
code = run(sys.argv[1:])
print(code, *sorted(set(sys.modules) & set({heavy!r})), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "heavy", "code"),
    [
        (["--help"], (*HEAVY, "pydantic"), 0),
        # beyond the first help page typer itself converts parameters with pydantic
        (["--version"], HEAVY, 0),
        (["parse", "--help"], HEAVY, 0),
        (["data", "get", "--help"], HEAVY, 0),
        (["nonsense"], HEAVY, 2),
    ],
)
def test_help_loads_nothing_heavy(arguments, heavy, code):
    done = subprocess.run(
        [sys.executable, "-c", _ASK.format(heavy=heavy), *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.stderr.strip().splitlines()[-1] == str(code)


def test_main_exits_with_the_code():
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    with pytest.raises(SystemExit) as stopped:
        main(["nonsense"])
    assert stopped.value.code == 2


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["parse"], ["data", "nonsense"], ["parse", "x.csv", "--nonsense"]]
)
def test_a_wrong_call_is_one_line_and_exit_code_2(arguments, capsys):
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["nonsense"], ["parse", "nothing.csv", "--column", "x", "-o", "y.csv"]])
def test_with_json_the_error_is_on_stdout_too(arguments, capsys):
    assert run([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert captured.err == f"error: {error}\n"


def test_without_a_command_the_help_is_printed(capsys):
    assert run([]) in (0, 2)
    assert "Usage" in capsys.readouterr().out


def _commands(parent: typer.Typer):
    for command in parent.registered_commands:
        yield command.callback
    for group in parent.registered_groups:
        yield from _commands(group.typer_instance)


def test_every_command_shows_an_example():
    callbacks = list(_commands(app.build()))
    assert len(callbacks) >= 5
    for callback in callbacks:
        assert "Example" in (callback.__doc__ or ""), callback.__name__


def test_the_tree_is_the_same_however_often_it_is_asked_for(capsys):
    before = len(list(_commands(app.build())))
    assert run(["--version"]) == run(["--version"]) == 0
    assert len(list(_commands(app.build()))) == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, typer.Abort])
def test_an_interruption_is_130(stop, monkeypatch, capsys):
    def build():
        def interrupted(**_options: object) -> None:
            raise stop

        return interrupted

    monkeypatch.setattr(app, "command", build)
    assert run(["parse"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
