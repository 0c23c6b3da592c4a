"""A small model that has learned to write answers, for tests of sampling, reading and whole runs."""

from __future__ import annotations

from pathlib import Path

import torch

from perturbarena.challenge.records import LABELS, Question, Questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.tracks.finetune import ChatPrompt, TinySettings, make_tiny_model, option_text
from perturbarena.tracks.finetune.models import load_model
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.prompt import parse_template

PERTS = ("Tlr4", "Stat1", "Irf3", "Nfkb1")
GENES = ("Il6", "Actb", "Cxcl10", "Gapdh", "Tnf")
TEMPLATE = "Knock out {pert}. What does {gene} do? A up, B down, C nothing. <answer>LETTER</answer>\n"


def short_chat(template: str = TEMPLATE) -> ChatPrompt:
    """A prompt of a few dozen tokens."""
    return ChatPrompt.of(parse_template(template, source="short"), challenge=load_challenge("bioreasoning-2026"))


def some_questions() -> Questions:
    """Twenty questions; names differ in length, so prompts do."""
    return Questions.from_pairs([p for p in PERTS for _ in GENES], [g for _ in PERTS for g in GENES])


def make_writer(folder: Path, *, steps: int = 60) -> Path:
    """A model folder with ``prompt.json`` whose model writes a thought and an answer, any of the three."""
    chat = short_chat()
    asked = list(some_questions())
    texts = [chat.messages(q)[0]["content"] for q in asked] + [option_text(label) for label in LABELS]
    make_tiny_model(folder, [*texts, "It may well be so."], TinySettings(vocabulary=400, hidden=32, positions=512))
    loaded = load_model(folder)
    model, tokenizer = loaded.model.train(), loaded.tokenizer
    for step in range(steps):
        rows = [_example(chat, asked[(7 * step + i) % len(asked)], i, tokenizer) for i in range(6)]
        width = max(len(row.input_ids) for row in rows)
        ids = torch.tensor([row.input_ids + [0] * (width - len(row.input_ids)) for row in rows])
        labels = torch.tensor([row.labels + [-100] * (width - len(row.labels)) for row in rows])
        loss = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
        loss.backward()
        with torch.no_grad():  # along the gradient's signs: torch's optimisers take long to import
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * (1 - step / steps) * parameter.grad.sign()
                    parameter.grad = None
    with quiet_loading():
        model.eval().save_pretrained(folder)
    chat.save(folder)
    return folder


def _example(chat: ChatPrompt, question: Question, i: int, tokenizer):
    return chat.example(question, option_text(LABELS[i % 3]), tokenizer, reasoning="It may well be so.")
