"""A language model as a function from prompt to text, whose answers are kept and can be replayed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perturbarena.errors import FormatError, InputError

Ask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class RecordedAsk:
    """Answers a prompt from the record where it stands there, else asks ``model`` and adds to ``path``."""

    path: Path
    model: Ask | None
    name: str
    replay: Path | None = None

    def __call__(self, prompt: str) -> str:
        """The answer.

        Raises
        ------
        InputError
            If it is in no record and there is no model.
        """
        key = hashlib.sha256(prompt.encode()).hexdigest()
        for path in (self.path, self.replay):
            answer = next((e["answer"] for e in read_answers(path) if e["prompt_sha256"] == key), None)
            if answer is not None:
                if path != self.path:
                    self._keep(key, prompt, answer, f"replayed from {path.name}" if path else "")
                return answer
        if self.model is None:
            where = f"in {self.replay}" if self.replay is not None else "recorded"
            raise InputError(f"no answer to this round's prompt is {where}; give --model to ask one")
        answer = self.model(prompt)
        self._keep(key, prompt, answer, self.name)
        return answer

    def _keep(self, key: str, prompt: str, answer: str, by: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"prompt_sha256": key, "by": by, "prompt": prompt, "answer": answer}, ensure_ascii=False)
        whole = self.path.read_bytes() if self.path.exists() else b""
        with self.path.open("ab") as file:  # a line that was cut off is ended, and passed over when read
            file.write((b"\n" if whole and not whole.endswith(b"\n") else b"") + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_answers(path: Path | None) -> list[dict[str, Any]]:
    """Recorded answers; a last line that was cut off is passed over; none where there is no file."""
    if path is None or not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("answer"), str) and "prompt_sha256" in entry:
            found.append(entry)
    return found


def model_ask(model: str, *, base_url: str | None, temperature: float, seed: int) -> Ask:
    """A function that asks this model.

    Raises
    ------
    InputError
        If its name has no provider, or the address holds a key.
    """
    from perturbarena.tracks.prompt.complete import complete, free_settings
    from perturbarena.tracks.running.endpoint import Transport

    settings = free_settings(model, base_url=base_url, temperature=temperature)
    transport = Transport(base_url=base_url)
    return lambda prompt: complete(prompt, settings=settings, transport=transport, user="lab", seed=seed)


def check_replay(path: Path) -> Path:
    """The path, if it holds answers.

    Raises
    ------
    FormatError
        If there is no such file, or no answer in it.
    """
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    if not read_answers(path):
        raise FormatError(f"{path} holds no recorded answers (a round's answers.jsonl does)")
    return path
