"""Replay: recorded texts come back word for word, recorded probabilities to the last digits."""

from __future__ import annotations

import math

import openai
import pandas as pd
import pytest

from perturbarena.errors import FormatError
from perturbarena.tracks import parse_answer
from perturbarena.tracks.models import FakeModel, read_recording

P_UP = {"Stat1_Stat1": 0.125, "Stat1_Irf7": 0.25, "Stat1_H2-Ab1": 1.0, "Cbfb_mt-Nd1": 3e-9, "NA_Irf7": 1 / 3}
P_DOWN = {"Stat1_Stat1": 0.75, "Stat1_Irf7": 0.5, "Stat1_H2-Ab1": 0.0, "Cbfb_mt-Nd1": 1 - 4e-9, "NA_Irf7": 1 / 3}
LETTER = {"Stat1_Stat1": "B", "Stat1_Irf7": "B", "Stat1_H2-Ab1": "A", "Cbfb_mt-Nd1": "B", "NA_Irf7": "C"}


def recorded(ids, seeds=(42, 43)):
    rows = {"id": list(ids)}
    for seed in seeds:
        rows[f"prediction_up_seed{seed}"] = [P_UP[i] for i in ids]
        rows[f"prediction_down_seed{seed}"] = [P_DOWN[i] for i in ids]
        rows[f"reasoning_trace_seed{seed}"] = [
            f"Seed {seed}: I first thought <answer>C</answer>.\n\nSo: <answer>{LETTER[i]}</answer>" for i in ids
        ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "recorded.csv.gz"
    recorded(P_UP).to_csv(path, index=False)
    with FakeModel(latency_ms=1, replay=path) as server:
        yield server


@pytest.fixture
def client(fake):
    with openai.OpenAI(base_url=fake.url, api_key="none", max_retries=0) as found:
        yield found


def ask(client, text, **more):
    more = {"seed": 42, "logprobs": True, "top_logprobs": 20} | more
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **more)


@pytest.mark.parametrize("id_", list(P_UP))
@pytest.mark.parametrize("seed", [42, 43])
def test_the_recorded_text_and_probabilities_come_back(client, id_, seed):
    pert, gene = id_.split("_")
    choice = ask(client, f"Knock out {pert}. What happens to {gene}?", seed=seed).choices[0]
    assert choice.message.content.startswith(f"Seed {seed}: I first thought")
    assert parse_answer(choice.message.content).label == {"A": "up", "B": "down", "C": "none"}[LETTER[id_]]
    entries = choice.logprobs.content
    assert "".join(entry.token for entry in entries) == choice.message.content
    (letter,) = [entry for entry in entries if {a.token for a in entry.top_logprobs} == set("ABC")]
    assert letter.token == LETTER[id_]
    found = {a.token: math.exp(a.logprob) for a in letter.top_logprobs}
    assert found["A"] == pytest.approx(P_UP[id_], rel=1e-12, abs=0)
    assert found["B"] == pytest.approx(P_DOWN[id_], rel=1e-12, abs=0)
    assert found["C"] == pytest.approx(1 - P_UP[id_] - P_DOWN[id_], abs=1e-15)


def test_calls_are_counted_under_the_questions_id(client, fake):
    before = fake.stats()["questions"].get("NA_Irf7", {"calls": 0})["calls"]
    ask(client, "(NA) and Irf7's level?")
    ask(client, "nothing of note", user="NA_Irf7")
    assert fake.stats()["questions"]["NA_Irf7"]["calls"] == before + 2


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("Knock out Stat1: what do Irf7 and H2-Ab1 do?", {}, "it names Stat1_H2-Ab1, Stat1_Irf7 "),
        ("Knock out Stat2: what does Irf7 do?", {}, "it names none"),
        ("Knock out Stat1: what does Irf7 do?", {"seed": 7}, "seeds 42, 43; the request's seed is 7"),
    ],
)
def test_what_was_not_recorded_is_refused(client, text, more, message):
    with pytest.raises(openai.BadRequestError, match=message):
        ask(client, text, **more)


def test_reasoning_can_be_told_apart(tmp_path):
    path = tmp_path / "recorded.csv"
    recorded(P_UP).to_csv(path, index=False)
    with (
        FakeModel(latency_ms=1, replay=path, reasoning=True) as server,
        openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client,
    ):
        message = ask(client, "Stat1, Irf7").choices[0].message
    assert message.content == "So: <answer>B</answer>"
    assert message.reasoning_content == "Seed 42: I first thought <answer>C</answer>."


def test_texts_by_id_are_said_whatever_the_seed(tmp_path):
    path = tmp_path / "texts.csv"
    pd.DataFrame({"id": ["Stat1_Irf7"], "text": ["Because. <answer>A</answer>"]}).to_csv(path, index=False)
    with (
        FakeModel(latency_ms=1, answers=path) as server,
        openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client,
    ):
        choice = ask(client, "Stat1 → Irf7", seed=5).choices[0]
    assert choice.message.content == "Because. <answer>A</answer>"
    (letter,) = [e for e in choice.logprobs.content if {a.token for a in e.top_logprobs} == set("ABC")]
    assert max(letter.top_logprobs, key=lambda a: a.logprob).token == "A"


def test_a_table_without_traces_is_refused(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text("id,prediction_up\nA_B,0.1\n")
    with pytest.raises(FormatError, match=r"needs columns reasoning_trace_seed42, .*it has id, prediction_up"):
        read_recording(path)
