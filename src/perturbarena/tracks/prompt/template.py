"""Prompt templates: four fields, and every other brace means itself.

A field is a name in braces. ``{A}``, ``{}``, ``{"answer": "B"}`` and ``\\boxed{answer}`` are no fields and stay as
they are; a name that looks like a field but is none is refused with its line, because a misspelt field would
otherwise reach the model in every prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from perturbarena.challenge.rules import Biology
from perturbarena.errors import FormatError

FIELDS: Final = ("pert", "gene", "cell_context", "examples")
"""What a template may name."""
_NEEDED: Final = ("pert", "gene")
_NAME: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]+)\}")
_LATEX: Final = re.compile(r"\\[A-Za-z]{1,20}$")


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template. ``source`` is the file's path, or the name of a shipped one."""

    text: str
    source: str

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the template names."""
        return frozenset(match.group(1) for match in _NAME.finditer(self.text)) & frozenset(FIELDS)

    def render(self, *, pert: str, gene: str, cell_context: str, examples: str = "") -> str:
        """The prompt. What is put in is not searched for fields."""
        values = {"pert": pert, "gene": gene, "cell_context": cell_context, "examples": examples}
        return _NAME.sub(lambda match: values.get(match.group(1), match.group()), self.text)


def parse_template(text: str, *, source: str) -> Template:
    """Check a template's text.

    Raises
    ------
    FormatError
        If it names an unknown field (with its line), or names not both ``{pert}`` and ``{gene}``.
    """
    for match in _NAME.finditer(text):
        if match.group(1) in FIELDS or _LATEX.search(text, max(0, match.start() - 21), match.start()):
            continue
        line = text.count("\n", 0, match.start()) + 1
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise FormatError(f"{source}: unknown field {match.group()} (line {line}); there are {known}")
    template = Template(text, source)
    missing = [name for name in _NEEDED if name not in template.fields]
    if missing:
        raise FormatError(f"{source} must name {{{missing[0]}}}, or every question gets the same prompt")
    return template


def load_template(path: Path) -> Template:
    """A template from a UTF-8 file."""
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    try:
        return parse_template(path.read_bytes().decode("utf-8-sig"), source=str(path))
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error


def shipped_template(name: str) -> Template:
    """A template that ships: ``stated`` asks for probabilities and a letter, ``letter`` for the letter alone."""
    file = resources.files("perturbarena.tracks.prompt") / "templates" / f"{name}.txt"
    return parse_template(file.read_text(encoding="utf-8"), source=f"shipped:{name}")


def cell_context(biology: Biology) -> str:
    """What the cells are and what was done to them, in sentences, from a challenge's rules."""
    given = "" if biology.stimulus == "none" else f"Stimulus: {biology.stimulus}. "
    return f"Cells: {biology.species} {biology.cell}. {given}Perturbation: {biology.perturbation}."
