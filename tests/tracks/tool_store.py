"""A small store with a source of every kind that tools ask, in the original formats."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.knowledge import KnowledgeBase, build_store, declared_sources
from perturbarena.knowledge import build as build_module

GENES = ("Stat1", "Stat2", "Irf9", "Irf1", "Ifit2", "Ifit3", "Tnf", "Il6", "Rela", "Nfkb1", "Actb", "Psmd4")
ENTRY = """
[{name}]
title = "t"
kind = "{kind}"
species = "mouse"
version = "{version}"
licence = "CC0"
terms = "open"
citation = "c"
{extra}
files = [{files}]
"""
FILE = '{{ path = "{path}", format = "{form}", role = "{role}", sha256 = "unpinned" }}'
MARKERS = "MGI Accession ID\tMarker Symbol\tMarker Type\tMarker Synonyms (pipe-separated)\n"
SETS = {
    "interferon": ("Stat1", "Stat2", "Irf9", "Irf1", "Ifit2", "Ifit3"),
    "antiviral": ("Stat1", "Irf9", "Ifit2", "Ifit3"),
    "nfkb": ("Tnf", "Il6", "Rela", "Nfkb1", "Irf1"),
    "cytokine": ("Tnf", "Il6", "Rela"),
    "skeleton": ("Actb", "Psmd4"),
}


def make_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, signed: bool = True, linked: bool = False
) -> Path:
    """Write the sources, build the store, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    markers = "".join(f"MGI:{i}\t{gene}\tGene\tOld{gene}\n" for i, gene in enumerate(GENES))
    (folder / "MRK.rpt").write_text(MARKERS + markers)
    sets = ("\t".join([f"GOBP_{name.upper()}", "x", *members]) + "\n" for name, members in SETS.items())
    (folder / "sets.gmt").write_text("".join(sets))
    (folder / "cgp.gmt").write_text("X_STAT1_TARGETS\tx\tIfit2\tIrf1\nX_RESPONSE_TO_LPS_UP\tx\tTnf\tIl6\n")
    (folder / "regulons.csv").write_text("source,target,weight\nStat1,Irf1,1\nIrf1,Tnf,-1\nRela,Il6,1\n")
    columns = ("Macrophages", "Microglia", "Microglia activated")
    rows = "".join(f"{g}\t{i % 5 + 1}\t{i % 3 + 2}\t{i % 4}\n" for i, g in enumerate(GENES))
    (folder / "matrix.tsv").write_text("gene\t" + "\t".join(columns) + "\n" + rows)
    entries = [
        ENTRY.format(name="markers", kind="names", version="1", extra="", files=_file("MRK.rpt", "mgi-markers")),
        ENTRY.format(name="go-bp", kind="sets", version="2", extra="", files=_file("sets.gmt", "gmt")),
        ENTRY.format(name="cgp", kind="sets", version="2", extra="", files=_file("cgp.gmt", "gmt")),
        ENTRY.format(name="cells", kind="expression", version="3", extra="", files=_file("matrix.tsv", "matrix")),
    ]
    if signed:
        entries.append(
            ENTRY.format(
                name="regulons", kind="regulons", version="4", extra="", files=_file("regulons.csv", "edges")
            )
        )
    if linked:
        with gzip.open(folder / "links.txt.gz", "wt") as file:
            file.write("protein1 protein2 combined_score\nP.1 P.2 900\nP.2 P.1 900\n")
        (folder / "info.txt").write_text("#string_protein_id\tpreferred_name\nP.1\tStat1\nP.2\tPsmd4\n")
        files = f"{_file('links.txt.gz', 'string-links')}, {_file('info.txt', 'string-info', 'info')}"
        entries.append(
            ENTRY.format(name="links", kind="links", version="12", extra="min_score = 400", files=files)
        )
    (folder / "sources.toml").write_text("format_version = 1\n" + "".join(entries))
    known = declared_sources(folder / "sources.toml")
    monkeypatch.setattr(build_module, "declared_sources", lambda: known)
    build_store(folder / "kb.sqlite", folder=folder)
    return folder / "kb.sqlite"


def open_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, signed: bool = True, linked: bool = False
) -> KnowledgeBase:
    """The store of :func:`make_store`, open."""
    return KnowledgeBase.open(make_store(folder, monkeypatch, signed=signed, linked=linked))


def labelled(*rows: tuple[str, str, str]) -> LabelledQuestions:
    """Labelled questions of (perturbation, gene, label)."""
    return LabelledQuestions(
        Questions.from_pairs([r[0] for r in rows], [r[1] for r in rows]), [r[2] for r in rows]
    )


def _file(path: str, form: str, role: str = "main") -> str:
    return FILE.format(path=path, form=form, role=role)
