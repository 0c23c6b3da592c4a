import numpy as np
import pytest
from scipy.special import expit

from perturbarena.challenge.formats import write_predictions
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import FormatError, InputError, PredictionError
from perturbarena.stats.paired import PairedDifference
from perturbarena.stats.resampling import Interval
from perturbarena.tracks import FusionSettings, Part
from perturbarena.workflows.fuse import described, doubts, fuse, read_parts

FEW = FusionSettings(n_folds=2, n_resamples=50)


def drawn(seed, n_perts=20, n_genes=20, n=300, name=""):
    """Labelled rows, and the answers of one who knows what they are drawn from."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_perts * n_genes, n, replace=False)
    p_de, p_dir = expit(rng.normal(0, 1.5, (2, n)))
    label = np.where(rng.random(n) < p_de, np.where(rng.random(n) < p_dir, "up", "down"), "none").astype(object)
    questions = Questions.from_pairs(
        [f"P{name}{i}" for i in pairs // n_genes], [f"G{name}{i}" for i in pairs % n_genes]
    )
    return LabelledQuestions(questions, label), Predictions(questions.id, p_de * p_dir, p_de * (1 - p_dir))


def joined(*parts):
    return Predictions(*(np.concatenate([getattr(p, c) for p in parts]) for c in ("id", "p_up", "p_down")))


def test_questions_are_answered_whatever_else_a_part_holds():
    (rows, known), (asked, new) = drawn(0), drawn(1, name="x")
    part = joined(new, known)
    found = fuse({"a": part, "b": part}, rows, asked.questions, settings=FEW)
    assert found.predictions.id.tolist() == asked.id.tolist()
    assert found.score is None
    assert np.all(found.predictions.p_up + found.predictions.p_down <= 1)
    fewer = fuse({"a": part, "b": part}, rows, asked.questions.take(np.arange(7)), settings=FEW)
    np.testing.assert_array_equal(fewer.predictions.p_up, found.predictions.p_up[:7])


def test_labelled_rows_are_answered_and_scored_where_nothing_is_asked():
    rows, known = drawn(0)
    found = fuse({"a": known.take(np.arange(len(rows))[::-1])}, rows, settings=FEW, n_resamples=50)
    assert found.predictions.id.tolist() == rows.id.tolist()
    assert found.score is not None
    assert found.score.de_auroc > 0.7
    assert found.as_json()["heads"]["DE"][0]["part"] == "a"


def test_parts_that_have_seen_the_labels_are_doubted():
    (rows, known), (_, new) = drawn(0), drawn(1, name="x")
    assert doubts("a", rows, known, new) == []
    truth = np.where(rows.is_de, 0.9, 0.1)
    seen = Predictions(rows.id, np.where(rows.is_up, truth, 0.05), np.where(rows.is_up, 0.05, truth))
    assert [text.split(" looks")[0] for text in doubts("a", rows, seen, None)] == [
        "a: DE on labelled ids",
        "a: DIR on labelled ids",
    ]
    hedged = Predictions(new.id, 0.3 + 0.2 * new.p_up, 0.3 + 0.2 * new.p_down)
    assert "where its probabilities on new ids promise 0.5" in doubts("a", rows, known, hedged)[0]


def test_what_a_part_is_worth_in_words():
    adds = PairedDifference(-0.001, Interval(-0.004, 0.002), 0.5, 0.01)
    assert described(Part("gpt-oss", 0.0, 0.58, adds), "DIR") == (
        "gpt-oss: no weight in DIR: adds −0.001 (−0.004–0.002)"
    )
    assert described(Part("t", 1.2, 0.7, adds), "DE").startswith("t: weight 1.20 in DE: adds")


def test_errors_name_file_and_id(tmp_path):
    rows, known = drawn(0)
    path = tmp_path / "part.csv"
    write_predictions(path, known.take(np.arange(1, len(rows))))
    with pytest.raises(InputError, match=rf"part\.csv must answer all 300 ids; it lacks 1, e\.g\. {rows.id[0]}$"):
        read_parts([path], rows.id)
    write_predictions(path, joined(known, known.take(np.array([4]))))
    with pytest.raises(PredictionError, match=rf"part\.csv: an id may stand once; {rows.id[4]} stands again"):
        read_parts([path], rows.id)
    write_predictions(path, Predictions(known.id, known.p_up + 0.9, known.p_down))
    with pytest.raises(PredictionError, match=r"part\.csv: predictions must be at least 0 and sum to 1 at most"):
        read_parts([path], rows.id)
    write_predictions(path, known)
    with pytest.raises(FormatError, match="is named twice"):
        read_parts([path, path], rows.id)
    with pytest.raises(InputError, match=rf"questions must not be labelled; 300 are, e\.g\. {rows.id[0]}"):
        fuse({"a": known}, rows, rows.questions)


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path):
    rows, known = drawn(0)
    paths = [tmp_path / "a/p.csv", tmp_path / "b/p.csv", tmp_path / "q.csv"]
    for path in paths:
        write_predictions(path, known)
    assert list(read_parts(paths, rows.id)) == [str(paths[0]), str(paths[1]), "q"]
