"""How long a lookup takes: one reader, 200 readers at a modest pace, and as many as fit.

No network of regulations or proteins travels with the project, so artificial ones of the published size are added:
1,189 regulators with 43,175 signed targets (CollecTRI's numbers), and 400,000 links.

    python benchmarks/bench_knowledge.py KNOWLEDGE_FOLDER QUESTIONS.csv [QUESTIONS.csv …]
"""

from __future__ import annotations

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


def main(folder: Path, questions: list[Path]) -> None:
    asked = [read_questions(path) for path in questions]
    perts = sorted({p for q in asked for p in q.pert})
    genes = sorted({g for q in asked for g in q.gene})
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "kb.sqlite"
        build(store, folder, perts + genes)
        with KnowledgeBase.open(store) as base:
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
    singles = ("gene", "sets_of", "regulators", "targets", "neighbours", "expression", "footprints", "essential",
               "orthologue", "summary")  # fmt: skip
    for what in singles:
        call = getattr(base, what)
        show(what, [timed(lambda g=g, call=call: call(g)) for g in rng.choice(perts + genes, 2000)])
    pairs = list(zip(rng.choice(perts, 2000), rng.choice(genes, 2000), strict=True))
    show("shared_sets", [timed(lambda a=a, b=b: base.shared_sets(a, b)) for a, b in pairs])
    base.paths(*pairs[0])
    for length in (2, 3, 4):
        times = [timed(lambda a=a, b=b, n=length: base.paths(a, b, max_length=n)) for a, b in pairs[:500]]
        show(f"paths of up to {length}", times)


def many_readers(base: KnowledgeBase, perts: list[str], genes: list[str], *, pace: float | None) -> None:
    """200 threads of one process; with a pace each rests between lookups, so that what is measured is the answer."""
    times: list[list[float]] = [[] for _ in range(READERS)]
    stop = time.perf_counter() + 6

    def read(number: int) -> None:
        rng = np.random.default_rng(number)
        if pace:
            time.sleep(rng.uniform(0, 1 / pace))
        while time.perf_counter() < stop:
            pert, gene = str(rng.choice(perts)), str(rng.choice(genes))
            calls: tuple[Callable[[], object], ...] = (
                lambda: base.shared_sets(pert, gene),
                lambda: base.expression(gene),
                lambda: base.regulators(gene),
                lambda: base.footprints(gene),
            )
            times[number].append(timed(calls[rng.integers(4)]))
            if pace:
                time.sleep(1 / pace)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [t for own in times for t in own]
    print(
        f"{READERS} threads{f', {pace:g} a second each' if pace else ', without rest'}: {len(every) / 6:,.0f} a second"
    )
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
