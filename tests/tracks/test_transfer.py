import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import GeneFeatures
from perturbarena.stats.auroc import rank
from perturbarena.tracks import TransferSettings, fit_transfer
from perturbarena.tracks.transfer_models import ridge

N_PERTS, N_GENES, N_ROWS = 40, 120, 1600


def planted(seed):
    """Labels that a gene's first feature (direction) and second feature (moves or not) decide, with some noise."""
    rng = np.random.default_rng(seed)
    names = np.array([f"P{i}" for i in range(N_PERTS)] + [f"G{i}" for i in range(N_GENES)], object)
    matrix = rng.normal(size=(len(names), 6))
    cells = rng.choice(N_PERTS * N_GENES, N_ROWS, replace=False)
    pert, gene = cells // N_GENES, N_PERTS + cells % N_GENES
    push = 2 * matrix[gene, 0] + matrix[pert, 0] + 0.5 * rng.normal(size=N_ROWS)
    moves = matrix[gene, 1] + 0.5 * rng.normal(size=N_ROWS) > 0
    label = np.where(moves, np.where(push > 0, "up", "down"), "none").astype(object)
    rows = LabelledQuestions(Questions.from_pairs(names[pert], names[gene]), label)
    return rows, GeneFeatures("features", names, matrix, "planted")


def halves(rows):
    """Training and test rows that share neither perturbation nor gene."""
    low_pert = np.array([int(p[1:]) < N_PERTS // 2 for p in rows.pert])
    low_gene = np.array([int(g[1:]) < N_GENES // 2 for g in rows.gene])
    return rows.take(low_pert & low_gene), rows.take(~low_pert & ~low_gene)


def fit(train, *features, seed=0, **options):
    return fit_transfer(train, features, rng=np.random.default_rng(seed), **options)


def scores(answers, rows):
    de = rank(rows.is_de, answers.p_de)
    direction = rank(rows.is_up, answers.p_dir, among=rows.is_de)
    return de.value(), direction.value()


def test_it_finds_a_planted_rule_in_genes_and_perturbations_never_seen():
    rows, features = planted(0)
    train, test = halves(rows)
    de, direction = scores(fit(train, features).answer(test.questions), test)
    assert de > 0.85
    assert direction > 0.9


def test_features_dealt_to_other_genes_tell_nothing():
    found = []
    for seed in range(12):
        rows, features = planted(seed)
        shuffled = np.random.default_rng(seed).permutation(features.matrix)
        train, test = halves(rows)
        found.append(
            scores(
                fit(train, GeneFeatures("features", features.genes, shuffled, "dealt")).answer(test.questions),
                test,
            )
        )
    assert np.abs(np.mean(found, axis=0) - 0.5).max() < 0.08


def test_an_answer_is_a_probability_made_of_its_parts():
    rows, features = planted(1)
    train, test = halves(rows)
    answers = fit(train, features).answer(test.questions)
    p = answers.predictions
    assert p.id.tolist() == test.id.tolist()
    np.testing.assert_allclose(p.p_up, answers.p_de * answers.p_dir)
    np.testing.assert_allclose(p.p_up + p.p_down, answers.p_de)
    assert ((answers.p_de > 0) & (answers.p_de < 1) & (answers.p_dir > 0) & (answers.p_dir < 1)).all()


def test_the_same_seed_gives_the_same_bits_and_row_order_does_not_matter_to_the_linear_part():
    rows, features = planted(2)
    train, test = halves(rows)
    small = TransferSettings(n_landmarks=20)
    first, again, other = (
        fit(train, features, seed=s, settings=small).answer(test.questions).p_dir for s in (5, 5, 6)
    )
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_answers_do_not_depend_on_what_else_is_asked():
    rows, features = planted(3)
    train, test = halves(rows)
    model = fit(train, features)
    together = model.answer(test.questions).p_dir
    one = np.arange(0, len(test), 40)
    repeated = np.repeat(one, 3)
    np.testing.assert_allclose(model.answer(test.questions.take(repeated)).p_dir, np.repeat(together[one], 3))


def test_row_counts_that_give_labels_away_are_not_used():
    """Moved genes have 20 rows, others 2; features are noise: an answer must not know."""
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        moved = rng.random(200) < 0.5
        gene = np.repeat([f"G{i}" for i in range(200)], np.where(moved, 20, 2))
        pert = np.array([f"P{i}" for i in rng.integers(300, size=len(gene))])
        label = np.where(np.repeat(moved, np.where(moved, 20, 2)), "up", "none").astype(object)
        rows = LabelledQuestions(Questions(np.arange(len(gene)).astype(str), pert, gene), label)
        names = np.unique(np.concatenate([gene, pert]))
        features = GeneFeatures("features", names, rng.normal(size=(len(names), 5)), "noise")
        test_gene = np.isin(gene, [f"G{i}" for i in range(100)])
        answers = fit(rows.take(~test_gene), features).answer(rows.questions.take(test_gene))
        found.append(rank(rows.is_de[test_gene], answers.p_de).value())
    assert abs(np.mean(found) - 0.5) < 0.07


def test_basis_and_base_rate():
    rows, features = planted(4)
    train, _ = halves(rows)
    asked = Questions.from_pairs(["P30", "P30", "X", "X"], ["G90", "Y", "G90", "Y"])
    answers = fit(train, features).answer(asked)
    assert answers.basis.tolist() == ["gene and perturbation", "perturbation only", "gene only", "none"]
    assert answers.p_de[3] == train.is_de.mean()
    assert answers.p_dir[3] == train.is_up[train.is_de].mean()
    assert len(set(answers.p_dir)) == 4


def test_a_block_that_lacks_genes_still_helps_with_the_others():
    rows, features = planted(5)
    train, test = halves(rows)
    known = np.array([int(name[1:]) % 3 > 0 for name in features.genes])
    part = GeneFeatures("features", features.genes[known], features.matrix[known], "two thirds")
    answers = fit(train, part).answer(test.questions)
    with_features = np.isin(test.gene, part.genes)
    assert scores(answers, test.take(np.arange(len(test))))[1] > 0.7
    p = fit(train, part).answer(test.questions.take(with_features))
    assert scores(p, test.take(with_features))[1] > 0.85


def test_a_column_without_variance_and_a_block_without_these_genes_are_harmless():
    rows, features = planted(6)
    train, test = halves(rows)
    constant = GeneFeatures(
        "features", features.genes, np.column_stack([features.matrix, np.ones(len(features))]), "+1"
    )
    other = GeneFeatures("other", np.array(["Zzz"], object), np.ones((1, 2)), "elsewhere")
    plain = fit(train, features).answer(test.questions).p_dir
    np.testing.assert_allclose(fit(train, constant, other).answer(test.questions).p_dir, plain)


@pytest.mark.parametrize("label", ["up", "down", "none"])
def test_training_rows_of_one_kind_give_the_base_rate(label):
    rows, features = planted(7)
    train = LabelledQuestions(rows.questions, np.full(len(rows), label, object))
    answers = fit(train, features).answer(rows.questions)
    assert set(answers.p_de) == {float(label != "none")}
    assert set(answers.p_dir) == {{"up": 1.0, "down": 0.0, "none": 0.5}[label]}


def test_refused_input():
    rows, features = planted(8)
    with pytest.raises(InputError, match="needs training rows"):
        fit(rows.take(np.arange(0)), features)
    with pytest.raises(InputError, match="at least one block"):
        fit(rows)
    with pytest.raises(InputError, match="are they of one species"):
        fit(rows, GeneFeatures("features", np.array(["TP53"], object), np.ones((1, 1)), "human"))
    with pytest.raises(InputError, match="ridge must be positive"):
        TransferSettings(ridge=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(0, 5))
def test_ridge_is_the_mixed_model_by_its_dense_covariance(seed, penalty, variance):
    rng = np.random.default_rng(seed)
    n, d = 30, 4
    x, y, group = (
        rng.normal(size=(n, d)),
        rng.normal(size=n),
        np.unique(rng.integers(6, size=n), return_inverse=True)[1],
    )
    found = ridge(x, y, penalty=penalty, group=group, group_variance=variance)
    covariance = x @ x.T + variance * (group[:, None] == group) + penalty * np.eye(n)
    inverse = np.linalg.inv(covariance)
    intercept = inverse.sum(0) @ y / inverse.sum()
    new = rng.normal(size=(5, d))
    expected = intercept + new @ x.T @ inverse @ (y - intercept)
    np.testing.assert_allclose(found.value(new), expected, atol=1e-7)


def test_probabilities_beat_the_base_rate_and_are_not_too_sure_where_a_rule_is_strong():
    rows, features = planted(9)
    train, test = halves(rows)
    p = fit(train, features).answer(test.questions).p_de
    assert ((p - test.is_de) ** 2).mean() < 0.9 * test.is_de.var()
    high, low = p >= 0.5, p < 0.5
    assert 0.5 < p[high].mean() < test.is_de[high].mean() + 0.05
    assert 0.5 > p[low].mean() > test.is_de[low].mean() - 0.05


def test_confidence_leaves_the_order_alone():
    rows, features = planted(10)
    train, test = halves(rows)
    one, half = (
        fit(train, features, settings=TransferSettings(de_confidence=c)).answer(test.questions).p_de
        for c in (1.0, 0.5)
    )
    assert (np.argsort(one) == np.argsort(half)).all()
    assert half.std() < 0.6 * one.std()
