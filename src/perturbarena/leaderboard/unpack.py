"""A submission's files for an organiser who wants to look at them, or to run its tools again in a fence.

The board itself never unpacks: it reads zips as streams. What is unpacked here went through the same guard, and
nothing of it is executed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from perturbarena.errors import BoardError
from perturbarena.leaderboard.store import Store
from perturbarena.leaderboard.submissions import submission_row
from perturbarena.submission.archive import open_archive
from perturbarena.submission.problems import Findings


def unpack_submission(store: Store, public_id: str, target: Path) -> list[str]:
    """Write the files of a submission that are safe to read into a new folder, whole or not at all; their names.

    Raises
    ------
    BoardError
        If there is no such submission, or the folder is not empty.
    FormatError
        If the file is no zip.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BoardError(f"{target} is there already; give a new or an empty folder", reason="conflict")
    with store.reading() as session:
        sha256 = submission_row(session, public_id).sha256
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    try:
        with open_archive(store.folder.file(sha256), Findings()) as archive:
            names = sorted(archive.files)
            for name in names:
                place = part / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.stream(name) as source, place.open("xb") as file:
                    shutil.copyfileobj(source, file)
        if target.exists():
            target.rmdir()
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return names
