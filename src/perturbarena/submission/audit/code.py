"""Aids for whoever reads the tools' code: what it reaches for, by its syntax tree. Nothing is executed.

None of these is forbidden as such; the table in docs/audit-submission.md says why each deserves a look.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from perturbarena.submission.audit.case import Case
from perturbarena.submission.audit.records import python_tree
from perturbarena.submission.audit.rules import Hit, Rule, shown

MAX_PLACES: Final = 20
"""Places listed for one kind; the rest are counted."""
LARGE_ITEMS: Final = 200
LARGE_TEXT: Final = 5_000
BLOB: Final = re.compile(r"[A-Za-z0-9+/=_\-]{500,}")
"""A run of characters without blanks, as encoded content has."""


class Kind(NamedTuple):
    """A kind of reach: what is said of it, modules whose import shows it, and names whose call does."""

    sentence: str
    modules: frozenset[str]
    calls: frozenset[str]


_DECODERS: Final = ("b64decode", "decompress", "loads", "fromhex", "unhexlify", "decode", "a85decode", "b85decode")
_RUNNERS: Final = ("exec", "eval", "compile")


@cache
def kinds() -> dict[str, Kind]:
    """Every kind of reach by its name, from ``reach.toml``."""
    text = resources.files("perturbarena.submission.audit").joinpath("reach.toml").read_text(encoding="utf-8")
    return {
        name: Kind(kind["sentence"], frozenset(kind["modules"]), frozenset(kind["calls"]))
        for name, kind in tomllib.loads(text).items()
    }


class Place(NamedTuple):
    """Where something is done, and by which name."""

    path: str
    line: int
    name: str


def _trees(case: Case) -> Iterator[tuple[str, ast.Module]]:
    for path, file in case.files.items():
        if path.endswith(".py") and file.text is not None:
            tree = python_tree(file.text)
            if tree is not None:
                yield path, tree


def places(path: str, tree: ast.Module, kind: Kind) -> Iterator[Place]:
    """Where a file does what a kind describes: at imports, and at uses of names."""
    alias = _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Place(path, node.lineno, a.name) for a in node.names if _is_of(a.name, kind.modules))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" for a in node.names]
            yield from (
                Place(path, node.lineno, name)
                for name in names
                if _is_of(name, kind.modules) or (name in kind.calls and not node.level)
            )
        elif isinstance(node, ast.Call):
            name = _dotted(node.func, alias)
            method = f".{name.rsplit('.', 1)[-1]}"
            if name in kind.calls or ("." in name and method in kind.calls):
                yield Place(path, node.lineno, name)
        elif isinstance(node, ast.Attribute) and _dotted(node, alias) in kind.calls & {
            "os.environ",
            "os.environb",
        }:
            yield Place(path, node.lineno, _dotted(node, alias))


def _is_of(name: str, modules: frozenset[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:k]) in modules for k in (1, 2))


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Local name → full name, of every import."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(
                {
                    a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0]
                    for a in node.names
                }
            )
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    return found


def _dotted(node: ast.expr, alias: dict[str, str]) -> str:
    """``pd.read_csv`` → ``pandas.read_csv``; what is no plain name counts as ``?``."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(alias.get(node.id, node.id) if isinstance(node, ast.Name) else "?")
    return ".".join(reversed(parts))


def _rule_of(kind: str, looks_for: str) -> Callable[[Case], Iterator[Hit]]:
    def check(case: Case) -> Iterator[Hit]:
        found = sorted({p for path, tree in _trees(case) for p in places(path, tree, kinds()[kind])})
        for place in found[:MAX_PLACES]:
            yield Hit(f"{place.path}:{place.line}: {place.name} {kinds()[kind].sentence}")
        if len(found) > MAX_PLACES:
            files = Counter(place.path for place in found[MAX_PLACES:])
            yield Hit(
                f"{len(found) - MAX_PLACES:,} more places: code {kinds()[kind].sentence}, in {len(files)} files"
            )

    check.__doc__ = f"{looks_for}."
    return check


def syntax_errors(case: Case) -> Iterator[Hit]:
    """Files that are not Python."""
    for path, file in case.files.items():
        if path.endswith(".py") and (file.text is None or python_tree(file.text) is None):
            yield Hit(f"{path}: is not Python that can be parsed, so nothing can be said about it")


def hidden_code(case: Case) -> Iterator[Hit]:
    """Code that is decoded and run (exec or eval of b64decode, decompress, loads …)."""
    for path, tree in _trees(case):
        alias = _aliases(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or _dotted(node.func, alias).split(".")[-1] not in _RUNNERS:
                continue
            inner = (c for arg in node.args for c in ast.walk(arg) if isinstance(c, ast.Call))
            decoder = next(
                (n for c in inner if (n := _dotted(c.func, alias)).rsplit(".", 1)[-1] in _DECODERS), None
            )
            if decoder:
                yield Hit(
                    f"{path}:{node.lineno}: decodes text ({decoder}) and runs it as code: its content is hidden"
                )


def large_literals(case: Case) -> Iterator[Hit]:
    """200 items, 5,000 characters or an encoded block written into the code."""
    for path, tree in _trees(case):
        inside: set[int] = set()
        for node in ast.walk(tree):
            if id(node) in inside:
                continue
            size = _literal_size(node)
            if size:
                inside.update(id(child) for child in ast.walk(node))
                line = getattr(node, "lineno", 0)
                yield Hit(f"{path}:{line}: {size} written into the code")


def _literal_size(node: ast.AST) -> str:
    match node:
        case ast.Dict(keys=items) | ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return f"{len(items):,} items" if len(items) >= LARGE_ITEMS else ""
        case ast.Constant(value=str() | bytes() as value):
            text = value if isinstance(value, str) else value.decode("latin-1")
            if (blob := BLOB.search(text)) is not None:
                return (
                    f"an encoded block of {len(blob.group()):,} characters, beginning {shown(blob.group(), 20)},"
                )
            return f"a text of {len(text):,} characters" if len(text) >= LARGE_TEXT else ""
        case _:
            return ""


def binary_files(case: Case) -> Iterator[Hit]:
    """Files beside the table that are not text."""
    for path, file in case.files.items():
        if file.text is None and not path.endswith(".py"):
            yield Hit(f"{path}: {file.n_bytes:,} bytes that are not text, or too many to be read here")


RULES: Final = (
    Rule("code.syntax", "warning", syntax_errors),
    Rule("code.hidden", "severe", hidden_code),
    Rule("code.network", "note", _rule_of("network", "Imports of network clients")),
    Rule("code.process", "warning", _rule_of("process", "Other programs started")),
    Rule("code.execute", "warning", _rule_of("execute", "exec, eval, compile")),
    Rule("code.import", "warning", _rule_of("import", "Imports by a name made at run time")),
    Rule("code.encoded", "warning", _rule_of("encoded", "base64, pickle and other encoded content")),
    Rule("code.secrets", "warning", _rule_of("secrets", "The environment, keys, passwords")),
    Rule("code.files", "note", _rule_of("files", "Files read or written")),
    Rule("code.literal", "note", large_literals),
    Rule("code.binary", "note", binary_files),
)
