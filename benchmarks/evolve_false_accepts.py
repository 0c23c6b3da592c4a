"""How often prompt evolution calls a worthless change an improvement, and how often it finds a real one.

A fake model that knows a share of the answers stands in for a language model, inside this process but through the
same adapter, budget, selection and confirmation as any model. First it ignores the prompt: each prompt gets fresh
guesses, so that candidates differ by luck alone. Then it knows more where a phrase stands in the prompt. Counts
come with their exact binomial 95 % intervals (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404).

    python benchmarks/evolve_false_accepts.py --runs 100
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.tracks.models import Planted
from perturbarena.tracks.prompt import shipped_template
from perturbarena.workflows.evolve import EvolvePlan, Limits, evolve, planted_asker, proposing_asker

PHRASE = "Weigh direct and indirect routes apart."
SENTENCES = (
    PHRASE,
    "Be careful.",
    "Answer as an expert would.",
    "Most pairs do not change.",
    "Think of feedback loops first.",
    "Consider the cell type.",
    "State what is known of both genes.",
    "Prefer the simplest explanation.",
)
SKILL, PHRASE_SKILL = 0.4, 0.7
HEAD = """\
| the model | seeds | better on selection rows | confirmed (95 %) | has the phrase | calls | trials | difference |
|---|---|---|---|---|---|---|---|"""


class Run(NamedTuple):
    """One run's outcome."""

    kind: str
    seed: int
    verdict: str
    confirmed: bool
    has_phrase: bool
    calls: int
    tokens: int
    trials: int
    difference: float


def one(kind: str, seed: int, *, phrase_skill: float = PHRASE_SKILL) -> Run:
    """One evolution of a model that ignores the prompt (``null``) or has a planted phrase (``planted``)."""
    rng = np.random.default_rng([seed, 11])
    rows = simulate_questions(rng, n_perts=150, n_genes=400, n_questions=4_500).questions
    labels = dict(zip(rows.id, rows.label, strict=True))
    planted = Planted(labels, SKILL, PHRASE if kind == "planted" else None, phrase_skill, seed=seed)
    plan = EvolvePlan(
        rows=rows,
        template=shipped_template("stated").text,
        challenge=load_challenge("bioreasoning-2026"),
        model={"name": "in-process"},
        seeds=(42,),
        seed=seed,
        limits=Limits(),
        n_resamples=1000,
    )
    with tempfile.TemporaryDirectory() as folder:
        found = evolve(
            plan,
            asker=planted_asker(planted),
            reflector=proposing_asker(SENTENCES, seed=seed),
            ledger=Path(folder) / "ledger.json",
        )
    look = found.confirmation and found.confirmation.gated.look
    return Run(
        kind, seed, found.verdict, look is not None, PHRASE in found.best.template, found.meter.calls,
        found.meter.tokens, len(found.history.trials), np.nan if look is None else look.difference or np.nan,
    )  # fmt: skip


def interval(k: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a share."""
    low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(0.975, k + 1, n - k))
    return low, high


def main() -> None:
    """Run both kinds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--phrase-skills", type=float, nargs="*", default=[0.5, 0.55, 0.6, 0.7])
    parser.add_argument("--out", type=Path, help="JSON lines, one a run")
    args = parser.parse_args()
    began = time.perf_counter()
    print(HEAD)
    with ProcessPoolExecutor(args.workers) as pool:
        for skill in (None, *args.phrase_skills):
            kind = "null" if skill is None else "planted"
            jobs = [pool.submit(one, kind, seed, phrase_skill=skill or SKILL) for seed in range(args.runs)]
            runs = [job.result() for job in jobs]
            if args.out:
                with args.out.open("a") as file:
                    file.writelines(json.dumps(run._asdict() | {"phrase_skill": skill}) + "\n" for run in runs)
            what = "ignores the prompt" if skill is None else f"knows {SKILL:.0%}, {skill:.0%} with the phrase"
            print(line(what, runs), flush=True)
    print(f"{time.perf_counter() - began:,.0f} s; at most {Limits().max_calls:,} calls a run")


def line(what: str, runs: Sequence[Run]) -> str:
    """A row of the table."""
    n, k = len(runs), sum(run.verdict == "improved" for run in runs)
    low, high = interval(k, n)
    phrase = sum(run.has_phrase and run.verdict == "improved" for run in runs)
    calls = [run.calls for run in runs]
    trials, difference = np.median([run.trials for run in runs]), np.nanmean([run.difference for run in runs])
    return (
        f"| {what} | {n} | {sum(run.confirmed for run in runs)} | {k} ({low:.1%} – {high:.1%}) | {phrase} | "
        f"{np.median(calls):,.0f} ({max(calls):,}) | {trials:.0f} | {difference:+.3f} |"
    )


if __name__ == "__main__":
    main()
