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

import numpy as np

from perturbarena.challenge.formats import read_labelled
from perturbarena.knowledge import KnowledgeBase
from perturbarena.stats.auroc import auroc
from perturbarena.tracks.prompt.tokens import token_counter
from perturbarena.tracks.tools.builtin import KnowledgeTools
from perturbarena.tracks.tools.similarity import Likeness
from perturbarena.tracks.tools.training import TrainingTools

COUNTS = re.compile(r"(\d+) up, (\d+) down, (\d+) unchanged")
EMPTY = (
    "No pathway", "is not among", "binds near no gene", "None of the", "No expression", "Nothing measured",
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
        return float(" binds near " in text and "binds near no" not in text), np.nan
    if tool == "gene_summary":
        return float("core essential" in text), np.nan
    if tool == "stimulus_response":
        return float("PROGENy weight" in text), np.nan
    return float(not text.startswith("None of")), np.nan


def main() -> None:
    """Print one line a tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("train")
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    base, train = KnowledgeBase.open(options.store), read_labelled(options.train)
    asked = train.take(np.sort(np.random.default_rng(options.seed).choice(len(train), options.n, replace=False)))
    counter = token_counter("gpt-oss")
    knockouts, targets = Likeness.of_knockouts(base), Likeness.of_targets(base)
    own = KnowledgeTools(base).tools()
    seen: dict[str, list[tuple[int, float, float, float, bool]]] = defaultdict(list)
    schemas: dict[str, str] = {}
    for i in range(len(asked)):
        one = asked.questions.take(np.array([i]))
        learnt = TrainingTools(base, train, hidden=one, of_knockouts=knockouts, of_targets=targets)
        for tool in (*own, *learnt.tools()):
            names = list(inspect.signature(tool).parameters)
            schemas[tool.__name__] = f"{tool.__name__}{inspect.signature(tool)}{inspect.getdoc(tool)}"
            of_pert = names[0] == "perturbed" or tool.__name__ == "gene_summary"
            arguments = (
                (one.pert[0], one.gene[0]) if len(names) == 2 else (one.pert[0] if of_pert else one.gene[0],)
            )
            start = time.perf_counter()
            text = tool(*arguments)
            took = time.perf_counter() - start
            first = text.partition("\n")[0]
            seen[tool.__name__].append(
                (counter.count(text), took, *told(tool.__name__, text), any(word in first for word in EMPTY))
            )
    print(f"{len(asked)} questions, {int(asked.is_de.sum())} moved; tokens: {counter.name}")
    print("tool | schema | tokens: median, largest | says something | ms: median | AUROC moves | AUROC up")
    for name, rows in seen.items():
        tokens, took, moves, up, empty = (np.array(column) for column in zip(*rows, strict=True))
        de = auroc(asked.is_de, moves)
        known = asked.is_de & np.isfinite(up)
        direction = f"{auroc(asked.is_up[known], up[known]):.3f}" if known.sum() > 50 else "–"
        schema = counter.count(schemas[name])
        print(
            f"{name} | {schema} | {np.median(tokens):.0f}, {tokens.max():.0f} | {1 - empty.mean():.0%} | "
            f"{1000 * np.median(took):.1f} | {de:.3f} | {direction}"
        )


if __name__ == "__main__":
    main()
