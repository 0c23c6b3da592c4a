"""The tools over MCP, for agents that are written elsewhere: over stdio, or over HTTP under ``/mcp``.

An unknown gene is an answer; a call without an argument, or of no such tool, comes back as an error result.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

from perturbarena import __version__
from perturbarena.errors import MissingExtraError
from perturbarena.tracks.tools.toolset import ToolSet

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

INSTRUCTIONS: Final = (
    "Evidence on genes for the question: knock out gene X, does gene Y go up, down or stay? "
    "Answers cite their sources; what is not known is said."
)


def mcp_server(tools: ToolSet) -> MCPServer:
    """A server of these tools; run it with :func:`serve`.

    Raises
    ------
    MissingExtraError
        If the package ``mcp`` is not installed.
    """
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise MissingExtraError("serving tools needs `pip install 'perturbarena[models]'`") from error
    server = MCPServer("perturbarena", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")
    for name, tool in tools.items():
        server.add_tool(
            tool.function,
            name=name,
            description=inspect.getdoc(tool.function),
            annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
            meta={"uses_training_labels": tool.uses_training_labels},
            structured_output=False,
        )
    return server


def serve(server: MCPServer, *, host: str | None = None, port: int = 8000) -> None:
    """Serve until the client leaves (stdio), or with a host until the process is ended (HTTP)."""
    if host is None:
        server.run("stdio")
    else:
        server.run("streamable-http", host=host, port=port)
