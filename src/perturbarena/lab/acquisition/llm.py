"""A language model as proposer: it is told the aim, what was seen and what became of earlier hypotheses."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from perturbarena.errors import InputError
from perturbarena.lab.acquisition.hit import choose as most_probable
from perturbarena.lab.acquisition.strategy import Pick, Strategy
from perturbarena.lab.hypotheses import Move, Settled
from perturbarena.lab.situation import Situation

LISTED: Final = 1500
"""Candidates a prompt lists; of more, the most probable hits."""
TOLD: Final = 40
"""Measured knockouts and settled hypotheses a prompt tells of: the strongest, the latest."""
LONGEST: Final = 300
"""Characters of a reason that are kept."""
_SURE: Final = 0.5
_NAME: Final = re.compile(r"[\w.\-]+")

ANSWER: Final = (
    'Answer with a JSON list and nothing else, best first: [{{"gene": "NAME", "why": "one sentence", '
    '"moves": [{{"gene": "NAME", "direction": "up or down", "sure": 0.0 to 1.0}}]}}, …], {n} entries.'
)


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """What the model names, in its order; what it leaves open is filled with the most probable hits."""
    listed = situation.names
    if len(listed) > LISTED:
        listed = listed[[p.place for p in most_probable(situation, LISTED, rng=rng)]]
    prompt = "\n\n".join(
        [
            f"You choose the next {n} gene knockouts of a Perturb-seq campaign.",
            aim(situation),
            record(situation),
            f"Candidates not yet measured: {', '.join(sorted(listed))}.",
            ANSWER.format(n=n),
        ]
    )
    return answered(situation, n, ask(situation, prompt), rng=rng, by="the model")


def ask(situation: Situation, prompt: str) -> str:
    """The model's answer.

    Raises
    ------
    InputError
        If there is no model.
    """
    if situation.ask is None:
        raise InputError("strategies of a language model need one: give --model (and --base-url), or --replay")
    return situation.ask(prompt)


def aim(situation: Situation) -> str:
    """The objective in words."""
    aim_ = situation.objective
    if aim_.kind == "everything":
        return "Aim: to predict what every knockout does, from as few as possible."
    if aim_.kind == "pathway":
        return (
            f"Aim: to find all knockouts that move the genes of one pathway, either way: {', '.join(aim_.genes)}."
        )
    signed = zip(aim_.genes, aim_.weights, strict=True)
    wanted = ", ".join(f"{gene} {'up' if weight > 0 else 'down'}" for gene, weight in signed)
    return f"Aim: to find knockouts that move this programme of genes: {wanted}."


def record(situation: Situation) -> str:
    """What was measured, and what became of hypotheses."""
    if not len(situation.seen):
        return "Nothing has been measured yet."
    order = np.argsort(-situation.seen_values)[:TOLD]
    told = ", ".join(f"{situation.seen.perturbations[i]} {situation.seen_values[i]:+.2f}" for i in order)
    lines = [f"Measured (value; {situation.hit_above:.2f} and above is a hit): {told}."]
    lines += [f"- {_said(one)}" for one in situation.settled[-TOLD:]]
    return "\n".join(lines)


def _said(one: Settled) -> str:
    genes = ", ".join(
        f"{move.gene} {move.direction} ({found})"
        for move, found in zip(one.hypothesis.moves, one.genes, strict=True)
    )
    return f"hypothesis on {one.hypothesis.knockout}, {one.verdict}: {genes or 'no genes named'}"


def answered(
    situation: Situation,
    n: int,
    text: str,
    *,
    rng: np.random.Generator,
    by: str,
    fill: Sequence[Pick] | None = None,
) -> list[Pick]:
    """Picks out of the model's text, whatever it says; names that are no open candidates are passed over."""
    place = {name: i for i, name in enumerate(situation.names)}
    picks: dict[int, Pick] = {}
    for entry in _entries(text, place):
        at = place.get(str(entry.get("gene", "")).strip())
        if at is not None and at not in picks and len(picks) < n:
            why = " ".join(str(entry.get("why", "")).split())[:LONGEST] or "no reason given"
            picks[at] = Pick(at, 1 - len(picks) / n, f"{by}: {why}", _moves(entry.get("moves")))
    for pick in fill if fill is not None else most_probable(situation, len(place), rng=rng):
        if len(picks) < n and pick.place not in picks:
            picks[pick.place] = Pick(pick.place, 0.0, f"{by} left a place open; {pick.reason}")
    return list(picks.values())


def _entries(text: str, known: dict[str, int]) -> list[dict[str, Any]]:
    """The JSON list in the text; where there is none, known names in the order in which they stand."""
    for begin in (i for i, sign in enumerate(text) if sign == "["):
        try:
            found, _ = json.JSONDecoder().raw_decode(text[begin:])
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(found, list) and any(isinstance(e, dict) and "gene" in e for e in found):
            return [e for e in found if isinstance(e, dict)]
    return [{"gene": name} for name in _NAME.findall(text) if name in known]


def _moves(raw: Any) -> tuple[Move, ...]:
    moves: dict[str, Move] = {}
    for entry in raw if isinstance(raw, list) else []:
        if isinstance(entry, dict) and entry.get("gene") and entry.get("direction") in ("up", "down"):
            sure = entry.get("sure", _SURE)
            usable = isinstance(sure, int | float) and 0 <= sure <= 1
            gene = str(entry["gene"])[:LONGEST]
            moves.setdefault(gene, Move(gene, entry["direction"], float(sure) if usable else _SURE))
    return tuple(moves.values())


STRATEGY = Strategy("llm", "a language model proposes", choose, needs=("model",))
