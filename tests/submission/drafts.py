"""A valid submission for any track, made from the schema, to be spoilt in one way by each test."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import Challenge, Column, load_challenge
from perturbarena.submission import Report, check_submission

QUESTIONS = Questions.from_pairs(
    [f"Pert{i // 4}" for i in range(12)],
    [f"Gene{i}" for i in range(12)],
)


@dataclass
class Draft:
    """A submission in the making: header, rows, other files."""

    challenge: Challenge
    track: str
    header: list[str]
    rows: list[list[str]]
    files: dict[str, bytes] = field(default_factory=dict)

    def column(self, name: str) -> int:
        return self.header.index(name)

    def set(self, row: int, name: str, value: str) -> None:
        self.rows[row][self.column(name)] = value

    def csv(self) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue().encode()

    def write(self, path: Path, *, table: bytes | None = None) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("submission.csv", self.csv() if table is None else table)
            for name, content in self.files.items():
                archive.writestr(name, content)
        return path

    def check(self, path: Path, *, table: bytes | None = None) -> Report:
        return check_submission(
            self.write(path, table=table), challenge=self.challenge, track=self.track, questions=QUESTIONS
        )


def draft(track: str) -> Draft:
    challenge = load_challenge("bioreasoning-2026")
    rules = challenge.track(track)
    files = {"prompt.txt": b"Knock out {pert}: does {gene} go up, down, or stay?\n"}
    if track == "B":
        files["tools/lookup.py"] = b"def lookup(gene):\n    return gene\n"
    rows = [[_cell(rules.model.fixed, column, id_) for column in rules.columns] for id_ in QUESTIONS.id]
    return Draft(challenge, track, list(rules.column_names), rows, files)


def _cell(model: str | None, column: Column, id_: str) -> str:
    made = {"p_up": "0.25", "p_down": "0.5", "trace": 'I think,\nthen say "B".'}
    if column.type == "count":
        return "7"
    if column.type == "model":
        return model or "Qwen/Qwen3-4B-Thinking-2507"
    return id_ if column.type == "id" else made[column.role]
