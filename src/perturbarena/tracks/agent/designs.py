"""The three designs: one agent; a coordinator with specialists; advocates and judges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from perturbarena.tracks.agent.loop import Conversation, Ended, QuestionRun
from perturbarena.tracks.agent.roles import DELEGATES, Role
from perturbarena.tracks.running.server import TRANSPORT

_NO_REPORT: Final = "(no report)"
_REFUSED: Final = "refused:"
Roles = Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Probabilities and how they came about; or the reason why there are none."""

    p_up: float = 0.0
    p_down: float = 0.0
    how: str = ""
    reason: str = ""


async def react(run: QuestionRun, roles: Roles, opening: str) -> Verdict:
    """One agent with all tools."""
    return _verdict(await Conversation(run, roles["react"], opening, later=0, main=True).run())


async def team(run: QuestionRun, roles: Roles, opening: str) -> Verdict:
    """A coordinator who asks two specialists; only they have the lookups."""
    stopped: list[str] = []

    def asker(name: str) -> Callable[[str], Awaitable[str]]:
        async def ask(question: str) -> str:
            asked = f"{opening.strip()}\n\nThe coordinator asks: {question}"
            ended = await Conversation(run, roles[name], asked, later=1, main=False).run()
            if _is_final(ended.reason):
                stopped.append(ended.reason)
            return ended.text or f"{_NO_REPORT} {ended.reason}".strip()

        return ask

    delegates = {tool: asker(name) for tool, name in DELEGATES.items()}
    ended = await Conversation(run, roles["coordinator"], opening, later=0, main=True, delegates=delegates).run()
    # an answer stands although a specialist's request failed; without one, that failure is the reason
    return _verdict(Ended(reason=stopped[0]) if ended.values is None and stopped else ended)


async def debate(run: QuestionRun, roles: Roles, opening: str) -> Verdict:
    """Advocates and a judge for whether the gene moves, then for the direction; the second judge answers."""
    moved = await _sides(run, roles, opening, ("advocate_moved", "advocate_unmoved"), later=2)
    if isinstance(moved, Ended):
        return _verdict(moved)
    judged = await Conversation(run, roles["judge_moved"], f"{opening}\n\n{moved}", later=1, main=False).run()
    if _is_final(judged.reason):
        return _verdict(judged)
    p_moved = None if judged.values is None else judged.values["p_moved"]
    told = "Whether it moves was not decided." if p_moved is None else f"It moves with probability {p_moved:g}."
    sides = await _sides(run, roles, f"{opening}\n\n{told}", ("advocate_up", "advocate_down"), later=1)
    if isinstance(sides, Ended):
        return _verdict(sides)
    last = await Conversation(
        run, roles["judge_direction"], f"{opening}\n\n{told}\n\n{sides}", later=0, main=True
    ).run()
    verdict = _verdict(last)
    return verdict if verdict.reason or p_moved is None else _rescaled(verdict, p_moved)


DESIGNS: Final[Mapping[str, Callable[[QuestionRun, Roles, str], Awaitable[Verdict]]]] = {
    "react": react,
    "team": team,
    "debate": debate,
}


async def _sides(
    run: QuestionRun, roles: Roles, opening: str, names: tuple[str, str], *, later: int
) -> str | Ended:
    """Both cases, one below the other; or what ended the question."""
    cases: list[str] = []
    for name in names:
        ended = await Conversation(run, roles[name], opening, later=later, main=False).run()
        if _is_final(ended.reason):
            return ended
        side = name.removeprefix("advocate_").replace("unmoved", "not moved")
        cases.append(f"The case for {side}:\n{ended.text or _NO_REPORT}")
    return "\n\n".join(cases)


def _rescaled(verdict: Verdict, p_moved: float) -> Verdict:
    """The second judge's direction with the first judge's probability of moving."""
    total = verdict.p_up + verdict.p_down
    share = verdict.p_up / total if total > 0 else 0.5
    return Verdict(share * p_moved, (1 - share) * p_moved, "judges")


def _is_final(reason: str) -> bool:
    """A server that does not answer ends the question; an agent without a report does not."""
    return reason.startswith((TRANSPORT, _REFUSED))


def _verdict(ended: Ended) -> Verdict:
    if ended.values is None:
        return Verdict(reason=ended.reason or "no_answer_call")
    return Verdict(ended.values["p_up"], ended.values["p_down"], "answer")
