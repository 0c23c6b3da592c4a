"""Making a challenge from a question set and its truth, in one go or not at all."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.formats import read_questions, sha256
from perturbarena.challenge.rules import parse_challenge
from perturbarena.errors import BoardError, FormatError
from perturbarena.leaderboard.events import record, stamp
from perturbarena.leaderboard.folder import FORMAT_VERSION, ChallengeFolder, database_url
from perturbarena.leaderboard.identity import CONSOLE
from perturbarena.leaderboard.migrate import schema_revision, upgrade
from perturbarena.leaderboard.phases import zone
from perturbarena.leaderboard.schema import ChallengeRow
from perturbarena.leaderboard.store import Store, make_engine, utc_now
from perturbarena.leaderboard.submissions import receive_baseline
from perturbarena.leaderboard.teams import BASELINE, BASELINES_NAME, create_team, team_row
from perturbarena.leaderboard.truths import N_RESAMPLES, seal

MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class ChallengePlan:
    """What a new challenge is made from.

    Attributes
    ----------
    rules
        The text of the rules file.
    questions
        CSV with the hidden questions (id, pert, gene).
    truth
        CSV with their labels and parts (id, label, Usage: Public or Private).
    deadline, timezone
        When the challenge ends, and the zone in which people are told so.
    release_at
        From when the private board is shown; None: when an organiser says.
    baselines
        Name → predictions file (id, prediction_up, prediction_down): rows without a rank in every track.
    ceiling
        By part, see :class:`~perturbarena.leaderboard.schema.TruthVersion`.
    extra
        Further files for entrants, by name, such as train.csv.
    """

    rules: str
    questions: Path
    truth: Path
    deadline: datetime
    timezone: str = "UTC"
    title: str = ""
    opens_at: datetime | None = None
    release_at: datetime | None = None
    daily_limit: int = 5
    max_finals: int = 2
    max_bytes: int = 256 * MIB
    seed: int = 0
    n_resamples: int = N_RESAMPLES
    baselines: dict[str, Path] = field(default_factory=dict)
    ceiling: dict[str, Any] | None = None
    extra: dict[str, Path] = field(default_factory=dict)


def create_challenge(
    path: Path, plan: ChallengePlan, *, url: str | None = None, clock: Callable[[], datetime] = utc_now
) -> Store:
    """Make a challenge's folder and database; the opened store.

    Raises
    ------
    InputError
        If something in the plan cannot be read, the folder is not empty, or the database holds a challenge.
    """
    zone(plan.timezone)
    parse_challenge(plan.rules.encode(), source="the rules")
    read_questions(plan.questions)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BoardError(f"{path} is there already; give a new or an empty folder", reason="conflict")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        _lay_out(ChallengeFolder(part), plan, url)
        store = Store(ChallengeFolder(part), make_engine(database_url(ChallengeFolder(part), url)), clock=clock)
        _fill(store, plan)
        store.close()
        part.chmod(0o700)
        if path.exists():
            path.rmdir()
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    place = ChallengeFolder(path)
    store = Store(place, make_engine(database_url(place, url)), clock=clock)
    for name, file in plan.baselines.items():
        add_baseline(store, name, file)
    return store


def add_baseline(store: Store, name: str, predictions: Path) -> None:
    """A row without a rank in every track, scored as submissions are.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    if not predictions.is_file():
        raise FormatError(f"no such file: {predictions}")
    with store.reading() as session:
        try:
            team_id = team_row(session, BASELINES_NAME).id
        except BoardError:
            team_id = None
    if team_id is None:
        team_id = create_team(store, BASELINES_NAME, kind=BASELINE).id
    content = predictions.read_bytes()
    for track in store.rules.tracks:
        receive_baseline(store, [content], team_id=team_id, name=name, track=track)


def _lay_out(folder: ChallengeFolder, plan: ChallengePlan, url: str | None) -> None:
    folder.rules.write_text(plan.rules, encoding="utf-8")
    shutil.copyfile(plan.questions, folder.questions)
    folder.incoming.mkdir(parents=True)
    folder.files.chmod(0o700)
    public = folder.path / "public"
    public.mkdir()
    for name, source in plan.extra.items():
        shutil.copyfile(source, public / name)
    folder.config.write_text(config_text(url), encoding="utf-8")


def config_text(url: str | None) -> str:
    """A challenge's ``config.toml``; a password in the URL is left out, and must come from the environment."""
    lines = [f"format_version = {FORMAT_VERSION}"]
    if url is not None:
        lines.append(f"database = {json.dumps(_without_password(url))}")
    return "\n".join(lines) + "\n"


def _without_password(url: str) -> str:
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        stated = make_url(url).difference_update_query(["password", "passfile"])
    except ArgumentError as error:
        raise FormatError(f"not a database URL: {error}") from error
    clean = URL.create(
        stated.drivername, stated.username, None, stated.host, stated.port, stated.database, stated.query
    )
    return clean.render_as_string(hide_password=False)


def _fill(store: Store, plan: ChallengePlan) -> None:
    if store.engine.dialect.name == "postgresql" and schema_revision(store.engine) is not None:
        with store.reading() as session, contextlib.suppress(FormatError):
            if session.get(ChallengeRow, 1) is not None:
                raise BoardError("the database holds a challenge already; give an empty one", reason="conflict")
    upgrade(store)
    rules = parse_challenge(plan.rules.encode(), source="the rules")
    with store.writing() as session:
        session.add(
            ChallengeRow(
                id=1,
                name=rules.name,
                title=(plan.title or rules.title)[:200],
                rules=plan.rules,
                rules_sha256=sha256(store.folder.rules),
                questions_sha256=sha256(store.folder.questions),
                created_at=store.now(),
                opens_at=plan.opens_at,
                deadline=plan.deadline,
                timezone=zone(plan.timezone).key,
                release_at=plan.release_at,
                daily_limit=plan.daily_limit,
                max_finals=plan.max_finals,
                max_bytes=plan.max_bytes,
            )
        )
        session.flush()
        version = seal(
            session,
            store,
            plan.truth,
            reason="as the challenge began",
            seed=plan.seed,
            n_resamples=plan.n_resamples,
            ceiling=plan.ceiling,
        )
        record(
            session,
            at=store.now(),
            actor=CONSOLE.actor,
            kind="challenge.created",
            subject="challenge",
            name=rules.name,
            rules=sha256(store.folder.rules),
            questions=sha256(store.folder.questions),
            truth=version.sha256,
            deadline=stamp(plan.deadline),
            timezone=plan.timezone,
        )
