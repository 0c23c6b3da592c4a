from __future__ import annotations

import numpy as np
import pytest

from perturbarena.benchmark.ceiling import Half, ceilings_of
from perturbarena.benchmark.labels import NOT_ASKED, Labels
from perturbarena.benchmark.sampling import Pairs
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError


def labels_of(call: np.ndarray) -> Labels:
    k, a = call.shape
    perts = np.array([f"P{i}" for i in range(k)], object)
    genes = np.array([f"G{i}" for i in range(a)], object)
    return Labels(perts, genes, call.astype(np.int8), call.astype(float), np.zeros(call.shape), {})


def clear_rows(labels: Labels) -> LabelledQuestions:
    return Pairs(*np.nonzero(labels.call != NOT_ASKED)).questions(labels)


@pytest.fixture
def labels() -> Labels:
    rng = np.random.default_rng(0)
    return labels_of(rng.choice([1, -1, 0, NOT_ASKED], p=[0.25, 0.2, 0.45, 0.1], size=(12, 15)))


def half(labels: Labels, *, noise: float, seed: int) -> Half:
    """A half whose calls are the labels and whose evidence is them with noise."""
    true = np.where(labels.call == NOT_ASKED, 0, labels.call)
    return Half(labels.call, true * 2 + noise * np.random.default_rng(seed).normal(size=labels.call.shape))


def test_noisier_halves_have_lower_ceilings(labels):
    rows = {"test": clear_rows(labels)}
    found = [
        ceilings_of(
            labels,
            rows,
            rng=np.random.default_rng(0),
            halves=(half(labels, noise=noise, seed=1), half(labels, noise=noise, seed=2)),
        ).splits["test"]
        for noise in (0.0, 1.0, 4.0)
    ]
    clean, middling, noisy = (split.split_half for split in found)
    assert clean.score == clean.de_auroc == clean.dir_auroc == 1
    assert clean.intervals["score"] is None  # resamples of a perfect ranking do not tell how far it may be off
    assert 1 > middling.de_auroc > noisy.de_auroc > 0.4
    assert middling.score == pytest.approx((middling.de_auroc + middling.dir_auroc) / 2)
    low, high = middling.intervals["de_auroc"]
    assert low < middling.de_auroc < high
    assert found[0].agreement.kept == 1


def test_only_what_both_halves_tell_is_ranked(labels):
    first, second = half(labels, noise=1, seed=1), half(labels, noise=1, seed=2)
    rows = {"test": clear_rows(labels)}
    call, z = first.call.copy(), second.z.copy()
    call[0], z[1] = NOT_ASKED, np.nan
    split = ceilings_of(
        labels, rows, rng=np.random.default_rng(0), halves=(Half(call, first.z), Half(second.call, z))
    ).splits["test"]
    n, of_two = len(rows["test"]), np.isin(rows["test"].pert, ["P0", "P1"]).sum()
    assert split.split_half.n == n - of_two / 2  # one way round both are missing, the other way none
    unclear = np.isin(rows["test"].pert, ["P0"]).sum() / (2 * n)
    assert split.agreement.lost == pytest.approx(unclear)


def test_agreement_tells_lost_from_flipped():
    labels = labels_of(np.array([[1, 1, -1, 0]]))
    halves = Half(np.array([[1, -1, 0, 1]]), np.ones((1, 4))), Half(np.array([[1, 1, -1, 2]]), np.ones((1, 4)))
    split = ceilings_of(labels, {"a": clear_rows(labels)}, rng=np.random.default_rng(0), halves=halves).splits["a"]
    assert split.agreement.kept == 4 / 8
    assert split.agreement.flipped == 1 / 8
    assert split.agreement.lost == pytest.approx(3 / 8)
    assert split.agreement.share["none"] == {"up": 0.5, "down": 0.0, "none": 0.0, "unclear": 0.5}


def test_oracles_equal_a_loop(labels):
    rows = clear_rows(labels).take(np.arange(0, 120, 2))
    split = ceilings_of(labels, {"test": rows}, rng=np.random.default_rng(0)).splits["test"]
    assert split.split_half is None
    pert = [int(name[1:]) for name in rows.pert]
    gene = [int(name[1:]) for name in rows.gene]
    asked_perts, asked_genes = sorted(set(pert)), sorted(set(gene))
    for found, others in (
        (split.gene_mean, lambda p, g: [labels.call[q, g] for q in asked_perts if q != p]),
        (split.perturbation_mean, lambda p, g: [labels.call[p, h] for h in asked_genes if h != g]),
    ):
        for value, positive, counts in (
            (found.de_auroc, lambda c: abs(c) == 1, lambda c: c != NOT_ASKED),
            (found.dir_auroc, lambda c: c == 1, lambda c: abs(c) == 1),
        ):
            scored = []
            for p, g in zip(pert, gene, strict=True):
                if counts(own := labels.call[p, g]):
                    kept = [c for c in others(p, g) if counts(c)]
                    scored.append((positive(own), np.mean([positive(c) for c in kept])))
            wins = [(a > b) + 0.5 * (a == b) for y, a in scored if y for x, b in scored if not x]
            assert value == pytest.approx(np.mean(wins))


def test_oracles_find_genes_that_always_move():
    call = np.zeros((10, 20))
    call[:, ::2] = 1
    call[:, ::4] = -1
    labels = labels_of(call)
    split = ceilings_of(labels, {"test": clear_rows(labels)}, rng=np.random.default_rng(0)).splits["test"]
    assert split.gene_mean.score == 1
    assert split.perturbation_mean.de_auroc < 0.1  # all alike: leaving a row out gives it away, turned round


def test_json_is_plain(labels):
    found = ceilings_of(labels, {"test": clear_rows(labels)}, rng=np.random.default_rng(0)).as_json()
    assert found["test"]["random"] == 0.5
    assert found["test"]["split_half"] is None
    assert len(found["test"]["gene_mean"]["intervals"]["score"]) == 2


def test_unknown_names_are_refused(labels):
    rows = LabelledQuestions(Questions.from_pairs(["P0"], ["Gx"]), np.array(["up"], object))
    with pytest.raises(InputError, match="the test rows ask about the gene Gx, which has no labels"):
        ceilings_of(labels, {"test": rows}, rng=np.random.default_rng(0))
