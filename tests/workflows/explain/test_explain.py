"""Explanations on a small declared network: paths for and against, and shifts that are what they claim to be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from perturbarena import cli
from perturbarena.challenge.formats import write_labelled
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import GeneFeatures, KnowledgeBase, PathTable, added_source, build_store, read_paths
from perturbarena.tracks import fit_transfer
from perturbarena.tracks.transfer_weights import roles_of
from perturbarena.workflows.explain import explain, explanation_figure

N_PERTS, N_GENES = 24, 60


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Labels follow the network: a knockout brings down what it activates; genes without a path stay."""
    folder = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(4)
    perts, genes = [f"P{i}" for i in range(N_PERTS)], [f"G{i}" for i in range(N_GENES)]
    lines, sign = [], {}
    for pert in perts:
        for gene in rng.choice(genes, 20, replace=False):
            sign[pert, gene] = int(rng.choice((-1, 1)))
            lines.append(f"{pert},{gene},{sign[pert, gene]}")
    lines += ["P0,M0,1", "M0,G0,1", "P0,M1,1", "M1,G0,-1"]
    sign.pop(("P0", "G0"), None)
    lines = [line for line in lines if not line.startswith("P0,G0,")]
    (folder / "net.csv").write_text("source,target,weight\n" + "\n".join(lines) + "\n")
    source = added_source("net", folder / "net.csv", form="edges", licence="CC0")
    build_store(folder / "kb.sqlite", added=[(source, folder / "net.csv")])
    pairs = [(p, g) for p in perts for g in genes if (p, g) != ("P0", "G0")]
    label = [{-1: "up", 1: "down", 0: "none"}[sign.get(pair, 0)] for pair in pairs]
    rows = LabelledQuestions(Questions.from_pairs(*zip(*pairs, strict=True)), np.array(label, object))
    names = np.array(perts + genes, object)
    features = GeneFeatures("features", names, rng.normal(size=(len(names), 4)), "noise")
    write_labelled(folder / "train.csv", rows)
    table = "\n".join(f"{n},{','.join(map(str, x))}" for n, x in zip(names, features.matrix, strict=True))
    (folder / "features.csv").write_text("gene,a,b,c,d\n" + table + "\n")
    return folder, rows, features


@pytest.fixture(scope="module")
def why(case):
    folder, rows, features = case
    with KnowledgeBase.open(folder / "kb.sqlite") as base:
        return explain(rows, "P1", "G1", [features], network=base, max_length=2, blind=True, n_tried=5)


def test_paths_are_sorted_into_those_that_agree_and_those_that_contradict(case):
    folder, rows, features = case
    with KnowledgeBase.open(folder / "kb.sqlite") as base:
        found = explain(rows, "P0", "G0", [features], network=base, max_length=2, n_tried=3)
        gained = explain(rows, "P0", "G0", [features], network=base, max_length=2, perturbation="gain", n_tried=3)
    says = {one.text: (one.implies, one.agrees) for one in found.paths}
    way = found.answer.direction
    assert says == {
        "P0 → M0 → G0": ("down", way == "down"),
        "P0 → M1 ⊣ G0": ("up", way == "up"),
    }
    assert {one.text: one.implies for one in gained.paths} == {"P0 → M0 → G0": "up", "P0 → M1 ⊣ G0": "down"}
    assert found.paths[0].agrees
    assert found.n_path_rows > 400


def test_where_the_network_holds_the_answer_it_moves_by_it(case):
    folder, rows, features = case
    with KnowledgeBase.open(folder / "kb.sqlite") as base:
        direct = next(p for p in rows.pert if base.paths(p, "G5", max_length=1).found)
        found = explain(rows, direct, "G5", [features], network=base, max_length=1, blind=True, n_tried=2)
    (path,) = found.paths
    assert path.agrees
    assert found.p_de > 0.4
    gained = "d_up" if path.implies == "up" else "d_down"
    assert getattr(path.without, gained) < -0.1  # without the path the answer it speaks for is less likely
    block = {shift.name: shift for shift in found.blocks}["paths"]
    assert getattr(block, gained) < -0.1
    assert block.size >= max(shift.size for shift in found.blocks)


def test_every_shift_is_the_difference_of_two_fits(case, why):
    folder, rows, features = case
    kept = rows.take(np.flatnonzero((rows.pert != "P1") & (rows.gene != "G1")))
    assert (why.n_train, why.left_out) == (len(kept), len(rows) - len(kept))
    asked = Questions.from_pairs(["P1"], ["G1"])
    plain = fit_transfer(kept, [features], rng=np.random.default_rng(0)).answer(asked).predictions
    without = {shift.name: shift for shift in why.blocks}["paths"]
    assert without.odds == pytest.approx((plain.p_up[0], plain.p_down[0]))
    assert without.d_up == pytest.approx(plain.p_up[0] - why.answer.p_up)
    assert [one.without.size for one in why.leaned] == sorted(
        (one.without.size for one in why.leaned), reverse=True
    )
    assert len(why.leaned) == 5
    assert "P1" not in {one.pert for one in why.leaned}
    assert folder.exists()


def test_path_values_fade_with_length_and_change_sign_with_the_perturbation(case):
    folder, _, _ = case
    with KnowledgeBase.open(folder / "kb.sqlite") as base:
        table = read_paths(base, [("P0", "G0"), ("P0", "M0"), ("G0", "P0")], max_length=2)
        gain = read_paths(base, [("P0", "M0")], max_length=2, perturbation="gain")
    at = (np.array(["P0", "P0", "G0"], object), np.array(["M0", "G0", "P0"], object))
    values = table.pair_values(*at)
    assert values[0] == pytest.approx([-1, np.log(2)])
    assert values[1] == pytest.approx([0, np.log(2)])  # two paths of two steps that contradict each other
    assert np.isnan(values[2]).all()
    more = table.__class__({**table.known, ("G1", "G9"): table.known["P0", "M0"]}, "loss", "net")
    assert (more.pair_values(np.array(["P0"], object), np.array(["G9"], object)) == 0).all()  # no path, both known
    assert gain.pair_values(*at)[0, 0] == 1
    paths = table.known["P0", "G0"]
    assert table.without("P0", "G0", paths[0]).known["P0", "G0"] == paths[1:]
    assert not table.without("P0", "G0").known["P0", "G0"]


def test_without_a_network_there_are_no_paths_and_it_says_so(case, tmp_path):
    _, rows, features = case
    found = explain(rows, "P0", "G7", [features], n_tried=2)
    assert (found.paths, found.why_no_paths) == ((), "no network was given")
    assert found.measured == rows.label[list(rows.id).index("P0_G7")]
    assert not found.blocks  # the only block cannot be taken away
    explanation_figure(tmp_path / "why.svg", found)
    assert (tmp_path / "why.svg").stat().st_size > 5_000
    with pytest.raises(InputError, match="name another gene"):
        explain(rows, "P0", "P0", [features])


def test_the_command_prints_tables_and_json(case, capsys):
    folder, _, _ = case
    words = ["explain", "P0", "G0", "--train", f"{folder}/train.csv", "--features", f"{folder}/features.csv"]
    words += ["-k", f"{folder}/kb.sqlite", "--max-length", "2", "--tried", "3"]
    assert cli.run(words) == 0
    out = capsys.readouterr().out
    assert "Paths that agree with" in out
    assert "P0 → M1 ⊣ G0" in out
    assert "Training perturbations it leaned on (3 of 3" in out
    assert cli.run([*words, "--json", "--figure", f"{folder}/why.png"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["sign"] for one in found["paths"]} == {-1, 1}
    assert found["perturbations_tried"] == 3
    assert (folder / "why.png").exists()
    assert cli.run([*words[:-2], "--tried", "3", "-k", f"{folder}/none.sqlite"]) == 2
    assert "none.sqlite" in capsys.readouterr().err


def test_a_table_of_pairs_describes_no_gene(case):
    """Where a side is left undescribed another table stands in; a table of pairs does not describe it."""
    _, rows, features = case
    expression = GeneFeatures("expression", features.genes, features.matrix, "noise")
    alone, beside = (roles_of([expression, *more])[0] for more in ([], [PathTable({}, "loss", "none")]))
    assert alone == beside
    assert alone.gene_alone.weight  # expression stands in for annotations
    asked = rows.questions.take(np.arange(20))
    answers = [
        fit_transfer(rows, [expression, *more], rng=np.random.default_rng(0)).answer(asked).p_de
        for more in ([], [PathTable({}, "loss", "none")])
    ]
    assert answers[0] == pytest.approx(answers[1], abs=1e-12)
