"""``perturbarena benchmark build`` and ``benchmark settings`` as a user types them; what wrong input gets."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from tests.workflows.built import write_screen

from perturbarena.cli import run
from perturbarena.screen import estimate_effects, read_effect_table, read_screen, write_effect_table
from perturbarena.workflows.build import load_settings

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_screen(tmp_path_factory.mktemp("screen") / "screen.h5ad", seed=6)


@pytest.fixture(scope="module")
def table(screen: Path) -> Path:
    path = screen.with_name("effects.h5ad")
    write_effect_table(path, estimate_effects(read_screen(screen, perturbation="perturbation", control="control")))
    return path


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a build that must be refused with one line and leave nothing; returns the line."""

    def build(source: Path, *options: str) -> str:
        folders = ["-o", str(tmp_path / "bench"), "--truth", str(tmp_path / "truth")]
        before = set(tmp_path.iterdir())
        capsys.readouterr()
        assert run(["benchmark", "build", str(source), *folders, "--json", *options]) == 2
        out, err = capsys.readouterr()
        error = json.loads(out)["error"]
        assert f"error: {error}" in err.splitlines()
        left = {path.name for path in set(tmp_path.iterdir()) - before}
        assert not left & {"bench", "truth"}
        assert not [name for name in left if name.startswith(".truth")]
        return error

    return build


def write(path: Path, adata: ad.AnnData) -> Path:
    adata.write_h5ad(path)
    return path


def quick_command(source: Path, folder: Path) -> list[str]:
    """A build into ``b`` and ``t`` whose hidden splits are large enough for so small a screen."""
    settings = source.with_name("quick.toml")
    settings.write_text("[splits]\nperturbations = [0.5, 0.25, 0.25]\ndraws = 20\n")
    folders = ["-o", str(folder / "b"), "--truth", str(folder / "t")]
    return ["benchmark", "build", str(source), *folders, "--settings", str(settings)]


def test_build_prints_a_table_and_json(table, tmp_path, capsys):
    command = quick_command(table, tmp_path)
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert "validation" in printed
    assert "leaks" in printed
    assert run([*command, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["already"]
    assert summary["counts"]["train"]["rows"] > 0
    assert run([*command, "--seed", "2"]) == 2
    assert "was not made by this build" in capsys.readouterr().err


def test_settings_are_printed_with_their_meaning_and_read_back(tmp_path, capsys):
    for design in ("fair", "bioreasoning-2026"):
        assert run(["benchmark", "settings", "--design", design]) == 0
        text = capsys.readouterr().out
        assert "# A gene moves only below this FDR.\nmax_fdr = 0.05" in text
        (tmp_path / "mine.toml").write_text(text)
        assert load_settings(path=tmp_path / "mine.toml") == load_settings(design)
        keys = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
        comments = [line for line in text.splitlines() if line.startswith("# ")]
        assert len(comments) > len(keys)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[labels]\nmin_deg = 3", r"mine.toml: unknown key labels.min_deg; there may stand max_fdr, .*min_degs"),
        ("[labels]\nmax_fdr = 5", r"mine.toml: labels.max_fdr: Input should be less than 1; got 5"),
        ("[design]\nrows_per_gene = 'x'", r"mine.toml: design.rows_per_gene: .*integer.*; got 'x'"),
        ("[splits]\ngenes = [0.6, 0.2, 0.1]", r"the shares of genes must add up to 1; got 0.6 \+ 0.2 \+ 0.1"),
        ("labels", r"mine.toml is not TOML"),
        ("[design]\nname = 'best'", r"mine.toml: design.name must be fair or bioreasoning-2026; got 'best'"),
    ],
)
def test_wrong_settings(refused, table, tmp_path, text, says):
    (tmp_path / "mine.toml").write_text(text + "\n")
    assert re.search(says, refused(table, "--settings", str(tmp_path / "mine.toml")))


def test_wrong_options(refused, table, tmp_path):
    assert "--design must be fair or bioreasoning-2026; got 'best'" in refused(table, "--design", "best")
    (tmp_path / "mine.toml").write_text("design.name = 'fair'\n")
    both = refused(table, "--design", "bioreasoning-2026", "--settings", str(tmp_path / "mine.toml"))
    assert "contradict each other" in both
    assert "no such file" in refused(tmp_path / "none.h5ad")
    assert "--truth must lie outside" in refused(table, "--truth", str(tmp_path / "bench" / "truth"))
    assert "-o must lie outside" in refused(table, "-o", str(tmp_path / "truth" / "bench"))
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "solution.csv").write_text("id,label\n")
    assert "truth is not empty" in refused(table)


def test_wrong_screens(refused, screen, tmp_path):
    adata = ad.read_h5ad(screen)
    logged = adata.copy()
    logged.X = np.log1p(logged.X.toarray() / logged.X.sum(axis=1).A1[:, None] * 1e4)
    assert "log-normalised values" in refused(write(tmp_path / "log.h5ad", logged))
    unnamed = adata.copy()
    unnamed.obs = unnamed.obs.rename(columns={"perturbation": "target"})
    assert "no column 'perturbation' (--perturbation); it has target" in refused(
        write(tmp_path / "u.h5ad", unnamed)
    )
    is_control = (adata.obs["perturbation"] == "control").to_numpy()
    one = adata[~is_control | (np.cumsum(is_control) == 1)].copy()
    assert "at least 25 control cells are needed" in refused(write(tmp_path / "one.h5ad", one))


def test_wrong_effect_tables(refused, table, tmp_path):
    weak = read_effect_table(table)
    weak.layers["fdr"] = np.maximum(weak.layers["fdr"], 0.5)
    write_effect_table(tmp_path / "weak.h5ad", weak)
    assert "no perturbation moves 9 genes" in refused(tmp_path / "weak.h5ad")
    bare = read_effect_table(table)
    del bare.var["share_of_control_cells"]
    write_effect_table(tmp_path / "bare.h5ad", bare)
    assert "var needs the column share_of_control_cells" in refused(tmp_path / "bare.h5ad")


def test_two_questions_with_one_id(refused, table, tmp_path):
    clash = read_effect_table(table)
    strongest = np.argsort(-clash.obs["n_significant"].to_numpy())[:2]
    seen = np.argsort(-clash.var["share_of_control_cells"].to_numpy())[:2]
    perts, genes = list(clash.obs_names), list(clash.var_names)
    perts[strongest[0]], perts[strongest[1]] = "A", "A_B"
    genes[seen[0]], genes[seen[1]] = "C", "B_C"
    clash.obs_names, clash.var_names = perts, genes
    write_effect_table(tmp_path / "clash.h5ad", clash)
    error = refused(tmp_path / "clash.h5ad")
    assert "two questions would have the id A_B_C: knockout A_B with gene C, and knockout A with gene B_C" in error


@pytest.mark.parametrize("file", ["audit.json", "train.csv", "solution.csv", "README.md", "benchmark.json"])
def test_a_full_disk_leaves_nothing_half_written(table, tmp_path, capsys, monkeypatch, file):
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == file:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return replace(self, target)

    command = quick_command(table, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert run(command) == 2
    assert "cannot write the question set: the disk is full" in capsys.readouterr().err
    assert not list(tmp_path.glob("[bt]"))
    assert not list(tmp_path.glob(".t.*"))
    assert not list(tmp_path.rglob("*.part"))
    assert run(command) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"b", "t"}
