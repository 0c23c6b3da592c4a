"""The final results on one page: boards of all tracks, awards, and the code that winners must publish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perturbarena.errors import BoardError
from perturbarena.leaderboard.awards import AwardRecord, list_awards
from perturbarena.leaderboard.board import Board, board
from perturbarena.leaderboard.phases import ChallengeInfo, challenge_info
from perturbarena.leaderboard.store import Store
from perturbarena.leaderboard.truths import TruthInfo, list_truths


@dataclass(frozen=True, slots=True)
class Results:
    """Everything final. ``without_code`` are awarded teams whose submission names no code."""

    challenge: ChallengeInfo
    boards: tuple[Board, ...]
    awards: tuple[AwardRecord, ...]
    without_code: tuple[str, ...]
    truths: tuple[TruthInfo, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "challenge": self.challenge.as_json(),
            "boards": [one.as_json() for one in self.boards],
            "awards": [award.as_json() for award in self.awards],
            "without_code": list(self.without_code),
            "truth_versions": [
                {"number": t.number, "sha256": t.sha256, "reason": t.reason, "current": t.current}
                for t in self.truths
            ],
        }


def results(store: Store) -> Results:
    """The results; BoardError (closed) before the private board is out."""
    info = challenge_info(store)
    if info.phase != "released":
        raise BoardError("results are shown once the private board is out", reason="closed")
    awards = tuple(list_awards(store))
    missing = dict.fromkeys(award.team for award in awards if not award.code_url)
    return Results(
        info,
        tuple(board(store, track) for track in info.tracks),
        awards,
        tuple(missing),
        tuple(list_truths(store)),
    )
