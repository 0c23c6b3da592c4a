"""The fake model: the protocol as the official client speaks it, its faults, its own counts."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import openai
import pytest

from perturbarena.errors import InputError
from perturbarena.tracks import parse_answer
from perturbarena.tracks.models import FakeModel

QUICK = {"latency_ms": 1}
ASK = [{"role": "user", "content": "Knock out Stat1: what does Irf7 do?"}]


@contextmanager
def client_of(fake):
    with openai.OpenAI(base_url=fake.url, api_key="none", max_retries=0, timeout=20) as client:
        yield client


def ask(client, text="Knock out Stat1: what does Irf7 do?", **more):
    return client.chat.completions.create(model="any", messages=[{"role": "user", "content": text}], **more)


def say(client, *texts, **more):
    return [ask(client, text, **more).choices[0].message.content for text in texts]


@pytest.fixture(scope="module")
def fake():
    """One well-behaved server for the tests that only look at answers."""
    with FakeModel(**QUICK) as server:
        yield server


@pytest.fixture
def client(fake):
    with client_of(fake) as found:
        yield found


# the protocol


def test_an_answer_can_be_parsed_and_has_usage(client):
    reply = ask(client, seed=42)
    assert parse_answer(reply.choices[0].message.content).how == "tag"
    assert reply.model == "any"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].logprobs is None
    assert reply.usage.prompt_tokens == 4 + 9
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_the_answer_depends_on_text_and_both_seeds_alone(client):
    texts = [f"Knock out Gene{i}: what does Irf7 do?" for i in range(30)]
    first = say(client, *texts, seed=42)
    assert say(client, *texts, seed=42) == first
    assert say(client, *texts, seed=43) != first
    assert len({text[-20:] for text in first}) == 3
    with FakeModel(**QUICK, seed=1) as other, client_of(other) as second:
        assert say(second, *texts, seed=42) != first
    with FakeModel(**QUICK) as again, client_of(again) as third:
        assert say(third, *texts[:5], seed=42) == first[:5]


def test_logprobs_name_the_letters_at_the_answers_token(client):
    reply = ask(client, seed=42, logprobs=True, top_logprobs=5)
    entries = reply.choices[0].logprobs.content
    text = reply.choices[0].message.content
    assert "".join(entry.token for entry in entries) == text
    (at,) = [i for i, entry in enumerate(entries) if {a.token for a in entry.top_logprobs} == set("ABC")]
    assert "".join(entry.token for entry in entries[:at]).endswith("<answer>")
    found = {a.token: math.exp(a.logprob) for a in entries[at].top_logprobs}
    assert sum(found.values()) == pytest.approx(1.0)
    assert math.exp(entries[at].logprob) == pytest.approx(found[entries[at].token])
    ranked = [a.logprob for a in entries[at].top_logprobs]
    assert ranked == sorted(ranked, reverse=True)


def test_fewer_alternatives_are_given_where_fewer_are_asked(client):
    entries = ask(client, logprobs=True, top_logprobs=1).choices[0].logprobs.content
    assert max(len(entry.top_logprobs) for entry in entries) == 1
    assert all(e.top_logprobs == [] for e in ask(client, logprobs=True).choices[0].logprobs.content)


def test_letters_are_drawn_as_often_as_their_probabilities_say(client):
    letters, expected = {"A": 0, "B": 0, "C": 0}, {}
    for seed in range(150):
        reply = ask(client, seed=seed, logprobs=True, top_logprobs=5)
        letters[parse_letter(reply)] += 1
        for entry in reply.choices[0].logprobs.content:
            if {a.token for a in entry.top_logprobs} == set("ABC"):
                expected = {a.token: math.exp(a.logprob) for a in entry.top_logprobs}
    for letter, n in letters.items():
        assert abs(n / 150 - expected[letter]) < 0.15


def parse_letter(reply):
    return reply.choices[0].message.content.rpartition("<answer>")[2][0]


def test_a_stream_holds_the_same_text_and_ends_with_usage(client):
    whole = ask(client, seed=42)
    pieces = list(ask(client, seed=42, stream=True))
    text = "".join(c.delta.content or "" for piece in pieces for c in piece.choices)
    assert text == whole.choices[0].message.content
    assert pieces[-1].usage == whole.usage


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["fake-model"]


def test_reasoning_stands_apart_when_told():
    with FakeModel(**QUICK, reasoning=True) as fake, client_of(fake) as client:
        message = ask(client, seed=42).choices[0].message
        assert message.content.startswith("<answer>")
        assert len(message.reasoning_content) > 20


def test_stated_probabilities_agree_with_the_answer():
    with FakeModel(**QUICK, stated=True) as fake, client_of(fake) as client:
        for seed in range(5):
            parsed = parse_answer(say(client, "Knock out A1: what does B2 do?", seed=seed)[0])
            assert parsed.how == "tag+probabilities"


def test_a_server_without_logprobs_sends_null():
    with FakeModel(**QUICK, logprobs=False) as fake, client_of(fake) as client:
        assert ask(client, logprobs=True, top_logprobs=5).choices[0].logprobs is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"n": 2}, "n must be 1"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs must be 0 to 20; got 21"),
        ({"top_logprobs": 3}, "needs logprobs"),
        ({"extra_body": {"messages": []}}, "at least one message"),
        ({"extra_body": {"seed": "x"}}, "seed must be a whole number"),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(client, more, message):
    with pytest.raises(openai.BadRequestError, match=message):
        ask(client, **more)


def test_what_reached_the_server_can_be_looked_at():
    with FakeModel(**QUICK) as fake, client_of(fake) as client:
        ask(client, seed=44, extra_body={"max_completion_tokens": 77, "reasoning_effort": "low"})
        (request,) = fake.requests()
        assert (request["seed"], request["max_completion_tokens"], request["reasoning_effort"]) == (44, 77, "low")


def raw(fake, sent, n_replies):
    """Send bytes in two halves; read so many replies."""
    with socket.create_connection(("127.0.0.1", fake.port), timeout=10) as link, link.makefile("rb") as reader:
        link.sendall(sent[: len(sent) // 2])
        time.sleep(0.02)
        link.sendall(sent[len(sent) // 2 :])
        replies = []
        for _ in range(n_replies):
            status, length = reader.readline().decode(), 0
            while (line := reader.readline().decode()).strip():
                if line.lower().startswith("content-length:"):
                    length = int(line.split(":")[1])
            replies.append((int(status.split()[1]), reader.read(length)))
        return replies


def test_requests_in_a_row_on_one_connection_are_answered_in_order(fake):
    body = json.dumps({"messages": ASK, "seed": 42}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    replies = raw(fake, head + body + b"GET /health HTTP/1.1\r\n\r\n" + head + body, 3)
    assert [status for status, _ in replies] == [200, 200, 200]
    assert json.loads(replies[1][1]) == {"status": "ok"}
    assert replies[0] == replies[2]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /v1/nothing HTTP/1.1\r\n\r\n", 404),
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", 413),
        (b"GET /" + b"x" * 70_000, 431),
    ],
)
def test_bad_http_gets_a_status_and_leaves_the_server_alive(fake, sent, status):
    assert raw(fake, sent, 1)[0][0] == status
    assert raw(fake, b"GET /health HTTP/1.1\r\n\r\n", 1)[0][0] == 200


# faults


async def many(fake, n, *, seeds=(42,), retries=0, timeout=20.0):
    """Ask n questions under each seed at once; what came of each."""

    async def one(client, i, seed):
        try:
            text = f"Knock out P{i}: what does G{i} do?"
            reply = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": text}], seed=seed, user=f"P{i}_G{i}"
            )
        except openai.OpenAIError as error:
            return error
        return reply.choices[0].message.content

    async with openai.AsyncOpenAI(
        base_url=fake.url, api_key="none", max_retries=retries, timeout=timeout
    ) as client:
        return await asyncio.gather(*(one(client, i, seed) for i in range(n) for seed in seeds))


def test_failures_come_at_their_rate_on_the_same_calls_in_every_run():
    failed = []
    for _ in range(2):
        with FakeModel(**QUICK, fail_rate=0.3) as fake:
            came = asyncio.run(many(fake, 100))
            failed.append([isinstance(reply, openai.InternalServerError) for reply in came])
            stats = fake.stats()
        assert stats["calls"] == 100
        assert stats["outcomes"]["failed"] == sum(failed[-1])
        assert stats["outcomes"]["answered"] == 100 - sum(failed[-1])
    assert failed[0] == failed[1]
    assert 15 <= sum(failed[0]) <= 45


def test_a_retry_after_a_failure_is_a_new_draw():
    with FakeModel(**QUICK, fail_rate=0.5) as fake, client_of(fake) as client:
        outcomes = []
        for _ in range(12):
            try:
                outcomes.append(bool(ask(client, seed=42)))
            except openai.InternalServerError:
                outcomes.append(False)
        assert set(outcomes) == {True, False}


def test_first_answers_to_each_seeded_call_are_empty_then_garbled():
    with FakeModel(**QUICK, empty=2, garble=1) as fake, client_of(fake) as client:
        for seed in (42, 43):
            texts = [say(client, "Stat1, Irf7?", seed=seed)[0] for _ in range(4)]
            assert texts[:2] == ["", ""]
            assert not parse_answer(texts[2]).parsed
            assert parse_answer(texts[3]).parsed
        outcomes = fake.stats()["outcomes"]
        assert (outcomes["empty"], outcomes["garbled"], outcomes["answered"]) == (4, 2, 2)


def test_a_garbled_answer_has_tokens_with_alternatives():
    with FakeModel(**QUICK, garble=1) as fake, client_of(fake) as client:
        entries = ask(client, logprobs=True, top_logprobs=5).choices[0].logprobs.content
        assert all(len(entry.top_logprobs) == 2 for entry in entries)


def test_every_so_manieth_call_is_told_to_wait():
    with FakeModel(**QUICK, rate_limit_every=3, retry_after_s=0.25) as fake, client_of(fake) as client:
        ask(client)
        ask(client)
        with pytest.raises(openai.RateLimitError) as error:
            ask(client)
        assert error.value.response.headers["Retry-After"] == "0.25"
        ask(client)
        assert fake.stats()["outcomes"]["rate_limited"] == 1


def test_calls_above_the_rate_limit_are_told_to_wait_and_later_ones_pass():
    with FakeModel(**QUICK, rate_limit=5, retry_after_s=1.05) as fake:
        came = asyncio.run(many(fake, 9))
        assert sum(isinstance(reply, openai.RateLimitError) for reply in came) == 4
        assert all(isinstance(reply, str) for reply in asyncio.run(many(fake, 5, retries=3)))


def test_a_limited_server_gives_answers_at_its_rate():
    with FakeModel(**QUICK, max_rate=50) as fake:
        start = time.perf_counter()
        asyncio.run(many(fake, 40))
        assert 0.8 <= time.perf_counter() - start < 4.0
        assert fake.stats()["most_in_flight"] > 10


def test_latency_is_waited_for():
    with FakeModel(latency_ms=300) as fake, client_of(fake) as client:
        start = time.perf_counter()
        ask(client)
        assert time.perf_counter() - start >= 0.3


def test_a_client_that_hangs_up_on_a_stall_is_counted():
    with FakeModel(**QUICK, stall_rate=1.0, stall_s=30) as fake:
        (came,) = asyncio.run(many(fake, 1, timeout=0.5))
        assert isinstance(came, openai.APITimeoutError)
        wait_for(lambda: fake.stats()["in_flight"] == 0)
        stats = fake.stats()
        assert (stats["stalled"], stats["outcomes"]["abandoned"]) == (1, 1)


def test_a_short_stall_is_an_answer_that_comes_late():
    with FakeModel(**QUICK, stall_rate=1.0, stall_s=0.3) as fake, client_of(fake) as client:
        start = time.perf_counter()
        ask(client)
        assert time.perf_counter() - start >= 0.3
        assert fake.stats()["outcomes"]["answered"] == 1


def test_a_server_that_dies_does_so_after_its_calls_and_comes_back_on_its_port(tmp_path):
    log = tmp_path / "calls.jsonl"
    with FakeModel(**QUICK, die_after=3, log=log) as fake:
        with client_of(fake) as client:
            say(client, "a", "b", "c", user="same")
            with pytest.raises(openai.APIConnectionError):
                ask(client)
        assert fake.wait(10) == 3
        assert not fake.alive
        url = fake.url
        fake.start()
        assert fake.url == url
        assert fake.stats()["calls"] == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["question"], line["outcome"]) for line in lines] == [("same", "answered")] * 3


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


# counts and the process


def test_calls_are_counted_by_question_and_seed():
    with FakeModel(**QUICK) as fake:
        asyncio.run(many(fake, 4, seeds=(42, 43, 44)))
        asyncio.run(many(fake, 1, seeds=(43,)))
        stats = fake.stats()
    assert stats["calls"] == 13
    assert stats["questions"]["P0_G0"] == {"calls": 4, "answered": 4, "seeds": {"42": 1, "43": 2, "44": 1}}
    assert stats["questions"]["P3_G3"]["calls"] == 3
    assert stats["tokens"]["prompt_tokens"] == 13 * 13


def test_without_a_user_field_a_conversation_is_one_question(client, fake):
    talk = [*ASK, {"role": "assistant", "content": "Hm."}, {"role": "user", "content": "Well?"}]
    before = set(fake.stats()["questions"])
    client.chat.completions.create(model="m", messages=[{"role": "system", "content": "x"}, *ASK])
    client.chat.completions.create(model="m", messages=[{"role": "system", "content": "x"}, *talk])
    (new,) = set(fake.stats()["questions"]) - before
    assert fake.stats()["questions"][new]["calls"] == 2


def test_wrong_settings_and_a_taken_port_are_plain_errors(fake, tmp_path):
    with pytest.raises(InputError, match=r"fail_rate: .* less than or equal to 1; got 2"):
        FakeModel(fail_rate=2)
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{fake.port}"):
        FakeModel(port=fake.port).start()
    with pytest.raises(InputError, match="no such file"):
        FakeModel(replay=tmp_path / "nothing.csv").start()
    with pytest.raises(InputError, match="not running"):
        FakeModel().kill()


def test_the_server_ends_with_the_process_that_started_it():
    program = (
        "from perturbarena.tracks.models import FakeModel; import os, sys\n"
        "fake = FakeModel(); fake.start(); print(fake.port, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    port = int(done.stdout)

    def gone():
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", port)) != 0

    wait_for(gone)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_address_and_ends_quietly(number):
    command = [sys.executable, "-c", "from perturbarena.cli import main; main()", "fake-model", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        where = json.loads(process.stdout.readline())
        assert where["url"] == f"http://127.0.0.1:{where['port']}/v1"
        assert where["pid"] == process.pid
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("", "", 0)


def test_one_core_serves_far_more_calls_than_any_client_makes():
    body = json.dumps({"messages": [{"role": "user", "content": "word " * 300}], "seed": 42}).encode()
    sent = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def connection(port, n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(n):
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split()[0]))
        writer.close()
        await writer.wait_closed()

    async def all_of_them(port):
        await asyncio.gather(*(connection(port, 50) for _ in range(20)))

    with FakeModel(latency_ms=0) as fake:
        start = time.perf_counter()
        asyncio.run(all_of_them(fake.port))
        rate = 1000 / (time.perf_counter() - start)
    assert rate > 200  # 2,000 on a quiet core; a busy machine gets room
