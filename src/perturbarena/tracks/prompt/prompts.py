"""From questions to prompts: one template for all, or a prompt for each question from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perturbarena.challenge.formats import read_table
from perturbarena.challenge.records import Question, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.prompt.shots import ChosenExamples, Examples
from perturbarena.tracks.prompt.template import Template, cell_context

_NAMED: Final = 5
"""So many missing ids are named; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompt of each question.

    ``text_of`` makes it when asked, so that ten thousand long prompts need not lie in memory. ``kept`` is what a
    submission hands in as its prompt: the template, or for prompts from a file the first one with a note.
    """

    text_of: Callable[[Question], str]
    kept: str
    source: str

    def digest(self, questions: Questions) -> str:
        """SHA-256 over every id and prompt, in order: two runs with the same one asked the same."""
        total = hashlib.sha256()
        for question in questions:
            total.update(json.dumps([question.id, self.text_of(question)]).encode())
        return total.hexdigest()


def template_prompts(
    template: Template, *, challenge: Challenge, examples: Examples | ChosenExamples | None = None
) -> Prompts:
    """Prompts from a template, with worked examples where it asks for them.

    Raises
    ------
    InputError
        If examples are given and the template has no place for them.
    """
    if examples is not None and "examples" not in template.fields:
        raise InputError(f"{template.source} has no {{examples}}, so examples would change nothing")
    context = cell_context(challenge.biology)

    def text_of(question: Question) -> str:
        block = examples.block(question) if examples is not None else ""
        return template.render(pert=question.pert, gene=question.gene, cell_context=context, examples=block)

    return Prompts(text_of, template.text, template.source)


def file_prompts(path: Path, questions: Questions) -> Prompts:
    """A prompt for each question from a CSV (``id,prompt``) or a JSONL file (``{"id": …, "prompt": …}``).

    Raises
    ------
    FormatError
        If the file cannot be read, an id is repeated or its prompt blank, or questions have none (they are named).
    """
    of_id = _read_jsonl(path) if path.suffix in (".jsonl", ".ndjson") else _read_csv(path)
    missing = [id_ for id_ in questions.id if id_ not in of_id]
    if missing:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        raise FormatError(
            f"{path} has no prompt for {len(missing):,} of {len(questions):,} questions: "
            f"{', '.join(missing[:_NAMED])}{more}"
        )
    first = questions.id[0] if len(questions) else ""
    note = f"Each question has a prompt of its own. The first, for {first}:\n\n{of_id.get(first, '')}\n"
    return Prompts(lambda question: of_id[question.id], note, str(path))


def _read_csv(path: Path) -> dict[str, str]:
    table = read_table(path, required=("id", "prompt"))
    found: dict[str, str] = {}
    for id_, prompt in zip(table["id"], table["prompt"], strict=True):
        _add(found, id_, prompt, where=str(path))
    return found


def _read_jsonl(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    found: dict[str, str] = {}
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise FormatError(f"{where} is not JSON: {error}") from error
        if not isinstance(value, dict) or not all(isinstance(value.get(k), str) for k in ("id", "prompt")):
            raise FormatError(f'{where} needs {{"id": text, "prompt": text}}')
        _add(found, value["id"], value["prompt"], where=where)
    return found


def _add(found: dict[str, str], id_: str, prompt: str, *, where: str) -> None:
    if id_ in found:
        raise FormatError(f"{where}: an id may stand once; {id_} stands again")
    if not prompt.strip():
        raise FormatError(f"{where}: the prompt of {id_} is blank")
    found[id_] = prompt
