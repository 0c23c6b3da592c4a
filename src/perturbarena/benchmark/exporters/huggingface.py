"""The Hugging Face layout: Parquet tables, and a card whose head says what is in them.

Training and hidden rows are two configurations, not two splits of one: splits of one configuration must have the
same columns, and the hidden rows have no label column at all. Nothing here takes the truth as an argument.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from perturbarena.benchmark.folders import QuestionFolder
from perturbarena.challenge.records import LABELS, LabelledQuestions, Questions

if TYPE_CHECKING:
    import pyarrow as pa

TRAIN_FILE: Final = "data/train-00000-of-00001.parquet"
TEST_FILE: Final = "data/test-00000-of-00001.parquet"
_CONFIGS: Final = (("labelled", "train", TRAIN_FILE), ("hidden", "test", TEST_FILE))
"""Configuration, split, file; the first is the default."""
_IDENTIFIERS: Final = (
    "mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "odbl", "odc-by", "gpl-3.0", "unknown",
)  # fmt: skip
"""Licences that the hub knows by these names; https://huggingface.co/docs/hub/repositories-licenses."""
_SIZES: Final = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))


def parquet_table(rows: Questions | LabelledQuestions) -> pa.Table:
    """``id,pert,gene`` as text, and ``label`` where the rows have one."""
    import pyarrow as pa

    names = ("id", "pert", "gene", "label") if isinstance(rows, LabelledQuestions) else ("id", "pert", "gene")
    return pa.table({name: pa.array(getattr(rows, name).tolist(), pa.string()) for name in names})


def dataset_card(folder: QuestionFolder) -> str:
    """README.md: YAML front matter, then the set's own card, how to load it, the citation.

    Every value of the front matter is written as JSON, which is YAML too, and control characters become blanks, so
    that no title can break it.
    """
    title = _printable(folder.stated("title")) or folder.path.resolve().name
    head = {
        "pretty_name": title,
        **_licence(folder.stated("licence")),
        "task_categories": ["tabular-classification"],
        "tags": ["biology", "genomics", "perturb-seq", "gene-perturbation"],
        "size_categories": [_size(len(folder.train) + len(folder.hidden))],
        "configs": [
            {"config_name": name, "data_files": [{"split": split, "path": path}]}
            | ({"default": True} if i == 0 else {})
            for i, (name, split, path) in enumerate(_CONFIGS)
        ],
        "dataset_info": [
            _info(name, split, rows)
            for (name, split, _), rows in zip(_CONFIGS, (folder.train, folder.hidden), strict=True)
        ],
    }
    front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())
    parts = [f"---\n{front}\n---", _body(folder.card) or f"# {title}", _LOADING]
    citation = folder.stated("citation")
    if citation and citation not in parts[1]:
        parts.append(f"## Citation\n\n{citation}")
    return "\n\n".join(parts) + "\n"


_LOADING: Final = f"""## Loading

What the text above calls train.csv and test.csv are here

- configuration `labelled`, split `train`: `id`, `pert`, `gene`, `label` ({", ".join(LABELS)})
- configuration `hidden`, split `test`: `id`, `pert`, `gene`; the labels are not published"""


def _info(name: str, split: str, rows: Questions | LabelledQuestions) -> dict[str, Any]:
    columns = ["id", "pert", "gene"] + (["label"] if isinstance(rows, LabelledQuestions) else [])
    return {
        "config_name": name,
        "features": [{"name": column, "dtype": "string"} for column in columns],
        "splits": [{"name": split, "num_examples": len(rows)}],
    }


def _licence(stated: str) -> dict[str, str]:
    name = stated.casefold()
    if name in ("", "none stated"):
        return {"license": "unknown"}
    if name in _IDENTIFIERS:
        return {"license": name}
    slug = re.sub(r"[^a-z0-9.]+", "-", name).strip("-")
    return {"license": "other", "license_name": slug or "other"}


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _size(n: int) -> str:
    return next((name for limit, name in _SIZES if n < limit), "1M<n<10M")


def _body(card: str) -> str:
    """A card's text without a front matter of its own: two would be none."""
    return re.sub(r"\A---\n.*?\n---\n", "", card.lstrip("\ufeff"), flags=re.DOTALL).strip()
