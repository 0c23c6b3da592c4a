"""How long a lookup takes: one reader, 200 readers at a modest pace, and as many as fit.

No signed network travels with the project, so an artificial one of a published network's size is added: 1,189
regulators with 43,175 signed regulations (CollecTRI's numbers), few regulators having most of them.

    python benchmarks/bench_knowledge.py KNOWLEDGE_FOLDER QUESTIONS.csv [QUESTIONS.csv …]
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from perturbarena.challenge.formats import read_questions
from perturbarena.knowledge import KnowledgeBase, added_source, build_store

READERS = 200
PACE = 5.0
"""Lookups a second of each of the 200 readers."""
SECONDS = 6


def main(folder: Path, questions: list[Path]) -> None:
    asked = [read_questions(path) for path in questions]
    perts = sorted({p for q in asked for p in q.pert})
    genes = sorted({g for q in asked for g in q.gene})
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "kb.sqlite"
        build(store, folder, perts + genes)
        start = time.perf_counter()
        with KnowledgeBase.open(store) as base:
            print(f"opened in {(time.perf_counter() - start) * 1e3:.0f} ms")
            one_reader(base, perts, genes)
            many_readers(base, perts, genes, pace=PACE)
            many_readers(base, perts, genes, pace=None)
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def build(store: Path, folder: Path, genes: list[str]) -> None:
    rng = np.random.default_rng(1)
    edges = store.with_name("edges.csv")
    regulators = rng.choice(genes, 1189, replace=False)
    weight = 1 / np.arange(1, 1190)
    pairs = zip(rng.choice(regulators, 43175, p=weight / weight.sum()), rng.choice(genes, 43175), strict=True)
    lines = [f"{a},{b},{rng.choice((-1, 1))}" for a, b in pairs]
    edges.write_text("source,target,weight\n" + "\n".join(lines) + "\n")
    start = time.perf_counter()
    source = added_source("artificial", edges, form="edges", licence="CC0")
    report = build_store(store, folder=folder, added=[(source, edges)])
    size = store.stat().st_size / 2**20
    rows = sum(entered.rows for entered in report.sources)
    print(
        f"built {len(report.sources)} sources, {rows:,} rows, {size:.0f} MB in {time.perf_counter() - start:.1f} s"
    )


def one_reader(base: KnowledgeBase, perts: list[str], genes: list[str]) -> None:
    rng = np.random.default_rng(2)
    print("| lookup | median ms | 99% ms | slowest ms |\n|---|---|---|---|")
    # fmt: off
    singles = (
        "gene", "sets_of", "regulators", "targets", "neighbours", "expression", "footprints", "essential",
        "orthologue", "summary",
    )
    # fmt: on
    for what in singles:
        call = getattr(base, what)
        show(what, [timed(lambda g=g, call=call: call(g)) for g in rng.choice(perts + genes, 2000).tolist()])
    pairs = list(zip(rng.choice(perts, 2000).tolist(), rng.choice(genes, 2000).tolist(), strict=True))
    show("shared_sets", [timed(lambda a=a, b=b: base.shared_sets(a, b)) for a, b in pairs])
    base.paths(*pairs[0])
    for length in (2, 3, 4):
        times = [timed(lambda a=a, b=b, n=length: base.paths(a, b, max_length=n)) for a, b in pairs[:500]]
        show(f"paths of up to {length}", times)


def many_readers(base: KnowledgeBase, perts: list[str], genes: list[str], *, pace: float | None) -> None:
    """200 threads of one process; with a pace each rests between lookups, so that the answer is measured."""
    times: list[list[float]] = [[] for _ in range(READERS)]
    ready = threading.Barrier(READERS)
    calls: tuple[Callable[[str, str], object], ...] = (
        base.shared_sets,
        lambda _, gene: base.expression(gene),
        lambda _, gene: base.regulators(gene),
        lambda _, gene: base.footprints(gene),
    )

    def read(number: int) -> None:
        rng = np.random.default_rng(number)
        pairs = list(zip(rng.choice(perts, 5000).tolist(), rng.choice(genes, 5000).tolist(), strict=True))
        ready.wait()
        time.sleep(rng.uniform(0, 1 / PACE))
        stop = time.perf_counter() + SECONDS
        for turn, (pert, gene) in enumerate(itertools.cycle(pairs)):
            if time.perf_counter() > stop:
                return
            times[number].append(timed(lambda i=turn % 4, p=pert, g=gene: calls[i](p, g)))
            if pace:
                time.sleep(1 / pace)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [t for own in times for t in own]
    how = f"{pace:g} a second each" if pace else "without rest"
    print(f"{READERS} threads, {how}: {len(every) / SECONDS:,.0f} a second")
    show("mixed", every)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def show(what: str, seconds: list[float]) -> None:
    ms = np.array(seconds) * 1e3
    print(f"| {what} | {np.median(ms):.2f} | {np.quantile(ms, 0.99):.2f} | {ms.max():.2f} |", flush=True)


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
