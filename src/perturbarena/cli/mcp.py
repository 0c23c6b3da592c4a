"""``perturbarena mcp``: the tools for agents written elsewhere, over the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli.output import progress_console
from perturbarena.cli.tool_options import Knowledge, Questions, Train, read_tools


def attach(app: typer.Typer) -> None:
    """Add ``mcp``."""
    app.command("mcp")(mcp)


def mcp(
    knowledge: Knowledge = Path("kb.sqlite"),
    train: Train = None,
    questions: Questions = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve over HTTP, under /mcp; default: stdio.")
    ] = None,
) -> None:
    """Serve the tools over MCP: on stdin and stdout, or over HTTP.

    Example: perturbarena mcp --knowledge kb.sqlite --http 127.0.0.1:8765
    """
    from perturbarena.tracks.tools.serving import mcp_server, serve

    host, port = _address(http) if http else (None, 0)
    tools = read_tools(knowledge, train, questions)
    server = mcp_server(tools)
    where = f"http://{host}:{port}/mcp" if host else "stdio"
    progress_console().print(f"{len(tools)} tools on {where}", soft_wrap=True)
    serve(server, host=host, port=port)


def _address(text: str) -> tuple[str, int]:
    from perturbarena.errors import InputError

    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise InputError(f"--http needs HOST:PORT, such as 127.0.0.1:8765; got {text!r}")
    return host.strip("[]"), int(port)
