"""The sealed truth: read by the process that scores and by nobody else, in versions that are never changed.

Its file has mode 0600. What is worked out from a version once (which rows belong to which part, the shared
resamples) is kept for the life of the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from perturbarena.challenge.formats import atomic, labelled_from_table, read_table, sha256
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import BoardError, FormatError
from perturbarena.evaluation import Judge
from perturbarena.evaluation.files import rows_of_usage
from perturbarena.leaderboard.events import record
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.jobs import enqueue
from perturbarena.leaderboard.schema import PARTS, Submission, TruthVersion
from perturbarena.leaderboard.store import Store, bump
from perturbarena.leaderboard.teams import clean_text

USAGES: Final = {"public": "Public", "private": "Private"}
"""Each part's word in the column Usage."""
N_RESAMPLES: Final = 1000
"""Each way; a standard error is then known to 2 %, and a submission's take 12 kB."""


@dataclass(frozen=True, slots=True)
class TruthInfo:
    """A version of the truth, without what it says."""

    number: int
    sha256: str
    reason: str
    current: bool
    n_scored: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A truth version ready to judge: for each part its judge, and its rows among the questions, shape (n,)."""

    judges: Mapping[str, Judge]
    rows: Mapping[str, np.ndarray]


def read_truth(path: Path, questions: Questions) -> tuple[LabelledQuestions, dict[str, np.ndarray]]:
    """Labels of all questions in their order, and the rows of each part (bool masks).

    Raises
    ------
    FormatError
        If a question has no label, an id is unknown or repeated, a part has no rows, or a Usage is another word.
    """
    table = read_table(path, required=("id", "label", "Usage"))
    labelled = labelled_from_table(
        table.drop(columns=["pert", "gene"], errors="ignore"), questions=questions, source=path
    )
    position = {id_: i for i, id_ in enumerate(labelled.id)}
    missing = [id_ for id_ in questions.id if id_ not in position]
    if missing:
        raise FormatError(f"{path} must label every question; {len(missing)} are missing, e.g. {missing[0]}")
    order = np.array([position[id_] for id_ in questions.id], np.int64)
    odd = sorted(set(table["Usage"]) - set(USAGES.values()))
    if odd:
        raise FormatError(f"{path}: Usage must be {' or '.join(USAGES.values())}; got {odd[0]!r}")
    parts = {part: rows_of_usage(table, USAGES[part], path)[order] for part in PARTS}
    return labelled.take(order), parts


def bench_of(store: Store, truth_version_id: int) -> Bench:
    """A truth version made ready, once a process.

    Raises
    ------
    BoardError
        If its file is not the one that was sealed.
    """
    kept = store.cache.get(("bench", truth_version_id))
    if kept is not None:
        return kept
    with store.reading() as session:
        version = session.get_one(TruthVersion, truth_version_id)
    path = store.folder.truth / version.file
    if not path.is_file() or sha256(path) != version.sha256:
        raise BoardError(f"{path} is not the truth that was sealed as version {version.number}", reason="storage")
    questions = store.questions
    labelled, parts = read_truth(path, questions)
    judges = {
        part: Judge.of(
            labelled.take(rows), counted_genes=questions.gene, seed=version.seed, n_resamples=version.n_resamples
        )
        for part, rows in parts.items()
    }
    bench = Bench(judges, {part: np.flatnonzero(rows) for part, rows in parts.items()})
    store.cache["bench", truth_version_id] = bench
    return bench


def seal(
    session: Session,
    store: Store,
    source: Path,
    *,
    reason: str,
    seed: int,
    n_resamples: int = N_RESAMPLES,
    ceiling: dict[str, Any] | None = None,
) -> TruthVersion:
    """Copy a solution into the challenge as its next truth version, which becomes the current one."""
    read_truth(source, store.questions)
    number = (session.scalar(select(func.max(TruthVersion.number))) or 0) + 1
    name = f"truth-{number}.csv"
    store.folder.truth.mkdir(mode=0o700, exist_ok=True)
    target = store.folder.truth / name
    with atomic(target, binary=True) as file:
        file.write(source.read_bytes())
    target.chmod(0o600)
    for old in session.scalars(select(TruthVersion).where(TruthVersion.current)):
        old.current = False
    version = TruthVersion(
        number=number,
        sha256=sha256(target),
        file=name,
        created_at=store.now(),
        reason=reason,
        seed=seed,
        n_resamples=n_resamples,
        current=True,
        ceiling=ceiling,
    )
    session.add(version)
    session.flush()
    return version


def correct_truth(store: Store, source: Path, *, reason: str, by: Identity = CONSOLE) -> TruthInfo:
    """Put a corrected solution in place and queue every scored submission to be scored anew.

    Scores under earlier versions stay. The board shows the new version at once, and fills as jobs are done.

    Raises
    ------
    FormatError
        If the solution does not answer the challenge's questions.
    BoardError
        If the reason is blank, or the solution is the current one (conflict).
    """
    reason = clean_text(reason)
    if not reason:
        raise BoardError("a reason is needed; it is shown to entrants")
    with store.writing() as session:
        before = session.scalars(select(TruthVersion).where(TruthVersion.current)).one()
        if sha256(source) == before.sha256:
            raise BoardError(f"{source} is the current truth, version {before.number}", reason="conflict")
        version = seal(
            session, store, source, reason=reason.strip(), seed=before.seed, n_resamples=before.n_resamples,
            ceiling=before.ceiling,
        )  # fmt: skip
        scored = session.scalars(
            select(Submission.id).where(Submission.state.in_(("scored", "listed"))).order_by(Submission.id)
        ).all()
        for submission_id in scored:
            enqueue(session, "rescore", submission_id, now=store.now(), truth_version_id=version.id)
        bump(session)
        record(
            session, at=store.now(), actor=by.actor, kind="truth.corrected", subject=f"truth:{version.number}",
            sha256=version.sha256, reason=reason.strip(), to_rescore=len(scored),
        )  # fmt: skip
        return TruthInfo(version.number, version.sha256, version.reason, current=True, n_scored=0)


def list_truths(store: Store) -> list[TruthInfo]:
    """All versions, with how many submissions each has scored."""
    from perturbarena.leaderboard.schema import Score

    query = (
        select(TruthVersion, func.count(Score.id.distinct()))
        .outerjoin(Score, (Score.truth_version_id == TruthVersion.id) & (Score.part == "public"))
        .group_by(TruthVersion.id)
        .order_by(TruthVersion.number)
    )
    with store.reading() as session:
        return [TruthInfo(v.number, v.sha256, v.reason, v.current, n) for v, n in session.execute(query)]
