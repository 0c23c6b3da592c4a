"""``perturbarena knowledge``: what is known of genes, in one file, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from perturbarena.cli.output import console, print_json, progress_console

if TYPE_CHECKING:
    from rich.table import Table

    from perturbarena.knowledge import Answer, CoverageReport, GeneFeatures, KnowledgeBase

app = typer.Typer(
    no_args_is_help=True, help="A knowledge base of genes: compile it from licensed sources, ask it, embed it."
)

Store = Annotated[
    Path,
    typer.Option(
        "--store", "-k", metavar="KB.sqlite", envvar="PERTURBARENA_KNOWLEDGE", help="The knowledge base."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Accept = Annotated[
    list[str] | None,
    typer.Option("--accept-licence", metavar="NAME", help="A restricted source whose terms you accept."),
]
SHOWN = 8
"""Items of one kind on the screen; --json has all."""


def attach(parent: typer.Typer) -> None:
    """Add ``knowledge …``."""
    parent.add_typer(app, name="knowledge")


@app.command()
def sources(
    store: Annotated[
        Path | None,
        typer.Option("--store", "-k", metavar="KB.sqlite", help="What this store was built from instead."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The sources that a knowledge base can be built from, or with --store the manifest of one.

    Example: perturbarena knowledge sources
    """
    from rich.table import Table

    from perturbarena.knowledge import KnowledgeBase, declared_sources

    if store is not None:
        with KnowledgeBase.open(store) as base:
            _manifest(base, as_json=as_json)
        return
    known = declared_sources().values()
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in known])
        return
    table = Table("name", "kind", "species", "licence", "terms", "download")
    for entry in known:
        pinned = all(file.sha256 != "unpinned" for file in entry.files if file.url)
        download = ("pinned" if pinned else "unpinned") if entry.downloads else "by file"
        table.add_row(entry.name, entry.kind, entry.species, entry.licence, entry.terms, download)
    console().print(table)


@app.command()
def get(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files, one folder a source.")],
    names: Annotated[list[str] | None, typer.Argument(help="Sources; default: all open ones.")] = None,
    accept: Accept = None,
    as_json: Json = False,
) -> None:
    """Download sources' files, each checked against its SHA-256 (recorded at first sight where none is known).

    Example: perturbarena knowledge get string mgi-markers -o sources
    """
    from perturbarena.challenge.data import fetch
    from perturbarena.knowledge import choose_sources, declared_sources

    chosen, refused = choose_sources(declared_sources().values(), only=names or (), accepted=accept or ())
    _note_refused(refused)
    fetched = []
    for source in chosen:
        if source.downloads is None:
            if names:
                progress_console().print(
                    f"[yellow]note:[/] {source.name} is read from files alone: {source.origin}"
                )
            continue
        for file in fetch(source.downloads, output=output / source.name):
            fetched.append({"source": source.name, "path": str(file.path), "sha256": file.sha256, "how": file.how})
            if not as_json:
                console().print(f"{file.how}: {file.path} (sha256 {file.sha256[:12]}…)", soft_wrap=True)
        if not as_json:
            console().print(f"[bold]{source.name}[/]: {source.licence}; cite {source.citation}", soft_wrap=True)
    if as_json:
        print_json(fetched)


@app.command()
def build(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="KB.sqlite", help="The file to write.")],
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Where the sources' files lie, at any depth.")
    ] = None,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="NAME=FILE", help="A source of your own; may be repeated.")
    ] = None,
    form: Annotated[
        list[str] | None, typer.Option("--format", help="Of each added file: gmt, edges or table.")
    ] = None,
    licence: Annotated[list[str] | None, typer.Option("--licence", help="Of each added file.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="These sources alone.")] = None,
    accept: Accept = None,
    as_json: Json = False,
) -> None:
    """Compile sources into one SQLite file with a manifest; the same input gives the same bytes.

    Example: perturbarena knowledge build -o kb.sqlite --from knowledge
    """
    from dataclasses import asdict

    from perturbarena.knowledge import build_store

    report = build_store(
        output, folder=folder, added=_added(add, form, licence), only=only or (), accepted=accept or ()
    )
    _note_refused(report.not_accepted)
    if as_json:
        record = asdict(report) | {"path": str(report.path)}
        print_json(record | {"sources": [entered._asdict() for entered in report.sources]})
        return
    from rich.table import Table

    table = Table("source", "kind", "rows", "genes", "renamed", "kept as given", "unmapped", "such as")
    for s in report.sources:
        examples = ", ".join((s.unmapped_examples or s.kept_examples)[:3])
        table.add_row(
            s.name, s.kind, f"{s.rows:,}", f"{s.genes:,}", str(s.renamed), str(s.kept), str(s.unmapped), examples
        )
    console().print(table)
    if report.absent:
        console().print(f"not here: {', '.join(report.absent)}", soft_wrap=True)
    console().print(f"content: {report.content_hash}\nwritten: {output}", soft_wrap=True)


@app.command()
def show(
    gene: Annotated[str, typer.Argument(help="A gene's symbol: current, old, or its human orthologue's.")],
    other: Annotated[str | None, typer.Argument(help="A second gene: what both share, and ways between.")] = None,
    store: Store = Path("kb.sqlite"),
    as_json: Json = False,
) -> None:
    """What every source says of a gene, or of two together.

    Example: perturbarena knowledge show Irf3 --store kb.sqlite
    """
    from dataclasses import asdict

    from perturbarena.knowledge import KnowledgeBase

    with KnowledgeBase.open(store) as base:
        said = _said(base, gene, other)
    if as_json:
        print_json({kind: asdict(answer) for kind, answer in said.items()})
        return
    for kind, answer in said.items():
        _show(kind, answer)


@app.command()
def coverage(
    questions: Annotated[list[Path], typer.Argument(metavar="QUESTIONS.csv", help="CSV with pert and gene.")],
    store: Store = Path("kb.sqlite"),
    as_json: Json = False,
) -> None:
    """Which share of the questions' perturbations and genes each source knows.

    Example: perturbarena knowledge coverage train.csv test.csv --store kb.sqlite
    """
    from dataclasses import asdict

    from perturbarena.challenge.formats import read_questions
    from perturbarena.knowledge import KnowledgeBase, coverage_of, declared_sources

    asked = [read_questions(path) for path in questions]
    with KnowledgeBase.open(store) as base:
        report = coverage_of(
            base, pert=[p for q in asked for p in q.pert], gene=[g for q in asked for g in q.gene]
        )
    absent = [name for name in declared_sources() if name not in {row.source for row in report.sources}]
    if as_json:
        rows = [row._asdict() for row in report.sources]
        print_json(asdict(report) | {"sources": rows, "anywhere": report.anywhere._asdict(), "absent": absent})
        return
    console().print(_coverage_table(report))
    screen = console()
    screen.print(
        f"under another name: {', '.join(f'{a} = {b}' for a, b in report.renamed) or 'none'}", soft_wrap=True
    )
    screen.print(f"unknown ({len(report.unknown)}): {', '.join(report.unknown[:20])} …", soft_wrap=True)
    screen.print(f"not in this store: {', '.join(absent)}", soft_wrap=True)


@app.command()
def embed(
    store: Annotated[Path, typer.Argument(metavar="KB.sqlite", help="The knowledge base.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV to write: gene, then its numbers.")],
    by: Annotated[
        Literal["sets", "expression", "cells", "table"], typer.Option("--by", help="What the vectors are made of.")
    ] = "sets",
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Sources to take; default: all sets, or mouse expression."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="With --by cells an h5ad, with --by table a table of vectors.")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="Numbers a gene, with sets and expression.")
    ] = None,
    questions: Annotated[
        list[Path] | None, typer.Option("--questions", help="Report how many of these genes have vectors.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Genes as vectors, to be read by `run transfer --features`; a gene without any is left out, not zero.

    Example: perturbarena knowledge embed kb.sqlite --by sets -o sets.csv
    """
    from perturbarena.challenge.formats import read_questions
    from perturbarena.knowledge import KnowledgeBase

    with KnowledgeBase.open(store) as base:
        features = _embedded(base, by, source or [], file, dimensions)
        asked = [read_questions(path) for path in questions or []]
        names = {
            part: sorted({base.resolve(s).gene or s for q in asked for s in getattr(q, part)})
            for part in ("pert", "gene")
        }
    _write(features, output)
    report: dict[str, Any] = {
        "genes": len(features),
        "columns": features.matrix.shape[1],
        "source": features.source,
    }
    if asked:
        report |= {
            "perturbations": features.coverage(names["pert"]),
            "covered_genes": features.coverage(names["gene"]),
        }
    if as_json:
        print_json(report | {"output": str(output)})
        return
    console().print(f"{len(features):,} genes × {features.matrix.shape[1]} ({features.source})", soft_wrap=True)
    if asked:
        console().print(
            f"covers {report['perturbations']:.1%} of perturbations, {report['covered_genes']:.1%} of genes"
        )
    console().print(f"written: {output}", soft_wrap=True)


def _manifest(base: KnowledgeBase, *, as_json: bool) -> None:
    from rich.table import Table

    if as_json:
        print_json({"content_hash": base.content_hash, "sources": [record._asdict() for record in base.sources]})
        return
    table = Table("name", "version", "licence", "rows", "sha256")
    for record in base.sources:
        hashes = ", ".join(file["sha256"][:12] + ("" if file["pinned"] else " unpinned") for file in record.files)
        table.add_row(record.name, record.version, record.licence, f"{record.rows:,}", hashes)
    console().print(table)
    console().print(f"content: {base.content_hash}", soft_wrap=True)


def _note_refused(names: Any) -> None:
    for name in names:
        progress_console().print(
            f"[yellow]note:[/] {name} is left out for its terms; --accept-licence {name} takes it", soft_wrap=True
        )


def _added(add: list[str] | None, form: list[str] | None, licence: list[str] | None) -> list[Any]:
    from perturbarena.errors import InputError
    from perturbarena.knowledge import added_source

    add, form, licence = add or [], form or [], licence or []
    if not len(add) == len(form) == len(licence):
        raise InputError(
            f"each --add needs one --format and one --licence; got {len(add)}, {len(form)} and {len(licence)}"
        )
    found = []
    for named, shape, terms in zip(add, form, licence, strict=True):
        name, mark, path = named.partition("=")
        if not mark or not name or not path:
            raise InputError(f"--add needs NAME=FILE; got {named!r}")
        found.append((added_source(name, Path(path), form=shape, licence=terms), Path(path)))
    return found


def _said(base: KnowledgeBase, gene: str, other: str | None) -> dict[str, Answer[Any]]:
    if other is not None:
        return {
            "shared sets": base.shared_sets(gene, other),
            "paths": base.paths(gene, other),
            "paths back": base.paths(other, gene),
        }
    return {
        "gene": base.gene(gene),
        "summary": base.summary(gene),
        "orthologue": base.orthologue(gene),
        "essential": base.essential(gene),
        "expression": base.expression(gene),
        "footprints": base.footprints(gene),
        "regulators": base.regulators(gene),
        "targets": base.targets(gene),
        "neighbours": base.neighbours(gene),
        "sets": base.sets_of(gene),
        "tables": base.tables(gene),
    }


def _show(kind: str, answer: Answer[Any]) -> None:
    screen = console()
    if not answer.found:
        looked = ", ".join(ref.name for ref in answer.looked_at) or "none"
        screen.print(f"[bold]{kind}[/]: {answer.why} [dim](looked at: {looked})[/]", soft_wrap=True)
        return
    count = f" ({len(answer):,})" if len(answer) > 1 else ""
    screen.print(f"[bold]{kind}[/]{count}")
    for item in answer.found[:SHOWN]:
        screen.print(f"  {_line(item)}", soft_wrap=True)
    if len(answer) > SHOWN:
        screen.print(f"  … {len(answer) - SHOWN:,} more")


def _line(item: Any) -> str:
    from perturbarena.knowledge import GeneName, Profile, Regulation, SetMembership, SignedPath

    if isinstance(item, GeneName):
        return (
            f"{item.symbol} ({item.how}; Entrez {item.entrez or 'unknown'}), known to {len(item.known_to)} sources"
        )
    if isinstance(item, SignedPath):
        signs = {1: "→", -1: "⊣", 0: "–"}
        way = "".join(f" {signs[step.sign]} {step.target}" for step in item.steps)
        return f"{item.steps[0].regulator}{way}  ({item.sign:+d})"
    if isinstance(item, Regulation):
        sign = {1: "activates", -1: "represses", 0: "binds near"}[item.sign]
        return f"{item.regulator} {sign} {item.target} {item.confidence} [dim]({item.source.name})[/]"
    if isinstance(item, Profile):
        ranked = sorted(zip(item.values, item.columns, strict=True), reverse=True)
        top = ", ".join(f"{name} {value:.2f}" for value, name in ranked[:5])
        return f"{top}; lowest {ranked[-1][1]} {ranked[-1][0]:.2f} [dim]({item.source.name})[/]"
    if isinstance(item, SetMembership):
        exact = f"{item.exact}, " if ":" in item.exact or "-" in item.exact else ""
        return f"{item.name} ({exact}{item.size:,} genes, idf {item.idf:.2f}) [dim]({item.source.name})[/]"
    fields = [f"{name} {getattr(item, name)}" for name in item.__dataclass_fields__ if name != "source"]
    return f"{', '.join(fields)} [dim]({item.source.name})[/]"


def _coverage_table(report: CoverageReport) -> Table:
    from rich.table import Table

    table = Table("source", "kind", "perturbations", "genes", "both")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in (*report.sources, report.anywhere):
        shares = (
            f"{n:,} ({n / total:.1%})" if total else "0"
            for n, total in (
                (row.perts, report.n_perts), (row.genes, report.n_genes), (row.both, report.n_both)
            )
        )  # fmt: skip
        table.add_row(row.source, row.kind, *shares)
    return table


def _embedded(
    base: KnowledgeBase, by: str, only: list[str], file: Path | None, dimensions: int | None
) -> GeneFeatures:
    from perturbarena.errors import InputError
    from perturbarena.knowledge import cell_embedding, expression_embedding, set_embedding, table_embedding

    size = {} if dimensions is None else {"n_dimensions": dimensions}
    if by == "sets":
        return set_embedding(base, only=only, **size)
    if by == "expression":
        return expression_embedding(base, only=only, **size)
    if file is None:
        raise InputError(f"--by {by} needs --file")
    return cell_embedding(base, file) if by == "cells" else table_embedding(base, file)


def _write(features: GeneFeatures, output: Path) -> None:
    import pandas as pd

    from perturbarena.challenge.formats import write_table

    columns = {f"{features.name}_{i + 1}": features.matrix[:, i] for i in range(features.matrix.shape[1])}
    write_table(output, pd.DataFrame({"gene": features.genes, **columns}))
