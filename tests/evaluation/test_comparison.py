import numpy as np
import pytest
from scoring_cases import question_set

from perturbarena.challenge.records import NONE, LabelledQuestions, Predictions
from perturbarena.errors import InputError
from perturbarena.evaluation import COMPARED, Answered, compare, score_strict

FIVE = {"difference", "interval", "p", "minimum_detectable", "verdict"}


def answers(truth, skill, seed):
    """Predictions that know the label with some skill."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(truth), 3))
    logits += skill * (truth.label[:, None] == np.array(["up", "down", "none"], object))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(truth.id, p[:, 0], p[:, 1])


def answered(*skills, n=400, seed=0, truth=None):
    truth = question_set(seed, n=n, perts=20, genes=60)[0] if truth is None else truth
    return Answered(truth, truth.gene, tuple(answers(truth, s, i) for i, s in enumerate(skills)), ())


def run(rows, **options):
    return compare(rows, rng=np.random.default_rng(1), n_resamples=400, **options)


def test_values_are_those_of_score_and_differences_theirs():
    rows = answered(0.0, 1.0)
    (found,) = run(rows)
    single = [score_strict(rows.truth, a, rng=np.random.default_rng(0), n_resamples=0) for a in rows.answers]
    columns = ("score", "de_auroc", "dir_auroc", "de_within_gene")
    for name, column in zip(COMPARED, columns, strict=True):
        c = found.contrasts[name]
        assert (c.first, c.second) == pytest.approx([getattr(s, column) for s in single])
        assert c.difference.difference == pytest.approx(c.second - c.first)
        assert c.difference.interval.low < c.difference.difference < c.difference.interval.high


def test_a_clear_difference_is_told_and_turns_round_with_the_sides():
    rows = answered(0.0, 1.5)
    (found,) = run(rows)
    score = found.contrasts["score"]
    assert score.verdict == "B is better"
    assert score.difference.p < 1e-4
    assert score.p_swap < 0.01
    (back,) = run(Answered(rows.truth, rows.counted_genes, rows.answers[::-1], ()))
    assert back.contrasts["score"].verdict == "A is better"
    assert back.contrasts["score"].difference.interval == pytest.approx(
        [-score.difference.interval.high, -score.difference.interval.low]
    )


def test_what_cannot_be_told_names_the_difference_that_could():
    (found,) = run(answered(0.5, 0.5))
    c = found.contrasts["score"]
    assert c.difference.p > 0.05
    assert c.verdict == (
        "cannot be told apart with these 400 rows: differences under "
        f"{c.difference.minimum_detectable:.3f} are invisible"
    )


def test_the_same_answers_are_alike():
    rows = answered(0.5)
    (found,) = run(Answered(rows.truth, rows.counted_genes, rows.answers * 2, ()))
    for c in found.contrasts.values():
        assert (c.difference.difference, c.difference.p) == (0.0, 1.0)
        assert "alike" in c.verdict


def test_several_are_corrected_by_holm():
    found = run(answered(0.0, 0.0, 1.5, 0.0))
    assert [c.second for c in found] == ["B", "C", "D"]
    scores = [c.contrasts["score"] for c in found]
    assert scores[1].p_holm == pytest.approx(3 * scores[1].difference.p)
    assert scores[1].verdict == "C is better"
    assert all(c.p_holm >= c.difference.p for c in scores)
    assert any("Holm" in note for note in found[0].notes)


def test_a_difference_that_is_there_only_as_published_is_told():
    truth = question_set(3, n=600, perts=20, genes=60)[0]
    rng = np.random.default_rng(0)
    often = dict(zip(sorted(set(truth.gene)), rng.permutation(len(set(truth.gene))), strict=True))
    rank = np.array([often[g] for g in truth.gene]) / len(often)
    label = np.where(rng.random(len(truth)) < rank, "up", NONE).astype(object)
    label[(label == "up") & (rng.random(len(truth)) < 0.3)] = "down"
    truth = LabelledQuestions(truth.questions, label)
    knows_genes = Predictions(truth.id, rank / 2 + rng.random(len(truth)) / 100, rank / 2)
    rows = Answered(truth, truth.gene, (answers(truth, 0.0, 1), knows_genes), ())
    (found,) = run(rows)
    assert found.contrasts["DE"].verdict == "B is better"
    assert any("only as published" in note for note in found.notes)


def test_undefined_direction_leaves_de():
    truth = question_set(0)[0]
    truth = LabelledQuestions(truth.questions, np.where(truth.is_de, "up", NONE).astype(object))
    (found,) = run(answered(0.0, 0.5, truth=truth))
    assert found.contrasts["DE"].difference.interval is not None
    for name in ("score", "DIR"):
        shown = found.contrasts[name].as_json()
        assert shown["difference"] is shown["interval"] is shown["p"] is None
        assert shown["verdict"].startswith("cannot be told: the measure")


def test_json_holds_the_five_for_every_measure():
    (found,) = run(answered(0.0, 0.5))
    shown = found.as_json()
    for name in ("score", "DE", "DIR"):
        assert set(shown[name]) >= FIVE


def test_one_file_is_refused():
    with pytest.raises(InputError, match="at least two files"):
        run(answered(0.0))
