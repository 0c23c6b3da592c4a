"""Walks by a naive power of the matrix; files."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import FormatError
from perturbarena.lab import GeneGraph, read_graph
from perturbarena.lab.graph import RESTART


def test_proximity_is_the_stationary_walk_over_that_of_any_gene():
    graph = GeneGraph.of([("a", "b", 1.0), ("b", "c", 2.0), ("c", "d", 1.0), ("b", "a", 0.5)])
    assert graph.n_links == 3
    links = graph.links.toarray()
    step = (links / links.sum(axis=0)).T
    exact = RESTART * np.linalg.inv(np.eye(4) - (1 - RESTART) * step.T)
    near, anywhere = exact @ [1, 0, 0, 0], exact @ np.full(4, 0.25)
    np.testing.assert_allclose(
        graph.proximity({"a": 2.0}, ["a", "d", "x"]), [*(near / anywhere)[[0, 3]], 0], rtol=1e-3
    )
    assert (graph.proximity({"nobody": 1.0}, ["a"]) == 0).all()


def test_a_file_of_links(tmp_path):
    path = tmp_path / "links.csv"
    path.write_text("gene_a,gene_b,weight\na,b,1\nb,c,0.5\na,a,1\n")
    assert read_graph(path).n_links == 2
    for text, words in (("gene_a,gene_b,weight\na,b,-1\n", "negative"), ("gene_a,gene_b\na,a\n", "no link"),
                        ("x,y\na,b\n", "gene_a")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(FormatError, match=words):
            read_graph(path)
