"""The board: each team's best entry of a track, with its interval, and who is statistically tied with whom.

Before the release it shows the public part and nothing else; what leaves this module about it is rounded, and
ranks are made from the rounded numbers, so that the board answers no finer question than it prints. After the
release it shows the private part of the final submissions. Rows of baselines and the ceiling have no rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from perturbarena.evaluation import standings
from perturbarena.leaderboard.events import stamp
from perturbarena.leaderboard.phases import Phase, phase_of
from perturbarena.leaderboard.schema import Replicate, Score, Submission, Team, TruthVersion
from perturbarena.leaderboard.store import Store, challenge_row
from perturbarena.leaderboard.teams import BASELINE

DECIMALS: Final = 3
"""Of every public number that leaves this module."""
TIES: Final = (
    "Teams are tied with the best of their group where a paired comparison on the same perturbations and genes, "
    "Holm-corrected over the group's comparisons, does not tell them apart at 5 %."
)
"""How tied groups are made; shown beside the board."""
_NUMBERS: Final = ("score", "low", "high", "de", "dir")
View = Literal["public", "private"]
RowKind = Literal["entry", "baseline", "ceiling"]


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One row of the board. Numbers are None where they are undefined or not known.

    Attributes
    ----------
    kind
        ``entry``; ``baseline`` and ``ceiling`` have neither rank nor group.
    rank
        By score; equal scores share a rank. None for rows without one, such as disqualified ones.
    group
        The number of the statistically tied group, 1 for the leader's.
    low, high
        95 % interval of the score.
    submission, team_id
        For links; None for a ceiling.
    tokens, tool_calls
        Means a question.
    note
        Why a row has no rank.
    """

    kind: RowKind
    rank: int | None
    group: int | None
    team: str
    team_id: int | None
    submission: str | None
    score: float | None
    low: float | None
    high: float | None
    de: float | None
    dir: float | None
    n: int | None
    tokens: float | None
    tool_calls: float | None
    model: str
    received_at: datetime | None
    n_submissions: int
    code_url: str
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"received_at": None if self.received_at is None else stamp(self.received_at)}


@dataclass(frozen=True, slots=True)
class Board:
    """A track's board: ``view`` says which part of the truth it shows, ``ties`` how groups were made."""

    track: str
    view: View
    phase: Phase
    truth_version: int
    version: int
    ties: str
    rows: tuple[BoardRow, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"rows": [row.as_json() for row in self.rows]}


def board(store: Store, track: str) -> Board:
    """The board that everybody may see now; kept until something that it shows changes.

    Raises
    ------
    RulesError
        If there is no such track.
    """
    track = store.rules.track_name(track)
    with store.reading() as session:
        challenge = challenge_row(session)
        now = store.now()
        phase = phase_of(challenge, now)
        lifted = session.scalars(select(Team.embargo_until).where(Team.embargo_until.is_not(None)))
        key = (challenge.version, phase, tuple(sorted(until <= now for until in lifted if until)))
        kept = store.cache.get(("board", track))
        if kept is not None and kept[0] == key:
            return kept[1]
        view: View = "private" if phase == "released" else "public"
        made = _board(session, track, view=view, phase=phase, now=now)
    store.cache["board", track] = (key, made)
    return made


def organisers_board(store: Store, track: str, *, view: View) -> Board:
    """Either part, for organisers, whatever the phase; whoever calls this has made sure that it is one."""
    track = store.rules.track_name(track)
    with store.reading() as session:
        phase = phase_of(challenge_row(session), store.now())
        return _board(session, track, view=view, phase=phase, now=store.now())


def current_truth(session: Session) -> TruthVersion:
    """The truth version that the board shows."""
    return session.scalars(select(TruthVersion).where(TruthVersion.current)).one()


class _Found(NamedTuple):
    """A scored submission with what the board says of it; columns, because rows of the tables hold far more."""

    id: int
    team_id: int
    selected_at: datetime | None
    public_id: str
    filename: str
    received_at: datetime
    tokens: float | None
    tool_calls: float | None
    model: str | None
    code_url: str | None
    disqualified_at: datetime | None
    disqualified_reason: str | None
    team: str
    kind: str
    team_disqualified_at: datetime | None
    team_disqualified_reason: str | None
    embargo_until: datetime | None
    score_id: int
    score: float | None
    low: float | None
    high: float | None
    de: float | None
    dir: float | None
    n: int

    @property
    def value(self) -> float:
        """The score by which ranks are made."""
        return float("-inf") if self.score is None else round(self.score, DECIMALS)

    @property
    def out(self) -> bool:
        """Whether the team or the submission is disqualified."""
        return self.team_disqualified_at is not None or self.disqualified_at is not None


_COLUMNS: Final = (
    Submission.id, Submission.team_id, Submission.selected_at, Submission.public_id, Submission.filename,
    Submission.received_at, Submission.tokens, Submission.tool_calls, Submission.model, Submission.code_url,
    Submission.disqualified_at, Submission.disqualified_reason, Team.name, Team.kind, Team.disqualified_at,
    Team.disqualified_reason, Team.embargo_until, Score.id, Score.score, Score.low, Score.high, Score.de,
    Score.dir, Score.n,
)  # fmt: skip


def _board(session: Session, track: str, *, view: View, phase: Phase, now: datetime) -> Board:
    truth = current_truth(session)
    found = _scored(session, track, truth, part=view)
    shown = [f for f in found if f.embargo_until is None or f.embargo_until <= now]
    baselines = sorted((f for f in shown if f.kind == BASELINE), key=lambda f: -f.value)
    entries = [f for f in shown if f.kind != BASELINE]
    counts = Counter(f.team_id for f in entries)
    candidates = entries
    if view == "private":
        own = [Candidate(f.id, f.team_id, f.selected_at) for f in entries]
        finals = final_ids(own, _public(session, track, truth), challenge_row(session).max_finals)
        candidates = [f for f in entries if f.id in finals]
    ranked = _best_of_teams([f for f in candidates if not f.out])
    without = _best_of_teams([f for f in candidates if f.out])
    with_rank = {f.team_id for f in ranked}
    rows = [*_ranked(session, ranked, counts)]
    rows += [
        replace(_row(f, counts, kind="entry"), note=_why_out(f)) for f in without if f.team_id not in with_rank
    ]
    rows += [_row(f, counts, kind="baseline") for f in baselines]
    rows += _ceiling(truth, view)
    version = challenge_row(session).version
    return Board(track, view, phase, truth.number, version, TIES, tuple(rows))


def _scored(session: Session, track: str, truth: TruthVersion, *, part: View) -> list[_Found]:
    query = (
        select(*_COLUMNS)
        .join(Team, Team.id == Submission.team_id)
        .join(Score, Score.submission_id == Submission.id)
        .where(Submission.track == track, Submission.state == "listed")
        .where(Score.truth_version_id == truth.id, Score.part == part)
    )
    return [_Found(*row) for row in session.execute(query)]


def _public(session: Session, track: str, truth: TruthVersion) -> dict[int, float]:
    query = (
        select(Score.submission_id, Score.score)
        .join(Submission, Submission.id == Score.submission_id)
        .where(Submission.track == track, Score.truth_version_id == truth.id, Score.part == "public")
    )
    return {id_: float("-inf") if score is None else score for id_, score in session.execute(query)}


class Candidate(NamedTuple):
    """What decides whether a submission is final."""

    id: int
    team_id: int
    selected_at: datetime | None


def final_ids(submissions: Sequence[Candidate], public: dict[int, float], max_finals: int) -> set[int]:
    """Which submissions are final: those chosen; for a team that chose none, its best on the public part."""
    by_team: dict[int, list[Candidate]] = {}
    for submission in submissions:
        by_team.setdefault(submission.team_id, []).append(submission)
    finals: set[int] = set()
    for own in by_team.values():
        chosen = [s for s in own if s.selected_at is not None]
        best = sorted(own, key=lambda s: (-public.get(s.id, float("-inf")), s.id))[:max_finals]
        finals |= {s.id for s in chosen or best}
    return finals


def _best_of_teams(found: Sequence[_Found]) -> list[_Found]:
    """Each team's best, best first; among equals the one handed in first."""
    best: dict[int, _Found] = {}
    for f in sorted(found, key=lambda f: (-f.value, f.received_at, f.id)):
        best.setdefault(f.team_id, f)
    return list(best.values())


def _why_out(found: _Found) -> str:
    return f"disqualified: {found.team_disqualified_reason or found.disqualified_reason}"


def _ranked(session: Session, ranked: Sequence[_Found], counts: Counter[int]) -> list[BoardRow]:
    groups = _groups(session, ranked)
    rows, rank, before = [], 0, None
    for i, (f, group) in enumerate(zip(ranked, groups, strict=True)):
        if f.value != before:
            rank, before = i + 1, f.value
        rows.append(replace(_row(f, counts, kind="entry"), rank=rank, group=group))
    return rows


def _groups(session: Session, ranked: Sequence[_Found]) -> list[int]:
    ids = [f.score_id for f in ranked]
    query = (
        select(Score.id, Score.extras, Replicate.content)
        .join(Replicate, Replicate.score_id == Score.id)
        .where(Score.id.in_(ids))
    )
    stored = {row.id: row for row in session.execute(query)}
    kept = [np.frombuffer(stored[i].content, np.float32).reshape(3, -1) if i in stored else None for i in ids]
    scores = [float("nan") if f.score is None else f.score for f in ranked]
    sizes = [_sizes(stored[f.score_id].extras if f.score_id in stored else {}, f.n) for f in ranked]
    return standings.tied_groups(scores, kept, sizes)


def _sizes(extras: dict[str, Any], n: int) -> standings.Sizes:
    return extras.get("n_perts", 0), extras.get("n_genes", 0), n


def _row(f: _Found, counts: Counter[int], *, kind: RowKind) -> BoardRow:
    score, low, high, de, direction = (rounded(value) for value in (f.score, f.low, f.high, f.de, f.dir))
    return BoardRow(
        kind, None, None, f.team if kind == "entry" else f.filename, f.team_id, f.public_id, score, low, high, de,
        direction, f.n, f.tokens, f.tool_calls, f.model or "", f.received_at, counts.get(f.team_id, 1),
        f.code_url or "",
    )  # fmt: skip


def _ceiling(truth: TruthVersion, view: View) -> list[BoardRow]:
    stated = (truth.ceiling or {}).get(view)
    if not stated:
        return []
    score, low, high, de, direction = (rounded(stated.get(name)) for name in _NUMBERS)
    return [
        BoardRow(
            kind="ceiling", rank=None, group=None, team="Noise ceiling", team_id=None, submission=None,
            score=score, low=low, high=high, de=de, dir=direction, n=None, tokens=None, tool_calls=None, model="",
            received_at=None, n_submissions=0, code_url="", note=str(stated.get("note", "")),
        )
    ]  # fmt: skip


def rounded(value: float | None) -> float | None:
    """As shown."""
    return None if value is None else round(value, DECIMALS)
