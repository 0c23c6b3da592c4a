"""Strangers' tools in their fenced process: what it holds back, what it says of it, and what a tool may do."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import pytest

from perturbarena.errors import InputError
from perturbarena.tracks.tools import ToolLimits, UserTools

HOSTILE = '''
"""Tools that try what they must not."""
import ctypes
import os
import subprocess
import time


def socket_swallowed() -> str:
    """Opens a socket and hides the refusal."""
    import socket
    try:
        socket.create_connection(("127.0.0.1", 80), timeout=1)
    except OSError:
        return "nothing happened"
    return "connected"


def native() -> dict:
    """Asks the system directly, past everything that Python could see."""
    libc = ctypes.CDLL(None)
    return {
        "socket": libc.socket(2, 1, 0), "fork": libc.fork(), "kill": libc.kill(os.getppid(), 0),
        "open": libc.open(b"TRUTH", 0), "memory": libc.open(f"/proc/{os.getppid()}/mem".encode(), 2),
    }


def fork() -> int:
    """Forks."""
    return os.fork()


def run() -> str:
    """Starts a program."""
    return subprocess.run(["/bin/true"], check=True).args[0]


def eat() -> int:
    """Eats memory."""
    return len(bytearray(64 << 30))


def sleep() -> None:
    """Never ends."""
    while True:
        time.sleep(1)


def truth() -> str:
    """Reads the answers."""
    return open("TRUTH").read()


def truth_listed() -> str:
    """Lists the folder of the answers."""
    return str(os.listdir(os.path.dirname("TRUTH")))


def rewrite() -> str:
    """Changes itself."""
    return str(open(__file__, "a").write("#"))


def crash() -> str:
    """Takes its process down."""
    return str(ctypes.string_at(0))


def leave() -> str:
    """Ends Python."""
    raise SystemExit(3)


def flood() -> str:
    """Answers without end."""
    return "x" * (9 << 20)
'''
GOOD = '''
"""Tools that behave."""
import os
import tempfile
from pathlib import Path

DATA = Path(__file__).with_name("data.txt").read_text()


def known(gene: str, most: int = 2) -> list[str]:
    """What is known of a gene.

    Args:
        gene: Its symbol.
        most: So many lines.
    """
    return [f"{gene}: {DATA.strip()}"] * most


def scratch() -> str:
    """Writes a file of its own."""
    with tempfile.NamedTemporaryFile("w") as file:
        return str(file.write("x"))


def environment() -> list[str]:
    """What it sees of the caller's environment."""
    return sorted(os.environ)


def chatty() -> str:
    """Prints."""
    print("hello")
    os.write(1, b"hello")
    return "quiet"


def _helper() -> str:
    return "no tool"
'''
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fence's kernel parts are Linux's")


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("truth") / "solution.csv"
    path.write_text("id,label\n")
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, truth):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "bad.py").write_text(HOSTILE.replace("TRUTH", str(truth)))
    with UserTools(folder, ["bad.py"], limits=ToolLimits(seconds=2, memory_mib=1024)) as tools:
        yield tools


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    (folder / "good.py").write_text(GOOD)
    (folder / "data.txt").write_text("a kinase\n")
    with UserTools(folder, ["data.txt", "good.py"]) as tools:
        yield tools


@pytest.mark.parametrize(
    ("tool", "kind"),
    [("fork", "process"), ("run", "process"), ("truth", "file"), ("truth_listed", "file"), ("rewrite", "file")],
)
def test_an_attempt_is_refused_and_named(hostile, tool, kind):
    result = hostile.call(tool, {})
    assert (result.text, result.error) == ("", "raised")
    assert "may not do this here" in result.detail
    assert result.blocked[kind] >= 1


def test_an_attempt_that_the_tool_hides_is_still_counted(hostile):
    result = hostile.call("socket_swallowed", {})
    assert result.text == "nothing happened"
    assert result.blocked == {"network": 1}


def test_native_code_is_held_by_the_kernel(hostile):
    held = hostile.loaded.containment
    if "python guard only" in held.values():
        pytest.skip(f"this kernel offers less: {held}")
    assert hostile.call("native", {}).text == '{"socket": -1, "fork": -1, "kill": -1, "open": -1, "memory": -1}'


def test_the_run_says_what_held(hostile):
    held = dict(hostile.loaded.containment)
    assert held.pop("time") == "ended after 2 s"
    assert set(held) == {"network", "processes", "files", "memory"}
    assert set(held.values()) <= {"kernel", "python guard only"}
    assert held["memory"] == "kernel"


def test_memory_time_and_crashes_end_the_call_and_not_the_run(hostile):
    eaten = hostile.call("eat", {})
    assert (eaten.error, eaten.blocked) == ("memory", {"memory": 1})
    began = time.monotonic()
    slept = hostile.call("sleep", {})
    assert (slept.error, slept.blocked) == ("time", {"time": 1})
    assert time.monotonic() - began < 10
    crashed = hostile.call("crash", {})
    assert (crashed.error, crashed.detail) == ("died", "died by signal 11")
    assert hostile.call("leave", {}).detail == "SystemExit: 3"
    flooded = hostile.call("flood", {})
    assert "8,388,608 bytes" in flooded.detail
    assert hostile.call("socket_swallowed", {}).text == "nothing happened"  # a new process answers


def test_tools_are_functions_that_files_define_with_their_docstrings(good):
    (first, *_) = good.loaded.schemas
    assert [schema.name for schema in good.loaded.schemas] == ["known", "scratch", "environment", "chatty"]
    assert first.description == "What is known of a gene."
    assert first.parameters["properties"]["most"] == {
        "type": "integer",
        "description": "So many lines.",
        "default": 2,
    }
    assert first.parameters["required"] == ["gene"]


def test_a_tool_reads_its_folder_writes_scratch_and_sees_no_keys(good, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert good.call("known", {"gene": "Tlr4"}).text == '["Tlr4: a kinase", "Tlr4: a kinase"]'
    assert good.call("scratch", {}).text == "1"
    assert "KEY" not in good.call("environment", {}).text
    assert good.call("chatty", {}).text == "quiet"
    assert not good.blocked


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(x): 'd'", "the parameter x needs a type"),
        ("def f(x: int): pass", "f needs a docstring"),
        ("def f(x: set) -> str: 'd'", "has the type <class 'set'>"),
        ("import nonsense_package", "ModuleNotFoundError"),
        ("raise SystemExit", "bad.py: SystemExit"),
        ("import socket\nsocket.socket()", r"held back: network"),
        ("import os\nos._exit(3)", "died with exit code 3"),
    ],
)
def test_a_folder_that_cannot_be_loaded_says_why_in_one_line(tmp_path, code, message):
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(InputError, match=message) as caught:
        UserTools(tmp_path, ["bad.py"])
    assert "\n" not in str(caught.value)


def test_the_process_ends_with_its_owner(good, tmp_path):
    (tmp_path / "a.py").write_text("def pid() -> int:\n    'd'\n    import os\n    return os.getpid()\n")
    with UserTools(tmp_path, ["a.py"]) as tools:
        pid = int(tools.call("pid", {}).text)
    assert ctypes.CDLL(None).kill(pid, 0) == -1
