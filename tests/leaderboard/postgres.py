"""A PostgreSQL server of the tests' own: made in a temporary folder, started, stopped; skipped without one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

_PLACES = (*(str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), "")


def binaries() -> Path:
    """The folder with initdb and postgres, or a skip with the reason."""
    for place in _PLACES:
        found = shutil.which("initdb", path=place or None)
        if found is not None and (Path(found).parent / "postgres").exists():
            return Path(found).parent
    pytest.skip("PostgreSQL's initdb and postgres are not installed (Debian: apt-get install postgresql)")


class Server:
    """One server on a free port of the loopback, trusting whoever comes from there."""

    def __init__(self, folder: Path) -> None:
        self.bin = binaries()
        self.data = folder / "data"
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            if subprocess.run(["id", "postgres"], capture_output=True).returncode or not shutil.which("runuser"):
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
            self._as_user = ["runuser", "-u", "postgres", "--"]
            for place in (folder, *folder.parents):  # pytest's folders are for their owner alone
                if place in (Path("/tmp"), Path("/")):
                    break
                place.chmod(place.stat().st_mode | 0o011)
            folder.chmod(0o777)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._run(["initdb", "-D", str(self.data), "-A", "trust", "-U", "tester", "-E", "UTF8", "--locale=C"])
        self._n = 0
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, argv: list[str]) -> None:
        subprocess.run([*self._as_user, str(self.bin / argv[0]), *argv[1:]], check=True, capture_output=True)

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        self._process = subprocess.Popen(
            [*self._as_user, str(self.bin / "postgres"), "-D", str(self.data), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(1200):  # recovery after a crash takes its time on a busy machine
            try:
                psycopg.connect(self.admin, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("PostgreSQL does not answer")

    def stop(self, *, mode: str = "immediate") -> None:
        """Stop; ``immediate`` is as a crash would."""
        if self._process is not None:
            self._run(["pg_ctl", "-D", str(self.data), "-m", mode, "stop"])
            self._process.wait()
            self._process = None

    @property
    def admin(self) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._n += 1
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE test_{self._n}".encode())
        return f"postgresql://tester@127.0.0.1:{self.port}/test_{self._n}"
