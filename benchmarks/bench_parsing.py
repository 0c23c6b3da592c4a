"""Parse rates, agreement with the last answer tag, and texts a second on recorded model outputs.

The folder with the data is named by PERTURBARENA_TEST_DATA; without it there is nothing to measure.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from perturbarena.challenge.formats import read_table
from perturbarena.tracks import parse_answers, parse_report

FOLDER = Path(os.environ.get("PERTURBARENA_TEST_DATA", Path(__file__).resolve().parents[2] / "shared"))
OUTPUTS = FOLDER / "data" / "llm_outputs"
SEEDS = tuple(f"reasoning_trace_seed{seed}" for seed in (42, 43, 44))
FILES = {
    "prompt_train2499": SEEDS,
    "kit_track_a_test": SEEDS,
    "kit_track_b_test": ("reasoning_trace",),
    "kit_track_c_test": ("reasoning_trace",),
}
TAG = re.compile(r"<answer>\s*([ABC])\s*</answer>")
TAGS_OUT = re.compile(r"<answer>[^<]*</answer>\.?")
LABEL = {"A": "up", "B": "down", "C": "none"}


def main() -> None:
    if not OUTPUTS.is_dir():
        print(f"no recorded outputs at {OUTPUTS} (set PERTURBARENA_TEST_DATA)")
        return
    print("| file | column | texts | parse rate | rows with a tag | agree | texts/s | how |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, columns in FILES.items():
        table = read_table(OUTPUTS / f"{name}.csv.gz")
        for column in columns:
            print(_row(name, column, list(table[column])))
    print("\nWith every tag taken out of the text, against the tag:\n")
    print("| file | texts | read | wrong |\n| --- | --- | --- | --- |")
    for name in ("prompt_train2499", "kit_track_a_test"):
        table = read_table(OUTPUTS / f"{name}.csv.gz")
        print(_without_tags(name, [text for column in SEEDS for text in table[column]]))


def _row(name: str, column: str, texts: list[str]) -> str:
    start = time.perf_counter()
    answers = parse_answers(texts)
    rate = len(texts) / (time.perf_counter() - start)
    report = parse_report(answers)
    tagged = [
        (answer.label, LABEL[tags[-1]])
        for answer, text in zip(answers, texts, strict=True)
        if (tags := TAG.findall(text))
    ]
    agree = sum(got == want for got, want in tagged)
    how = ", ".join(f"{key} {count:,}" for key, count in report.how.items())
    cells = (
        name,
        column,
        f"{len(texts):,}",
        f"{report.parse_rate:.2%}",
        f"{len(tagged):,}",
        f"{agree:,}",
        f"{rate:,.0f}",
        how,
    )
    return f"| {' | '.join(cells)} |"


def _without_tags(name: str, texts: list[str]) -> str:
    answers = parse_answers(TAGS_OUT.sub("", text) for text in texts)
    pairs = [(answer, LABEL[TAG.findall(text)[-1]]) for answer, text in zip(answers, texts, strict=True)]
    read = [(answer.label, want) for answer, want in pairs if answer.parsed]
    wrong = sum(got != want for got, want in read)
    return f"| {name} | {len(texts):,} | {len(read):,} ({len(read) / len(texts):.1%}) | {wrong} |"


if __name__ == "__main__":
    main()
