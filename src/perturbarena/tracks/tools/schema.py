"""A typed function with a docstring → the tool that a model is shown; and a model's arguments held to it.

Only the standard library is imported: the process that holds strangers' tools loads this file by its path, so that
no heavy package has to fit into its memory limit.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, Union, get_args, get_origin

MARK: Final = "uses_training_labels"
"""Attribute by which a function says that it looks at labels of training rows."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What servers of models take as a tool's name."""
_SIMPLE: Final[dict[Any, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_SECTION: Final = re.compile(r"(?m)^(Args|Arguments|Parameters):[ \t]*$")
_ENTRY: Final = re.compile(r"(\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(.*)")


class ToolSchemaError(ValueError):
    """A function cannot be a tool: an untyped parameter, no docstring, an odd name."""


class ToolSchema(NamedTuple):
    """What a model is shown of a tool. ``parameters`` is a JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]
    uses_training_labels: bool = False


def describe(function: Callable[..., object], *, name: str | None = None) -> ToolSchema:
    """The schema of a function.

    Raises
    ------
    ToolSchemaError
        If it has no docstring, a parameter without a type, or a type that JSON cannot say.
    """
    name = name or str(getattr(function, "__name__", ""))
    if not _NAME.fullmatch(name):
        raise ToolSchemaError(f"{name!r} cannot be a tool's name: letters, digits and underscores, at most 64")
    text = inspect.getdoc(function) or ""
    if not text.strip():
        raise ToolSchemaError(f"{name} needs a docstring: it is what the model reads")
    summary, explained = _split_docstring(text)
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError) as error:
        raise ToolSchemaError(f"{name}: a type cannot be resolved: {error}") from error
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ToolSchemaError(f"{name}: the parameter {parameter.name} must have a name of its own")
        if parameter.name not in hints:
            raise ToolSchemaError(f"{name}: the parameter {parameter.name} needs a type")
        schema = _type_schema(hints[parameter.name], f"{name}: the parameter {parameter.name}")
        if parameter.name in explained:
            schema["description"] = explained[parameter.name]
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
        elif parameter.default is None or isinstance(parameter.default, str | int | float | bool):
            schema["default"] = parameter.default
        properties[parameter.name] = schema
    shape = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return ToolSchema(name, summary, shape, bool(getattr(function, MARK, False)))


def check_arguments(parameters: Mapping[str, Any], arguments: object) -> str:
    """What is wrong with a model's arguments, in words for the model; empty where nothing is."""
    if not isinstance(arguments, Mapping):
        return f"arguments must be a JSON object; got {type(arguments).__name__}"
    known = parameters.get("properties", {})
    for name in parameters.get("required", ()):
        if name not in arguments:
            return f"the argument {name} is missing"
    for name, value in arguments.items():
        if name not in known:
            return f"there is no argument {name!r}; there are {', '.join(known) or 'none'}"
        problem = _problem(known[name], value)
        if problem:
            return f"the argument {name} {problem}"
    return ""


def _problem(schema: Mapping[str, Any], value: object) -> str:
    options = schema.get("anyOf")
    if options is not None:
        problems = [_problem(option, value) for option in options]
        return "" if "" in problems else problems[0]
    if "enum" in schema and value not in schema["enum"]:
        return f"must be one of {', '.join(map(str, schema['enum']))}; got {value!r}"
    kind = schema.get("type")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": number,
        "boolean": isinstance(value, bool),
        "null": value is None,
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }
    if kind is not None and not fits.get(str(kind), True):
        return f"must be of type {kind}; got {value!r}"[:300]
    if isinstance(value, list) and "items" in schema:
        return next((f"holds an item that {p}" for p in (_problem(schema["items"], v) for v in value) if p), "")
    return ""


def _type_schema(hint: Any, where: str) -> dict[str, Any]:
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    origin, members = get_origin(hint), get_args(hint)
    if origin is Literal and all(isinstance(member, str) for member in members):
        return {"type": "string", "enum": list(members)}
    if origin in (Union, types.UnionType):
        kinds = [_type_schema(m, where) if m is not type(None) else {"type": "null"} for m in members]
        return {"anyOf": kinds}
    if origin is list or hint is list:
        return {"type": "array", "items": _type_schema(members[0], where) if members else {}}
    if origin is dict or hint is dict:
        return {"type": "object"}
    raise ToolSchemaError(
        f"{where} has the type {hint!r}; a tool takes str, int, float, bool, list, dict, Literal"
    )


def _split_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The docstring without its ``Args`` section, and what that section says of each parameter."""
    section = _SECTION.search(text)
    head, rest = (text, "") if section is None else (text[: section.start()], text[section.end() :])
    explained: dict[str, str] = {}
    last = ""
    after: list[str] = []
    for line in rest.splitlines():
        if line and not line[0].isspace():
            after.append(line)
            last = ""
            continue
        entry = _ENTRY.fullmatch(line.strip())
        if after:
            after.append(line)
        elif entry is not None:
            last = entry.group(1).lstrip("*")
            explained[last] = entry.group(2)
        elif last and line.strip():
            explained[last] += f" {line.strip()}"
    return "\n\n".join(part for part in (head.strip(), "\n".join(after).strip()) if part), explained
