"""Plays the campaign of docs/lab-campaign.md and writes that page with its figures.

Run: OMP_NUM_THREADS=1 python benchmarks/lab_campaign.py [--docs docs]
The laboratory is a simulated screen: what a round orders is cut out of it and handed back as counts. Every block
of output on the page is what the command above it printed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from perturbarena.cli import run
from perturbarena.lab import Campaign, History
from perturbarena.report import BandCurve, CurvePanel, draw_curves, draw_expected
from perturbarena.screen import SimulationSettings, estimate_effects, simulate_screen, write_effect_table
from perturbarena.workflows.lab.ingest import values_of
from perturbarena.workflows.lab.overview import overview_of
from perturbarena.workflows.lab.report import expected_panel
from perturbarena.workflows.lab.sources import measurements_of

SCREEN = SimulationSettings(
    perturbations=200, genes=600, cells_per_perturbation=100, control_cells=2000, control_guides=30, modules=6,
    module_share=0.7, counts_per_gene=1.0, state_spread=0.5, measured_share=1.0,
)  # fmt: skip
SEED = 3
HIT = 0.15
PROGRAMME = 30
FAIL = 5
"""Knockouts of the second round that come back with ten cells."""


class Laboratory:
    """A simulated screen of which only what is ordered is seen."""

    def __init__(self) -> None:
        screen = simulate_screen(np.random.default_rng(SEED), SCREEN)
        self.cells: Any = screen.to_anndata()
        self.control = (self.cells.obs["perturbation"] == "control").to_numpy()
        self.cells[self.control].copy().write_h5ad("controls.h5ad")
        guides = sorted(map(str, screen.guide_names))
        genes = [name.rsplit("_", 1)[0] for name in guides]
        pd.DataFrame({"gene": genes, "guide": guides}).to_csv("candidates.csv", index=False)
        modules, abundant = screen.truth_of_genes.modules[:, 0], np.argsort(-screen.truth_of_genes.share)
        chosen = [screen.genes[g] for g in abundant if modules[g] == 0][:PROGRAMME]
        pd.DataFrame({"gene": chosen, "weight": 1}).to_csv("programme.csv", index=False)
        self.names = [str(name) for name in screen.perturbations]

    def measure(self, names: list[str], path: str, *, fail: int = 0) -> None:
        """Counts of these knockouts and the controls; the first ``fail`` of them have ten cells each."""
        perturbation = self.cells.obs["perturbation"].to_numpy()
        keep = self.control | np.isin(perturbation, names)
        for name in names[:fail]:
            keep[np.flatnonzero(perturbation == name)[10:]] = False
        self.cells[keep].copy().write_h5ad(path)

    def everything(self) -> anndata.AnnData:
        """The effect table of the whole screen, which no campaign sees."""
        return estimate_effects(self.cells, guide="guide", batch="batch")


class Page:
    """The page's text as it grows."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def say(self, text: str) -> None:
        self.parts.append(" ".join(text.split()) if not text.lstrip().startswith(("#", "!", "|", ">")) else text)

    def command(self, words: str, *, code: int = 0, lines: int | None = None) -> str:
        """Run a command, and show it with what it printed (its first ``lines``)."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = run(shlex.split(words)[1:])
        if ended != code:
            raise SystemExit(f"{words}: exit code {ended}\n{out.getvalue()}{err.getvalue()}")
        printed = (out.getvalue() + (err.getvalue() if code else "")).strip("\n")
        shown = "\n".join(line.rstrip() for line in printed.splitlines()[:lines])
        more = "\n…" if lines is not None and len(printed.splitlines()) > lines else ""
        self.parts.append(f"```console\n$ {words}\n{shown}{more}\n```")
        return printed


def ordered(number: int) -> list[str]:
    plate = pd.read_csv(f"CAMPAIGN/rounds/{number:03d}/plate.csv", dtype=str, keep_default_na=False)
    return list(dict.fromkeys(plate["gene"]))


def play(page: Page, docs: Path) -> None:
    """The whole campaign."""
    laboratory = Laboratory()
    rng = np.random.default_rng(SEED)
    page.say("# A campaign from the first order to the last")
    page.say("""This page is made by `benchmarks/lab_campaign.py`: every block shows what the command
        printed. The laboratory is a simulated screen (200 knockouts, 600 genes, modules of genes that act
        alike), from which each round's cells are cut out, counts and all. The reference is
        [lab.md](lab.md).""")
    page.say("## Begin")
    page.say(f"""Wanted: knockouts that raise a programme of {PROGRAMME} genes. What is known beforehand:
        control cells of the same kind, whose co-expression tells which candidates are alike. A hit raises
        the programme by {HIT} log2 units on average.""")
    page.command("perturbarena lab init CAMPAIGN --candidates candidates.csv --programme programme.csv "
                 f"--hit-above {HIT} --coexpression controls.h5ad --batch 10 --seed 1")  # fmt: skip
    page.say("Ten knockouts were measured before, chosen by nobody in particular.")
    laboratory.measure(rng.choice(laboratory.names, 10, replace=False).tolist(), "before.h5ad")
    page.command("perturbarena lab ingest CAMPAIGN before.h5ad --batch batch")
    page.say("## Round 1")
    page.command("perturbarena lab propose CAMPAIGN -o plate1.csv", lines=22)
    page.say("""Each proposal says what it expects: a value with its uncertainty, a probability, and the
        genes that should move otherwise than after the usual knockout. The plate:""")
    head = "\n".join(Path("plate1.csv").read_text().splitlines()[:5])
    page.parts.append(f"```\n{head}\n…\n```")
    laboratory.measure(ordered(1), "round1.h5ad")
    page.command("perturbarena lab ingest CAMPAIGN round1.h5ad --batch batch")
    page.say("The same file again changes nothing:")
    page.command("perturbarena lab ingest CAMPAIGN round1.h5ad --batch batch")
    page.say("## Round 2, in which half the knockouts fail")
    page.command("perturbarena lab propose CAMPAIGN", lines=2)
    page.say("First somebody takes the wrong file, another experiment's:")
    strangers = [n for n in laboratory.names if n not in {*ordered(1), *ordered(2)}]
    known = set(History.of(Campaign.open(Path("CAMPAIGN"))).measured.perturbations)
    laboratory.measure([n for n in strangers if n not in known][:5], "other.h5ad")
    page.command("perturbarena lab ingest CAMPAIGN other.h5ad --batch batch", code=2)
    page.say(f"Then the right one, in which {FAIL} of the ten have too few cells:")
    laboratory.measure(ordered(2), "round2.h5ad", fail=FAIL)
    page.command("perturbarena lab ingest CAMPAIGN round2.h5ad --batch batch", lines=6)
    page.say("## Rounds 3 to 6, by a watched folder")
    page.say("""A pipeline drops files into a folder; each content counts once, and with `--propose` the
        next order is written as soon as a round has come back.""")
    Path("inbox").mkdir()
    page.command("perturbarena lab propose CAMPAIGN", lines=2)
    for number in range(3, 7):
        laboratory.measure(ordered(number), f"inbox/round{number}.h5ad")
        if number == 3:
            page.command(
                "perturbarena lab watch CAMPAIGN inbox --once --settle 0 --batch batch --propose hit", lines=8
            )
        else:
            words = "lab watch CAMPAIGN inbox --once --settle 0 --batch batch"
            with contextlib.redirect_stdout(io.StringIO()):
                run((words + (" --propose hit" if number < 6 else "")).split())
    page.say("## Where it stands")
    page.command("perturbarena lab status CAMPAIGN")
    page.command("perturbarena lab report CAMPAIGN -o campaign.html")
    conclude(page, laboratory, docs)


def conclude(page: Page, laboratory: Laboratory, docs: Path) -> None:
    """Hold the campaign against the whole screen and against chance; draw."""
    campaign = Campaign.open(Path("CAMPAIGN"))
    history, found = History.of(campaign), overview_of(Path("CAMPAIGN"))
    table = laboratory.everything()
    values = values_of(campaign, measurements_of(table))
    total = sum(value >= HIT for value in values.values())
    measured = np.cumsum([line.measured for line in found.rounds])
    hits = np.cumsum([len(line.hits) for line in found.rounds])
    draw_progress(docs / "img/lab-hits.png", measured, hits, total=total, candidates=len(values))
    panels = [expected_panel(campaign, history, one, found.values) for one in history.rounds]
    draw_expected(docs / "img/lab-expected.png", panels=[p for p in panels if p is not None][:4],
                  title="Values expected and seen, rounds 1 to 4")  # fmt: skip
    chance = float(hypergeom(len(values), total, measured[-1]).mean())
    page.say(f"""The whole screen, which the campaign never saw, has {total} hits among {len(values)}
        candidates when it is analysed at once. The campaign measured {measured[-1]} and found {hits[-1]};
        as many drawn by chance would have had {chance:.1f} on average.""")
    page.say("![Hits found over knockouts measured, against chance](img/lab-hits.png)")
    page.say("![Value seen over value expected, a panel a round](img/lab-expected.png)")
    page.say("## Was that luck?")
    page.say("""One campaign shows little. `lab simulate` hides the screen and plays many: other beginnings,
        every strategy, and two controls in which the gain must vanish.""")
    write_effect_table("effects.h5ad", table)
    page.command(
        "perturbarena lab simulate effects.h5ad --objective hits --programme programme.csv "
        "--coexpression controls.h5ad --strategy hit --strategy ucb --strategy diversity "
        "--strategy 0.5*hit+0.5*diversity --seeds 50 --workers 1 --figure curves.png -o simulated.json"
    )
    (docs / "img/lab-curves.png").write_bytes(Path("curves.png").read_bytes())
    for name in ("lab-hits", "lab-expected", "lab-curves"):
        lighten(docs / f"img/{name}.png")
    page.say("![Hits found and prediction score over rounds, with bands](img/lab-curves.png)")
    page.say("""These intervals speak of this screen alone. Over fifty different screens, and where
        structure is weak or absent: [benchmarks](benchmarks.md#which-knockouts-next).""")


def lighten(path: Path) -> None:
    """A PNG with 64 colours: a third of the bytes."""
    from PIL import Image

    with Image.open(path) as image:
        few = image.convert("RGB").quantize(64)
    few.save(path, optimize=True)


def draw_progress(path: Path, measured: np.ndarray, hits: np.ndarray, *, total: int, candidates: int) -> None:
    """Hits of the campaign over what chance gives: mean, and the middle 95 %."""
    chance = [hypergeom(candidates, total, n) for n in measured]
    mean = np.array([c.mean() for c in chance])
    low, high = (np.array([c.ppf(q) for c in chance]) for q in (0.025, 0.975))
    none = np.full(len(measured), np.nan)
    curves = [BandCurve("chance, with 95 % of its draws", measured, mean, low, high, plain=True),
              BandCurve("campaign", measured, hits, none, none)]  # fmt: skip
    draw_curves(path, panels=[CurvePanel("Hits found", "hits", curves)], title="One campaign")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    docs = parser.parse_args().docs.resolve()
    page = Page()
    with tempfile.TemporaryDirectory() as folder:
        here = Path.cwd()
        os.chdir(folder)
        try:
            play(page, docs)
        finally:
            os.chdir(here)
    (docs / "lab-campaign.md").write_text("\n\n".join(page.parts) + "\n", encoding="utf-8")
    print(f"written: {docs / 'lab-campaign.md'}")


if __name__ == "__main__":
    main()
