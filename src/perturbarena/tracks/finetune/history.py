"""The course of a training: one row a logged step, the same whether it ran in one go or was resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from perturbarena.challenge.formats import read_table, write_table

COLUMNS: Final = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "token_accuracy",
    "reward": "reward",
    "reward_std": "reward_sd",
    "completions/mean_length": "length",
    "kl": "kl",
    "validation_de": "validation_de",
    "validation_dir": "validation_dir",
    "validation_log_loss": "validation_log_loss",
    "validation_mass": "validation_mass",
    "validation_auroc": "validation_auroc",
}
"""What is kept of the trainer's log, and its name here; ``rewards/NAME/mean`` becomes ``reward_NAME``. Its count
of tokens is not kept: it begins anew where a training is gone on with."""


def history_table(log: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The trainer's log as a table: ``step`` and the columns that occur; what was not logged at a step is NaN."""
    rows: dict[int, dict[str, float]] = {}
    for entry in log:
        row = rows.setdefault(int(entry["step"]), {})
        for key, value in entry.items():
            name = COLUMNS.get(key)
            if name is None and key.startswith("rewards/") and key.endswith("/mean"):
                name = f"reward_{key.split('/')[1]}"
            if name is not None:
                row[name] = float(value)
    order = list(dict.fromkeys(COLUMNS.values()))
    found = {name for row in rows.values() for name in row}
    columns = [name for name in order if name in found] + sorted(found - set(order))
    table = pd.DataFrame([{"step": step} | rows[step] for step in sorted(rows)], columns=["step", *columns])
    return table.astype(dict.fromkeys(columns, "float64"))


def write_history(path: Path, log: Sequence[Mapping[str, Any]]) -> None:
    """Write ``history.csv``."""
    write_table(path, history_table(log))


def read_history(path: Path) -> pd.DataFrame:
    """Read ``history.csv``; empty cells are NaN."""
    table = read_table(path, required=("step",))
    return table.apply(pd.to_numeric, errors="coerce")
