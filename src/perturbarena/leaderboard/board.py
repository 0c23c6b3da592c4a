"""The board: each team's best entry of a track, with its interval, and who is statistically tied with whom.

Before the release it shows the public part and nothing else; what leaves this module about it is rounded, and
ranks are made from the rounded numbers, so that the board answers no finer question than it prints. After the
release it shows the private part of the final submissions. Rows of baselines and the ceiling have no rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

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


@dataclass(frozen=True, slots=True)
class _Found:
    """A scored submission with what the board says of it."""

    submission: Submission
    team: Team
    score: Score

    @property
    def value(self) -> float:
        return float("-inf") if self.score.score is None else round(self.score.score, DECIMALS)


def _board(session: Session, track: str, *, view: View, phase: Phase, now: datetime) -> Board:
    truth = current_truth(session)
    found = _scored(session, track, truth, part=view)
    shown = [f for f in found if f.team.embargo_until is None or f.team.embargo_until <= now]
    baselines = sorted((f for f in shown if f.team.kind == BASELINE), key=lambda f: -f.value)
    entries = [f for f in shown if f.team.kind != BASELINE]
    finals = final_ids([f.submission for f in entries], _public(session, track, truth), _max_finals(session))
    candidates = [f for f in entries if view == "public" or f.submission.id in finals]
    counts: dict[int, int] = {}
    for f in entries:
        counts[f.team.id] = counts.get(f.team.id, 0) + 1
    ranked = _best_of_teams([f for f in candidates if not _out(f)])
    without = _best_of_teams([f for f in candidates if _out(f)])
    rows = [*_ranked(session, ranked, counts)]
    rows += [
        replace(_row(f, counts, kind="entry"), note=_why_out(f))
        for f in without
        if f.team.id not in {r.team.id for r in ranked}
    ]
    rows += [_row(f, counts, kind="baseline") for f in baselines]
    rows += _ceiling(truth, view)
    version = challenge_row(session).version
    return Board(track, view, phase, truth.number, version, TIES, tuple(rows))


def _scored(session: Session, track: str, truth: TruthVersion, *, part: View) -> list[_Found]:
    query = (
        select(Submission, Team, Score)
        .join(Team, Team.id == Submission.team_id)
        .join(Score, Score.submission_id == Submission.id)
        .where(
            Submission.track == track,
            Submission.state == "listed",
            Score.truth_version_id == truth.id,
            Score.part == part,
        )
    )
    return [_Found(*row) for row in session.execute(query)]


def _public(session: Session, track: str, truth: TruthVersion) -> dict[int, float]:
    query = (
        select(Score.submission_id, Score.score)
        .join(Submission, Submission.id == Score.submission_id)
        .where(Submission.track == track, Score.truth_version_id == truth.id, Score.part == "public")
    )
    return {id_: float("-inf") if score is None else score for id_, score in session.execute(query)}


def final_ids(submissions: Sequence[Submission], public: dict[int, float], max_finals: int) -> set[int]:
    """Which submissions are final: those chosen; for a team that chose none, its best on the public part."""
    by_team: dict[int, list[Submission]] = {}
    for submission in submissions:
        by_team.setdefault(submission.team_id, []).append(submission)
    finals: set[int] = set()
    for own in by_team.values():
        chosen = [s for s in own if s.selected_at is not None]
        best = sorted(own, key=lambda s: (-public.get(s.id, float("-inf")), s.id))[:max_finals]
        finals |= {s.id for s in chosen or best}
    return finals


def _max_finals(session: Session) -> int:
    return challenge_row(session).max_finals


def _best_of_teams(found: Sequence[_Found]) -> list[_Found]:
    """Each team's best, best first; among equals the one handed in first."""
    best: dict[int, _Found] = {}
    for f in sorted(found, key=lambda f: (-f.value, f.submission.received_at, f.submission.id)):
        best.setdefault(f.team.id, f)
    return list(best.values())


def _out(found: _Found) -> bool:
    return found.team.disqualified_at is not None or found.submission.disqualified_at is not None


def _why_out(found: _Found) -> str:
    reason = found.team.disqualified_reason or found.submission.disqualified_reason
    return f"disqualified: {reason}"


def _ranked(session: Session, ranked: Sequence[_Found], counts: dict[int, int]) -> list[BoardRow]:
    groups = _groups(session, ranked)
    rows, rank, before = [], 0, None
    for i, (f, group) in enumerate(zip(ranked, groups, strict=True)):
        if f.value != before:
            rank, before = i + 1, f.value
        rows.append(replace(_row(f, counts, kind="entry"), rank=rank, group=group))
    return rows


def _groups(session: Session, ranked: Sequence[_Found]) -> list[int]:
    ids = [f.score.id for f in ranked]
    query = select(Replicate.score_id, Replicate.content).where(Replicate.score_id.in_(ids))
    stored: dict[int, bytes] = {row.score_id: row.content for row in session.execute(query)}
    replicates = [np.frombuffer(stored[i], np.float32).reshape(3, -1) if i in stored else None for i in ids]
    scores = [float("nan") if f.score.score is None else f.score.score for f in ranked]
    sizes = [(f.score.extras["n_perts"], f.score.extras["n_genes"], f.score.n) for f in ranked]
    return standings.tied_groups(scores, replicates, sizes)


def _row(f: _Found, counts: dict[int, int], *, kind: RowKind) -> BoardRow:
    s = f.submission
    score, low, high, de, direction = (rounded(getattr(f.score, name)) for name in _NUMBERS)
    return BoardRow(
        kind, None, None, f.team.name if kind == "entry" else s.filename, f.team.id, s.public_id, score, low, high,
        de, direction, f.score.n, s.tokens, s.tool_calls, s.model or "", s.received_at, counts.get(f.team.id, 1),
        s.code_url or "",
    )  # fmt: skip


def _ceiling(truth: TruthVersion, view: View) -> list[BoardRow]:
    stated = (truth.ceiling or {}).get(view)
    if not stated:
        return []
    score, low, high, de, direction = (rounded(stated.get(name)) for name in _NUMBERS)
    return [
        BoardRow(
            "ceiling",
            None,
            None,
            "Noise ceiling",
            None,
            None,
            score,
            low,
            high,
            de,
            direction,
            None,
            None,
            None,
            "",
            None,
            0,
            "",
            note=str(stated.get("note", "")),
        )
    ]


def rounded(value: float | None) -> float | None:
    """As shown."""
    return None if value is None else round(value, DECIMALS)
