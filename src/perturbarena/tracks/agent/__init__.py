"""Track B: agents with tools on a fixed model, every limit counted where calls are made.

What needs inspect-ai stands in ``runner``, ``task``, ``designs`` and ``loop`` and is imported when a run begins.
"""

from perturbarena.tracks.agent.roles import AgentPrompts, Role, agent_prompts, make_roles
from perturbarena.tracks.agent.settings import DESIGN_NAMES, AgentSettings, resolve_agent_settings

__all__ = [
    "DESIGN_NAMES",
    "AgentPrompts",
    "AgentSettings",
    "Role",
    "agent_prompts",
    "make_roles",
    "resolve_agent_settings",
]
