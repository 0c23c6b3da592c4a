"""Tools for agents: those that ship, and a folder of an entrant's own in fenced processes.

A tool is a plain typed function with a docstring. :func:`tool_set` makes a set of them,
:func:`uses_training_labels` marks one that looks at labels of training rows, :class:`UserTools` runs a folder of
strangers' functions.
"""

from perturbarena.tracks.tools.schema import ToolSchema, check_arguments, describe
from perturbarena.tracks.tools.toolset import Tool, ToolSet, built_in_tools, tool_set, uses_training_labels
from perturbarena.tracks.tools.user_tools import Loaded, ToolLimits, ToolResult, UserTools, tool_hashes

__all__ = [
    "Loaded",
    "Tool",
    "ToolLimits",
    "ToolResult",
    "ToolSchema",
    "ToolSet",
    "UserTools",
    "built_in_tools",
    "check_arguments",
    "describe",
    "tool_hashes",
    "tool_set",
    "uses_training_labels",
]
