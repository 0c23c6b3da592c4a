"""The files that put a board on a machine: what they say exists, and the tools that read them accept them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from perturbarena.cli import run

DEPLOY = Path(__file__).parents[3] / "deploy"


def _options_exist(argv: list[str], capsys) -> None:
    """Every option of a command line is one that the command has."""
    assert argv[0].endswith("perturbarena")
    assert run([argv[1], "--help"]) == 0
    told = capsys.readouterr().out
    for word in argv[2:]:
        if word.startswith("--"):
            assert word in told, word


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_compose_starts_what_there_is_and_opens_nothing_else(compose, capsys):
    services = compose["services"]
    assert set(services) == {"board", "worker", "db"}
    for name in ("board", "worker"):
        _options_exist(services[name]["command"], capsys)
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
    assert services["board"]["ports"] == ["127.0.0.1:8000:8000"]  # TLS is a proxy's
    assert "ports" not in services["db"]
    assert "ports" not in services["worker"]
    assert compose["networks"]["back"]["internal"]
    assert "front" not in services["db"]["networks"]
    assert set(compose["volumes"]) == {"challenge", "database"}


def test_no_password_stands_in_the_files(compose):
    assert compose["services"]["db"]["environment"]["POSTGRES_PASSWORD"].startswith("${DB_PASSWORD:?")
    assert compose["services"]["board"]["environment"]["PGPASSWORD"].startswith("${DB_PASSWORD:?")
    assert ":" not in compose["services"]["board"]["environment"]["PERTURBARENA_DATABASE"].removeprefix(
        "postgresql:"
    )


def test_docker_reads_the_compose_file():
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("docker compose is not installed")
    argv = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(argv, capture_output=True, text=True, env=os.environ | {"DB_PASSWORD": "x"})
    assert done.returncode == 0, done.stderr


def test_the_image_runs_as_nobody_special():
    text = (DEPLOY / "Dockerfile").read_text()
    assert "\nUSER board\n" in text
    assert text.index("USER board") > text.index("useradd")


def test_systemd_reads_the_unit_and_its_command_exists(tmp_path, capsys):
    text = (DEPLOY / "perturbarena.service").read_text()
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    _options_exist(line.removeprefix("ExecStart=").split(), capsys)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "perturbarena.service"
    unit.write_text(text.replace("/opt/perturbarena/bin/perturbarena", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip()
