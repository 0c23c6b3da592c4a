"""Lookups from threads and processes, paths against a naive search, embeddings; a small store made here."""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from perturbarena.errors import FormatError, InputError
from perturbarena.knowledge import (
    GeneFeatures,
    KnowledgeBase,
    added_source,
    build_store,
    coverage_of,
    expression_embedding,
    set_embedding,
    table_embedding,
    under_current_names,
)
from perturbarena.knowledge import sources as sources_module

GENES = [f"Gene{i}" for i in range(12)]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kb")
    rng = np.random.default_rng(3)
    sets = [f"S{i}\tid{i}\t" + "\t".join(rng.choice(GENES, 4, replace=False)) for i in range(9)]
    (folder / "sets.gmt").write_text("\n".join(sets) + "\n")
    edges = {tuple(rng.choice(GENES[:7], 2)) for _ in range(25)}
    rows = [f"{a},{b},{rng.choice((-1, 1))}" for a, b in sorted(edges)]
    (folder / "net.csv").write_text("source,target,weight\n" + "\n".join(rows) + "\n")
    table = [f"{gene}\t{i}\t{i % 3}\t{-i}" for i, gene in enumerate(GENES[:10])]
    (folder / "table.tsv").write_text("gene\tx\ty\tz\n" + "\n".join(table) + "\n")
    files = (("sets", "gmt", "sets.gmt"), ("net", "edges", "net.csv"), ("table", "table", "table.tsv"))
    added = [(added_source(n, folder / f, form=form, licence="CC0"), folder / f) for n, form, f in files]
    build_store(folder / "kb.sqlite", added=added)
    return folder / "kb.sqlite"


@pytest.fixture
def base(store):
    with KnowledgeBase.open(store) as opened:
        yield opened


def test_set_sizes_and_idf(base):
    n = len({gene for gene in GENES if base.sets_of(gene).found})
    for gene in GENES:
        for found in base.sets_of(gene):
            assert found.size == 4
            assert found.idf == pytest.approx(np.log(n / 4))
    shared = {s.name for s in base.shared_sets(GENES[0], GENES[1])}
    assert shared == {s.name for s in base.sets_of(GENES[0])} & {s.name for s in base.sets_of(GENES[1])}


def test_paths_are_those_of_a_naive_search(base):
    edges = {(r.regulator, r.target): r.sign for gene in GENES for r in base.targets(gene)}
    pairs = itertools.permutations(GENES[:7], 2)
    compared = 0
    for (a, b), length in itertools.product(pairs, (1, 2, 3, 4)):
        naive = {}
        for n in range(length):
            for middle in itertools.permutations([g for g in GENES[:7] if g not in (a, b)], n):
                way = (a, *middle, b)
                steps = list(itertools.pairwise(way))
                if all(step in edges for step in steps):
                    naive[way] = int(np.prod([edges[step] for step in steps]))
        found = base.paths(a, b, max_length=length).found
        ways = {(a, *(step.target for step in path.steps)): path.sign for path in found}
        if len(naive) < 50:
            assert ways == naive
            assert [len(path.steps) for path in found] == sorted(len(way) - 1 for way in naive)
            compared += len(naive)
    assert compared > 50


def test_answers_are_frozen_and_absence_names_its_sources(base):
    answer = base.sets_of("Nothing1")
    assert (len(answer), answer.genes, answer.why) == (0, (None,), "Nothing1 is in no source")
    assert [ref.name for ref in answer.looked_at] == ["sets"]
    assert base.expression(GENES[0]).looked_at == ()
    with pytest.raises(FrozenInstanceError):
        answer.found = ()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="has no gene sets called 'x'; it has sets"):
        base.sets_of(GENES[0], collection="x")
    with pytest.raises(InputError, match="paths may have 1 to 4 steps; got 9"):
        base.paths(*GENES[:2], max_length=9)


def everything(base: KnowledgeBase, gene: str) -> tuple[object, ...]:
    return base.gene(gene), base.sets_of(gene), base.targets(gene), base.paths(GENES[0], gene), base.tables(gene)


def test_two_hundred_threads_get_the_same_answers(base):
    want = {gene: everything(base, gene) for gene in GENES}
    with ThreadPoolExecutor(200) as pool:
        got = list(pool.map(lambda i: (GENES[i % 12], everything(base, GENES[i % 12])), range(1000)))
    assert all(want[gene] == answers for gene, answers in got)


def _in_another_process(base: KnowledgeBase) -> tuple[object, ...]:
    return everything(base, GENES[3])


def test_a_base_travels_to_other_processes(base):
    want = everything(base, GENES[3])
    assert everything(pickle.loads(pickle.dumps(base)), GENES[3]) == want
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_in_another_process, (base,)) == want


def test_a_closed_base_opens_again(base):
    want = everything(base, GENES[0])
    base.close()
    assert everything(base, GENES[0]) == want


def test_a_damaged_store_is_told(store, tmp_path):
    raw = bytearray(store.read_bytes())
    raw[4096:] = b"\x07" * (len(raw) - 4096)
    (tmp_path / "kb.sqlite").write_bytes(raw)
    with pytest.raises(FormatError, match=r"kb.sqlite is (damaged|no knowledge base): "):
        KnowledgeBase.open(tmp_path / "kb.sqlite")


def test_set_vectors_rebuild_the_memberships(base):
    features = set_embedding(base, n_dimensions=100)
    shared = np.array([[len(base.shared_sets(a, b)) for a in features.genes] for b in features.genes])
    # one singular value of nine is not computed
    assert np.linalg.matrix_rank(shared) <= features.matrix.shape[1] + 1
    assert np.abs(features.matrix @ features.matrix.T - shared).max() < 1.0
    with pytest.raises(InputError, match="has no sets source nothing; it has sets"):
        set_embedding(base, only=["nothing"])
    with pytest.raises(InputError, match="has no expression source"):
        expression_embedding(base)


def test_expression_vectors_keep_every_distance(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    rows = [f"{gene}\t" + "\t".join(f"{v:.6f}" for v in rng.normal(5, 2, 6)) for gene in GENES]
    (tmp_path / "e.tsv").write_text("\t".join("abcdef") + "\n" + "\n".join(rows) + "\n")
    monkeypatch.setitem(sources_module.ADDED, "expression", ("expression", "matrix"))
    source = added_source("e", tmp_path / "e.tsv", form="expression", licence="CC0")
    build_store(tmp_path / "kb.sqlite", added=[(source, tmp_path / "e.tsv")])
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as base:
        features = expression_embedding(base)
        values = np.array([base.expression(gene).found[0].values for gene in features.genes])
    centred = values - values.mean(axis=1, keepdims=True)
    assert features.matrix[:, 0] == pytest.approx(values.mean(axis=1))
    vectors = features.matrix[:, 1:]  # centred rows have rank 5 of 6 columns
    assert vectors @ vectors.T == pytest.approx(centred @ centred.T, abs=1e-8)


def test_tables_from_elsewhere_take_current_names_and_zeros_are_not_invented(base, tmp_path):
    (tmp_path / "v.csv").write_text("gene,a,b\nGENE1,1,2\nGene1,3,4\nOther,5,6\n")
    features = table_embedding(base, tmp_path / "v.csv")
    assert list(features.genes) == ["Gene1", "Other"]
    assert features.matrix.tolist() == [[3, 4], [5, 6]]
    assert features.coverage(GENES) == pytest.approx(1 / 12)
    assert (features.positions(["Gene2"]) == -1).all()
    again = under_current_names(base, GeneFeatures("x", np.array(["gene2"]), np.ones((1, 1)), "here"))
    assert list(again.genes) == ["Gene2"]


def test_coverage(base):
    report = coverage_of(base, pert=["GENE1", "Zzz"], gene=["Gene1", "Gene11"])
    rows = {row.source: row for row in report.sources}
    assert (report.n_perts, report.n_genes, report.n_both) == (2, 2, 4)
    assert (rows["table"].perts, rows["table"].genes, rows["table"].both) == (1, 1, 2)
    assert report.renamed == (("GENE1", "Gene1"),)
    assert report.unknown == ("Zzz",)
