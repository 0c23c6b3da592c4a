"""Rules on other language models and hosts that a submission's files name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from perturbarena.submission.audit.case import Case
from perturbarena.submission.audit.records import python_tree
from perturbarena.submission.audit.rules import Hit, Rule, Severity, shown
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
    r"|(?<![\w\-])[\w\-]{1,40}\.openai\.azure\.com|api-inference\.huggingface\.co|dashscope\.aliyuncs\.com)",
    re.IGNORECASE,
)
"""Hosts at which language models are called."""
_MODEL_NAME: Final = re.compile(r"(?:^|_)(?:model|llm|engine|deployment)(?:$|_)|model(?:name|id)?$", re.IGNORECASE)

_CONFIGURATION: Final = (".json", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".env")
_KEYED: Final = re.compile(
    r"(?:model|llm|engine|deployment)\w{0,10}[\"']?\s{0,4}[:=]\s{0,4}[\"']?$", re.IGNORECASE
)


class Named(NamedTuple):
    """A model's name in a file: ``severe`` as a setting of something, ``warning`` as a string, else mentioned."""

    name: str
    line: int
    severity: Severity


def forbidden_models(case: Case) -> Iterator[Hit]:
    """Another language model than the track's as a setting of the tools (model=…, "model": …); as any other
    string of code: warning; a mere mention: note.
    """
    fixed = case.rules.model.fixed
    if fixed is None:
        return
    for path, file in case.files.items():
        if file.text is None:
            continue
        for named in _models(path, file.text, own=short_name(fixed)):
            verb = {"severe": "uses", "warning": "has the string"}.get(named.severity, "mentions")
            what = f"{path}:{named.line}: {verb} the model {shown(named.name)}; the track's is {fixed}"
            yield Hit(what, (), named.severity)


def _models(path: str, text: str, *, own: str) -> Iterator[Named]:
    """Each other model once a file, as the worst of its uses."""
    found: dict[str, Named] = {}
    for match in MODEL.finditer(text):
        if short_name(match.group()) != own:
            line = text.count("\n", 0, match.start()) + 1
            setting = path.endswith(_CONFIGURATION) and _KEYED.search(
                text, max(0, match.start() - 60), match.start()
            )
            severity: Severity = "severe" if setting else "note"
            if match.group() not in found or severity == "severe":
                found[match.group()] = Named(match.group(), line, severity)
    tree = python_tree(text) if path.endswith(".py") and found else None
    if tree is not None:
        strings = ((n.value, n.lineno) for n in ast.walk(tree) if isinstance(n, ast.Constant))
        levels: tuple[tuple[Severity, Iterable[tuple[object, int]]], ...] = (
            ("warning", strings),
            ("severe", _settings(tree)),
        )
        for severity, uses in levels:
            for value, line in uses:
                if isinstance(value, str) and value in found and found[value].severity != severity:
                    found[value] = Named(value, line, severity)
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
