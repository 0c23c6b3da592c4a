"""How every command that asks a model ends: the score where there are labels, else how to pack the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from perturbarena.cli.output import console

if TYPE_CHECKING:
    from perturbarena.evaluation import ScoreResult
    from perturbarena.tracks.running.folder import RunFolder

RESAMPLES: Final = 2000
"""Behind the intervals that are printed at a run's end."""


def show_ending(
    score: ScoreResult | None, unscored: str, *, folder: RunFolder, track: str, questions: Path
) -> None:
    """Print the score, or why there is none, or what to do next."""
    out = console()
    if score is not None:
        from perturbarena.cli.score import print_score

        print_score(score, title=questions.name, resamples=RESAMPLES)
    elif unscored:
        out.print(f"[yellow]no score:[/] {unscored}")
    else:
        own = folder.path / "tools"
        tools = f"--tools {own} " if own.is_dir() else ""
        out.print(
            f"next: perturbarena submit pack {folder.predictions} --track {track} "
            f"--prompt {folder.prompt} {tools}--questions {questions} -o submission.zip",
            style="dim", soft_wrap=True, markup=False,
        )  # fmt: skip
