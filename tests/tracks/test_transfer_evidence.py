import numpy as np
import pytest

from perturbarena.benchmark import simulate_questions
from perturbarena.challenge.records import Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import GeneFeatures, read_collection
from perturbarena.tracks import evidence, fit_transfer, refit_ranges


@pytest.fixture(scope="module")
def fitted():
    found = simulate_questions(np.random.default_rng(0), n_perts=40, n_genes=120, n_questions=900)
    features = [GeneFeatures("features", found.feature_genes, found.features, "simulated")]
    rows = found.questions
    return rows, features, fit_transfer(rows, features, rng=np.random.default_rng(0))


def test_the_nearest_are_the_ones_with_alike_features_and_never_the_name_itself(fitted):
    rows, (features,), _ = fitted
    pert, gene = rows.pert[0], rows.gene[0]
    copy = GeneFeatures(
        "features", np.append(features.genes, "Twin"),
        np.vstack([features.matrix, features.matrix[features.positions([gene])]]), "with a twin",
    )  # fmt: skip
    again = fit_transfer(rows, [copy], rng=np.random.default_rng(0))
    asked = Questions.from_pairs([pert, pert], ["Twin", gene])
    twin, itself = evidence(again, rows, asked, [copy])
    assert twin.genes[0].name == gene
    assert twin.genes[0].cosine == pytest.approx(1.0)
    assert twin.genes[0].n_rows == (rows.gene == gene).sum()
    assert twin.genes[0].n_up == (rows.is_up & (rows.gene == gene)).sum()
    assert gene not in [near.name for near in itself.genes]
    assert pert not in [near.name for near in itself.perts]
    cosines = [near.cosine for near in itself.genes]
    assert cosines == sorted(cosines, reverse=True)


def test_no_features_no_neighbours_and_shared_sets_by_name(fitted, tmp_path):
    rows, features, model = fitted
    (tmp_path / "s.gmt").write_text(f"BOTH\tx\t{rows.pert[0]}\t{rows.gene[0]}\nONE\tx\t{rows.pert[0]}\tOther\n")
    asked = Questions.from_pairs([rows.pert[0], "Nobody"], [rows.gene[0], "Nothing"])
    known, unknown = evidence(model, rows, asked, [*features, read_collection(tmp_path / "s.gmt")])
    assert known.shared_sets == (("BOTH", 2),)
    assert (unknown.perts, unknown.genes, unknown.shared_sets) == ((), (), ())


def test_ranges_hold_the_answer_and_narrow_with_more_training_rows(fitted):
    rows, features, model = fitted
    asked = rows.questions.take(np.arange(0, 900, 30))
    answers = model.answer(asked)
    few = rows.take(np.isin(rows.pert, sorted(set(rows.pert))[:15]))
    of_few = fit_transfer(few, features, rng=np.random.default_rng(0))
    wide, narrow = (
        refit_ranges(train, asked, features, model=m, n_refits=12, rng=np.random.default_rng(1))
        for train, m in ((few, of_few), (rows, model))
    )
    for bounds, p in ((narrow.p_de, answers.p_de), (narrow.p_dir, answers.p_dir)):
        assert (bounds.low < p).all()
        assert (p < bounds.high).all()
    assert np.mean(narrow.p_dir.high - narrow.p_dir.low) < np.mean(wide.p_dir.high - wide.p_dir.low)


def test_one_refit_is_no_range(fitted):
    rows, features, model = fitted
    with pytest.raises(InputError, match="at least 2 refits"):
        refit_ranges(rows, rows.questions, features, model=model, n_refits=1, rng=np.random.default_rng(0))
