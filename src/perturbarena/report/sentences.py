"""What the numbers say, in plain sentences. Each follows from values and intervals alone."""

from __future__ import annotations

from perturbarena.report.page_record import MeasureLine, RunSection, SeedsPart, Value
from perturbarena.report.page_text import between, number, share

CHANCE = 0.5


def against_chance(value: Value) -> str:
    """Where a value lies with respect to chance."""
    if not value.bounded:
        return "how far it may be off is not known"
    if value.low > CHANCE:
        return "better than chance"
    if value.high < CHANCE:
        return "worse than chance"
    return "not to be told from chance"


def headline(run: RunSection) -> str:
    """The score in one sentence."""
    score = run.measure("score")
    if score is None:
        return "There is no truth beside this run, so nothing here says how good its answers are."
    if not score.value.defined:
        return f"No score: {score.why}."
    return (
        "Of two questions, one where the gene moves and one where it stays, or one up and one down, the run ranks "
        f"the right one first {share(score.value.value)} of the time. Guessing gives {share(CHANCE)}: this is "
        f"{against_chance(score.value)}."
    )


def what_de_hides(run: RunSection) -> str:
    """What DE as published counts as skill."""
    published, strata, gene = (run.measure(key) for key in ("de_auroc", "de_within_strata", "de_within_gene"))
    if published is None or not published.value.defined:
        return ""
    parts = [
        f"As published, DE is {number(published.value.value)}. That counts as skill what needs no "
        "knowledge of the knockout: in published sets, how often a gene is asked hints at whether it moves, and "
        "some genes move whatever is knocked out."
    ]
    if strata is not None and strata.value.defined:
        parts.append(f"Among genes asked equally often it is {number(strata.value.value)}.")
    if gene is not None and gene.value.defined:
        parts.append(
            f"Among rows of one and the same gene, where only knowing which knockout moves it helps, it is "
            f"{number(gene.value.value)} ({between(gene.value[1:])}): {against_chance(gene.value)}."
        )
    elif gene is not None:
        parts.append(f"Within genes it is undefined: {gene.why}.")
    return " ".join(parts)


def what_dir_says(line: MeasureLine | None) -> str:
    """DIR in one sentence."""
    if line is None or not line.value.defined:
        return ""
    return (
        "Among the genes that moved, one that goes up is ranked above one that goes down "
        f"{share(line.value.value)} of the time: "
        f"{against_chance(line.value)}."
    )


def what_seeds_say(seeds: SeedsPart) -> str:
    """How much of an answer is the seed's."""
    parts = []
    if seeds.agree == seeds.agree:
        parts.append(f"Two seeds give the same answer to {share(seeds.agree)} of the questions.")
    for (name, one), (_, every) in zip(seeds.share_one, seeds.share_all, strict=True):
        if one == one:
            parts.append(
                f"Of the variance of one seed's {name} value, {share(one)} is between questions and the rest is "
                f"the seed's; for the mean of {len(seeds.lines)} seeds it is {share(every)}."
            )
    if seeds.spread == seeds.spread:
        parts.append(f"Scores of single seeds have a standard deviation of {number(seeds.spread, 4)}.")
    return " ".join(parts)
