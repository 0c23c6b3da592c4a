"""How often prompt evolution calls a worthless change an improvement, and how often it finds a real one.

A fake model that knows a share of the answers stands in for a language model, inside this process but through the
same adapter, budget, selection and confirmation as any model. With ``--null`` runs it ignores the prompt: each
prompt gets fresh guesses, so that candidates differ by luck alone. With planted runs it knows more where a phrase
stands in the prompt. Counts come with their exact binomial 95 % intervals (Clopper & Pearson 1934,
doi:10.1093/biomet/26.4.404).

    python benchmarks/evolve_false_accepts.py --runs 100
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
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
    parser.add_argument("--phrase-skill", type=float, default=PHRASE_SKILL, help="the planted runs' skill")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    began, runs = time.perf_counter(), []
    with ProcessPoolExecutor(args.workers) as pool:
        jobs = [
            pool.submit(one, kind, seed, phrase_skill=args.phrase_skill)
            for kind in ("null", "planted")
            for seed in range(args.runs)
        ]
        for i, job in enumerate(jobs, start=1):
            runs.append(job.result())
            print(f"{i}/{len(jobs)} {runs[-1]}", file=sys.stderr)
    if args.out:
        args.out.write_text("\n".join(json.dumps(run._asdict()) for run in runs) + "\n")
    budget = Limits().max_calls
    for kind, what in (("null", "the model ignores the prompt"), ("planted", "a phrase raises skill")):
        own = [run for run in runs if run.kind == kind]
        n, k = len(own), sum(run.verdict == "improved" for run in own)
        low, high = interval(k, n)
        print(f"{kind} ({what}), {n} seeds: improved {k} of {n} = {k / n:.1%} [{low:.1%}, {high:.1%}]")
        print(f"  verdicts {dict(Counter(run.verdict for run in own))}")
        print(
            f"  confirmations made {sum(run.confirmed for run in own)}; with the phrase "
            f"{sum(run.has_phrase and run.verdict == 'improved' for run in own)}"
        )
        calls = [run.calls for run in own]
        print(
            f"  calls: median {np.median(calls):,.0f}, most {max(calls):,} of {budget:,}; "
            f"trials: median {np.median([run.trials for run in own]):.0f}; "
            f"difference: mean {np.nanmean([run.difference for run in own]):+.3f}"
        )
    print(f"{time.perf_counter() - began:,.0f} s")


if __name__ == "__main__":
    main()
