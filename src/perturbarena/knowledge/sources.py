"""What a knowledge base can be built from: sources declared in ``sources.toml``, or added by file.

A source names its original address, licence, citation and version before any of its bytes are read. One that may
not be passed on, or whose terms are unclear, is ``restricted`` and enters a store only when it is named.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perturbarena.challenge.data import UNPINNED, DataFile, DataSet
from perturbarena.challenge.formats import sha256
from perturbarena.errors import DataUnavailableError, InputError

Kind = Literal[
    "names",
    "orthologues",
    "sets",
    "regulons",
    "links",
    "footprints",
    "essential",
    "expression",
    "summaries",
    "table",
]
Format = Literal[
    "hcop", "pairs", "hmd", "mgi-markers", "ncbi-gene-info", "ncbi-summaries", "gmt", "edges", "string-links",
    "string-info", "footprints", "gene-list", "matrix",
]  # fmt: skip
ADDED: Final[dict[str, tuple[Kind, Format]]] = {
    "gmt": ("sets", "gmt"),
    "edges": ("regulons", "edges"),
    "table": ("table", "matrix"),
}
"""What a file added by hand may be, by the name of its format on the command line."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SourceFile(_Entry):
    """One file of a source, or one of several copies of it in different forms."""

    path: str
    """Its place in a knowledge folder; it is found by its name at any depth."""
    format: Format
    """How it is read."""
    role: str = "main"
    """Files of one role stand for each other; each role is needed once."""
    sha256: str
    """SHA-256 of the bytes, or "unpinned"."""
    url: str | None = None
    """Where these bytes are served; None where they were converted from the source's original."""


class Source(_Entry):
    """What there is to know of a source before it is read."""

    name: str
    """Short name, as on the command line and in every answer."""
    title: str
    """One line for people."""
    kind: Kind
    """What it says of genes."""
    species: Literal["mouse", "human"]
    """Whose symbols it has; human ones are mapped by orthologues."""
    version: str
    """Release, or commit."""
    licence: str
    """As the source states it."""
    terms: Literal["open", "restricted"]
    """Whether it enters a store without being named."""
    citation: str
    """Whom to cite."""
    origin: str = ""
    """Address of the original, or of the page that offers it."""
    notes: str = ""
    """What a user should know."""
    authority: bool = False
    """Whether its symbols were checked against the species' genes by its makers."""
    regulator_suffix: str = ""
    """Sets named REGULATOR + suffix hold the regulator's targets."""
    min_score: Annotated[int, Field(ge=0, le=1000)] = 0
    """Links below this score (of 1,000) are left out."""
    files: Annotated[tuple[SourceFile, ...], Field(min_length=1)]
    """The files."""

    @property
    def downloads(self) -> DataSet | None:
        """The files that can be downloaded, as a data set; None where there are none for some role."""
        files = [file for file in self.files if file.url is not None]
        if {file.role for file in files} != {file.role for file in self.files}:
            return None
        listed = tuple(DataFile(path=file.path, url=str(file.url), sha256=file.sha256) for file in files)
        return DataSet(
            name=f"knowledge-{self.name}",
            title=self.title,
            licence=self.licence,
            citation=self.citation,
            files=listed,
        )


class FoundFile(NamedTuple):
    """A source's file on this disk, hashed."""

    path: Path
    file: SourceFile
    sha256: str


def declared_sources(path: Path | None = None) -> dict[str, Source]:
    """The sources that ship with the package, or those of another TOML file, by name, in the file's order."""
    return _bundled() if path is None else _parse(path.read_text(encoding="utf-8"), str(path))


@cache
def _bundled() -> dict[str, Source]:
    text = (resources.files("perturbarena.knowledge") / "sources.toml").read_text(encoding="utf-8")
    return _parse(text, "sources.toml")


def _parse(text: str, where: str) -> dict[str, Source]:
    try:
        entries = tomllib.loads(text)
        version = entries.pop("format_version", None)
        if version != 1:
            raise DataUnavailableError(f"{where}: format_version must be 1; got {version}")
        return {name: Source(name=name, **entry) for name, entry in entries.items()}
    except (tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise DataUnavailableError(f"{where} is no list of sources: {' '.join(str(error).split())}") from error


def find_source(name: str, known: dict[str, Source] | None = None) -> Source:
    """The source of that name; DataUnavailableError with the nearest name where there is none."""
    known = declared_sources() if known is None else known
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    raise DataUnavailableError(f"no source is called {name!r}; {hint}")


def added_source(name: str, file: Path, *, form: str, licence: str) -> Source:
    """A source from one's own file: ``gmt``, ``edges`` (source, target, weight) or ``table`` (gene, numbers)."""
    if form not in ADDED:
        raise InputError(f"an added file's format must be {', '.join(ADDED)}; got {form!r} ({name})")
    if not licence.strip():
        raise InputError(f"an added source needs its licence; got none ({name})")
    kind, reader = ADDED[form]
    return Source(
        name=name,
        title=f"Added from {file.name}",
        kind=kind,
        species="mouse",
        version="as added",
        licence=licence,
        terms="open",
        citation="none given",
        files=(SourceFile(path=file.name, format=reader, sha256=UNPINNED),),
    )


def locate(source: Source, folder: Path | None, *, at: Path | None = None) -> tuple[FoundFile, ...]:
    """The source's files below ``folder`` (or at ``at``), one a role, hashed; empty where a role lacks its file.

    Raises
    ------
    DataUnavailableError
        If a file is not the one that is declared, or two different files have its name.
    """
    found: dict[str, FoundFile] = {}
    for file in source.files:
        if file.role not in found and (path := at or _place(folder, file)) is not None:
            found[file.role] = FoundFile(path, file, _checked(path, file, source))
    return tuple(found.values()) if set(found) == {file.role for file in source.files} else ()


def _place(folder: Path | None, file: SourceFile) -> Path | None:
    if folder is None:
        return None
    if (folder / file.path).is_file():
        return folder / file.path
    places = sorted(place for place in folder.rglob(PurePosixPath(file.path).name) if place.is_file())
    if len({sha256(place) for place in places}) > 1:
        raise DataUnavailableError(f"several different files are called {places[0].name} in {folder}")
    return places[0] if places else None


def _checked(path: Path, file: SourceFile, source: Source) -> str:
    if not path.is_file():
        raise DataUnavailableError(f"no such file: {path}")
    got = sha256(path)
    if file.sha256 not in (UNPINNED, got):
        raise DataUnavailableError(
            f"{path} is not the declared file of {source.name}: want sha256 {file.sha256}, got {got}; "
            "another version can enter with --add"
        )
    return got


def choose_sources(
    known: Iterable[Source], *, only: Sequence[str] = (), accepted: Sequence[str] = ()
) -> tuple[list[Source], list[str]]:
    """The sources that may enter, and notes on those that are left out for their terms.

    Raises
    ------
    DataUnavailableError
        If a name is unknown.
    """
    by_name = {source.name: source for source in known}
    for name in (*only, *accepted):
        find_source(name, by_name)
    wanted = [source for source in by_name.values() if not only or source.name in only]
    entering = [source for source in wanted if source.terms == "open" or source.name in accepted]
    return entering, [source.name for source in wanted if source not in entering]
