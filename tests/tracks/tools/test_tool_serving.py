"""The official MCP client lists and calls the tools: over stdio and over HTTP, as a user would start them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.tracks.tool_store import make_store

from perturbarena.tracks.tools import tool_set
from perturbarena.tracks.tools.serving import mcp_server

mcp = pytest.importorskip("mcp")
START = [sys.executable, "-c", "from perturbarena.cli import main; main()", "mcp"]
HEADER = "id,pert,gene,label\n"


@pytest.fixture
def arguments(tmp_path, monkeypatch) -> list[str]:
    """The command's arguments for a store with training rows."""
    store = make_store(tmp_path / "kb", monkeypatch)
    train, asked = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text(HEADER + "Stat2_Ifit3,Stat2,Ifit3,down\nRela_Il6,Rela,Il6,none\n")
    asked.write_text("id,pert,gene\nStat1_Ifit2,Stat1,Ifit2\n")
    return ["--knowledge", str(store), "--train", str(train), "--questions", str(asked)]


async def use(server) -> None:
    """List the tools, call one of each kind, and call one wrongly."""
    async with mcp.Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert len(tools) == 9
        assert tools["genes_like"].meta == {"uses_training_labels": True}
        assert tools["gene_summary"].meta == {"uses_training_labels": False}
        assert tools["shared_pathways"].input_schema["required"] == ["gene_a", "gene_b"]
        answer = await client.call_tool("shared_pathways", {"gene_a": "Stat1", "gene_b": "Ifit2"})
        assert "interferon (6 genes, go-bp)" in answer.content[0].text
        answer = await client.call_tool("similar_questions", {"perturbed": "Stat1", "gene": "Ifit2"})
        assert "Stat2 → Ifit3: down" in answer.content[0].text
        answer = await client.call_tool("gene_summary", {"gene": "Xyz1"})
        assert not answer.is_error
        assert (await client.call_tool("gene_summary", {})).is_error
        assert (await client.call_tool("oracle", {})).is_error


def test_over_stdio(arguments):
    environment = {**os.environ}
    server = mcp.StdioServerParameters(command=START[0], args=[*START[1:], *arguments], env=environment)
    asyncio.run(use(server))


def test_over_http(arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([*START, *arguments, "--http", f"127.0.0.1:{port}"], stderr=subprocess.PIPE) as process:
        try:
            wait_for(port, process)
            asyncio.run(use(f"http://127.0.0.1:{port}/mcp"))
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen) -> None:
    """Until the server listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {process.poll()}")


def test_a_server_in_the_same_process(tmp_path: Path):
    def greet(name: str) -> str:
        """Greet."""
        return f"hello {name}"

    async def ask() -> str:
        async with mcp.Client(mcp_server(tool_set(greet))) as client:
            return (await client.call_tool("greet", {"name": "Irf3"})).content[0].text

    assert asyncio.run(ask()) == "hello Irf3"
