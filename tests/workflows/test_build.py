"""A build from start to end: the contract of its files, and that it gives the same bytes however it gets there."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflows.built import N_NULLS, contents, plan_of, quick_settings, write_screen

from perturbarena.benchmark import read_question_set
from perturbarena.challenge.formats import read_table, sha256
from perturbarena.errors import InputError
from perturbarena.screen import estimate_effects, read_effect_table, read_screen, write_effect_table
from perturbarena.workflows.build import build_benchmark
from perturbarena.workflows.build.source import effects_of

STAGES = ("effects", "nulls", "questions", "audit", "ceilings", "power", "card")


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_screen(tmp_path_factory.mktemp("screen") / "screen.h5ad")


@pytest.fixture(scope="module")
def table(screen: Path) -> Path:
    path = screen.with_name("effects.h5ad")
    write_effect_table(path, estimate_effects(read_screen(screen, perturbation="perturbation", control="control")))
    return path


@pytest.fixture(scope="module")
def built(screen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build_benchmark(plan_of(screen, folder))
    return folder


def test_files_and_columns(built):
    bench, truth = contents(built / "bench"), contents(built / "truth")
    assert set(truth) == {"solution.csv"}
    assert {"train.csv", "test.csv", "benchmark.json", "README.md"} <= set(bench)
    train, test = read_table(built / "bench/train.csv"), read_table(built / "bench/test.csv")
    solution = read_table(built / "truth/solution.csv")
    assert list(train.columns) == ["id", "pert", "gene", "label"]
    assert list(test.columns) == ["id", "pert", "gene"]
    assert list(solution.columns) == ["id", "label", "Usage"]
    shuffled = sorted(test["id"], key=lambda id_: hashlib.sha256(id_.encode()).hexdigest())
    assert list(test["id"]) == shuffled == list(solution["id"])
    assert list(test["id"]) == list(test["pert"] + "_" + test["gene"])
    assert set(solution["Usage"]) == {"Public", "Private"}
    assert set(solution["label"]) <= {"up", "down", "none"}
    assert not {".part", ".partial"} & {path.suffix for path in built.iterdir()}


def test_splits_share_no_name_on_either_axis(built):
    train, test = read_table(built / "bench/train.csv"), read_table(built / "bench/test.csv")
    usage = read_table(built / "truth/solution.csv")["Usage"]
    blocks = [train, test[usage == "Public"], test[usage == "Private"]]
    for i, a in enumerate(blocks):
        for b in blocks[i + 1 :]:
            assert not set(a["pert"]) & set(b["pert"])
            assert not set(a["gene"]) & set(b["gene"])
            assert not (set(a["pert"]) & set(b["gene"])) | (set(b["pert"]) & set(a["gene"]))


def test_labels_are_those_of_the_effects(built, table):
    effects = effects_of(read_effect_table(table), "")
    pert = {name: i for i, name in enumerate(effects.perturbations)}
    gene = {name: i for i, name in enumerate(effects.genes)}
    asked = read_question_set(built / "bench", truth=built / "truth")
    for rows in (asked.train.rows, asked.truth.rows):
        for p, g, label in zip(rows.pert, rows.gene, rows.label, strict=True):
            log2fc, fdr = effects.log2fc[pert[p], gene[g]], effects.fdr[pert[p], gene[g]]
            if label == "none":
                assert fdr >= 0.05
                assert abs(log2fc) < 0.25
            else:
                assert fdr < 0.05
                assert log2fc >= 0.5849 if label == "up" else log2fc <= -0.5849


def test_the_record_tells_all_and_hashes_hold(built):
    record = json.loads((built / "bench/benchmark.json").read_text())
    for name, digest in record["files"].items():
        file = built / ("truth" if name == "solution.csv" else "bench") / name
        assert sha256(file) == digest
    assert set(record["files"]) == set(contents(built / "bench")) - {"benchmark.json"} | {"solution.csv"}
    assert record["format_version"] == 1
    assert record["counts"]["train"]["rows"] == len(read_table(built / "bench/train.csv"))
    assert record["null_calibration"]["nulls"] == N_NULLS
    assert record["provenance"]["input"]["columns"]["guide"] == "guide"
    assert {"split_half", "gene_mean"} <= set(record["ceilings"]["test"])
    card = (built / "bench/README.md").read_text()
    for name in record["files"]:
        assert (
            f"({name})" in card if name.endswith(".svg") else name == "README.md" or record["files"][name] in card
        )
    for finding in record["audit"]["findings"]:
        assert finding["verdict"] in card


def test_the_same_build_is_done_and_gives_the_same_bytes_elsewhere(built, screen, tmp_path):
    before = contents(built)
    assert build_benchmark(plan_of(screen, built)).already
    assert contents(built) == before
    assert not build_benchmark(plan_of(screen, tmp_path)).already
    assert contents(tmp_path) == before


def test_an_effect_table_gives_the_same_questions(built, table, tmp_path):
    record = build_benchmark(plan_of(table, tmp_path)).record
    for name in ("bench/train.csv", "bench/test.csv", "truth/solution.csv"):
        assert (tmp_path / name).read_bytes() == (built / name).read_bytes()
    assert "effect table" in record["null_calibration"]["not_measured"]
    assert record["ceilings"]["test"]["split_half"] is None


def test_another_seed_gives_other_questions(built, table, tmp_path):
    build_benchmark(plan_of(table, tmp_path, seed=2))
    assert (tmp_path / "bench/train.csv").read_bytes() != (built / "bench/train.csv").read_bytes()


def test_the_published_design(table, tmp_path):
    record = build_benchmark(plan_of(table, tmp_path, quick_settings("bioreasoning-2026"))).record
    assert record["design"] == "bioreasoning-2026"
    assert record["settings"]["labels"]["ask_self"]
    assert "for comparison" in (tmp_path / "bench/README.md").read_text()


class _KilledError(Exception):
    pass


class _KillAt:
    """Raises when a stage begins."""

    def __init__(self, stage: str) -> None:
        self.at, self.seen = stage, []

    def stage(self, name: str, *, kept: bool) -> None:
        self.seen.append((name, kept))
        if name == self.at:
            raise _KilledError

    def step(self, done: int, total: int) -> None:
        pass


def test_a_build_stopped_at_any_stage_goes_on_to_the_same_bytes(built, screen, tmp_path):
    for stage in STAGES[1:]:
        watch = _KillAt(stage)
        with pytest.raises(_KilledError):
            build_benchmark(plan_of(screen, tmp_path), watch=watch)
        assert not (tmp_path / "bench").exists()
        assert not (tmp_path / "truth").exists()
        made = dict(watch.seen[:-1])
        assert all(made[name] for name in STAGES[: STAGES.index(stage) - 1] if name != "questions")
    build_benchmark(plan_of(screen, tmp_path))
    assert contents(tmp_path) == contents(built)


def test_stopped_between_the_two_folders(built, table, tmp_path, monkeypatch):
    plan = plan_of(table, tmp_path)
    rename = Path.rename

    def only_truth(self: Path, target: Path) -> Path:
        if target == plan.bench:
            raise _KilledError
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", only_truth)
        with pytest.raises(_KilledError):
            build_benchmark(plan)
    assert (tmp_path / "truth/solution.csv").exists()
    assert not (tmp_path / "bench").exists()
    build_benchmark(plan)
    assert (tmp_path / "truth/solution.csv").read_bytes() == (built / "truth/solution.csv").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"bench", "truth"}


KILLED = """
import os
from pathlib import Path
from tests.workflows.built import plan_of
from perturbarena.workflows.build import build_benchmark

class Watch:
    def stage(self, name, *, kept):
        self.name = name
        if name == {stage!r} and name in ("audit", "card"):
            os.kill(os.getpid(), 9)

    def step(self, done, total):
        if self.name == {stage!r} and done > 16:
            os.kill(os.getpid(), 9)

build_benchmark(plan_of(Path({screen!r}), Path({folder!r})), workers=1, watch=Watch())
"""


@pytest.mark.slow  # starts processes and kills them
@pytest.mark.parametrize("stage", ["effects", "nulls", "audit", "ceilings", "card"])
def test_kill_9_in_the_middle_of_a_stage(built, screen, tmp_path, stage):
    code = KILLED.format(stage=stage, screen=str(screen), folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "bench").exists()
    build_benchmark(plan_of(screen, tmp_path))
    assert contents(tmp_path) == contents(built)


def test_nothing_in_bench_tells_a_hidden_label(built):
    solution, questions = read_table(built / "truth/solution.csv"), read_table(built / "bench/test.csv")
    for name, raw in contents(built / "bench").items():
        text = raw.decode()
        if name == "test.csv":
            assert all(len(cells) == 3 for cells in csv.reader(text.splitlines()))
            continue
        assert not [i for i in solution["id"] if i in text], name
        assert not [p for p in set(questions["pert"]) if re.search(rf"\b{p}\b", text)], name
    record = json.loads((built / "bench/benchmark.json").read_text())
    measured = {k: v for k, v in record.items() if k not in ("settings", "effects")}
    assert all(x == round(x, 4) for x in _floats(measured))


def _floats(value: object) -> list[float]:
    if isinstance(value, dict):
        return _floats(list(value.values()))
    if isinstance(value, list):
        return [x for item in value for x in _floats(item)]
    return [value] if isinstance(value, float) else []


def test_the_seed_alone_does_not_repeat_the_draws(screen, table, tmp_path):
    """Same names, seed and settings, other effects: other splits, so that a published seed is no key."""
    other = read_effect_table(table)
    other.layers["log2fc_shrunk"] = other.layers["log2fc_shrunk"] * 1.0001
    write_effect_table(tmp_path / "other.h5ad", other)
    build_benchmark(plan_of(table, tmp_path / "a"))
    build_benchmark(plan_of(tmp_path / "other.h5ad", tmp_path / "b"))
    test = [set(read_table(tmp_path / k / "bench/test.csv")["pert"]) for k in "ab"]
    assert test[0] != test[1]


def test_groups_stay_together(table, tmp_path):
    effects = effects_of(read_effect_table(table), "")
    names = sorted({*effects.genes, *effects.perturbations})
    groups = {name: f"g{i // 4}" for i, name in enumerate(names)}
    file = tmp_path / "groups.csv"
    file.write_text("gene,group\n" + "".join(f"{n},{g}\n" for n, g in groups.items()))
    plan = plan_of(table, tmp_path)
    build_benchmark(type(plan)(**{f: getattr(plan, f) for f in plan.__dataclass_fields__} | {"groups": file}))
    train, test = read_table(tmp_path / "bench/train.csv"), read_table(tmp_path / "bench/test.csv")
    sides = [{groups[n] for n in {*t["pert"], *t["gene"]}} for t in (train, test)]
    assert not sides[0] & sides[1]
    file.write_text(file.read_text() + f"{names[0]},other\n")
    with pytest.raises(InputError, match=f"a gene may be in one group; {names[0]} is in several"):
        build_benchmark(type(plan)(**{f: getattr(plan, f) for f in plan.__dataclass_fields__} | {"groups": file}))
