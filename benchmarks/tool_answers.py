"""What the built-in tools answer on real questions: how often, how long, and what one number of an answer tells.

Each question is a training row, hidden with every other row of its perturbation and of its gene. The number is
read off the text that an agent would read. Figures stand in docs/tools.md.

    python benchmarks/tool_answers.py KB.sqlite train.csv --n 600 --seed 0
"""

from __future__ import annotations

import argparse
import inspect
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from perturbarena.challenge.formats import read_labelled
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.knowledge import KnowledgeBase
from perturbarena.stats.auroc import auroc
from perturbarena.tracks.running.tokens import token_counter
from perturbarena.tracks.tools.builtin import KnowledgeTools
from perturbarena.tracks.tools.similarity import Likeness
from perturbarena.tracks.tools.training import TrainingTools

COUNTS = re.compile(r"(\d+) up, (\d+) down, (\d+) unchanged")
EMPTY = (
    "No pathway", "is not among", "binds near no gene", "No expression", "Nothing measured",
    "No training", "is in no source", "none known",
)  # fmt: skip


def told(tool: str, text: str) -> tuple[float, float]:
    """(score for moving, score for going up where it moves) that a reader takes from it; NaN where none."""
    found = [tuple(map(int, m.groups())) for m in COUNTS.finditer(text)]
    if found:
        up, down, none = map(sum, zip(*found, strict=True))
        return (up + down) / (up + down + none), (up + 1) / (up + down + 2)
    number = {
        "shared_pathways": r"^(\d+) pathways",
        "cell_type_expression": r"Macrophages (-?[\d.]+)",
        "regulators_and_targets": r"^Regulators of \S+, by binding, no sign \((\d+)\)",
    }.get(tool)
    if number:
        match = re.search(number, text)
        return (float(match.group(1)) if match else 0.0), np.nan
    if tool == "signed_path":
        return float("; no sign)" in text or "published signature" in text), np.nan
    if tool == "gene_summary":
        return float("core essential" in text), np.nan
    if tool == "stimulus_response":
        return float("PROGENy weight" in text), np.nan
    return 0.0, np.nan


class Asker:
    """Asks every tool of a question, with the question's perturbation and gene hidden."""

    def __init__(self, store: str, train: LabelledQuestions) -> None:
        self.base, self.train = KnowledgeBase.open(store), train
        self.knockouts, self.targets = Likeness.of_knockouts(self.base), Likeness.of_targets(self.base)

    def calls(self, pert: str, gene: str) -> Iterator[tuple[str, tuple[str, ...], Callable[..., str]]]:
        """Name, arguments and function of each call that an agent would make."""
        learnt = TrainingTools(
            self.base,
            self.train,
            hidden=Questions.from_pairs([pert], [gene]),
            of_knockouts=self.knockouts,
            of_targets=self.targets,
        )
        for tool in (*KnowledgeTools(self.base).tools(), *learnt.tools()):
            names = list(inspect.signature(tool).parameters)
            of_pert = names[0] == "perturbed" or tool.__name__ == "gene_summary"
            yield tool.__name__, (pert, gene) if len(names) == 2 else (pert if of_pert else gene,), tool


def show(asker: Asker, ids: list[str]) -> None:
    """Every answer to these questions."""
    for i in np.flatnonzero(np.isin(asker.train.id, ids)):
        print(f"\n# {asker.train.id[i]}: {asker.train.label[i]}")
        for name, arguments, tool in asker.calls(asker.train.pert[i], asker.train.gene[i]):
            print(f"\n## {name}({', '.join(arguments)})\n{tool(*arguments)}")


def measure(asker: Asker, asked: LabelledQuestions) -> None:
    """One line a tool."""
    counter = token_counter("gpt-oss")
    seen: dict[str, list[tuple[int, float, float, float, bool]]] = defaultdict(list)
    schemas: dict[str, int] = {}
    for pert, gene in zip(asked.pert, asked.gene, strict=True):
        for name, arguments, tool in asker.calls(pert, gene):
            start = time.perf_counter()
            text = tool(*arguments)
            took = time.perf_counter() - start
            empty = any(word in text.partition("\n")[0] for word in EMPTY) and "published sig" not in text
            seen[name].append((counter.count(text), took, *told(name, text), empty))
            schemas[name] = counter.count(f"{name}{inspect.signature(tool)}{inspect.getdoc(tool)}")
    print(f"{len(asked)} questions, {int(asked.is_de.sum())} moved, {int(asked.is_up.sum())} up; {counter.name}")
    print("tool | schema | tokens: median, largest | says something | ms: median | AUROC moves | AUROC up")
    for name, rows in seen.items():
        tokens, took, moves, up, empty = (np.array(column) for column in zip(*rows, strict=True))
        known = asked.is_de & np.isfinite(up)
        direction = f"{auroc(asked.is_up[known], up[known]):.3f}" if known.sum() > 50 else "–"
        print(
            f"{name} | {schemas[name]} | {np.median(tokens):.0f}, {tokens.max():.0f} | {1 - empty.mean():.0%} | "
            f"{1000 * np.median(took):.1f} | {auroc(asked.is_de, moves):.3f} | {direction}"
        )


def main() -> None:
    """Measure, or show the answers to some questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("train")
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", nargs="+", metavar="ID", help="print what each tool answers to these questions")
    options = parser.parse_args()
    train = read_labelled(options.train)
    asker = Asker(options.store, train)
    if options.show:
        show(asker, options.show)
        return
    rng = np.random.default_rng(options.seed)
    measure(asker, train.take(np.sort(rng.choice(len(train), options.n, replace=False))))


if __name__ == "__main__":
    main()
