"""Rules on predictions against what the traces say; they need the texts' readings (``Case.said``)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Final, NamedTuple

import numpy as np

from perturbarena.challenge.records import LABELS
from perturbarena.submission.audit.case import Case, Spoken, decided
from perturbarena.submission.audit.ranks import rank_correlation
from perturbarena.submission.audit.rules import Hit, Rule, many

RULED_OUT: Final = 0.01
"""A label with less than this is one that the prediction denies; sampling says so once in a hundred."""
SURE: Final = 0.9
CONTRADICTED: Final = 0.05
"""Share of readable rows from which contradictions are severe; published honest runs show up to 0.015."""
OTHER_ORDER: Final = 0.9
"""Share of rows that another order of the three letters explains."""
CHANCE: Final = 0.1
"""Rank correlation under which predictions do not follow their texts; honest runs: 0.9, sampled letters: 0.4."""
LEAST_RELATED: Final = 200
LEAST_OF_A_KIND: Final = 20
STATED_APART: Final = 0.1
UNRELATED: Final = 0.3
"""Rank correlation under which given probabilities are not made from the stated ones."""


class _Read(NamedTuple):
    """Rows with a readable label and an answer, the label's position in LABELS, and the three probabilities."""

    rows: np.ndarray
    label: np.ndarray
    p: np.ndarray


def contradictions(case: Case) -> Iterator[Hit]:
    """Predictions that give less than 1 % to what their text concludes and more than 90 % to something else (5
    % of the readable rows; fewer: note).
    """
    for spoken in case.spoken():
        read = _read(case, spoken)
        if read is None or not len(read.rows):
            continue
        own = read.p[np.arange(len(read.rows)), read.label]
        bad = (own < RULED_OUT) & (read.p.max(axis=1) > SURE)
        if not bad.any() or _other_order(read) is not None:
            continue
        rows = read.rows[bad]
        i = int(np.flatnonzero(bad)[0])
        what = (
            f"{len(rows):,} of {len(read.rows):,} readable traces{_of_seed(spoken)} conclude what the prediction "
            f"rules out, such as {case.questions.id[read.rows[i]]}: the text says {LABELS[read.label[i]]}, the "
            f"prediction {LABELS[int(read.p[i].argmax())]} with {read.p[i].max():.3g}"
        )
        severe = many(len(rows), len(read.rows), share=CONTRADICTED)
        yield Hit(what, case.ids(rows), None if severe else "note")


def unrelated(case: Case) -> Iterator[Hit]:
    """Predictions whose rank correlation with what the texts conclude is below 0.1 (200 readable rows)."""
    for spoken in case.spoken():
        read = _read(case, spoken)
        if read is None or len(read.rows) < LEAST_RELATED or _other_order(read) is not None:
            continue
        moved, sign = read.label != 2, np.where(read.label == 2, 0, 1 - 2 * read.label)
        if min(moved.sum(), (~moved).sum()) < LEAST_OF_A_KIND:
            continue
        rho = [
            rank_correlation(moved.astype(float), read.p[:, 0] + read.p[:, 1]),
            rank_correlation(sign.astype(float), read.p[:, 0] - read.p[:, 1]),
        ]
        if np.nanmax([*rho, -1.0]) < CHANCE:
            yield Hit(
                f"over {len(read.rows):,} rows the predictions do not follow what the texts{_of_seed(spoken)} "
                f"conclude: rank correlations {rho[0]:.2f} (moved or not) and {rho[1]:.2f} (up or down)"
            )


def other_order(case: Case) -> Iterator[Hit]:
    """Answers that fit the predictions only if the letters are read in another order."""
    for spoken in case.spoken():
        read = _read(case, spoken)
        order = None if read is None else _other_order(read)
        if order is not None:
            yield Hit(
                f"the answers{_of_seed(spoken)} fit the predictions if the options up, down, none are read as "
                f"{', '.join(order)}: the prompt's letters may stand for other answers"
            )


def without_trace(case: Case) -> Iterator[Hit]:
    """Answered rows without any text (half of the answered rows and 20; fewer: warning)."""
    rows = case.decided & (case.chars == 0)
    if rows.any():
        half = many(int(rows.sum()), int(case.decided.sum()), share=0.5, least=20)
        yield Hit(
            f"{rows.sum():,} answered rows have no trace at all", case.ids(rows), None if half else "warning"
        )


def unsaid(case: Case) -> Iterator[Hit]:
    """Answered rows none of whose texts gives a readable answer (5 rows and 1 %)."""
    spoken = [s for s in case.spoken() if case.said.get(s.seed)]
    if not spoken:
        return
    silent = np.all([[not said.label for said in case.said[s.seed]] for s in spoken], axis=0)
    top = np.maximum(np.maximum(case.p_up, case.p_down), 1 - case.p_up - case.p_down)
    rows = case.decided & silent & (case.chars > 0) & (top > 0.5)
    if many(int(rows.sum()), case.n):
        yield Hit(f"{rows.sum():,} rows are answered and no text of theirs gives an answer", case.ids(rows))


def not_as_stated(case: Case) -> Iterator[Hit]:
    """Probabilities more than 0.1 from those the text states (5 %), and unrelated to them (rank correlation
    below 0.3, 50 rows; else warning).
    """
    for spoken in case.spoken():
        said = case.said.get(spoken.seed)
        if not said:
            continue
        stated = np.array([s.stated for s in said]) & case.present & np.isfinite(spoken.p_up + spoken.p_down)
        up, down = np.array([s.p_up for s in said]), np.array([s.p_down for s in said])
        far = stated & (np.maximum(abs(up - spoken.p_up), abs(down - spoken.p_down)) > STATED_APART)
        if not many(int(far.sum()), int(stated.sum()), share=0.05):
            continue
        what = (
            f"{far.sum():,} of {stated.sum():,} traces{_of_seed(spoken)} state probabilities that differ by more "
            f"than {STATED_APART} from the given ones"
        )
        severity = "warning"
        if stated.sum() >= 50:
            rho = [rank_correlation(a[stated], b[stated]) for a, b in ((up, spoken.p_up), (down, spoken.p_down))]
            what += f"; rank correlations {rho[0]:.2f} (up) and {rho[1]:.2f} (down)"
            severity = None if np.nanmax([*rho, -1.0]) < UNRELATED else "warning"
        yield Hit(what, case.ids(far), severity)


def _read(case: Case, spoken: Spoken) -> _Read | None:
    said = case.said.get(spoken.seed)
    if not said:
        return None
    answered = case.present & decided(spoken.p_up, spoken.p_down, case.challenge.unanswered)
    rows = np.array([i for i, s in enumerate(said) if s.label and answered[i]], int)
    label = np.array([LABELS.index(said[i].label) for i in rows], int)
    p = np.column_stack([spoken.p_up, spoken.p_down, 1 - spoken.p_up - spoken.p_down])[rows]
    return _Read(rows, label, p)


def _other_order(read: _Read) -> tuple[str, ...] | None:
    """The order of the three labels that explains the predictions where the usual one does not."""
    top = read.p.argmax(axis=1)
    if len(read.rows) < 20 or np.mean(top == read.label) >= 1 - CONTRADICTED or len(set(read.label)) < 2:
        return None
    agree = {order: float(np.mean(np.array(order)[read.label] == top)) for order in permutations(range(3))}
    best = max(agree, key=lambda order: agree[order])
    if best == (0, 1, 2) or agree[best] < OTHER_ORDER:
        return None
    return tuple(LABELS[i] for i in best)


def _of_seed(spoken: Spoken) -> str:
    return "" if spoken.seed is None else f" of seed {spoken.seed}"


RULES: Final = (
    Rule("answer.contradicts", "severe", contradictions),
    Rule("answer.unrelated", "severe", unrelated),
    Rule("answer.letters", "note", other_order),
    Rule("answer.no_trace", "severe", without_trace),
    Rule("answer.unsaid", "warning", unsaid),
    Rule("answer.not_as_stated", "severe", not_as_stated),
)
