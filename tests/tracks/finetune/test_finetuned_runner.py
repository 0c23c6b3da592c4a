"""Whole runs in this process: every way of answering, resuming to the same bytes, the critic, what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tracks.finetune.writers import make_writer, short_chat, some_questions

from perturbarena.challenge.formats import read_predictions, read_table
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.inference import Wishes, published_name, resolve_inference
from perturbarena.tracks.finetune.local import LocalModel
from perturbarena.tracks.finetune.models import load_model
from perturbarena.tracks.finetune.runner import FinetunedPlan, run_finetuned
from perturbarena.tracks.finetune.samples import read_scores, split_written
from perturbarena.tracks.finetune.table import trace_text
from perturbarena.workflows.run_answers import read_run

CHALLENGE = load_challenge("bioreasoning-2026")
CHAT = short_chat()
QUESTIONS = some_questions()


class LengthCritic:
    """Finds an answer better, the later its letter stands in the alphabet; counts its calls."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.calls, self._left = 0, fail_after

    def score(self, questions, answers):
        self.calls += 1
        if self._left is not None and self.calls > self._left:
            raise KeyboardInterrupt
        letters = [text.rpartition("<answer>")[2][:1] for text in answers]
        return np.array([{"A": 0.1, "B": 0.5, "C": 0.9}.get(letter, 0.0) for letter in letters])

    def provenance(self):
        return {"critic": "by letter"}


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return load_model(make_writer(tmp_path_factory.mktemp("writer")))


def settings_of(loaded, critic=None, **wishes):
    return resolve_inference(
        CHALLENGE, "C", Wishes(**({"max_new_tokens": 24} | wishes)), model=str(loaded.folder),
        identity=loaded.identity, device="cpu", dtype="float32", critic=critic,
    )  # fmt: skip


def run_all(loaded, folder: Path, *, critic=None, stop_after=None, **wishes):
    settings = settings_of(loaded, critic=None if critic is None else "c", **wishes)
    plan = FinetunedPlan(
        questions=QUESTIONS, chat=CHAT, challenge=CHALLENGE, settings=settings, model={}, critic=critic
    )
    model = LocalModel(loaded, CHAT, settings, QUESTIONS)
    if stop_after is not None:
        model = Stopping(model, stop_after)
    return run_finetuned(plan, model, folder, quiet=True)


class Stopping:
    """Stops, as a user or a scheduler does, when so many questions are kept."""

    def __init__(self, model: LocalModel, n: int) -> None:
        self._model, self._n = model, n

    def answer(self, questions, work):
        keep, count = work.done, 0

        def done(*args):
            nonlocal count
            if count == self._n:
                raise KeyboardInterrupt
            count += 1
            keep(*args)

        work.done = done
        self._model.answer(questions, work)

    def as_json(self):
        return self._model.as_json()


WAYS = {
    "likelihood": {},
    "logprobs": {"answers": "logprobs", "samples": 2},
    "stated": {"answers": "stated", "samples": 3},
    "label": {"answers": "label", "samples": 4},
}


@pytest.mark.parametrize("wishes", WAYS.values(), ids=WAYS)
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(writer, tmp_path, wishes):
    whole = run_all(writer, tmp_path / "whole", batch_size=8, **wishes)
    with pytest.raises(KeyboardInterrupt):
        run_all(writer, tmp_path / "cut", batch_size=8, stop_after=7, **wishes)
    assert not (tmp_path / "cut" / "run.json").exists()
    again = run_all(writer, tmp_path / "cut", batch_size=8, **wishes)
    assert again.resumed == 7
    tables = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("whole", "cut")]
    assert tables[0] == tables[1]
    assert whole.tally.questions == again.tally.questions == 20
    assert (tmp_path / "cut" / "run.json").exists()
    run = read_run(tmp_path / "cut")  # as reports and later commands read it
    assert run.seeds is not None
    assert run.seeds.p_up.shape == (wishes.get("samples", 1), 20)


def test_likelihood_says_that_nothing_was_written(writer, tmp_path):
    run_all(writer, tmp_path)
    table = read_table(tmp_path / "predictions.csv")
    assert tuple(table.columns) == CHALLENGE.tracks["C"].column_names
    assert set(table["tokens_used"]) == {"0"}
    assert table["reasoning_trace"].str.startswith("Nothing was written").all()
    predictions = read_predictions(tmp_path / "predictions.csv")
    assert (predictions.p_up + predictions.p_down <= 1).all()
    assert predictions.p_up.std() > 0


def test_tokens_used_counts_what_was_written(writer, tmp_path):
    run_all(writer, tmp_path, answers="label", samples=3, rerank="majority")
    lines = [json.loads(line) for line in (tmp_path / "traces" / "answers.jsonl").read_text().splitlines()]
    of_id = {line["id"]: line["calls"] for line in lines}
    table = read_table(tmp_path / "predictions.csv")
    for id_, tokens, text, p_up in zip(
        table["id"], table["tokens_used"], table["reasoning_trace"], table["prediction_up"], strict=True
    ):
        calls = of_id[id_]
        assert int(tokens) == sum(call["output_tokens"] for call in calls)
        for call in calls:
            if call["stop_reason"] == "stop":  # the token that ends the turn was written too
                ids = writer.tokenizer(call["content"], add_special_tokens=False)["input_ids"]
                assert call["output_tokens"] >= len(ids) + 1  # it may spell a word in more tokens
        assert all(call["content"] in text for call in calls)
        votes = [call["label"] for call in calls if call["answered"]]
        assert float(p_up) == pytest.approx(votes.count("up") / len(votes) if votes else 1 / 3)
    assert [call["seed"] for call in calls] == [0, 1, 2]


def test_best_of_n_takes_the_critics_choice_and_shows_it_last(writer, tmp_path):
    critic = LengthCritic()
    run_all(writer, tmp_path, critic=critic, answers="label", samples=4, rerank="best", batch_size=8)
    lines = [json.loads(line) for line in (tmp_path / "traces" / "answers.jsonl").read_text().splitlines()]
    of_id = {line["id"]: line["calls"] for line in lines if all("score" in call for call in line["calls"])}
    table = read_table(tmp_path / "predictions.csv")
    for id_, up, down, text in zip(
        table["id"], table["prediction_up"], table["prediction_down"], table["reasoning_trace"], strict=True
    ):
        best = max(of_id[id_], key=lambda call: call["score"])
        assert (float(up), float(down)) == (best["p_up"], best["p_down"])
        assert text.endswith(best["content"])
        assert "the critic's score 0.9" in text or best["score"] < 0.9
    assert critic.calls == 10


def test_the_critics_work_is_resumed_too(writer, tmp_path):
    wishes = {"answers": "label", "samples": 4, "rerank": "weighted", "batch_size": 8}
    run_all(writer, tmp_path / "whole", critic=LengthCritic(), **wishes)
    with pytest.raises(KeyboardInterrupt):
        run_all(writer, tmp_path / "cut", critic=LengthCritic(fail_after=3), **wishes)
    critic = LengthCritic()
    run_all(writer, tmp_path / "cut", critic=critic, **wishes)
    assert critic.calls == 7
    assert (tmp_path / "whole/predictions.csv").read_bytes() == (tmp_path / "cut/predictions.csv").read_bytes()


def test_another_model_or_other_settings_are_refused(writer, tmp_path):
    run_all(writer, tmp_path)
    with pytest.raises(InputError, match="was run with batch_size 16, not 4"):
        run_all(writer, tmp_path, batch_size=4)
    other = make_writer(tmp_path / "other", steps=2)
    with pytest.raises(InputError, match="was run with weights"):
        run_all(load_model(other), tmp_path, model_name=published_name(str(writer.folder), writer.identity))


def test_a_run_that_could_not_begin_leaves_the_folder_free(writer, tmp_path):
    class Full(LocalModel):
        def answer_batch(self, batch):
            raise InputError("a batch of 16 rows does not fit")

    settings = settings_of(writer)
    plan = FinetunedPlan(questions=QUESTIONS, chat=CHAT, challenge=CHALLENGE, settings=settings, model={})
    with pytest.raises(InputError, match="does not fit"):
        run_finetuned(plan, Full(writer, CHAT, settings, QUESTIONS), tmp_path, quiet=True)
    assert run_all(writer, tmp_path, batch_size=4).tally.answered == 20


def test_what_does_not_fit_into_the_memory_gets_one_line(writer, monkeypatch):
    model = LocalModel(writer, CHAT, settings_of(writer), QUESTIONS)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "_scored", full)
    with pytest.raises(InputError, match="16 rows does not fit into the memory of cpu; give a smaller"):
        model.answer_batch(model.batches[0])


def test_the_longest_prompts_come_first(writer):
    model = LocalModel(writer, CHAT, settings_of(writer, batch_size=3), QUESTIONS)
    lengths = [max(len(CHAT.ids(q, writer.tokenizer)) for q in batch) for batch in model.batches]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == model.longest


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"answers": "stated", "max_new_tokens": 16_001}, "track C allows 16,000 new tokens; got 16,001"),
        ({"samples": 2}, "writes nothing that could be sampled"),
        ({"answers": "label", "samples": 2, "rerank": "best"}, "needs a critic"),
        ({"answers": "aloud"}, "one of likelihood, logprobs"),
        ({"answers": "stated", "samples": 0}, "1 or more"),
    ],
)
def test_wishes_that_break_rules_or_each_other_are_refused(writer, wishes, message):
    with pytest.raises(InputError, match=message):
        settings_of(writer, **wishes)


def test_a_server_cannot_score_likelihoods():
    with pytest.raises(InputError, match="needs the model in this process"):
        resolve_inference(
            CHALLENGE, "C", Wishes(answers="likelihood"), model="m", identity=None, device="server", dtype=""
        )


def test_prompts_too_long_for_the_model_are_refused(writer):
    with pytest.raises(InputError, match=r"512 positions: lower --max-new-tokens to 4\d\d"):
        LocalModel(writer, CHAT, settings_of(writer, answers="stated", max_new_tokens=600), QUESTIONS)


def test_thinking_is_told_from_the_answer():
    after = "… <|im_start|>assistant\n<think>\n"
    closed = split_written("so it rises\n</think>\n\n<answer>A</answer>", prompt=after)
    assert (closed.reasoning, closed.content) == ("so it rises", "<answer>A</answer>")
    cut = split_written("so it rises, maybe <answer>A", prompt=after)
    assert (cut.content, cut.reasoning) == ("", "so it rises, maybe <answer>A")
    plain = split_written("because\n<answer>A</answer>", prompt="assistant\n")
    assert (plain.content, plain.reasoning) == ("because\n<answer>A</answer>", "")


def test_scores_become_probabilities_that_sum_to_at_most_one():
    rng = np.random.default_rng(0)
    for row in rng.normal(0, 30, (2_000, 3)):
        found = read_scores(row, "likelihood")
        assert found.p_up + found.p_down <= 1.0
        assert min(found.p_up, found.p_down) >= 0.0


def test_the_trace_ends_with_a_sample_that_says_what_was_concluded():
    def call(label, text):
        return {"answered": True, "label": label, "content": text, "reasoning": "", "how": "tag"}

    from perturbarena.tracks.finetune.rerank import Reranked

    text = trace_text([call("up", "one"), call("down", "two"), call("up", "three")], Reranked("down", 0.3, 0.5))
    assert text == "[sample 1 of 3]\none\n\n[sample 3 of 3]\nthree\n\n[sample 2 of 3]\ntwo"


def test_a_published_name_shows_no_path(writer, tmp_path):
    assert published_name("Qwen/Qwen3-4B", None) == "Qwen/Qwen3-4B"
    assert "/" not in published_name(str(writer.folder), writer.identity)
