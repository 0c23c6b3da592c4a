import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from perturbarena.challenge.folds import Folds
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import InputError
from perturbarena.stats.auroc import auroc
from perturbarena.tracks import FusionSettings, cross_fit_fusion, fusion, head_scores, learn_fusion

FEW = FusionSettings(n_folds=3, n_resamples=100)


def planted(seed=0, n_perts=30, n_genes=40, n=900):
    """Rows and the two log odds that they are drawn from."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(n_perts * n_genes, n, replace=False)
    moves, up = rng.normal(0, 1.5, n), rng.normal(0, 1.5, n)
    moved, goes_up = rng.random(n) < expit(moves), rng.random(n) < expit(up)
    label = np.where(moved, np.where(goes_up, "up", "down"), "none").astype(object)
    questions = Questions.from_pairs([f"P{i}" for i in pairs // n_genes], [f"G{i}" for i in pairs % n_genes])
    return LabelledQuestions(questions, label), moves, up


def says(ids, moves, up):
    p_de, p_dir = expit(moves), expit(up)
    return Predictions(ids, p_de * p_dir, p_de * (1 - p_dir))


def aurocs(rows, answers):
    moved = rows.is_de
    de, direction = (head_scores(answers, head) for head in ("DE", "DIR"))
    return auroc(moved, de), auroc(rows.is_up[moved], direction[moved])


@pytest.fixture(scope="module")
def two():
    """One part knows DE, the other DIR; where they know nothing they are noise, and wildly sure of themselves."""
    rows, moves, up = planted()
    rng = np.random.default_rng(1)
    knows_de = says(rows.id, moves, rng.normal(0, 6, len(rows)))
    knows_dir = says(rows.id, rng.normal(0, 6, len(rows)), up)
    return rows, knows_de, knows_dir


def test_complementary_parts_are_fused_to_better_than_either_out_of_fold(two):
    rows, knows_de, knows_dir = two
    fused = cross_fit_fusion(
        rows, [knows_de, knows_dir], names=["a", "b"], rng=np.random.default_rng(0), settings=FEW
    )
    de, direction = aurocs(rows, fused)
    assert de > aurocs(rows, knows_de)[0] - 0.005
    assert direction > aurocs(rows, knows_dir)[1] - 0.01
    assert de + direction > max(sum(aurocs(rows, knows_de)), sum(aurocs(rows, knows_dir))) + 0.2


def test_each_head_weighs_the_part_that_knows_and_says_what_it_adds(two):
    rows, knows_de, knows_dir = two
    found = learn_fusion(rows, [knows_de, knows_dir], names=["a", "b"], rng=np.random.default_rng(0), settings=FEW)
    de, direction = found.heads["DE"].parts, found.heads["DIR"].parts
    assert de[0].coefficient > 10 * de[1].coefficient
    assert direction[1].coefficient > 10 * direction[0].coefficient
    assert de[0].adds.interval is not None
    assert de[0].adds.interval.low > 0.1
    assert abs(de[1].adds.difference) < 0.01
    assert de[0].alone == aurocs(rows, knows_de)[0]


def test_two_witnesses_with_their_own_errors_are_better_than_one():
    rows, moves, up = planted(2)
    rng = np.random.default_rng(3)
    parts = [says(rows.id, *(x + rng.normal(0, 2, len(rows)) for x in (moves, up))) for _ in range(2)]
    fused = cross_fit_fusion(rows, parts, names=["a", "b"], rng=rng, settings=FEW)
    assert all(np.array(aurocs(rows, fused)) > np.max([aurocs(rows, part) for part in parts], axis=0) + 0.02)


@pytest.mark.parametrize("useless", ["constant", "reversed", "copy"])
def test_a_useless_part_gets_no_weight(two, useless):
    rows, knows_de, _ = two
    up, down = knows_de.p_up, knows_de.p_down
    other = {
        "constant": Predictions(rows.id, np.full(len(rows), 0.3), np.full(len(rows), 0.3)),
        "reversed": Predictions(rows.id, (1 - up - down) / 2, (1 - up - down) / 2),
        "copy": knows_de,
    }[useless]
    found = learn_fusion(rows, [knows_de, other], names=["a", "b"], rng=np.random.default_rng(0), settings=FEW)
    weights = found.heads["DE"].coefficients
    assert weights.max() > 0.5
    assert weights.min() == 0


@pytest.mark.parametrize("seed", range(3))
def test_noise_costs_next_to_nothing(seed):
    rows, moves, up = planted(seed)
    rng = np.random.default_rng([seed, 1])
    knows = says(rows.id, moves, up)
    noise = says(rows.id, *rng.normal(0, 3, (2, len(rows))))
    fused = cross_fit_fusion(rows, [knows, noise], names=["a", "noise"], rng=rng, settings=FEW)
    assert np.mean(aurocs(rows, fused)) > np.mean(aurocs(rows, knows)) - 0.004


def test_a_lone_part_keeps_its_order_and_becomes_calibrated(two):
    rows, knows_de, _ = two
    fused = cross_fit_fusion(rows, [knows_de], names=["a"], rng=np.random.default_rng(0), settings=FEW)
    assert aurocs(rows, fused)[0] == pytest.approx(aurocs(rows, knows_de)[0])
    assert np.mean(fused.p_up + fused.p_down) == pytest.approx(rows.is_de.mean())


def test_labels_of_rows_that_share_a_name_do_not_reach_an_answer(monkeypatch):
    """Let labels of a block, and of rows that share its names, be what the worse part says: its order stays."""
    rows, moves, up = planted(4)
    rng = np.random.default_rng(5)
    parts = [says(rows.id, *(x + rng.normal(0, s, len(rows)) for x in (moves, up))) for s in (1, 4)]
    folds = Folds.deal(rows.pert, rows.gene, n_folds=3, rng=np.random.default_rng(6))
    block = next(folds.blocks())
    hidden = np.setdiff1d(np.arange(len(rows)), block.train)
    other = rows.label.copy()
    other[hidden] = np.where(head_scores(parts[1], "DE") > 0.5, "up", "none")[hidden]
    monkeypatch.setattr(fusion.Folds, "deal", lambda pert, gene, n_folds, rng: _dealt(folds, rows, pert, gene))
    answers = [
        cross_fit_fusion(truth, parts, names=["a", "b"], rng=np.random.default_rng(0), settings=FEW)
        for truth in (rows, LabelledQuestions(rows.questions, other))
    ]
    first, second = (np.argsort(head_scores(part.take(block.test), "DE")) for part in answers)
    assert first.tolist() == second.tolist()


def _dealt(folds, rows, pert, gene):
    """The same fold for each name, whichever rows are dealt."""
    return Folds.from_assignment(
        pert,
        gene,
        pert_folds=dict(zip(rows.pert, folds.pert_fold.tolist(), strict=True)),
        gene_folds=dict(zip(rows.gene, folds.gene_fold.tolist(), strict=True)),
    )


def test_an_answer_depends_on_its_own_inputs_alone(two):
    rows, knows_de, knows_dir = two
    parts = [knows_de, knows_dir]
    found = learn_fusion(rows, parts, names=["a", "b"], rng=np.random.default_rng(0), settings=FEW)
    together = found.answer(parts)
    some = np.array([5, 5, 700, 3])
    alone = found.answer([part.take(some) for part in parts])
    np.testing.assert_array_equal(alone.p_up, together.p_up[some])
    renamed = [Predictions(part.id[::-1], part.p_up, part.p_down) for part in parts]
    np.testing.assert_array_equal(found.answer(renamed).p_down, together.p_down)


def test_order_of_rows_changes_no_weight_but_by_rounding(two):
    rows, *parts = two
    index = np.random.default_rng(0).permutation(len(rows))
    weights = [
        learn_fusion(r, p, names=["a", "b"], rng=np.random.default_rng(0), settings=FEW).heads["DE"].coefficients
        for r, p in ((rows, parts), (rows.take(index), [part.take(index) for part in parts]))
    ]
    np.testing.assert_allclose(*weights, rtol=1e-3, atol=1e-6)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_scale_never_turns_values_round(values, a, b):
    scale = fusion.Scale.of(np.array(values))
    low, high = scale(np.array([min(a, b), max(a, b)]))
    assert np.isfinite([low, high]).all()
    assert low <= high


def test_what_cannot_be_fused(two):
    rows, part, _ = two
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="at least one part, and a name each; got 0 and 0"):
        learn_fusion(rows, [], names=[], rng=rng)
    with pytest.raises(InputError, match="the answers of a must be to the labelled rows"):
        learn_fusion(rows, [part.take(np.arange(3))], names=["a"], rng=rng)
    still = rows.take(np.flatnonzero(~rows.is_de))
    with pytest.raises(InputError, match="go up, go down and stay; none is down"):
        learn_fusion(still, [part.take(np.flatnonzero(~rows.is_de))], names=["a"], rng=rng)
    few = np.flatnonzero(np.isin(rows.pert, ["P0", "P1", "P2", "P3"]))
    with pytest.raises(InputError, match="5 folds need at least 5 perturbations; got 4"):
        learn_fusion(rows.take(few), [part.take(few)], names=["a"], rng=rng)
