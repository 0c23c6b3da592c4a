"""The challenge metric in one self-contained module: as published, and strict.

Kaggle runs a metric from a single file, so this module imports nothing of the package and its source is pasted,
as it stands, into that file (:mod:`perturbarena.evaluation.kaggle`). The published behaviour is kept with its
oddities: what it accepts, in which order it complains, and in which words. The strict behaviour refuses what
cannot be meant. Both are steered by one dictionary of rules:

``mode``     "published" or "strict"
``p_up``     name of the column with the probability of up; ``p_down`` likewise
``track``    true for a track's metric, false for the plain one, which words some messages differently
``columns``  further columns that must be there, in order
``limits``   ``[{"column", "what", "max", "advice"}, …]``, upper bounds of count columns, in the order of checking
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

SUM_TOLERANCE = 1e-6
"""How far p_up + p_down may exceed 1 in strict mode: room for probabilities written with six decimals."""
EXAMPLES_SHOWN = 3
"""Ids that a strict message names when many rows are missing."""


class ParticipantVisibleError(Exception):
    """A refusal that the participant gets to read."""


class Outcome(NamedTuple):
    """The score, its two halves, and the rows they rest on: label, p_up, p_down, in the solution's order."""

    score: float
    de_auroc: float
    dir_auroc: float
    ids: np.ndarray
    label: np.ndarray
    p_up: np.ndarray
    p_down: np.ndarray


def evaluate(solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, rules: dict[str, Any]) -> Outcome:
    """Score under ``rules``; ParticipantVisibleError where the input is refused."""
    if rules["mode"] == "published":
        return published(solution, submission, row_id, rules)
    p_up, p_down = strict_predictions(solution[row_id], submission, row_id, rules)
    label = solution["label"].to_numpy(object)
    odd = ~np.isin(label, ("up", "down", "none"))
    if odd.any():
        raise ParticipantVisibleError(f"A label must be up, down or none; the solution holds {label[odd][0]!r}.")
    return _outcome(solution[row_id].to_numpy(object), label, p_up, p_down, direction_strict(p_up, p_down), rules)


# ---- as published ------------------------------------------------------------------------------------------


def published(solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, rules: dict[str, Any]) -> Outcome:
    """The behaviour of the challenge's published scripts, errors and all.

    Rows are joined from the solution's side: unknown ids are ignored and a repeated id counts repeatedly. Values
    outside [0, 1] and sums over 1 pass. A count that is no number is read as 0.
    """
    absent = [name for name in rules["columns"] if name not in submission.columns]
    if absent:
        raise ParticipantVisibleError(
            f"Submission is missing required column(s): {', '.join(absent)}. "
            "See the sample submission file for the expected format."
        )
    rows = solution.merge(submission, on=row_id, how="left")
    for limit in rules["limits"]:
        _check_limit(rows, row_id, limit)
    p_up, p_down = _published_values(rows, rules)
    label = rows["label"].to_numpy()
    return _outcome(rows[row_id].to_numpy(), label, p_up, p_down, direction_published(p_up, p_down), rules)


def _check_limit(rows: pd.DataFrame, row_id: str, limit: dict[str, Any]) -> None:
    counts = pd.to_numeric(rows[limit["column"]], errors="coerce").fillna(0)
    found, allowed = counts.max(), limit["max"]
    if not found > allowed:
        return
    if limit["what"] == "prompt_tokens":
        text = f"Prompt-token limit exceeded: max {allowed:,}, but submission reports {int(found):,}."
    elif limit["what"] == "tool_calls":
        which = ", ".join(rows[row_id][counts > allowed].astype(str).head(5))
        text = f"Tool-call limit exceeded: max {allowed} per row, but found {int(found)} (rows: {which})."
    elif limit["what"] == "distinct_tools":
        text = f"Distinct-tools limit exceeded: max {allowed}, but submission reports {int(found)}."
    else:
        text = f"Limit exceeded: {limit['column']} may be at most {allowed}, but submission reports {int(found)}."
    raise ParticipantVisibleError(f"{text} {limit['advice']}".rstrip())


def _published_values(rows: pd.DataFrame, rules: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    names = (rules["p_up"], rules["p_down"])
    for name in names:
        if name not in rows.columns:
            raise ParticipantVisibleError(f"Submission is missing required column '{name}'.")
        blank = rows[name].isna().sum()
        if blank > 0:
            raise ParticipantVisibleError(f"Submission is missing {name} values for {blank} rows.")
        if not rules["track"]:
            # The plain script looks before it converts, so a column of text stops it with a TypeError.
            _refuse_infinite(rows[name].to_numpy(), f"'{name}'")
    p_up, p_down = (np.asarray(rows[name]).astype(float) for name in names)
    if rules["track"]:
        for name, values in zip(names, (p_up, p_down), strict=True):
            _refuse_infinite(values, f"{name}.")
    return p_up, p_down


def _refuse_infinite(values: np.ndarray, where: str) -> None:
    if np.any(np.isnan(values)) or np.any(np.isinf(values)):
        raise ParticipantVisibleError(f"Submission contains NaN or Inf in {where.rstrip('.')}.")


def direction_published(p_up: np.ndarray, p_down: np.ndarray) -> np.ndarray:
    """``p_up / (p_up + p_down)``, and p_up itself where the sum is 0: (0, 0) reads as "most certainly down"."""
    total = p_up + p_down
    return p_up / np.where(total == 0, 1.0, total)


# ---- strict ------------------------------------------------------------------------------------------------


def direction_strict(p_up: np.ndarray, p_down: np.ndarray) -> np.ndarray:
    """``p_up / (p_up + p_down)``, and 0.5 where the sum is 0: no opinion on the direction."""
    total = p_up + p_down
    return np.where(total == 0, 0.5, p_up / np.where(total == 0, 1.0, total))


def strict_predictions(
    wanted: pd.Series,
    submission: pd.DataFrame,
    row_id: str,
    rules: dict[str, Any],
    known: pd.Series | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """p_up and p_down of the ``wanted`` ids, in their order.

    ``known`` are the ids that a submission may hold (default: the wanted ones). Refused: a missing column, a
    duplicate, unknown or missing id, a cell that is no number, a value outside [0, 1], a sum over 1, a count over
    its limit.
    """
    needed = [row_id, rules["p_up"], rules["p_down"], *rules["columns"]]
    absent = [name for name in needed if name not in submission.columns]
    if absent:
        raise ParticipantVisibleError(f"The submission needs the column(s) {', '.join(absent)}.")
    ids = submission[row_id].astype(str)
    position = _check_ids(ids, wanted.astype(str), (wanted if known is None else known).astype(str))
    p_up, p_down = (_number(submission, name, ids, 0, 1) for name in (rules["p_up"], rules["p_down"]))
    over = np.flatnonzero(p_up + p_down > 1 + SUM_TOLERANCE)
    if len(over):
        got = f"{p_up[over[0]]:.9g} + {p_down[over[0]]:.9g} = {p_up[over[0]] + p_down[over[0]]:.9g}"
        raise ParticipantVisibleError(
            f"{rules['p_up']} + {rules['p_down']} must be at most 1; got {got} {_place(ids, over[0])}."
        )
    for limit in rules["limits"]:
        _number(submission, limit["column"], ids, 0, limit["max"])
    return p_up[position], p_down[position]


def _check_ids(ids: pd.Series, wanted: pd.Series, known: pd.Series) -> np.ndarray:
    repeated = np.flatnonzero(ids.duplicated())
    if len(repeated):
        first = int(np.flatnonzero(ids == ids.iloc[repeated[0]])[0])
        raise ParticipantVisibleError(
            f"Each id must stand once; {ids.iloc[repeated[0]]} is in data rows {first + 1} and {repeated[0] + 1}."
        )
    unknown = np.flatnonzero(~ids.isin(known))
    if len(unknown):
        raise ParticipantVisibleError(
            f"{len(unknown)} of {len(ids)} ids are not among the questions, first {_place(ids, unknown[0])}."
        )
    position = pd.Index(ids).get_indexer(pd.Index(wanted))
    missing = np.flatnonzero(position < 0)
    if len(missing):
        names = ", ".join(wanted.iloc[missing[:EXAMPLES_SHOWN]])
        more = ", …" if len(missing) > EXAMPLES_SHOWN else ""
        raise ParticipantVisibleError(
            f"{len(missing)} of {len(wanted)} questions have no prediction; missing: {names}{more}."
        )
    return position


def _number(submission: pd.DataFrame, name: str, ids: pd.Series, low: float, high: float) -> np.ndarray:
    column = submission[name]
    odd = np.flatnonzero(pd.to_numeric(column, errors="coerce").isna() | (column.dtype == bool))
    if len(odd):
        raise ParticipantVisibleError(
            f"{name} must be a number; got {column.iloc[odd[0]]!r} {_place(ids, odd[0])}."
        )
    # Not to_numeric's values: it is off by one bit in every third text, which breaks ties.
    values = column.to_numpy().astype(float)
    out = np.flatnonzero((values < low) | (values > high))
    if len(out):
        raise ParticipantVisibleError(
            f"{name} must lie between {low} and {high}; got {values[out[0]]:.12g} {_place(ids, out[0])}."
        )
    return values


def _place(ids: pd.Series, i: int) -> str:
    return f"(id {ids.iloc[i]}, data row {i + 1})"


# ---- both --------------------------------------------------------------------------------------------------


def _outcome(
    ids: np.ndarray,
    label: np.ndarray,
    p_up: np.ndarray,
    p_down: np.ndarray,
    direction: np.ndarray,
    rules: dict[str, Any],
) -> Outcome:
    plain = not rules["track"]
    moved = label != "none"
    if len(set(moved)) < 2:
        raise ParticipantVisibleError(
            "All rows have the same DE label." + (" Cannot compute DE AUROC." if plain else "")
        )
    de = roc_auc_score(moved.astype(int), p_up + p_down)
    is_up = (label[moved] == "up").astype(int)
    if len(set(is_up)) < 2:
        raise ParticipantVisibleError(
            "All DE-positive rows have the same direction"
            + (" label. Cannot compute DIR AUROC." if plain else ".")
        )
    direct = roc_auc_score(is_up, direction[moved])
    return Outcome(float((de + direct) / 2.0), float(de), float(direct), ids, label, p_up, p_down)
