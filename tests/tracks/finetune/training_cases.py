"""Small trainings for tests: questions whose answers names tell, and settings that train in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perturbarena.benchmark.simulate_families import simulate_families
from perturbarena.challenge.formats import write_labelled
from perturbarena.challenge.records import LabelledQuestions

TEMPLATE = "Knock out {pert}. {gene}?"
SETTINGS = """
format_version = 1
[model]
name = "tiny"
method = "full"
[data]
train = "train.csv"
[prompt]
template = "prompt.txt"
[validation]
every = 50
rows = 200
batch_size = 64
[training]
steps = 130
learning_rate = 1e-3
weight_decay = 0.1
warmup = 0.1
schedule = "constant_with_warmup"
batch_size = 32
accumulate = 1
gradient_checkpointing = false
log_every = 10
checkpoint_every = 50
"""


def family_rows(seed: int = 0, *, questions: int = 4000) -> LabelledQuestions:
    """Labelled questions from 400 knocked-out genes and 800 targets in four families each."""
    rng = np.random.default_rng(seed)
    made = simulate_families(rng, n_perts=400, n_genes=800, n_questions=questions, n_families=4)
    return made.questions


def write_case(folder: Path, *changes: tuple[str, str], questions: int = 4000) -> Path:
    """Training rows, prompt and settings in a folder; each change replaces a line's text. Returns the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    write_labelled(folder / "train.csv", family_rows(questions=questions))
    (folder / "prompt.txt").write_text(TEMPLATE, encoding="utf-8")
    text = SETTINGS
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    return folder / "settings.toml"
