"""What the tools over the store say: evidence with its source, absence as absence, within the caps."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tracks.tool_store import labelled, make_store, open_store

from perturbarena.knowledge import SetMembership, SourceRef
from perturbarena.tracks.tools import ToolSet, built_in_tools
from perturbarena.tracks.tools.builtin import KnowledgeTools
from perturbarena.tracks.tools.evidence import (
    MAX_CHARS,
    MAX_LINES,
    cited,
    listed,
    spoken,
    written,
)
from perturbarena.tracks.tools.inspecting import as_inspect_tools
from perturbarena.tracks.tools.telling import most_telling

REF = SourceRef("go-bp", "2", "CC0")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """The tools over a store with signed regulations."""
    return KnowledgeTools(open_store(tmp_path / "kb", monkeypatch))


def test_each_tool_says_what_its_sources_say(tools):
    assert "interferon (6 genes, go-bp)" in tools.shared_pathways("Stat1", "Ifit2")
    assert "Regulators of Irf1, activating (1): Stat1" in tools.regulators_and_targets("Irf1")
    assert "Targets of Irf1, repressing (1): Tnf" in tools.regulators_and_targets("Irf1")
    assert "Stat1 → Irf1 ⊣ Tnf: losing Stat1 would raise Tnf (regulons)" in tools.signed_path("Stat1", "Tnf")
    assert "Stat1 → Irf1: losing Stat1 would lower Irf1" in tools.signed_path("Stat1", "Irf1")
    assert "X_STAT1_TARGETS (2 genes), a published signature, holds Ifit2" in tools.signed_path("Stat1", "Ifit2")
    assert "Macrophages 1.0 (rank 2)" in tools.cell_type_expression("Stat1")
    assert "Microglia 2.0 → activated 0.0 (-2.0 log2)" in tools.stimulus_response("Stat1")
    assert "x response to lps up (2)" in tools.stimulus_response("Tnf")


def test_absence_is_told_as_absence(tools):
    assert tools.shared_pathways("Actb", "Tnf").startswith("No pathway or process")
    assert "No signed path of up to 3 steps from Actb to Tnf." in tools.signed_path("Actb", "Tnf")
    assert "Regulators of Actb: none known." in tools.regulators_and_targets("Actb")
    assert "published signature" not in tools.signed_path("Tnf", "Irf1")
    assert "nothing is known of it here" in tools.gene_summary("Xyz1")
    for tool in (tools.regulators_and_targets, tools.gene_summary):
        assert "Not in this store: " in tool("Stat1")
    assert "collectri (Zenodo 8192729)" in tools.regulators_and_targets("Stat1")


def test_without_a_signed_network_a_path_cannot_be_told(tmp_path, monkeypatch):
    unsigned = KnowledgeTools(open_store(tmp_path / "kb", monkeypatch, signed=False))
    assert "No signed network is in this store" in unsigned.signed_path("Stat1", "Irf1")
    assert "activating" not in unsigned.regulators_and_targets("Irf1")


def test_an_old_name_stands_for_its_gene(tools):
    assert tools.gene_summary("OldStat1").startswith("Stat1 (asked as OldStat1")
    assert "interferon" in tools.shared_pathways("OldStat1", "stat2")


@given(gene=st.text(max_size=80))
def test_any_text_gets_a_short_answer(shared_tools, gene):
    for tool in shared_tools.values():
        answer = str(tool.function(*[gene] * len(tool.schema.parameters["properties"])))
        assert 0 < len(answer) <= MAX_CHARS + 200
        assert "Traceback" not in answer


@pytest.fixture(scope="module")
def shared_tools(tmp_path_factory):
    """All tools over one store, for properties."""
    with pytest.MonkeyPatch.context() as patch:
        store = make_store(tmp_path_factory.mktemp("kb"), patch)
        train = labelled(("Stat2", "Ifit3", "down"), ("Rela", "Tnf", "down"))
        return built_in_tools(store, train=train, hidden=labelled(("Stat1", "Ifit2", "up")).questions)


def test_only_tools_over_training_rows_are_marked(shared_tools):
    marked = {name for name, tool in shared_tools.items() if tool.uses_training_labels}
    assert marked == {"knockouts_like", "genes_like", "similar_questions"}
    assert built_in_tools(None) == ToolSet()


def test_every_argument_is_explained_to_the_model(shared_tools):
    for tool in shared_tools.values():
        assert "Args" not in tool.schema.description
        assert all(shape["description"] for shape in tool.schema.parameters["properties"].values())


def test_inspect_takes_them_as_they_are(shared_tools):
    definitions = as_inspect_tools(shared_tools)
    assert [d.name for d in definitions] == list(shared_tools)
    assert all(p.description for d in definitions for p in d.parameters.properties.values())
    answer = asyncio.run(definitions[1].tool(gene_a="Stat1", gene_b="Ifit2"))
    assert answer == shared_tools["shared_pathways"].function("Stat1", "Ifit2")


@given(lines=st.lists(st.text(alphabet="ab ", max_size=400), max_size=40))
def test_an_answer_stays_within_its_caps_and_says_where_it_is_cut(lines):
    answer = written(lines, looked_at=[REF])
    assert answer.endswith("Sources: go-bp (2).")
    assert len(answer.split("\n")) <= MAX_LINES + 1
    assert len(answer) <= MAX_CHARS + 2
    whole = "\n".join([*lines, "Sources: go-bp (2)."])
    assert answer == whole or " …" in answer or len(lines[0]) > MAX_CHARS - 30


def test_sources_are_cited_by_version():
    assert cited([REF, SourceRef("reactome", "2", "x"), SourceRef("string", "12", "x"), REF]) == (
        "go-bp, reactome (2); string (12)"
    )
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert listed([]) == "none"
    assert spoken("GOBP_RESPONSE_TO_VIRUS") == "response to virus"
    assert spoken("X_TARGETS") == "x targets"


def test_the_sets_named_first_share_their_words_with_others():
    sets = [
        SetMembership(f"GOBP_{name}", "", size, 1.0, REF)
        for name, size in (
            ("ODD_THING", 10),
            ("INTERFERON_ALPHA", 20),
            ("INTERFERON_BETA", 30),
            ("INTERFERON", 900),
        )
    ]
    assert [s.name for s in most_telling(sets, most=2)] == ["GOBP_INTERFERON_ALPHA", "GOBP_INTERFERON_BETA"]
