"""Rules on other language models and hosts that a submission's files name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from perturbarena.submission.audit.case import Case
from perturbarena.submission.audit.records import python_tree
from perturbarena.submission.audit.rules import Hit, Rule, shown
from perturbarena.submission.table import short_name

MODEL: Final = re.compile(
    r"(?<![\w.\-])(?:[\w.\-]{1,40}/)?(?:"
    r"gpt-[345][\w.\-]*|gpt-oss[\w.\-]*|chatgpt[\w.\-]*|o[134]-(?:mini|preview|pro)[\w.\-]*|o[13](?=[\"'])"
    r"|claude-[\w.\-]+|gemini-[\w.\-]+|gemma-?\d[\w.\-]*|(?:meta-)?llama-?[234][\w.\-]*|mi[sx]tral-[\w.\-]+"
    r"|qwen-?[23][\w.\-]*|qwq[\w.\-]*|deepseek-[\w.\-]+|grok-\d[\w.\-]*|command-r[\w.\-]*|phi-?[34][\w.\-]*|kimi-k[\w.\-]+"
    r"|glm-\d[\w.\-]*|sonar-[\w.\-]+)",
    re.IGNORECASE,
)
"""Names of language models as hubs and services write them."""
HOST: Final = re.compile(
    r"(?:api\.openai\.com|api\.anthropic\.com|generativelanguage\.googleapis\.com|aiplatform\.googleapis\.com"
    r"|openrouter\.ai|api\.together\.(?:xyz|ai)|api\.groq\.com|api\.mistral\.ai|api\.deepseek\.com|api\.x\.ai"
    r"|api\.perplexity\.ai|api\.cohere\.(?:ai|com)|api\.fireworks\.ai|bedrock-runtime\.[\w\-.]{1,40}amazonaws\.com"
    r"|[\w\-]{1,40}\.openai\.azure\.com|api-inference\.huggingface\.co|dashscope\.aliyuncs\.com)",
    re.IGNORECASE,
)
"""Hosts at which language models are called."""
_MODEL_NAME: Final = re.compile(r"(?:^|_)(?:model|llm|engine|deployment)(?:$|_)|model(?:name|id)?$", re.IGNORECASE)


class Named(NamedTuple):
    """A model's name in a file: as an argument or a setting of code that calls it, or only mentioned."""

    name: str
    line: int
    used: bool


def forbidden_models(case: Case) -> Iterator[Hit]:
    """Another language model than the track's in a setting of the tools' code (model=…); a mere mention: note."""
    fixed = case.rules.model.fixed
    if fixed is None:
        return
    for path, file in case.files.items():
        if file.text is None:
            continue
        for named in _models(path, file.text, own=short_name(fixed)):
            what = f"{path}:{named.line}: {'uses' if named.used else 'mentions'} the model {shown(named.name)}"
            yield Hit(f"{what}; the track's is {fixed}", (), "severe" if named.used else "note")


def _models(path: str, text: str, *, own: str) -> Iterator[Named]:
    """Each other model once a file, where it is used if it is."""
    found: dict[str, Named] = {}
    for match in MODEL.finditer(text):
        if short_name(match.group()) != own:
            line = text.count("\n", 0, match.start()) + 1
            found.setdefault(match.group(), Named(match.group(), line, used=False))
    tree = python_tree(text) if path.endswith(".py") and found else None
    for value, line in _settings(tree) if tree is not None else ():
        if value in found and not found[value].used:
            found[value] = Named(value, line, used=True)
    yield from found.values()


def _settings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Strings given to something called a model: keywords, variables, dictionary keys, parameters' defaults."""
    for node in ast.walk(tree):
        pairs: list[tuple[str, ast.expr | None]] = []
        match node:
            case ast.keyword(arg=str(name), value=value):
                pairs = [(name, value)]
            case ast.Assign(targets=targets, value=value):
                pairs = [(_target(target), value) for target in targets]
            case ast.AnnAssign(target=target, value=value):
                pairs = [(_target(target), value)]
            case ast.Dict(keys=keys, values=values):
                known = [
                    (k.value if isinstance(k, ast.Constant) else "", v) for k, v in zip(keys, values, strict=True)
                ]
                pairs = [(name, v) for name, v in known if isinstance(name, str)]
            case ast.arguments(args=args, defaults=defaults) if defaults:
                pairs = [(a.arg, d) for a, d in zip(args[-len(defaults) :], defaults, strict=True)]
        for name, value in pairs:
            if _MODEL_NAME.search(name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value, value.lineno


def _target(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def model_hosts(case: Case) -> Iterator[Hit]:
    """A host at which language models are called, in any file."""
    for path, file in case.files.items():
        for host in dict.fromkeys(match.group().lower() for match in HOST.finditer(file.text or "")):
            line = (file.text or "").lower().count("\n", 0, (file.text or "").lower().index(host)) + 1
            yield Hit(f"{path}:{line}: names {host}, where language models are called")


RULES: Final = (
    Rule("named.model", "severe", forbidden_models),
    Rule("named.host", "warning", model_hosts),
)
