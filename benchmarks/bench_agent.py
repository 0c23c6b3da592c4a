"""What ``run agent`` adds to a call of a tool: time and memory, beside a bare loop on the same server.

Run: python benchmarks/bench_agent.py [--questions 80] [--calls 20] [--latency-ms 50] [--concurrency 20]

Each question makes ``--calls`` calls of tools, one a turn, the last of them ``answer``. The bare loop is what one
would write in thirty lines with OpenAI's client: the same messages, the tool called in the same process, nothing
recorded. Processor time is the client's alone, tools' processes included. Memory is the main process's peak; the
line for 1,813 questions goes through those of half the questions and of all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from perturbarena.challenge.formats import write_questions
from perturbarena.challenge.records import Questions
from perturbarena.tracks.models import FakeModel

CHALLENGE = 1_813
"""Hidden questions of the published challenge."""
COMMAND = [sys.executable, "-c", "from perturbarena.cli import main; main()"]
TOOL = '''
"""A lookup."""


def look_up(gene: str) -> str:
    """What is known of a gene."""
    return f"{gene}: nothing is known of it that would tell how it responds (no source)"
'''
BARE = """
import asyncio, json, sys
import openai

url, n, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tools = json.loads(sys.argv[4])
sys.path.insert(0, sys.argv[5])
from lookups import look_up

client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
gate = asyncio.Semaphore(concurrency)

async def ask(i):
    async with gate:
        system = {"role": "system", "content": "You predict." * 60}
        messages = [system, {"role": "user", "content": f"Question {i}"}]
        while True:
            reply = await client.chat.completions.create(
                model="m", messages=messages, tools=tools, user=f"Q{i}", temperature=1, top_p=1
            )
            message = reply.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                arguments = json.loads(call.function.arguments)
                if call.function.name == "answer":
                    return arguments
                messages.append({"role": "tool", "tool_call_id": call.id, "content": look_up(**arguments)})

async def main():
    await asyncio.gather(*(ask(i) for i in range(n)))

asyncio.run(main())
"""


class Cost(NamedTuple):
    """What one command took: wall time, processor time, peak memory."""

    seconds: float
    cpu_s: float
    peak_mib: float


def timed(command: Sequence[str]) -> Cost:
    """Run a command to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        sys.exit(said.decode()[-800:])
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def line(what: str, calls: int, asking: float, cost: Cost) -> None:
    """One row of the table."""
    cpu = 1000 * cost.cpu_s / calls
    print(f"{what:<28}{calls:7,}{asking:10.1f}{calls / asking:10.1f}{cpu:12.1f}{cost.peak_mib:10,.0f}", flush=True)


def harness(folder: Path, fake: FakeModel, n: int, options: argparse.Namespace) -> Cost:
    """The real command; its row."""
    questions, run = folder / f"q{n}.csv", folder / f"run{n}"
    write_questions(questions, Questions.from_pairs([f"P{i}" for i in range(n)], [f"G{i}" for i in range(n)]))
    where = ["--model", "fake-model", "--base-url", fake.url, "-o", str(run), "--tools", str(folder / "tools")]
    more = ["--concurrency", str(options.concurrency)]
    cost = timed([*COMMAND, "run", "agent", str(questions), *where, *more])
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["counts"]["tool_calls"] == n * options.calls, manifest["counts"]
    line(f"run agent, {n} questions", n * options.calls, manifest["last_start"]["seconds"], cost)
    return cost


def bare(folder: Path, fake: FakeModel, n: int, options: argparse.Namespace) -> Cost:
    """The bare loop; its row."""
    shown = json.loads((folder / f"run{n}" / "agents.json").read_text())["roles"][0]["tools"]
    program = folder / "bare.py"
    program.write_text(BARE)
    arguments = [fake.url, str(n), str(options.concurrency), json.dumps(shown), str(folder / "tools")]
    cost = timed([sys.executable, str(program), *arguments])
    line(f"bare loop, {n} questions", n * options.calls, cost.seconds, cost)
    return cost


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=80)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--concurrency", type=int, default=20)
    options = parser.parse_args()
    n = options.questions
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"{os.cpu_count()} cores, load average before the start {load}")
    print(f"the server answers in {options.latency_ms:g} ms; up to {options.concurrency} calls at once\n")
    print(f"{'':<28}{'calls':>7}{'asking s':>10}{'calls/s':>10}{'CPU ms/call':>12}{'peak MiB':>10}")
    look = {"tool": "look_up", "arguments": {"gene": "Stat1"}}
    answer = {"tool": "answer", "arguments": {"p_up": 0.2, "p_down": 0.3}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tools").mkdir()
        (folder / "tools" / "lookups.py").write_text(TOOL)
        script = folder / "script.json"
        script.write_text(json.dumps([*[look] * (options.calls - 1), answer]))
        with FakeModel(latency_ms=options.latency_ms, script=script) as fake:
            half = harness(folder, fake, n // 2, options)
            whole = harness(folder, fake, n, options)
            loop = bare(folder, fake, n, options)
    slope = (whole.peak_mib - half.peak_mib) / (n - n // 2)
    calls = (n - n // 2) * options.calls
    marginal = 1000 * (whole.cpu_s - half.cpu_s) / calls
    added = 1000 * (whole.cpu_s - loop.cpu_s) / (n * options.calls)
    print(f"\nadded to a call: {added:.1f} ms of processor time, start-up included")
    print(f"a further call of run agent costs {marginal:.1f} ms, start-up left out")
    print(
        f"memory: {slope:.2f} MiB a question; by that line {whole.peak_mib + slope * (CHALLENGE - n):,.0f} MiB "
        f"for {CHALLENGE:,} questions (extrapolated)"
    )


if __name__ == "__main__":
    main()
