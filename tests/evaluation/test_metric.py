import re

import numpy as np
import pandas as pd
import pytest
from scoring_cases import question_set, solution_of, table_of

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import FormatError, InputError, PredictionError, ReferenceMetricError
from perturbarena.evaluation import MEASURES, metric_rules, score_files, score_strict
from perturbarena.stats.auroc import auroc, paired_auroc, stratified_auroc

CHALLENGE = load_challenge("bioreasoning-2026")


def set_cell(table, value):
    """The table with another ``prediction_up`` in data row 8."""
    column = table["prediction_up"].to_numpy(object).copy()
    column[7] = value
    return table.assign(prediction_up=column)


def scored(truth, predictions, **options):
    return score_strict(truth, predictions, rng=np.random.default_rng(0), **{"n_resamples": 50} | options)


def test_the_measures_are_what_they_say():
    truth, p = question_set()
    found = scored(truth, p)
    de, moved = p.p_up + p.p_down, truth.is_de
    rows = pd.Series(truth.gene).map(pd.Series(truth.gene).value_counts()).to_numpy()
    assert found.de_auroc == pytest.approx(auroc(moved, de))
    assert found.dir_auroc == pytest.approx(auroc(truth.is_up[moved], (p.p_up / de)[moved]))
    assert found.score == pytest.approx((found.de_auroc + found.dir_auroc) / 2)
    assert found.de_within_strata == pytest.approx(stratified_auroc(moved, de, rows).value)
    within = paired_auroc(moved, de, truth.gene)
    assert (found.de_within_gene, found.n_pairs) == (pytest.approx(within.value), within.n_pairs)
    assert (found.n, found.n_de, found.n_up) == (200, moved.sum(), truth.is_up.sum())
    assert (found.n_perts, found.n_genes) == (15, len(set(truth.gene)))
    assert all(found.intervals[name].low < getattr(found, name) < found.intervals[name].high for name in MEASURES)
    assert not found.unscored


def test_no_opinion_on_the_direction_is_one_half():
    truth, p = question_set()
    p_up, p_down = p.p_up.copy(), p.p_down.copy()
    p_up[:60] = p_down[:60] = 0
    zero = scored(truth, Predictions(p.id, p_up, p_down))
    p_up[:60] = p_down[:60] = 0.2
    assert zero.dir_auroc == pytest.approx(scored(truth, Predictions(p.id, p_up, p_down)).dir_auroc)


def test_the_interval_of_the_score_carries_the_covariance():
    """With DE and DIR from unrelated rows, Var(score) is about a quarter of the sum."""
    truth, p = question_set(n=500)
    v = scored(truth, p, n_resamples=2000).variances
    assert v["score"].row == pytest.approx((v["de_auroc"].row + v["dir_auroc"].row) / 4, rel=0.2)
    same = Predictions(p.id, np.where(truth.is_de, 0.9, p.p_up * 0.5), np.full(500, 0.05))
    v = scored(truth, same, n_resamples=200).variances
    assert v["score"].row == pytest.approx(v["dir_auroc"].row / 4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: pd.concat([t, t.iloc[[3]]]), r"Each id must stand once; \S+ is in data rows 4 and 201"),
        (lambda t: t.drop(index=[2, 5]), r"2 of 200 questions have no prediction; missing: P\S+, P\S+\."),
        (lambda t: t.iloc[:50], r"150 of 200 questions .*, …"),
        (lambda t: t.assign(id=["odd", *t["id"][1:]]), r"1 of 200 ids .* first \(id odd, data row 1\)"),
        (lambda t: t.drop(columns="prediction_down"), r"needs the column\(s\) prediction_down"),
        (lambda t: t.drop(columns="id"), r"needs the column\(s\) id"),
        (
            lambda t: set_cell(t, "often"),
            r"got 'often' \(id .*, data row 8\)",
        ),
        (lambda t: set_cell(t, ""), r"must be a number; got ''"),
        (lambda t: set_cell(t, np.nan), "must be a number; got nan"),
        (lambda t: t.assign(prediction_up=True), "must be a number; got "),
        (lambda t: set_cell(t, np.inf), "must lie between 0 and 1; got inf"),
        (lambda t: set_cell(t, -1e-9), "must lie between 0 and 1; got -1e-09"),
        (lambda t: set_cell(t, 1.0), r"must be at most 1; got 1 \+ "),
    ],
)
def test_strict_refuses_what_cannot_be_meant(spoil, message):
    truth, p = question_set()
    table = table_of(p).astype(object)
    with pytest.raises(PredictionError, match=message):
        scored(truth, spoil(table))
    scored(truth, table.astype(str))  # unspoilt, as text, it passes


def test_text_is_read_to_the_last_bit():
    """Sums of exactly 0.5 are ties; one bit off, and they are not."""
    truth, p = question_set()
    p_up = p.p_up / 2
    tied = Predictions(p.id, p_up, 0.5 - p_up)
    assert scored(truth, tied).de_auroc == 0.5
    assert scored(truth, table_of(tied).astype(object).map(str)).de_auroc == 0.5


def test_a_sum_may_exceed_one_by_rounding():
    truth, p = question_set()
    p_up = np.full(200, 1 / 3)
    scored(truth, Predictions(p.id, p_up, 1 - p_up + 5e-7))
    with pytest.raises(PredictionError, match="at most 1"):
        scored(truth, Predictions(p.id, p_up, 1 - p_up + 5e-6))


@pytest.mark.parametrize(
    ("label", "gone", "reason"),
    [
        ("none", {"score", "de_auroc", "dir_auroc", "de_within_strata", "de_within_gene"}, "0 of 200 rows moved"),
        ("up", {"score", "de_auroc", "dir_auroc", "de_within_strata", "de_within_gene"}, "200 of 200 rows moved"),
        ("no down", {"score", "dir_auroc"}, "of .* moved rows go up"),
    ],
)
def test_undefined_is_nan_with_a_reason_and_null_in_json(label, gone, reason):
    truth, p = question_set()
    labels = np.where(truth.label == "down", "up", truth.label) if label == "no down" else np.full(200, label)
    found = scored(LabelledQuestions(truth.questions, labels), p)
    assert {name for name in MEASURES if np.isnan(getattr(found, name))} == gone
    assert {name for name in MEASURES if found.intervals[name] is None} == gone
    assert re.search(reason, found.unscored["score"])
    assert all(found.as_json()[name] is None for name in gone)


def test_a_perfect_ranking_has_no_interval_and_says_why():
    truth, p = question_set()
    perfect = Predictions(p.id, truth.is_up.astype(float), (truth.label == "down").astype(float))
    found = scored(truth, perfect)
    assert found.score == 1
    assert found.intervals["score"] is None
    assert "every pair is ranked right" in found.unscored["intervals.score"]


def test_a_class_too_rare_for_resampling_is_told():
    truth, p = question_set()
    label = np.where(truth.label == "down", "up", truth.label)
    label[0] = "down"
    found = scored(LabelledQuestions(truth.questions, label), p, n_resamples=400)
    assert np.isfinite(found.dir_auroc)
    assert found.intervals["dir_auroc"] is None
    assert "too rare" in found.unscored["intervals.dir_auroc"]
    assert found.intervals["de_auroc"] is not None


def test_strata_come_from_the_counted_question_set():
    truth, p = question_set()
    alone = scored(truth, p)
    doubled = scored(truth, p, counted_genes=np.repeat(truth.gene, 2))
    assert doubled.de_within_strata == alone.de_within_strata
    others = np.r_[truth.gene, np.repeat(np.unique(truth.gene), np.arange(40) * 300)]
    assert scored(truth, p, counted_genes=others).n_strata > alone.n_strata
    with pytest.raises(InputError, match="no row of the gene G"):
        scored(truth, p, counted_genes=np.array(["G0"]))


# ---- from files --------------------------------------------------------------------------------------------


def written(folder, table, name):
    table.to_csv(folder / name, index=False)
    return folder / name


def files_scored(predictions, truth, **options):
    return score_files(
        predictions, truth, challenge=CHALLENGE, n_resamples=20, rng=np.random.default_rng(0), **options
    )


def test_one_split_is_scored_and_the_other_is_known(tmp_path):
    truth, p = question_set()
    predictions = written(tmp_path, table_of(p), "p.csv")
    solution = written(tmp_path, solution_of(truth), "s.csv")
    public = files_scored(predictions, solution, usage="Public")
    odd = np.arange(200) % 2 == 1
    expected = auroc(truth.is_de[odd], (p.p_up + p.p_down)[odd])
    assert (public.n, public.de_auroc) == (100, pytest.approx(expected))
    only_public = written(tmp_path, table_of(p.take(odd)), "public.csv")
    assert files_scored(only_public, solution, usage="Public").de_auroc == public.de_auroc
    with pytest.raises(PredictionError, match=r"public\.csv: 100 of 200 questions have no prediction"):
        files_scored(only_public, solution)
    reference = files_scored(predictions, solution, usage="Public", mode="reference")
    assert reference.de_auroc == pytest.approx(expected)
    with pytest.raises(FormatError, match="has no column Usage"):
        files_scored(predictions, written(tmp_path, solution_of(truth)[["id", "label"]], "n.csv"), usage="Public")


def test_ids_that_name_no_pair(tmp_path):
    truth, p = question_set()
    plain = [f"question-{i}" for i in range(200)]
    predictions = written(tmp_path, table_of(p).assign(id=plain), "p.csv")
    solution = written(tmp_path, solution_of(truth).assign(id=plain), "s.csv")
    with pytest.raises(FormatError, match=r"give the questions file \(--questions\)"):
        files_scored(predictions, solution)
    found = files_scored(predictions, solution, mode="reference")
    assert np.isfinite(found.score)
    assert np.isnan(found.de_within_gene)
    assert found.as_json()["intervals"] == dict.fromkeys(MEASURES)
    assert "--questions" in found.unscored["intervals.score"]
    asked = pd.DataFrame({"id": plain, "pert": truth.pert, "gene": truth.gene})
    questions = written(tmp_path, asked, "q.csv")
    for mode in ("strict", "reference"):
        told = files_scored(predictions, solution, mode=mode, questions=questions)
        assert told.score == pytest.approx(found.score)
        assert told.intervals["score"] is not None


def test_reference_mode_accepts_what_strict_mode_refuses(tmp_path):
    truth, p = question_set()
    solution = written(tmp_path, solution_of(truth), "s.csv")
    table = table_of(p)
    extra = pd.DataFrame({"id": ["X_Y"], "prediction_up": [2.0], "prediction_down": [3.0]})
    loose = written(tmp_path, pd.concat([table * 1, table.iloc[[0]], extra]), "loose.csv")
    assert files_scored(loose, solution, mode="reference").n == 201
    with pytest.raises(PredictionError, match="Each id must stand once"):
        files_scored(loose, solution)
    text = written(tmp_path, set_cell(table, "often"), "text.csv")
    for track in (None, "C"):
        with pytest.raises(ReferenceMetricError):
            files_scored(text, solution, mode="reference", track=track)


def test_a_track_holds_the_file_to_its_columns_and_limits(tmp_path):
    truth, p = question_set()
    solution = written(tmp_path, solution_of(truth), "s.csv")
    counts = {"tokens_used": 1, "num_tool_calls": 250, "prompt_tokens": 16_384, "num_distinct_tools": 100}
    full = table_of(p).assign(reasoning_trace="none", model_name="m", **counts)
    assert files_scored(written(tmp_path, full, "ok.csv"), solution, track="B").n == 200
    for name, largest in {"num_tool_calls": 250, "prompt_tokens": 16_384, "num_distinct_tools": 100}.items():
        over = full.assign(**{name: np.r_[np.full(199, largest), largest + 1]})
        with pytest.raises(PredictionError, match=f"{name} must lie between 0 and {largest}; .*data row 200"):
            files_scored(written(tmp_path, over, "over.csv"), solution, track="b")
    with pytest.raises(PredictionError, match=r"needs the column\(s\) reasoning_trace"):
        files_scored(written(tmp_path, table_of(p), "bare.csv"), solution, track="B")


def test_plain_strict_rules_are_those_of_the_bundled_challenge():
    from perturbarena.evaluation.metric import PLAIN_RULES

    assert metric_rules(CHALLENGE, mode="strict") == PLAIN_RULES


# ---- real answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "track"), [("strict", None), ("strict", "A"), ("reference", "A")])
def test_recorded_language_model_answers(shared, mode, track):
    outputs = shared / "data" / "llm_outputs"
    found = score_files(
        outputs / "prompt_train2499.csv.gz",
        outputs / "prompt_train2499_labels.csv",
        challenge=CHALLENGE,
        mode=mode,
        track=track,
        questions=shared / "data" / "bioreasoning" / "train.csv",
        rng=np.random.default_rng(0),
    )
    assert found.n == 2499
    assert found.score == pytest.approx(0.5792, abs=5e-5)
    assert found.de_auroc == pytest.approx(0.5788, abs=5e-5)
    assert found.dir_auroc == pytest.approx(0.5797, abs=5e-5)
    assert found.de_within_strata == pytest.approx(0.549, abs=5e-4)
    assert found.de_within_gene == pytest.approx(0.500, abs=5e-4)
    assert found.n_pairs == 4328
    assert found.intervals["score"] == pytest.approx((0.551, 0.607), abs=2e-3)
