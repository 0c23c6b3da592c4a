"""Where a campaign stands: its rounds, read off the folder, and what follows from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.challenge.formats import write_json
from perturbarena.errors import FormatError
from perturbarena.lab.arrays import read_arrays, write_arrays
from perturbarena.lab.campaign import Campaign
from perturbarena.lab.hypotheses import Settled, settle
from perturbarena.lab.measurements import Measurements, read_measurements, write_measurements
from perturbarena.lab.proposal import Proposal, Proposed
from perturbarena.lab.rounds import Arrived, Expectation

RECORD_VERSION: Final = 1
PREDICTED: Final = ("mean", "sd", "usual")
FAILURES: Final = 2
"""A knockout that has failed so often is not proposed again."""


class ResultRecord(NamedTuple):
    """One ingested file: its hash and name, what arrived, what else was recorded, and where its effects are."""

    sha256: str
    file: str
    arrived: Arrived
    record: Mapping[str, Any]
    effects: Path


class Predictions(NamedTuple):
    """Expected effects on ``genes`` (G,): ``mean`` and ``sd`` (n, G), ``usual`` (G,) the mean effect known
    before."""

    genes: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    usual: np.ndarray


@dataclass(frozen=True)
class RoundRecord:
    """One round; ``proposal`` is the record written with it, None for round 0."""

    number: int
    folder: Path
    proposal: Mapping[str, Any] | None
    results: tuple[ResultRecord, ...]

    @cached_property
    def picks(self) -> tuple[Proposed, ...]:
        """What was proposed."""
        return () if self.proposal is None else tuple(Proposed.from_json(p) for p in self.proposal["picks"])

    @property
    def ordered(self) -> tuple[str, ...]:
        """Names of what was proposed."""
        return tuple(pick.name for pick in self.picks)

    def predicted(self) -> Predictions:
        """Expected effects, in the order of ``picks``; FormatError where the file is missing or damaged."""
        stored = read_arrays(self.folder / "predicted.npz", version=RECORD_VERSION)
        return Predictions(stored["genes"].astype(object), *(stored[k].astype(float) for k in PREDICTED))


@dataclass(frozen=True)
class History:
    """All rounds of a campaign, in order."""

    campaign: Campaign
    rounds: tuple[RoundRecord, ...]

    @classmethod
    def of(cls, campaign: Campaign) -> History:
        """Read it off the folder.

        Raises
        ------
        FormatError
            If a record cannot be read.
        """
        folders = sorted((campaign.root / "rounds").glob("[0-9][0-9][0-9]"))
        rounds = [_read_round(folder) for folder in folders]
        return cls(campaign, tuple(r for r in rounds if r.proposal is not None or r.results))

    @property
    def latest(self) -> RoundRecord | None:
        """The last round that was proposed."""
        proposed = [r for r in self.rounds if r.proposal is not None]
        return proposed[-1] if proposed else None

    @property
    def waiting(self) -> RoundRecord | None:
        """The last round, while nothing of it has come back."""
        return self.latest if self.latest is not None and not self.latest.results else None

    @cached_property
    def measured(self) -> Measurements:
        """All measured candidates, in the order in which they came; empty before anything was."""
        found = Measurements.none()
        for result in self.results():
            if result.arrived.measured:
                found = found.and_more(read_measurements(result.effects))
        return found

    @cached_property
    def home(self) -> dict[str, int]:
        """Measured knockout → the last round that ordered it, or in which it came where none did."""
        came = {n: r.number for r in self.rounds for result in r.results for n in result.arrived.measured}
        ordered = {name: r.number for r in self.rounds for name in r.ordered}
        return {name: ordered.get(name, number) for name, number in came.items()}

    def results(self) -> list[ResultRecord]:
        """All ingested files, in order."""
        return [result for r in self.rounds for result in r.results]

    def ingested(self, sha256: str) -> tuple[RoundRecord, ResultRecord] | None:
        """The round and record of a file with this hash."""
        return next(((r, one) for r in self.rounds for one in r.results if one.sha256 == sha256), None)

    def failures(self) -> Counter[str]:
        """How often each candidate came back without effects."""
        return Counter(name for result in self.results() for name in result.arrived.failed)

    def may_be_proposed(self) -> np.ndarray:
        """Rows of candidates neither measured, nor failed too often, nor without guides where guides are
        given."""
        done, failures, campaign = set(self.measured.perturbations), self.failures(), self.campaign
        names = campaign.features.names
        able = [
            name not in done
            and failures[name] < FAILURES
            and (bool(campaign.guides[name]) or not campaign.has_guides)
            for name in names
        ]
        return np.flatnonzero(able)

    def expectation(self) -> Expectation:
        """What may come back now."""
        latest, done = self.latest, frozenset(self.measured.perturbations)
        ordered = latest.ordered if latest is not None else ()
        earlier = {name for r in self.rounds for name in r.ordered} - set(ordered)
        return Expectation(
            candidates=frozenset(self.campaign.guides),
            measured=done,
            ordered=ordered,
            outstanding=frozenset(earlier) - done,
            guides=self.campaign.guides if self.campaign.has_guides else None,
        )

    def settled(self, number: int | None = None) -> list[Settled]:
        """Hypotheses of measured knockouts, of one round or of all, held against what was measured.

        Of a knockout that was ordered again, the last one counts.
        """
        return [
            settle(pick.hypothesis, self.measured)
            for r in self.rounds
            if number is None or r.number == number
            for pick in r.picks
            if self.home.get(pick.name) == r.number
        ]


def write_proposal(folder: Path, proposal: Proposal, record: Mapping[str, Any]) -> None:
    """Expected effects, then the record that makes the proposal count."""
    arrays = {name: getattr(proposal, name) for name in PREDICTED}
    write_arrays(folder / "predicted.npz", {"genes": proposal.genes.astype(str), **arrays}, version=RECORD_VERSION)
    picks = [pick.as_json() for pick in proposal.picks]
    write_json(folder / "proposal.json", {"format_version": RECORD_VERSION, **record, "picks": picks})


def withdraw(waiting: RoundRecord) -> None:
    """Take back an order of which nothing has come; its record is kept beside it."""
    n = len(list(waiting.folder.glob("withdrawn-*.json")))
    (waiting.folder / "proposal.json").rename(waiting.folder / f"withdrawn-{n + 1:03d}.json")


def write_result(
    folder: Path, measured: Measurements, arrived: Arrived, *, sha256: str, file: str, record: Mapping[str, Any]
) -> None:
    """Effects of what was measured, then the record that makes them count."""
    results = folder / "results"
    name = f"{len(list(results.glob('*.json'))) + 1:03d}-{sha256[:12]}"
    write_measurements(results / f"{name}.npz", measured)
    head = {"format_version": RECORD_VERSION, "sha256": sha256, "file": file, "arrived": arrived.as_json()}
    write_json(results / f"{name}.json", head | dict(record))


def _read_round(folder: Path) -> RoundRecord:
    proposal = folder / "proposal.json"
    stored = _read(proposal) if proposal.is_file() else None
    results = tuple(_read_result(path) for path in sorted((folder / "results").glob("*.json")))
    return RoundRecord(int(folder.name), folder, stored, results)


def _read_result(path: Path) -> ResultRecord:
    record = _read(path)
    try:
        arrived = Arrived.from_json(record["arrived"])
        return ResultRecord(record["sha256"], record["file"], arrived, record, path.with_suffix(".npz"))
    except (KeyError, TypeError) as error:
        raise FormatError(f"{path} cannot be read: it lacks {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if record.get("format_version") != RECORD_VERSION:
        raise FormatError(f"{path}: format version {RECORD_VERSION} is needed; got {record.get('format_version')}")
    return record
