"""Exports as others use them: Kaggle's call of the metric, pyarrow's reading, and no hidden label in public."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from perturbarena.benchmark import simulate_questions
from perturbarena.benchmark.exporters.huggingface import TEST_FILE, TRAIN_FILE
from perturbarena.benchmark.folders import USAGES, Solution
from perturbarena.benchmark.importers import Imported, Source, import_published, write_imported
from perturbarena.challenge.formats import read_table, write_table
from perturbarena.challenge.records import LABELS, LabelledQuestions
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import InputError
from perturbarena.evaluation import metric_rules, score_reference
from perturbarena.workflows.export import export_huggingface, export_kaggle

CHALLENGE = load_challenge("bioreasoning-2026")
KAGGLE = """
import importlib.util, json, sys
sys.path += json.loads(sys.argv[3])
try:
    import perturbarena
    sys.exit("the package is within reach")
except ModuleNotFoundError:
    pass
import pandas as pd
spec = importlib.util.spec_from_file_location("metric", sys.argv[1])
metric = importlib.util.module_from_spec(spec)
spec.loader.exec_module(metric)
solution, submission = pd.read_csv("solution.csv"), pd.read_csv(sys.argv[2])
scores = [metric.score(solution.copy(), submission.copy(), "id")]
for usage in ("Public", "Private"):
    block = solution[solution["Usage"] == usage].drop(columns="Usage")
    scores.append(metric.score(block, submission[submission["id"].isin(block["id"])], "id"))
print(json.dumps(scores))
"""


def make(folder: Path, *, seed: int = 0) -> Path:
    """A question set below ``folder``: bench/ and truth/; the seed changes only hidden labels and blocks."""
    simulated = simulate_questions(np.random.default_rng(7), n_perts=30, n_genes=60, n_questions=400).questions
    train, hidden = simulated.take(np.arange(250)), simulated.take(np.arange(250, 400)).questions
    solution = random_solution(hidden, seed)
    source = Source("csv", "Simulated", {}, citation="Doe 2030")
    write_imported(Imported(train, hidden, solution, source), folder / "bench", truth=folder / "truth")
    return folder


def random_solution(hidden, seed: int) -> Solution:
    rng = np.random.default_rng(seed)
    labels = np.array(LABELS, object)[rng.integers(3, size=len(hidden))]
    usage = np.array(USAGES, object)[rng.integers(2, size=len(hidden))]
    return Solution(LabelledQuestions(hidden, labels), usage)


def files_below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def kaggle_scores(exported: Path, track: str, submission: Path) -> list[float]:
    """Run the exported metric where the package cannot be imported."""
    site = json.dumps([p for p in sys.path if "site-packages" in p])
    metric = (exported / "organiser" / f"metric_track_{track.lower()}.py").resolve()
    command = [sys.executable, "-I", "-S", "-c", KAGGLE, str(metric), str(submission), site]
    done = subprocess.run(command, cwd=exported / "organiser", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory) -> Path:
    folder = make(tmp_path_factory.mktemp("set"))
    export_kaggle(folder / "bench", folder / "truth", folder / "kaggle", challenge=CHALLENGE)
    return folder / "kaggle"


@pytest.mark.parametrize("track", list(CHALLENGE.tracks))
def test_the_metric_scores_as_kaggle_calls_it(kaggle, tmp_path, track):
    sample = kaggle / "data" / f"sample_submission_track_{track.lower()}.csv"
    assert kaggle_scores(kaggle, track, sample) == [0.5, 0.5, 0.5]
    table = pd.read_csv(sample, keep_default_na=False)
    p = np.random.default_rng(1).dirichlet([1, 1, 1], len(table))
    table = table.assign(prediction_up=p[:, 0], prediction_down=p[:, 1])
    table.to_csv(tmp_path / "mine.csv", index=False)
    scores = kaggle_scores(kaggle, track, tmp_path / "mine.csv")
    solution = pd.read_csv(kaggle / "organiser" / "solution.csv")
    rules = metric_rules(CHALLENGE, track)
    expected = [
        score_reference(solution[rows], table, rules=rules, rng=np.random.default_rng(0), n_resamples=0).score
        for rows in (solution["Usage"] != "", solution["Usage"] == "Public", solution["Usage"] == "Private")
    ]
    assert scores == pytest.approx(expected, abs=1e-12)
    assert len(set(scores)) == 3


def test_kaggles_solution_has_the_columns_it_needs(kaggle):
    solution = pd.read_csv(kaggle / "organiser" / "solution.csv")
    test = read_table(kaggle / "data" / "test.csv")
    assert list(solution.columns) == ["id", "label", "Usage"]
    assert solution["id"].tolist() == test["id"].tolist()
    assert list(test.columns) == ["id", "pert", "gene"]


def test_the_organisers_half_is_apart(kaggle):
    assert {p.name for p in kaggle.iterdir()} == {"data", "organiser"}
    assert "publish nothing" in (kaggle / "organiser" / "README.md").read_text()
    assert not list((kaggle / "data").glob("*solution*"))


def test_nothing_public_depends_on_the_hidden_labels(tmp_path):
    """Two truths, one question set: every public byte is the same, and the solutions are not."""
    exports = []
    for seed in (1, 2):
        folder = make(tmp_path / str(seed), seed=seed)
        export_kaggle(folder / "bench", folder / "truth", folder / "kaggle", challenge=CHALLENGE)
        export_huggingface(folder / "bench", folder / "hf")
        exports.append(files_below(folder))
    public = [{k: v for k, v in e.items() if k.startswith(("bench/", "kaggle/data/", "hf/"))} for e in exports]
    assert public[0] == public[1]
    assert len(public[0]) == 4 + 6 + 3
    assert exports[0]["kaggle/organiser/solution.csv"] != exports[1]["kaggle/organiser/solution.csv"]


def test_hugging_face_tables_read_back_and_hold_no_hidden_label(tmp_path):
    folder = make(tmp_path)
    exported = export_huggingface(folder / "bench", folder / "hf")
    assert exported.public == (
        "README.md",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
    )
    train, test = (pq.read_table(folder / "hf" / file) for file in (TRAIN_FILE, TEST_FILE))
    pd.testing.assert_frame_equal(train.to_pandas(), read_table(folder / "bench" / "train.csv"))
    pd.testing.assert_frame_equal(test.to_pandas(), read_table(folder / "bench" / "test.csv"))
    assert test.column_names == ["id", "pert", "gene"]
    cells = {cell for column in test.columns for cell in column.to_pylist()}
    assert not cells & {"up", "down", "none"}
    raw = (folder / "hf" / TEST_FILE).read_bytes()
    assert not any(word in raw for word in (b"label", b"Usage", b"Private", b"Public"))
    hidden = read_table(folder / "truth" / "solution.csv")["id"]
    assert not set(hidden) & set(train.column("id").to_pylist())
    assert not any(id_ in (folder / "hf" / "README.md").read_text() for id_ in hidden)


def test_a_gene_called_na_stays_text(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "train.csv").write_text("id,pert,gene,label\nA_NA,A,NA,up\n")
    (tmp_path / "p" / "test.csv").write_text("id,pert,gene\nB_NA,B,NA\n")
    write_imported(import_published(tmp_path / "p"), tmp_path / "bench")
    export_huggingface(tmp_path / "bench", tmp_path / "hf")
    assert pq.read_table(tmp_path / "hf" / TEST_FILE).to_pylist() == [{"id": "B_NA", "pert": "B", "gene": "NA"}]


def test_an_export_stays_out_of_what_is_published(tmp_path):
    folder = make(tmp_path)
    with pytest.raises(InputError, match="must lie apart"):
        export_kaggle(folder / "bench", folder / "truth", folder / "bench" / "kaggle", challenge=CHALLENGE)
    assert not (folder / "bench" / "kaggle").exists()


def test_the_published_challenge_goes_out_and_comes_back(shared, tmp_path):
    """The real questions with made-up labels: exported to Kaggle, scored there, imported again, the same bytes."""
    write_imported(import_published(shared / "data" / "bioreasoning"), tmp_path / "bench")
    hidden = import_published(tmp_path / "bench").hidden
    write_table(tmp_path / "truth" / "solution.csv", random_solution(hidden, 3).table())
    exported = export_kaggle(tmp_path / "bench", tmp_path / "truth", tmp_path / "kaggle", challenge=CHALLENGE)
    assert exported.warnings == ("the question set states no licence; publish it only if it is yours to publish",)
    sample = tmp_path / "kaggle" / "data" / "sample_submission_track_a.csv"
    assert kaggle_scores(tmp_path / "kaggle", "A", sample) == [0.5, 0.5, 0.5]
    ours, theirs = (
        pd.read_csv(path, keep_default_na=False)
        for path in (sample, shared / "data" / "bioreasoning" / "sample_submission_track_a.csv")
    )
    assert sorted(ours.columns) == sorted(theirs.columns)
    assert ours["id"].tolist() == theirs["id"].tolist()
    again = import_published(tmp_path / "kaggle" / "data", solution=tmp_path / "kaggle" / "organiser")
    write_imported(again, tmp_path / "bench2", truth=tmp_path / "truth2")
    assert files_below(tmp_path / "bench2") == files_below(tmp_path / "bench")
    assert files_below(tmp_path / "truth2") == files_below(tmp_path / "truth")
    export_huggingface(tmp_path / "bench", tmp_path / "hf")
    table = pq.read_table(tmp_path / "hf" / TEST_FILE)
    assert (table.num_rows, table.column_names) == (1813, ["id", "pert", "gene"])
