"""``perturbarena lab`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lab.worlds import effect_table, features_table, world

from perturbarena.cli import run

WORLD = world()
NAMES = WORLD.features.names
PROGRAMME = ",".join(f"G{i}" for i in range(10))
SIMULATE = (
    f"lab simulate e.h5ad --objective hits --programme {PROGRAMME} --features features.csv --strategy hit "
    "--seeds 3 --start 6 --rounds 2 --round-size 6"
).split()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("genes.csv").write_text("gene\n" + "\n".join(NAMES) + "\n")
    features_table(Path("features.csv"), WORLD.features)
    return tmp_path


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that nobody adds to."""
    folder = tmp_path_factory.mktemp("standing")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("genes.csv").write_text("gene\n" + "\n".join(NAMES) + "\n")
        features_table(Path("features.csv"), WORLD.features)
        assert begin() == 0
    return folder


def begin(*more: str) -> int:
    words = [
        "lab",
        "init",
        "C",
        "--candidates",
        "genes.csv",
        "--programme",
        PROGRAMME,
        "--features",
        "features.csv",
    ]
    return run([*words, "--batch", "6", "--hit-above", "0.6", *more])


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_campaign_from_beginning_to_page(here, capsys):
    assert begin() == 0
    assert "60 candidates, 60 with features" in capsys.readouterr().out
    effect_table(Path("before.h5ad"), WORLD.measured.rows(NAMES[:8]))
    assert run(["lab", "ingest", "C", "before.h5ad"]) == 0
    assert "8 knockouts measured" in capsys.readouterr().out
    assert run(["lab", "propose", "C", "-o", "plate.csv", "--json"]) == 0
    picks = [p["name"] for p in said(capsys)["picks"]]
    assert len(picks) == 6
    assert Path("plate.csv").read_text().startswith("plate,well,gene,guide,score,reason,expected\n")
    assert run(["lab", "propose", "C"]) == 0
    shown = capsys.readouterr().out
    assert "ordered before; nothing changed" in shown
    assert "P(hit)" in shown
    effect_table(Path("r1.h5ad"), WORLD.measured.rows(picks), failed=tuple(picks[:3]))
    assert run(["lab", "ingest", "C", "r1.h5ad"]) == 0
    shown = capsys.readouterr().out
    assert "3 knockouts failed and can be proposed again" in shown
    assert "surprises" in shown
    assert run(["lab", "ingest", "C", "r1.h5ad", "--json"]) == 0
    assert said(capsys)["already"] is True
    assert run(["lab", "status", "C"]) == 0
    assert "11 of 60 candidates measured" in capsys.readouterr().out
    assert run(["lab", "status", "C", "--json"]) == 0
    assert said(capsys)["measured"] == 11
    assert run(["lab", "report", "C", "-o", "c.html"]) == 0
    page = Path("c.html").read_text()
    assert "Foreseen and seen" in page
    assert "<script" not in page
    assert picks[4] in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["propose", "C", "--strategy", "best"], "no strategy 'best'; there are random,"),
        (["propose", "C", "--strategy", "graph"], "needs links between genes"),
        (["propose", "C", "--strategy", "llm"], "give --model"),
        (["propose", "C", "-n", "61"], "61 knockouts wanted; 60 candidates"),
        (["propose", "nowhere"], "nowhere is no campaign"),
        (["propose", "C", "--plate", "48"], "a plate has 96 or 384 wells; got 48"),
        (["ingest", "C", "none.h5ad"], "no such file: none.h5ad"),
        (["ingest", "C", "genes.csv"], "genes.csv"),
        (["status", "."], "is no campaign"),
        (["report", "C", "-o", "c.pdf"], "ends in .html"),
        (["watch", "C", "nowhere", "--once"], "no such folder to watch"),
        (["init", "D", "--candidates", "genes.csv"], "needs --programme"),
        (["init", "D", "--candidates", "none.csv", "--programme", "A"], "no such file"),
        (["init", "D", "--candidates", "genes.csv", "--programme", "A,A"], "A stands 2 times"),
        (["init", "C", "--candidates", "genes.csv", "--programme", "A"], "is a campaign already"),
        (
            ["init", "D", "--candidates", "genes.csv", "--objective", "everything", "--programme", "A"],
            "leave --programme",
        ),
        (["simulate", "none.h5ad"], "no such file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(standing, capsys, monkeypatch, words, message):
    monkeypatch.chdir(standing)
    assert run(["lab", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("D").exists()


def test_watching_once(here, capsys):
    begin()
    Path("inbox").mkdir()
    effect_table(Path("inbox/before.h5ad"), WORLD.measured.rows(NAMES[:8]))
    assert run(["lab", "watch", "C", "inbox", "--once", "--settle", "0", "--propose", "hit"]) == 0
    assert "round 1 ordered" in capsys.readouterr().out
    Path("inbox/odd.h5ad").write_text("no table")
    assert run(["lab", "watch", "C", "inbox", "--once", "--settle", "0", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("refused" in line) for line in lines] == [False, True]
    assert lines[0]["already"] is True


def test_simulation_writes_and_draws(here, capsys):
    effect_table(Path("e.h5ad"), WORLD.measured)
    assert run([*SIMULATE, "-o", "s.json", "--figure", "s.png", "--workers", "1"]) == 0
    assert "Gains are over chance" in capsys.readouterr().out
    stored = json.loads(Path("s.json").read_text())
    kinds = [(s["strategy"], s["control"]) for s in stored["strategies"]]
    assert kinds[:2] == [("random", "none"), ("random", "permuted feedback")]
    assert stored["game"]["round_size"] == 6
    assert Path("s.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow  # two processes load everything anew
def test_the_number_of_processes_changes_nothing(here, capsys):
    effect_table(Path("e.h5ad"), WORLD.measured)
    assert run([*SIMULATE, "--json", "--workers", "1"]) == 0
    alone = said(capsys)["strategies"]
    assert run([*SIMULATE, "--json", "--workers", "2"]) == 0
    assert said(capsys)["strategies"] == alone


def test_strategies_are_listed(capsys):
    assert run(["lab", "strategies", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in found if "model" in s["needs"]] == ["llm", "llm-rerank"]
    assert run(["lab", "strategies"]) == 0
    assert "Mixtures" in capsys.readouterr().out
