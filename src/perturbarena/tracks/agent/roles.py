"""Who takes part in a design: each agent's system prompt and the tools that it is shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.rules import Biology
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.prompt.template import Template, cell_context, parse_template
from perturbarena.tracks.running.tokens import TokenCounter
from perturbarena.tracks.tools import ToolSchema

PARTS: Final = {
    "react": ("react",),
    "team": ("coordinator", "biology", "data"),
    "debate": (
        "advocate_moved", "advocate_unmoved", "judge_moved", "advocate_up", "advocate_down", "judge_direction",
    ),
}  # fmt: skip
"""The agents of each design."""
DELEGATES: Final = {"ask_biology": "biology", "ask_data": "data"}
"""The coordinator's tools, and whom each asks."""
_QUESTION: Final = "question"


def _probability(meaning: str) -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "maximum": 1, "description": meaning}


def _schema(name: str, description: str, properties: dict[str, Any]) -> ToolSchema:
    shape = {"type": "object", "properties": properties, "required": list(properties)}
    return ToolSchema(name, description, shape | {"additionalProperties": False})


ANSWER: Final = _schema(
    "answer",
    "Hand in the final answer, once.",
    {
        "p_up": _probability("Probability that the target gene goes up."),
        "p_down": _probability("Probability that it goes down; with p_up at most 1."),
    },
)
JUDGE_MOVED: Final = _schema(
    "judge_moved",
    "Hand in the judgement, once.",
    {"p_moved": _probability("Probability that the target gene moves, up or down.")},
)
_ASK: Final = {
    "ask_biology": "Ask the team's biologist, who has tools for pathways and regulation.",
    "ask_data": "Ask the team's data analyst, who has tools for measurements.",
}
RESERVED: Final = frozenset({ANSWER.name, JUDGE_MOVED.name, *DELEGATES})
"""Names that no lookup may have."""


@dataclass(frozen=True, slots=True)
class Role:
    """One agent. With the tool ``ends`` it hands in its result; without one its last text is the result."""

    name: str
    system: str
    tools: tuple[ToolSchema, ...]
    ends: ToolSchema | None = None

    @property
    def shown(self) -> tuple[ToolSchema, ...]:
        """Every tool that the model is told of."""
        return self.tools if self.ends is None else (*self.tools, self.ends)

    def prompt_tokens(self, counter: TokenCounter) -> int:
        """Tokens of the system prompt and of the tools as the protocol carries them."""
        return counter.count(self.system) + sum(counter.count(json.dumps(wire(tool))) for tool in self.shown)

    def as_json(self) -> dict[str, Any]:
        """For the run's folder."""
        return {"name": self.name, "system": self.system, "tools": [wire(tool) for tool in self.shown]}


def wire(tool: ToolSchema) -> dict[str, Any]:
    """A tool as OpenAI's protocol carries it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def make_roles(design: str, texts: Mapping[str, str], tools: Sequence[ToolSchema]) -> dict[str, Role]:
    """The agents of a design. A biologist is shown no tool that looks at training labels, a judge none at all."""
    unlabelled = tuple(tool for tool in tools if not tool.uses_training_labels)
    asks = tuple(
        _schema(name, text, {"question": {"type": "string", "description": "With the genes' names."}})
        for name, text in _ASK.items()
    )
    given: dict[str, tuple[tuple[ToolSchema, ...], ToolSchema | None]] = {
        "react": (tuple(tools), ANSWER),
        "coordinator": (asks, ANSWER),
        "biology": (unlabelled, None),
        "judge_moved": ((), JUDGE_MOVED),
        "judge_direction": ((), ANSWER),
    }
    return {name: Role(name, texts[name], *given.get(name, (tuple(tools), None))) for name in PARTS[design]}


@dataclass(frozen=True, slots=True)
class AgentPrompts:
    """System prompts by agent, and the template of the question."""

    systems: Mapping[str, str]
    question: Template

    @property
    def kept(self) -> str:
        """What a submission hands in as its prompt: all of them, one below the other."""
        parts = [f"=== {name} ===\n{text.strip()}\n" for name, text in self.systems.items()]
        return "\n".join([*parts, f"=== question ===\n{self.question.text.strip()}\n"])


def agent_prompts(design: str, biology: Biology, *, folder: Path | None = None) -> AgentPrompts:
    """The shipped prompts; a file of the same name (``react.txt``, ``question.txt``) in ``folder`` replaces one.

    Raises
    ------
    InputError
        If the folder holds a text that no agent of this design uses.
    """
    names = (*PARTS[design], _QUESTION)
    own: dict[str, str] = {}
    if folder is not None:
        if not folder.is_dir():
            raise InputError(f"no such folder: {folder}")
        for path in sorted(folder.glob("*.txt")):
            if path.stem not in names:
                raise InputError(
                    f"{path}: the design {design} has the prompts {', '.join(names)}; got {path.stem}"
                )
            try:
                own[path.stem] = path.read_bytes().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
    shipped = resources.files("perturbarena.tracks.agent") / "prompts"
    texts = {name: own.get(name) or (shipped / f"{name}.txt").read_text(encoding="utf-8") for name in names}
    question = parse_template(texts.pop(_QUESTION), source="question.txt")
    context = cell_context(biology)
    return AgentPrompts({name: text.replace("{cell_context}", context) for name, text in texts.items()}, question)


def check_limits(
    roles: Mapping[str, Role], counter: TokenCounter, *, max_tokens: int | None, max_tools: int | None
) -> None:
    """Hold prompts and tools to the rules before the first call.

    Raises
    ------
    InputError
        If an agent's system prompt with its tools is too long, or there are too many different tools.
    """
    n_tools = distinct_tools(roles)
    if max_tools is not None and n_tools > max_tools:
        raise InputError(f"agents are shown {n_tools} different tools; the track allows {max_tools}")
    for role in roles.values():
        count = role.prompt_tokens(counter)
        if max_tokens is not None and count > max_tokens:
            raise InputError(
                f"the system prompt and tools of {role.name} have {count:,} tokens ({counter.name}); the track "
                f"allows {max_tokens:,}; shorten docstrings, leave tools out, or set --unranked"
            )


def distinct_tools(roles: Mapping[str, Role]) -> int:
    """Different tools over all agents; the one that hands in the answer is one of them."""
    return len({tool.name for role in roles.values() for tool in role.shown})


def digest(roles: Mapping[str, Role], question: Template) -> str:
    """SHA-256 over everything that agents are shown."""
    shown = {"roles": [role.as_json() for role in roles.values()], "question": question.text}
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
