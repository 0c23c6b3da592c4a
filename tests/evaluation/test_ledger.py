import json

import numpy as np
import pytest
from test_comparison import answered, answers

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import FoldLeakError, FormatError, InputError
from perturbarena.evaluation import Answered, gate


def run(rows, path, **options):
    return gate(rows, ledger=path, rng=np.random.default_rng(1), n_resamples=200, **options)


def test_a_better_variant_passes_and_is_kept(tmp_path):
    found = run(answered(0.0, 1.5), tmp_path / "looks.json")
    assert found.look.accepted
    assert (found.look.number, found.look.alpha) == (1, 0.025)
    assert found.look.low > 0
    (kept,) = json.loads((tmp_path / "looks.json").read_text())["looks"]
    assert kept["accepted"] is True
    assert not any("time" in key or "path" in key for key in kept)


def test_every_look_is_judged_more_strictly_and_many_are_warned_of(tmp_path):
    path, base = tmp_path / "looks.json", answered(0.0)
    for k in range(1, 6):
        rows = Answered(base.truth, base.truth.gene, (*base.answers, answers(base.truth, 0.0, 100 + k)), ())
        found = run(rows, path)
        assert found.look.alpha == pytest.approx(0.05 / (k * (k + 1)))
        assert not found.look.accepted
        assert any("looked at" in note for note in found.notes) == (k == 5)
    assert found.contrast.difference.interval.high == found.look.high


def test_the_same_look_again_is_the_same_look(tmp_path):
    path, rows = tmp_path / "looks.json", answered(0.0, 0.3)
    run(rows, path)
    first = path.read_bytes()
    assert run(rows, path).look.number == 1
    assert path.read_bytes() == first


def test_other_rows_start_anew(tmp_path):
    path = tmp_path / "looks.json"
    run(answered(0.0, 0.3), path)
    assert run(answered(0.0, 0.3, seed=1), path).look.number == 1


def test_a_worse_variant_does_not_pass(tmp_path):
    assert not run(answered(1.5, 0.0), tmp_path / "looks.json").look.accepted


def test_training_rows_must_be_disjoint(tmp_path):
    rows = answered(0.0, 1.5)
    with pytest.raises(FoldLeakError, match="share no perturbation"):
        run(rows, tmp_path / "looks.json", train=rows.truth)
    assert not (tmp_path / "looks.json").exists()
    other = LabelledQuestions(Questions.from_pairs(["X"], ["Y"]), np.array(["up"], object))
    found = run(rows, tmp_path / "looks.json", train=other)
    assert found.look.disjoint is True
    assert not any("Nobody checked" in note for note in found.notes)


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 1, "looks": [{}]}', '{"format_version": 9}'])
def test_a_broken_ledger_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "looks.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="ledger"):
        run(answered(0.0, 0.3), path)
    assert path.read_text() == text


def test_two_files_are_needed(tmp_path):
    with pytest.raises(InputError, match="a baseline and a variant; got 3"):
        run(answered(0.0, 0.3, 0.4), tmp_path / "looks.json")
