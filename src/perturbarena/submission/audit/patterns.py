"""Rules on implausible patterns: copied and shuffled traces, seeds too alike, predictions from counts."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from perturbarena.stats.structure import Structure, fixed_scores
from perturbarena.submission.audit.case import Case, Spoken, decided
from perturbarena.submission.audit.metadata import LEAST_RANKED, LEAST_ROWS
from perturbarena.submission.audit.names import NameIndex, words_of
from perturbarena.submission.audit.ranks import rank_correlation
from perturbarena.submission.audit.rules import Hit, Rule, many
from perturbarena.submission.audit.shingles import near_copies
from perturbarena.submission.audit.toolcalls import own_words

LONG: Final = 250
"""Characters from which a text sampled at temperature 1 does not come twice: half a bit a character is 125."""
SPOKEN: Final = 200
"""Characters from which a trace is expected to name its genes, and two seeds to differ."""
MAX_OTHERS: Final = 2
"""Other questions up to which a text that names its own perturbed gene is taken for another row's."""
DIGITS: Final = 6
"""Significant digits from which equal probabilities of three different texts are no coincidence."""
EXPLAINED: Final = 0.9
"""Rank correlation with row counts from which nothing but the counts made a prediction."""
SUSPICIOUS: Final = 0.5
"""… and from which it deserves a look; honest runs of four models reach 0.24."""


def copied_traces(case: Case) -> Iterator[Hit]:
    """The same text of 250 characters or more on different answered questions (a warning where the track leaves
    sampling free).
    """
    sampled = case.rules.sampling is not None and case.rules.sampling.temperature > 0
    for spoken in case.spoken():
        rows = _repeated(spoken, _answered(case, spoken), least=LONG)
        if rows:
            of = _of_seed(spoken)
            what = f"{len(rows):,} answered rows share a trace{of} of {LONG} characters or more with another row"
            yield Hit(what, case.ids(rows), None if sampled else "warning")


def repeated_traces(case: Case) -> Iterator[Hit]:
    """Short texts that stand on several rows (5 and 1 % in all: note), or one on half of them."""
    for spoken in case.spoken():
        short = np.array([0 < len(text) < LONG for text in spoken.text]) & _answered(case, spoken)
        rows = _repeated(spoken, short, least=1)
        if many(len(rows), case.n):
            texts = Counter(spoken.text[i] for i in rows)
            most = texts.most_common(1)[0][1]
            what = (
                f"{len(rows):,} rows share {len(texts):,} short traces{_of_seed(spoken)}, which show no "
                f"reasoning; one of them stands on {most:,} rows"
            )
            yield Hit(what, case.ids(rows), None if most >= case.n / 2 else "note")


def near_copied_traces(case: Case) -> Iterator[Hit]:
    """Long texts that share most phrases with another row's, the genes' names and tool results apart."""
    index = NameIndex(case.questions)
    for spoken in case.spoken():
        texts, answered, exact = [], _answered(case, spoken), set(_repeated(spoken, case.present, least=LONG))
        for i, text in enumerate(spoken.text):
            own = own_words(text) if answered[i] and i not in exact else ""
            texts.append(_masked(own, index.pert[i], index.gene[i]) if len(own) >= LONG else "")
        rows = near_copies(texts)
        if many(len(rows), case.n):
            what = f"{len(rows):,} traces{_of_seed(spoken)} share most phrases with another row's, names apart"
            yield Hit(what, case.ids(rows))


def _masked(text: str, pert: str, gene: str) -> str:
    """In lower case, with marks in place of the question's own genes."""
    longest_first = sorted({pert, gene}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), "@", text.lower())


class _Strangers(NamedTuple):
    nameless: list[int]
    foreign: list[int]
    example: str


def foreign_traces(case: Case) -> Iterator[Hit]:
    """Texts that do not name both of their own genes and name both of another question's (5 rows and 1 %;
    fewer: note).
    """
    for spoken in case.spoken():
        found = _strangers(case, spoken)
        if found.foreign:
            what = (
                f"{len(found.foreign):,} traces{_of_seed(spoken)} do not name their own two genes and name both "
                f"genes of another question ({found.example})"
            )
            yield Hit(what, case.ids(found.foreign), None if many(len(found.foreign), case.n) else "note")


def nameless_traces(case: Case) -> Iterator[Hit]:
    """Texts of 200 characters or more that name neither of their genes (5 rows and 1 %)."""
    for spoken in case.spoken():
        rows = _strangers(case, spoken).nameless
        if many(len(rows), case.n):
            what = f"{len(rows):,} traces{_of_seed(spoken)} of {SPOKEN} characters or more name no gene of theirs"
            yield Hit(what, case.ids(rows))


def _strangers(case: Case, spoken: Spoken) -> _Strangers:
    index = NameIndex(case.questions)
    nameless, foreign, example = [], [], ""
    for i, text in enumerate(spoken.text):
        lower = text.lower()
        pert, gene = index.names_pert(i, lower), index.names_gene(i, lower)
        if (pert and gene) or not text:
            continue
        others = [j for j in index.asked_in(words_of(own_words(text))) if j != i]
        # a text about its own perturbation that names many asked genes is a list, not another row's text
        if others and (not pert or len(others) <= MAX_OTHERS):
            foreign.append(i)
            example = example or f"{case.questions.id[i]} speaks of {case.questions.id[others[0]]}"
        elif not pert and not gene and len(text) >= SPOKEN:
            nameless.append(i)
    return _Strangers(nameless, foreign, example)


def missing_seeds(case: Case) -> Iterator[Hit]:
    """A seed with answers and no text on half of the rows (fewer: warning)."""
    seeded = [spoken for spoken in case.spoken() if spoken.seed is not None]
    for spoken in seeded:
        empty = np.array([not text for text in spoken.text])
        rows = _answered(case, spoken) & empty
        if rows.any():
            whole = many(int(rows.sum()), case.n, share=0.5)
            what = f"seed {spoken.seed} answers {rows.sum():,} rows without a text"
            yield Hit(what, case.ids(rows), None if whole else "warning")


def same_text_seeds(case: Case) -> Iterator[Hit]:
    """Two seeds with the same text of 200 characters or more (5 rows and 1 %; fewer: warning)."""
    seeded = [spoken for spoken in case.spoken() if spoken.seed is not None]
    rows = [
        i
        for i in range(case.n)
        if len(texts := [s.text[i] for s in seeded if len(s.text[i]) >= SPOKEN]) > 1
        and len(set(texts)) < len(texts)
    ]
    if rows:
        what = f"on {len(rows):,} rows two seeds wrote the same text of {SPOKEN} characters or more"
        yield Hit(what, case.ids(rows), None if many(len(rows), case.n) else "warning")


def same_digits_seeds(case: Case) -> Iterator[Hit]:
    """All seeds equal in 6 digits or more although their long texts differ (5 rows and 1 %; fewer: warning)."""
    seeded = [spoken for spoken in case.spoken() if spoken.seed is not None]
    if len(seeded) < 2:
        return
    equal = np.all([(s.p_up == seeded[0].p_up) & (s.p_down == seeded[0].p_down) for s in seeded[1:]], axis=0)
    fine = np.array(
        [max(_digits(u), _digits(d)) >= DIGITS for u, d in zip(seeded[0].p_up, seeded[0].p_down, strict=True)]
    )
    texts = [{s.text[i] for s in seeded if len(s.text[i]) >= SPOKEN} for i in range(case.n)]
    differ = np.array([len(t) == len(seeded) for t in texts])
    rows = case.present & equal & fine & differ & _answered(case, seeded[0])
    if rows.any():
        what = (
            f"on {rows.sum():,} rows {len(seeded)} seeds wrote different texts and give probabilities equal in "
            f"{DIGITS} digits or more"
        )
        yield Hit(what, case.ids(rows), None if many(int(rows.sum()), case.n) else "warning")


def _digits(value: float) -> int:
    """Significant digits of a number as written; thirds count as one, because they say 'no answer'."""
    if not np.isfinite(value) or abs(value * 3 - round(value * 3)) < 1e-9:
        return 1
    return len(f"{value:.12g}".split("e")[0].replace(".", "").replace("-", "").strip("0"))


def constant_predictions(case: Case) -> Iterator[Hit]:
    """One prediction for all rows."""
    pairs = {(u, d) for u, d, p in zip(case.p_up, case.p_down, case.present, strict=True) if p}
    if len(pairs) == 1 and case.present.sum() > 1:
        up, down = next(iter(pairs))
        yield Hit(f"all {case.present.sum():,} rows have the same prediction ({up:g}, {down:g})")


def zero_predictions(case: Case) -> Iterator[Hit]:
    """(0, 0) rows, and what their traces say."""
    rows = case.present & (case.p_up == 0) & (case.p_down == 0)
    if not rows.any():
        return
    what = f"{rows.sum():,} of {case.n:,} rows are (0, 0)"
    last = [case.said.get(spoken.seed, []) for spoken in case.spoken()]
    if all(last):
        labels = [{said[i].label for said in last} for i in np.flatnonzero(rows)]
        n_none = sum(label == {"none"} for label in labels)
        n_moved = sum(bool(label & {"up", "down"}) for label in labels)
        n_unread = len(labels) - n_none - n_moved
        said = f"of {n_none:,} say 'no change', of {n_moved:,} up or down, of {n_unread:,} nothing readable"
        what += f"; the traces {said}" + (": the predictions follow them" if n_none == len(labels) else "")
    yield Hit(what, case.ids(rows))


def from_row_counts(case: Case) -> Iterator[Hit]:
    """|rank correlation| of p_up + p_down with a structure-only score of 0.9 or more (200 rows; from 0.5:
    warning).
    """
    moved = case.p_up + case.p_down
    rows = case.present & np.isfinite(moved)
    if rows.sum() < LEAST_RANKED:
        return
    structure = Structure.of(case.questions.pert, case.questions.gene)
    found = {name: rank_correlation(score[rows], moved[rows]) for name, score in fixed_scores(structure).items()}
    known = {name: rho for name, rho in found.items() if np.isfinite(rho)}
    if not known:
        return
    name = max(known, key=lambda k: abs(known[k]))
    if abs(known[name]) >= SUSPICIOUS:
        what = f"p_up + p_down has a rank correlation of {known[name]:.2f} with {name}, which knows no biology"
        yield Hit(what, (), None if abs(known[name]) >= EXPLAINED else "warning")


def from_one_name(case: Case) -> Iterator[Hit]:
    """The target gene, or the perturbed gene, alone explains 99 % of p_up + p_down (50 rows that share it)."""
    moved = case.p_up + case.p_down
    for names, what in ((case.questions.gene, "target gene"), (case.questions.pert, "perturbed gene")):
        code = np.unique(names.astype(str), return_inverse=True)[1]
        size = np.bincount(code)[code]
        rows = case.present & np.isfinite(moved) & (size > 1)
        if rows.sum() < LEAST_ROWS or np.ptp(moved[rows]) == 0:
            continue
        mean = np.bincount(code[rows], moved[rows]) / np.maximum(np.bincount(code[rows]), 1)
        left = float(np.var(moved[rows] - mean[code[rows]]) / np.var(moved[rows]))
        if left < 0.01:
            yield Hit(f"the {what} alone explains {1 - left:.1%} of the variance of p_up + p_down")


def _answered(case: Case, spoken: Spoken) -> np.ndarray:
    return case.present & decided(spoken.p_up, spoken.p_down, case.challenge.unanswered)


def _repeated(spoken: Spoken, rows: np.ndarray | Sequence[bool], *, least: int) -> list[int]:
    """Positions of rows whose text of at least so many characters stands on another row too."""
    where: defaultdict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(spoken.text):
        if rows[i] and len(text) >= least:
            where[" ".join(text.split())].append(i)
    return sorted(i for same in where.values() if len(same) > 1 for i in same)


def _of_seed(spoken: Spoken) -> str:
    return "" if spoken.seed is None else f" of seed {spoken.seed}"


RULES: Final = (
    Rule("trace.copied", "severe", copied_traces),
    Rule("trace.repeated", "warning", repeated_traces),
    Rule("trace.near_copy", "warning", near_copied_traces),
    Rule("trace.foreign", "severe", foreign_traces),
    Rule("trace.nameless", "warning", nameless_traces),
    Rule("seeds.missing", "severe", missing_seeds),
    Rule("seeds.same_text", "severe", same_text_seeds),
    Rule("seeds.same_digits", "severe", same_digits_seeds),
    Rule("prediction.constant", "warning", constant_predictions),
    Rule("prediction.zero", "note", zero_predictions),
    Rule("prediction.row_counts", "severe", from_row_counts),
    Rule("prediction.one_name", "warning", from_one_name),
)
