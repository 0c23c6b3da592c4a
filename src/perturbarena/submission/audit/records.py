"""The records that a text file holds, whatever its form: lines of a table, entries of JSON, literals of Python.

A record is a short list of cells. Of nested containers it is the keys on the way and the value at the end, so that
``{"Aars": {"Actb": "up"}}``, a line ``Aars,Actb,up`` and ``[{"pert": "Aars", "gene": "Actb", "label": "up"}]``
give records with the same words. Python is parsed, never run.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

LONG_LIST: Final = 8
"""A list of more plain values than this is a column of records, not the cells of one."""
LONG_LINE: Final = 2_000
"""Longer lines without a known form are cut at their separators."""

Cells = tuple[str, ...]
_PLAIN: Final = (str, int, float, bool, type(None))


def records_of(name: str, text: str) -> Iterator[Cells]:
    """The records of a file."""
    if name.endswith(".py"):
        yield from _of_python(text)
        return
    if name.endswith((".json", ".jsonl")) or text.lstrip()[:1] in ("{", "["):
        parsed = _json(text)
        if parsed is not None:
            yield from _of_value(parsed)
            return
    yield from _of_lines(text)


def python_tree(text: str) -> ast.Module | None:
    """A Python file's tree, or None where it is not Python or is nested beyond reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stranger's odd escapes are no warning of ours
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return None


def _of_lines(text: str) -> Iterator[Cells]:
    for line in text.splitlines():
        if len(line) <= LONG_LINE:
            yield (line,)
        else:
            for piece in re.split(r"[}\];]", line):
                # a list behind a name ("UP = [...") stays whole, for the name may be the label
                cut = (
                    [piece]
                    if len(piece) <= LONG_LINE or re.match(r"\s{0,20}\w{1,40}\s{0,4}[=:]\s{0,4}[{\[(]", piece)
                    else piece.split(",")
                )
                yield from ((part,) for part in cut)


def _of_python(text: str) -> Iterator[Cells]:
    yield from _of_lines(
        text
    )  # answers also stand in conditions: if pert == "Aars" and gene == "Actb": return "up"
    tree = python_tree(text)
    if tree is None:
        return
    nested: set[int] = set()
    for node in ast.walk(tree):  # parents come before their children
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in nested:
            yield from _of_text(node.value)
        if isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set) and id(node) not in nested:
            nested.update(id(child) for child in ast.walk(node))
            yield from _of_value(_literal(node))


def _of_text(text: str) -> Iterator[Cells]:
    if text.lstrip()[:1] in ("{", "[") and (value := _json(text)) is not None:
        yield from _of_value(value)
    else:
        yield from _of_lines(text)


def _literal(node: ast.AST) -> Any:
    """The plain value of a literal; what is not literal becomes None."""
    match node:
        case ast.Constant(value=value) if isinstance(value, _PLAIN):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(value, int | float):
            return -value
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {_key(k): _literal(v) for k, v in pairs if k is not None}
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [_literal(item) for item in items]
        case _:
            return None


def _key(node: ast.expr) -> str:
    value = _literal(node)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _of_value(value: Any) -> Iterator[Cells]:
    """Records of nested containers, without recursion: depth is the stranger's choice."""
    stack: list[tuple[Cells, Any]] = [((), value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            if item and all(isinstance(v, _PLAIN) for v in item.values()) and len(item) <= LONG_LIST:
                yield (*path, *(f"{v}" for v in item.values()))
                if len(item) == 1 or not path:
                    yield from ((*path, str(k), str(v)) for k, v in item.items())
                continue
            stack.extend(((*path, str(k)), v) for k, v in item.items())
        elif isinstance(item, list):
            if item and all(isinstance(v, _PLAIN) for v in item) and len(item) <= LONG_LIST:
                yield (*path, *map(str, item))
                yield from ((*path, v) for v in item if isinstance(v, str) and " " not in path)
            else:
                stack.extend((path, v) for v in item)
        elif isinstance(item, str) and "\n" in item:
            yield from ((*path, line) for line in item.splitlines())
        else:
            yield (*path, str(item))
