"""What is backed up comes back, whole or not at all, in either database."""

from __future__ import annotations

import tarfile

import pytest
from sqlalchemy import text
from tests.leaderboard.board_cases import TRACK, answers, bundle, entrant, hand_in

from perturbarena.errors import BoardError, FormatError
from perturbarena.leaderboard import Worker, back_up, list_teams, restore, verify_chain, verify_receipt
from perturbarena.leaderboard.board import board
from perturbarena.leaderboard.organise import config_text


@pytest.fixture
def lived_in(each_store, tmp_path):
    """A challenge with a listed, a rejected and a waiting submission; and the receipts."""
    team = entrant(each_store, "Ägir & Co")
    receipts = [hand_in(each_store, team, bundle(answers(skill=2), tmp_path)), hand_in(each_store, team, b"junk")]
    Worker(each_store).drain()
    receipts.append(hand_in(each_store, team, bundle(answers(seed=4), tmp_path)))
    return each_store, [receipt.as_json() for receipt in receipts], team


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_comes_back_in_either_database(lived_in, tmp_path, clock, postgres, target):
    store, receipts, team = lived_in
    made = back_up(store, tmp_path / "backup.tar")
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    assert made.n_files == 3
    hand_in(store, team, bundle(answers(seed=8), tmp_path))  # after the backup
    url = postgres.new_database() if target == "postgresql" else None
    back = restore(tmp_path / "backup.tar", tmp_path / "restored", url=url, clock=clock)
    assert back.engine.dialect.name == target
    assert [verify_receipt(back, receipt) for receipt in receipts] == [[], [], []]
    assert [t.n_submissions for t in list_teams(back)] == [3]
    assert board(back, TRACK).rows == board(store, TRACK).rows
    assert (back.folder.truth / "truth-1.csv").stat().st_mode & 0o777 == 0o600
    assert Worker(back).drain() == 2  # what waited goes on: a score and its audit
    more = hand_in(back, entrant(back, "Newcomers"), bundle(answers(seed=6), tmp_path))  # numbers go on
    assert verify_receipt(back, more.as_json()) == []
    assert verify_chain(back).ok
    back.close()


def test_a_password_in_the_url_stays_out_of_the_folder():
    told = config_text("postgresql://board:s3cret@db.example/board?password=s3cret&sslmode=require")
    assert told == 'format_version = 1\ndatabase = "postgresql://board@db.example/board?sslmode=require"\n'


def test_damaged_and_foreign_archives_are_refused_and_nothing_is_left(store, tmp_path):
    hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    archive = tmp_path / "backup.tar"
    back_up(store, archive)
    whole = archive.read_bytes()
    place = whole.index(b"prediction") if b"prediction" in whole else whole.index(b"PK\x03\x04") + 40
    cases = {
        "flipped": whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
        "cut": whole[: len(whole) // 2],
        "foreign": b"not a tar at all" * 100,
    }
    for name, content in cases.items():
        broken = tmp_path / f"{name}.tar"
        broken.write_bytes(content)
        with pytest.raises(FormatError):
            restore(broken, tmp_path / f"restored-{name}")
        assert not (tmp_path / f"restored-{name}").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".restored")]
    with pytest.raises(BoardError, match="is there already"):
        restore(archive, store.folder.path)
    with pytest.raises(FormatError, match="no such file"):
        restore(tmp_path / "none.tar", tmp_path / "x")


def test_an_archive_cannot_write_outside_its_folder(store, tmp_path):
    archive = tmp_path / "backup.tar"
    back_up(store, archive)
    evil = tmp_path / "evil.tar"
    with tarfile.open(archive) as old, tarfile.open(evil, "w") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            assert content is not None
            raw = content.read()
            if member.name == "backup.json":
                raw = raw.replace(b'"rules.toml"', b'"../../x.toml"')
                member.size = len(raw)
            import io

            new.addfile(member, io.BytesIO(raw))
    with pytest.raises(FormatError, match="not a path within"):
        restore(evil, tmp_path / "restored")


def test_a_missing_or_damaged_file_stops_a_backup(store, tmp_path):
    receipt = hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    path = store.folder.file(receipt.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BoardError, match="is damaged"):
        back_up(store, tmp_path / "b.tar")
    assert any("SHA-256" in line for line in verify_receipt(store, receipt.as_json()))
    path.unlink()
    with pytest.raises(BoardError, match="cannot be read"):
        back_up(store, tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


def test_an_altered_log_stops_a_backup(store, tmp_path):
    entrant(store, "A")
    with store.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER event_no_delete"))
        connection.execute(text("DELETE FROM event WHERE seq = 2"))
    with pytest.raises(BoardError, match="entry 2 is missing"):
        back_up(store, tmp_path / "b.tar")
