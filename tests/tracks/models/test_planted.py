"""A fake that knows some answers, more of them with a phrase in the prompt, and proposes sentences in turn."""

from __future__ import annotations

import numpy as np
import openai
import pytest

from perturbarena.challenge.formats import write_labelled
from perturbarena.challenge.records import LABELS, LabelledQuestions, Questions
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks import parse_answer
from perturbarena.tracks.models import FakeModel, Planted, proposed, read_proposals
from perturbarena.tracks.models.conversation import UnanswerableError

N = 600
ROWS = LabelledQuestions(
    Questions.from_pairs([f"P{i}" for i in range(N)], [f"G{i}" for i in range(N)]),
    np.array(LABELS, object)[np.random.default_rng(0).integers(3, size=N)],
)


def share_right(planted, prompt):
    """Of likeliest letters; a guess is right one time in three."""
    right = 0
    for id_, label in zip(ROWS.id, ROWS.label, strict=True):
        p = planted.probabilities(prompt, id_, 42)
        assert sum(p.values()) == pytest.approx(1)
        right += LABELS["ABC".index(max(p, key=lambda letter: p[letter]))] == label
    return right / N


def test_skill_is_the_share_known_and_the_phrase_raises_it():
    planted = Planted(dict(zip(ROWS.id, ROWS.label, strict=True)), 0.4, "direct routes", 0.7)
    for prompt, skill in (("Say.", 0.4), ("Weigh DIRECT routes.", 0.7)):
        expected = skill + (1 - skill) / 3
        assert share_right(planted, prompt) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / N))
    again = Planted(planted.labels, 0.4)
    assert again.probabilities("a", "P1_G1", 42) == again.probabilities("a", "P1_G1", 42)
    assert again.probabilities("a", "P1_G1", 42) != again.probabilities("b", "P1_G1", 42)


def test_sentences_come_in_turn_before_the_shown_text():
    sentences = ("One.", "Two.", "Three.")
    shown = "Improve:\n```\nAsk {pert}\n```\nMistakes:\n```\nother\n```"
    replies = [proposed(shown, sentences, seed=seed) for seed in (1, 2, 3)]
    assert [reply.splitlines()[2:4] for reply in replies] == [
        [s, "Ask {pert}"] for s in ("Two.", "Three.", "One.")
    ]
    with pytest.raises(UnanswerableError, match="shows none"):
        proposed("Improve it.", sentences, seed=1)


def test_an_empty_file_of_proposals_is_told(tmp_path):
    (tmp_path / "none.txt").write_text("\n\n")
    with pytest.raises(FormatError, match="at least one sentence"):
        read_proposals(tmp_path / "none.txt")
    with pytest.raises(InputError, match="at least one sentence"), FakeModel(proposals=tmp_path / "none.txt"):
        pass


def test_the_server_answers_and_reflects(tmp_path):
    write_labelled(tmp_path / "truth.csv", ROWS)
    (tmp_path / "s.txt").write_text("Be careful.\n")
    settings = {"truth": tmp_path / "truth.csv", "skill": 1.0, "stated": True, "proposals": tmp_path / "s.txt"}
    with (
        FakeModel(latency_ms=1, **settings) as fake,
        openai.OpenAI(base_url=fake.url, api_key="none", max_retries=0) as client,
    ):

        def ask(text, user):
            made = client.chat.completions.create(
                model="any", messages=[{"role": "user", "content": text}], seed=42, user=user
            )
            return made.choices[0].message.content

        for i in range(12):
            found = parse_answer(ask(f"Knock out P{i}: what does G{i} do?", ROWS.id[i]))
            assert found.label == ROWS.label[i]
            assert found.p_up + found.p_down < 1
        assert "```\nBe careful.\nAsk {pert}\n```" in ask("```\nAsk {pert}\n```", "reflection/1")
