"""A campaign's folder: what may be knocked out, what for, what was proposed and what came back.

::

    campaign.json            aim, batch, seed, hashes; written last, once
    candidates.csv           gene, guides (joined by ;)
    features.npz  graph.csv  what is known of the candidates; links between genes, where there are any
    rounds/001/proposal.json what was proposed, why, and what is expected; written last
    rounds/001/plate.csv     the order, a line a well
    rounds/001/predicted.npz expected effects
    rounds/001/answers.jsonl what a language model was asked and said
    rounds/001/results/001-<hash>.npz and .json    what a file showed; the .json is written last

Nothing in it is ever changed, only added to (an order that is withdrawn keeps its record under another
name), and where the campaign stands is read off these files each time. A step that is killed leaves at most
a file that its record does not name, and is repeated. Round 0 has no proposal: it is what was measured before.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perturbarena import __version__
from perturbarena.challenge.formats import no_blank, read_table, sha256, write_json, write_table
from perturbarena.challenge.words import counted
from perturbarena.errors import FormatError, InputError
from perturbarena.lab.features import CandidateFeatures, read_candidate_features, write_candidate_features
from perturbarena.lab.graph import GeneGraph, read_graph
from perturbarena.lab.objectives import Objective

FORMAT_VERSION: Final = 1
MANIFEST: Final = "campaign.json"
CANDIDATES: Final = "candidates.csv"
FEATURES: Final = "features.npz"
GRAPH: Final = "graph.csv"
SEPARATOR: Final = ";"
"""Between the guides of one gene."""


class CampaignSettings(BaseModel):
    """What was set when the campaign began."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    batch: Annotated[int, Field(gt=0)] = 10
    """Knockouts a round."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of all that is drawn; round r draws from (seed, r)."""


@dataclass(frozen=True)
class Campaign:
    """An opened campaign. Its files are read when they are asked for."""

    root: Path
    settings: CampaignSettings
    objective: Objective
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, root: Path | str) -> Campaign:
        """Open a campaign's folder.

        Raises
        ------
        FormatError
            If it is none, of another version, or its candidates, features or links were changed.
        """
        root = Path(root)
        path = root / MANIFEST
        if not path.is_file():
            raise FormatError(f"{root} is no campaign: it has no {MANIFEST} (perturbarena lab init makes one)")
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            version = manifest["format_version"]
            if version != FORMAT_VERSION:
                raise FormatError(f"{path}: format version {FORMAT_VERSION} is needed; got {version}")
            settings = CampaignSettings(**manifest["settings"])
            objective = Objective.from_json(manifest["objective"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
        campaign = cls(root, settings, objective, manifest)
        for name, wanted in manifest["files"].items():
            if not (root / name).is_file() or sha256(root / name) != wanted:
                raise FormatError(f"{root / name} is missing or was changed since the campaign began")
        return campaign

    @cached_property
    def guides(self) -> Mapping[str, tuple[str, ...]]:
        """Candidate → its guides; none where no guides were given."""
        table = read_table(self.root / CANDIDATES, required=("gene", "guides"))
        return {
            gene: tuple(g for g in guides.split(SEPARATOR) if g)
            for gene, guides in zip(table["gene"], table["guides"], strict=True)
        }

    @property
    def has_guides(self) -> bool:
        """Whether guides were given; a candidate without any cannot be ordered then."""
        return any(self.guides.values())

    @cached_property
    def features(self) -> CandidateFeatures:
        """Of all candidates."""
        return read_candidate_features(self.root / FEATURES)

    @cached_property
    def graph(self) -> GeneGraph | None:
        """Links between genes, where there are any."""
        return read_graph(self.root / GRAPH) if GRAPH in self.manifest["files"] else None

    def round_folder(self, number: int) -> Path:
        """Where a round's files are."""
        return self.root / "rounds" / f"{number:03d}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While something is added; another process that wants to add waits. A killed one's lock is gone
        with it."""
        with (self.root / ".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def create_campaign(
    root: Path | str,
    *,
    guides: Mapping[str, Sequence[str]],
    features: CandidateFeatures,
    objective: Objective,
    settings: CampaignSettings,
    graph: GeneGraph | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Campaign:
    """Begin a campaign. ``guides`` names every candidate, with its guides (empty where none); ``inputs``
    says what it was made from, for the record.

    Raises
    ------
    InputError
        If there is a campaign already, or there is no candidate that could be ordered.
    """
    root = Path(root)
    if (root / MANIFEST).exists():
        raise InputError(f"{root} is a campaign already; begin another one in another folder")
    if root.exists() and (not root.is_dir() or any(p.name != ".lock" for p in root.iterdir())):
        raise InputError(f"{root} is not empty and no campaign; name a new folder")
    if not guides:
        raise InputError("a campaign needs candidates; got none")
    joined = [SEPARATOR.join(of) for of in guides.values()]
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {root}: {error.strerror}") from error
    write_table(root / CANDIDATES, pd.DataFrame({"gene": list(guides), "guides": joined}, dtype=object))
    write_candidate_features(root / FEATURES, features)
    files = [CANDIDATES, FEATURES]
    if graph is not None:
        _write_graph(root / GRAPH, graph)
        files.append(GRAPH)
    manifest = {
        "format_version": FORMAT_VERSION,
        "kind": "campaign",
        "objective": objective.as_json(),
        "settings": settings.model_dump(),
        "candidates": len(guides),
        "with_features": int(features.known.sum()),
        "files": {name: sha256(root / name) for name in files},
        "inputs": dict(inputs or {}),
        "perturbarena": __version__,
    }
    write_json(root / MANIFEST, manifest)
    return Campaign(root, settings, objective, manifest)


def checked_settings(**values: Any) -> CampaignSettings:
    """As the constructor, but a wrong value is an InputError of one line."""
    try:
        return CampaignSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{first['loc'][0]}: {first['msg']}; got {first['input']!r}") from error


def read_candidates(path: Path | str) -> dict[str, tuple[str, ...]]:
    """Gene → guides from a CSV with ``gene`` and, a line a guide, ``guide``; or several in one cell joined
    by ``;``.

    Raises
    ------
    FormatError
        If the column is missing, a gene is blank, or a guide stands twice.
    """
    table = read_table(path, required=("gene",))
    no_blank(table, ("gene",), path)
    column = next((name for name in ("guide", "guides") if name in table), None)
    cells = table[column] if column else [""] * len(table)
    found: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for gene, cell in zip(table["gene"], cells, strict=True):
        guides = tuple(guide.strip() for guide in cell.split(SEPARATOR) if guide.strip())
        for guide in guides:
            if guide in owner:
                raise FormatError(f"{path}: a guide may stand once; {guide} stands for {owner[guide]} and {gene}")
            owner[guide] = gene
        found[gene] = found.get(gene, ()) + guides
    if not found:
        raise FormatError(f"{path} names no candidate; a line a gene is needed")
    return found


def without_guides(guides: Mapping[str, Sequence[str]]) -> str:
    """In words, which candidates cannot be ordered for want of guides; empty where none."""
    missing = [gene for gene, of in guides.items() if not of]
    if not missing or len(missing) == len(guides):
        return ""
    named = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
    return f"{counted(len(missing), 'candidate')} without a guide will not be proposed: {named}"


def _write_graph(path: Path, graph: GeneGraph) -> None:
    half = graph.links.tocoo()
    once = np.flatnonzero(half.row < half.col)
    table = pd.DataFrame(
        {
            "gene_a": graph.genes[half.row[once]],
            "gene_b": graph.genes[half.col[once]],
            "weight": half.data[once],
        }
    )
    write_table(path, table)
