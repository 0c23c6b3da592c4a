"""The store: readers of original formats, symbols, builds that repeat, terms, hashes; small made files."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.errors import DataUnavailableError, FormatError, InputError
from perturbarena.knowledge import KnowledgeBase, added_source, build_store, declared_sources
from perturbarena.knowledge import build as build_module
from perturbarena.knowledge.readers import Pair, read_edges, read_matrix, read_names, read_sets
from perturbarena.knowledge.sources import locate
from perturbarena.knowledge.symbols import Candidate, Names, resolve

TOY = """
format_version = 1
[homology]
title = "t"
kind = "orthologues"
species = "mouse"
version = "1"
licence = "CC0"
terms = "open"
citation = "c"
files = [{ path = "hcop.tsv", format = "hcop", sha256 = "unpinned" }]
[markers]
title = "t"
kind = "names"
species = "mouse"
version = "1"
licence = "CC0"
terms = "open"
citation = "c"
files = [{ path = "MRK.rpt", format = "mgi-markers", sha256 = "unpinned" }]
[regulons]
title = "t"
kind = "regulons"
species = "human"
version = "2"
licence = "academic use"
terms = "restricted"
citation = "c"
files = [{ path = "collectri.csv", format = "edges", sha256 = "unpinned" }]
[proteins]
title = "t"
kind = "links"
species = "mouse"
version = "12"
licence = "CC BY 4.0"
terms = "open"
citation = "c"
min_score = 400
files = [
  { path = "links.txt.gz", format = "string-links", sha256 = "unpinned" },
  { path = "info.txt", format = "string-info", role = "info", sha256 = "unpinned" },
]
[pathways]
title = "t"
kind = "sets"
species = "mouse"
version = "3"
licence = "CC0"
terms = "open"
citation = "c"
files = [{ path = "sets.gmt", format = "gmt", sha256 = "unpinned" }]
[summaries]
title = "t"
kind = "summaries"
species = "human"
version = "4"
licence = "public domain"
terms = "open"
citation = "c"
files = [{ path = "gene_summary.gz", format = "ncbi-summaries", sha256 = "unpinned" }]
"""
HCOP = """human_symbol\thuman_entrez\thuman_ensembl\tmouse_symbol\tmouse_entrez\tmouse_ensembl\tsupport_n\tone2one
STAT1\t6772\t\tStat1\t20846\t\t12\tTRUE
IRF1\t3659\t\tIrf1\t16362\t\t12\tTRUE
TNF\t7124\t\tTnf\t21926\t\t12\tTRUE
LYZ\t4069\t\tLyz1\t17110\t\t8\tFALSE
LYZ\t4069\t\tLyz2\t17105\t\t8\tFALSE
"""
MARKERS = "MGI Accession ID\tMarker Symbol\tMarker Type\tMarker Synonyms (pipe-separated)\n"
LINKS = """protein1 protein2 combined_score
10090.P1 10090.P2 900
10090.P2 10090.P1 900
10090.P1 10090.P3 150
"""


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """A folder of small files in the original formats, and the list of sources that names them."""
    folder = tmp_path / "from"
    folder.mkdir()
    (folder / "sources.toml").write_text(TOY)
    (folder / "hcop.tsv").write_text(HCOP)
    markers = "MGI:1\tStat1\tGene\tStatOne|2010005J02Rik\nMGI:2\tTnf\tGene\tTnfa|DIF\nMGI:3\tIrf1\tGene\tDIF\n"
    (folder / "MRK.rpt").write_text(MARKERS + markers)
    (folder / "collectri.csv").write_text(
        "source,target,weight,resources,references,sign_decision\n"
        'STAT1,IRF1,1.0,"ExTRI;HTRI",1,PMID\nIRF1,TNF,-1.0,x,1,PMID\nAP1,TNF,1,x,1,PMID\nSTAT1,LYZ,1,x,1,PMID\n'
    )
    with gzip.open(folder / "links.txt.gz", "wt") as file:
        file.write(LINKS)
    (folder / "info.txt").write_text(
        "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n"
        '10090.P1\tStat1\t1\tsays "hello"\n10090.P2\tTnfa\t1\tx\n10090.P3\tIrf1\t1\tx\n'
    )
    (folder / "sets.gmt").write_text("A\tGO:1\tStat1\tTnfa\tGm99\nB\tGO:2\tstat1\tIrf1\tTnf\n\n")
    with gzip.open(folder / "gene_summary.gz", "wt") as file:
        file.write(
            '#tax_id\tGeneID\tSource\tSummary\n9606\t7124\tRefSeq\tA "cytokine".\n4932\t7124\tSGD\tYeast.\n'
        )
    known = declared_sources(folder / "sources.toml")
    monkeypatch.setattr(build_module, "declared_sources", lambda: known)
    return folder


def test_a_store_says_what_its_sources_say(toy, tmp_path):
    report = build_store(tmp_path / "kb.sqlite", folder=toy, accepted=["regulons"])
    by_name = {entered.name: entered for entered in report.sources}
    assert report.absent == ()
    assert by_name["regulons"].unmapped_examples == ("AP1", "LYZ")  # a complex; two equally good orthologues
    assert by_name["pathways"].kept_examples == ("Gm99",)
    assert by_name["proteins"].rows == 2
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as base:
        assert base.content_hash == report.content_hash
        assert base.gene("TNFA").found[0].symbol == "Tnf"
        assert "Stat1 or" not in base.gene("DIF").why
        assert base.gene("DIF").why == "DIF may be Irf1 or Tnf"
        assert [(r.target, r.sign) for r in base.targets("Stat1")] == [("Irf1", 1)]
        assert [(r.regulator, r.sign, r.source.version) for r in base.regulators("tnf")] == [("Irf1", -1, "2")]
        assert [(n.symbol, n.confidence) for n in base.neighbours("Stat1")] == [("Tnf", 0.9)]
        assert base.neighbours("Stat1", min_confidence=0.95).found == ()
        (path,) = base.paths("Stat1", "Tnf").found
        assert ([step.target for step in path.steps], path.sign) == (["Irf1", "Tnf"], -1)
        assert base.paths("Stat1", "Tnf", max_length=1).why == "no source says so of Stat1, Tnf"
        assert [s.name for s in base.shared_sets("Stat1", "Tnf")] == ["A", "B"]
        assert base.sets_of("Gm99").found[0].exact == "GO:1"
        assert base.summary("Tnf").found[0].text == 'A "cytokine".'
        assert base.summary("Stat1").why == "no source says so of Stat1"


def test_the_same_input_gives_the_same_bytes(toy, tmp_path):
    first = build_store(tmp_path / "a.sqlite", folder=toy)
    second = build_store(tmp_path / "b.sqlite", folder=toy)
    assert (tmp_path / "a.sqlite").read_bytes() == (tmp_path / "b.sqlite").read_bytes()
    assert first.content_hash == second.content_hash
    (toy / "sets.gmt").write_text("A\tGO:1\tStat1\tTnf\n")
    assert build_store(tmp_path / "c.sqlite", folder=toy).content_hash != first.content_hash


def test_a_restricted_source_enters_only_by_name(toy, tmp_path):
    report = build_store(tmp_path / "kb.sqlite", folder=toy)
    assert report.not_accepted == ("regulons",)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as base:
        answer = base.regulators("Tnf")
        assert (answer.found, answer.looked_at) == ((), ())
        assert answer.why == "the store has no source of this kind"
    (toy / "collectri.csv").unlink()
    assert build_store(tmp_path / "kb.sqlite", folder=toy).absent == ("regulons",)


def test_the_manifest_has_every_hash(toy, tmp_path):
    build_store(tmp_path / "kb.sqlite", folder=toy)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as base:
        files = {file["name"]: file for source in base.sources for file in source.files}
    assert files["sets.gmt"]["sha256"] == hashlib.sha256((toy / "sets.gmt").read_bytes()).hexdigest()
    assert not files["sets.gmt"]["pinned"]
    assert set(files) == {"hcop.tsv", "MRK.rpt", "links.txt.gz", "info.txt", "sets.gmt", "gene_summary.gz"}


def test_added_files(toy, tmp_path):
    (tmp_path / "mine.tsv").write_text("gene\ta\tb\nTnfa\t1\t2\nStat1\t3\t4.5\n")
    (tmp_path / "net.csv").write_text("tf,target,mor\nStat1,Tnf,-2\nTnf,Stat1,\n")
    added = [
        (added_source("mine", tmp_path / "mine.tsv", form="table", licence="CC0"), tmp_path / "mine.tsv"),
        (added_source("net", tmp_path / "net.csv", form="edges", licence="CC0"), tmp_path / "net.csv"),
    ]
    build_store(tmp_path / "kb.sqlite", folder=toy, added=added)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as base:
        (row,) = base.tables("Tnf").found
        assert (row.columns, row.values, row.source.licence) == (("a", "b"), (1.0, 2.0), "CC0")
        assert [(r.target, r.sign) for r in base.targets("Stat1")] == [("Tnf", -1)]
        assert [r.sign for r in base.targets("Tnf")] == [0]
        assert base.paths("Tnf", "Stat1").found == ()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda out, toy: build_store(out, folder=toy / "none"), InputError, "no such folder"),
        (lambda out, toy: build_store(out, folder=out.parent / "empty"), InputError, "no file of any source"),
        (lambda out, toy: build_store(out, folder=toy, only=["pathway"]), DataUnavailableError, "mean pathways"),
        (lambda out, toy: added_source("x", toy / "f", form="xml", licence="CC0"), InputError, "got 'xml'"),
        (lambda out, toy: added_source("x", toy / "f", form="gmt", licence=" "), InputError, "needs its licence"),
        (lambda out, toy: KnowledgeBase.open(toy / "sets.gmt"), FormatError, "is no knowledge base"),
        (lambda out, toy: KnowledgeBase.open(out), FormatError, "no such file"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(call, error, message, toy, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=message):
        call(tmp_path / "kb.sqlite", toy)
    assert not (tmp_path / "kb.sqlite").exists()


def test_a_failed_build_leaves_the_old_store_and_nothing_else(toy, tmp_path):
    out = tmp_path / "out" / "kb.sqlite"
    build_store(out, folder=toy)
    before = out.read_bytes()
    (toy / "sets.gmt").write_text("A\tGO:1\n")
    with pytest.raises(FormatError, match=r"sets.gmt: a gene set needs .* \(line 1\)"):
        build_store(out, folder=toy)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["kb.sqlite"]


def test_another_format_version_is_refused(toy, tmp_path):
    build_store(tmp_path / "kb.sqlite", folder=toy)
    connection = sqlite3.connect(tmp_path / "kb.sqlite")
    connection.execute("UPDATE meta SET value = '99' WHERE key = 'format_version'")
    connection.commit()
    connection.close()
    with pytest.raises(FormatError, match="must have format version 1; got 99"):
        KnowledgeBase.open(tmp_path / "kb.sqlite")


def test_a_changed_file_is_not_the_declared_one(tmp_path):
    (tmp_path / "CEG_mouse.txt").write_text("GENE\nTnf\n")
    with pytest.raises(
        DataUnavailableError, match="is not the declared file of essential-mouse: want sha256 40acc6"
    ):
        locate(declared_sources()["essential-mouse"], tmp_path)


def test_two_different_files_of_one_name_are_refused(toy, tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "NEG_mouse.txt").write_text(f"GENE\n{name}\n")
    with pytest.raises(DataUnavailableError, match=r"several different files are called NEG_mouse.txt"):
        locate(declared_sources()["essential-mouse"], tmp_path)


def test_the_declared_sources_are_complete():
    known = declared_sources()
    kinds = {source.kind for source in known.values()}
    assert kinds == {"names", "orthologues", "sets", "regulons", "links", "footprints", "essential", "expression",
                     "summaries"}  # fmt: skip
    for source in known.values():
        assert source.licence
        assert source.origin.startswith("https://")
        assert source.citation
    assert {name for name, source in known.items() if source.terms == "restricted"} == {"collectri", "dorothea"}
    assert known["string"].downloads is not None
    assert known["progeny"].downloads is None


@pytest.mark.parametrize(
    ("text", "read", "message"),
    [
        ("a\tb\nx\ty\n", read_edges, "needs the column source or tf or regulator; it has a, b"),
        ("source,target,weight\nA,B,up\n", read_edges, r"a weight must be a number; got 'up' \(line 2\)"),
        ("source,target,weight\nA,B\n", read_edges, r"every line needs 3 cells; got 2 \(line 2\)"),
        ("\n", read_sets, "has no gene sets"),
    ],
)
def test_readers_name_file_and_line(text, read, message, tmp_path):
    (tmp_path / "f").write_text(text)
    with pytest.raises(FormatError, match=message):
        list(read(tmp_path / "f"))


def test_repeated_rows_and_dorothea_columns_and_gene_info(tmp_path):
    (tmp_path / "m.tsv").write_text("a\tb\nTNF\t1\t2\nTNF.1\t3\t4\nRP11.2\t5\t6\n")
    matrix = read_matrix(tmp_path / "m.tsv")
    assert (matrix.genes, matrix.columns) == (("TNF", "RP11.2"), ("a", "b"))
    (tmp_path / "d.tsv").write_text("tf\tconfidence\ttarget\tmor\nSpi1\tA\tCsf1r\t1\n")
    assert list(read_edges(tmp_path / "d.tsv")) == [("Spi1", "Csf1r", 1, "A")]
    (tmp_path / "i").write_text("#tax_id\tGeneID\tSymbol\tSynonyms\n10090\t1\tTnf\tDIF|Tnfa\n10090\t2\tX\t-\n")
    rows = list(read_names(tmp_path / "i", "ncbi-gene-info"))
    assert rows == [("Tnf", ("DIF", "Tnfa"), "1"), ("X", (), "2")]


def test_renamed_genes_are_learned_from_two_states_of_a_table():
    names = Names()
    new = [Pair("MARS1", "Mars1", 10, one_to_one=True, human_entrez="4141"),
           Pair("TNF", "Tnf", 12, one_to_one=True, human_entrez="7124")]  # fmt: skip
    for pair in new:
        names.add(pair.mouse, pair.mouse, "current")
    old = [Pair("MARS", "Mars", 0, one_to_one=False, human_entrez="4141"),
           Pair("TNF", "Tnf", 0, one_to_one=False, human_entrez="7124"),
           Pair("TNF", "Tnf-ps", 0, one_to_one=False, human_entrez="7124")]  # fmt: skip
    names.learn_renamed(old, new)
    names.learn_human(new, [("MARS", "4141")])
    assert names.resolve("Mars")[:2] == ("Mars1", "old")
    assert names.resolve("MARS", species="human")[:2] == ("Mars1", "old human")
    assert names.resolve("Tnf-ps")[:2] == ("Tnf-ps", "current")  # a second partner, not a new name


SYMBOLS = st.sampled_from(["Tnf", "tnf", "TNF", "Tnfa", "Lyz2"])
KINDS = st.sampled_from(["current", "as given", "old", "human", "old human"])


@given(SYMBOLS, st.lists(st.builds(Candidate, SYMBOLS, st.sampled_from(["Tnf", "Lyz2", "Irf1"]), KINDS)))
def test_resolving_depends_on_no_order_and_invents_no_gene(symbol, candidates):
    matching = [c for c in candidates if c.name.casefold() == symbol.casefold()]
    found = resolve(symbol, matching)
    turned = resolve(symbol, matching[::-1])
    assert (found.gene, found.options) == (turned.gene, turned.options)
    assert found.gene is None or found.gene in {c.gene for c in matching}
    assert (found.gene is None) == (not matching or len(found.options) > 1)
    if Candidate(symbol, symbol, "current") in matching and {c.gene for c in matching} == {symbol}:
        assert found.gene == symbol


def test_the_real_folder(shared, tmp_path):
    only = ["hcop", "mgi-homology", "mgi-hmd", "hallmark", "gtrd", "progeny", "essential-mouse", "essential-human"]
    report = build_store(tmp_path / "kb.sqlite", folder=shared / "data/knowledge", only=only)
    counts = {entered.name: entered for entered in report.sources}
    assert counts["hcop"].genes == 20074
    assert counts["progeny"].kept == 73
    assert json.dumps(counts["gtrd"].unmapped_examples).count("AHCY_AHCYL") == 1
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as base:
        assert {f.pathway for f in base.footprints("TNF")} == {"NFkB", "TNFa"}
        assert [e.essential for e in base.essential("Rpl3")] == [True, True]
        assert base.orthologue("Lyz2").found[0].symbol == "LYZ"
        assert all(r.sign == 0 for r in base.regulators("Tnf"))
