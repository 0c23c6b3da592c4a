"""What the trainer gets: rows in their order, loss on answers alone, packed texts that do not see each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tracks.finetune.training_cases import TEMPLATE, family_rows, write_case

from perturbarena.errors import InputError
from perturbarena.tracks.finetune import ChatPrompt, load_settings
from perturbarena.tracks.finetune.examples import answer_examples
from perturbarena.tracks.finetune.preparation import prepare_model
from perturbarena.tracks.finetune.sft import build_trainer, plan_training
from perturbarena.tracks.prompt import parse_template


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sft")
    settings = load_settings(str(write_case(folder, questions=300)))
    rows = family_rows(questions=300)
    prompt = ChatPrompt(parse_template(TEMPLATE, source="test"), "")
    prepared = prepare_model(settings.model, folder / "out", rows=rows, prompt=prompt, max_parameters=None, seed=0)
    prepared.model.eval()
    return settings, rows, prompt, prepared, folder


def encode(case):
    _, _, prompt, prepared, _ = case
    return lambda e: prompt.example(e.question, e.answer, prepared.tokenizer)


def changed(settings, **training):
    return settings.model_copy(update={"training": settings.training.model_copy(update=training)})


def mean_loss(model, rows):
    """Mean over the tokens of the answers, one text at a time."""
    total, count = 0.0, 0
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
        labels = torch.tensor(row.labels[1:])
        kept = labels != -100
        total += float(torch.nn.functional.cross_entropy(logits[kept], labels[kept], reduction="sum"))
        count += int(kept.sum())
    return total / count


@pytest.mark.parametrize("packing", [False, True])
def test_the_trainers_loss_is_that_of_the_answers_one_text_at_a_time(case, packing):
    settings, rows, _, prepared, folder = case
    settings = changed(settings, packing=packing, max_tokens=256, steps=4)
    plan = plan_training(answer_examples(rows), encode(case), settings)
    plan = replace(plan, rows=plan.rows[:6])  # with packing: all into one row
    trainer = build_trainer(prepared, plan, settings, folder / "out")
    batch = next(iter(trainer.get_train_dataloader()))
    with torch.inference_mode():
        found = float(trainer.compute_loss(prepared.model, batch))
        wanted = mean_loss(prepared.model, plan.rows)
    assert found == pytest.approx(wanted, rel=1e-4)
    assert int((batch["labels"] != -100).sum()) == sum(len(row.completion) for row in plan.rows)


def test_rows_come_in_the_order_of_the_plan(case):
    settings, rows, _, prepared, folder = case
    plan = plan_training(answer_examples(rows), encode(case), changed(settings, steps=2, batch_size=4))
    trainer = build_trainer(prepared, plan, changed(settings, steps=2, batch_size=4), folder / "out")
    batches = list(trainer.get_train_dataloader())
    assert len(batches) == 2
    met = [[t for t in row if t != 0] for batch in batches for row in batch["input_ids"].tolist()]
    assert met == [[t for t in row.input_ids if t != 0] for row in plan.rows]


def test_steps_follow_from_epochs_and_examples_that_are_too_long_are_counted(case):
    settings, rows, _, _, _ = case
    examples = answer_examples(rows)
    by_epochs = plan_training(examples, encode(case), changed(settings, steps=None, epochs=1.5))
    assert by_epochs.steps == int(np.ceil(1.5 * 300 / 32))
    lengths = sorted(len(encode(case)(e).input_ids) for e in examples)
    short = plan_training(examples, encode(case), changed(settings, max_tokens=lengths[150]))
    assert short.too_long == sum(length > lengths[150] for length in lengths)
    with pytest.raises(InputError, match=r"no example fits into training\.max_tokens = 5"):
        plan_training(examples, encode(case), changed(settings, max_tokens=5))
