"""The one-file metric that Kaggle runs, made from a challenge's rules.

The file is the rules as a literal plus the source of :mod:`perturbarena.evaluation.reference`: the metric on the
leaderboard and the one behind ``perturbarena score`` are the same lines of code and cannot drift apart.
"""

from __future__ import annotations

import ast
import inspect
import pprint
from typing import Any, Final, Literal

from perturbarena.challenge.rules import Challenge, Track
from perturbarena.evaluation import reference

PLAIN: Final = "base"
"""Name of the metric that reads the two predictions alone and knows no track."""

PUBLISHED_BEHAVIOUR: Final = "bioreasoning-2026"

Mode = Literal["published", "strict"]

_ADVICE: Final = {
    "tool_calls": "Reduce the number of tool calls per question.",
    "distinct_tools": "Reduce the number of tool definitions.",
    "prompt_tokens": "Shorten your prompt template.",
    "prompt_tokens with tools": "Shorten your system prompt or tool definitions.",
}
"""What the published scripts advise when a limit is exceeded; the wording is part of their behaviour."""


def mode_of(challenge: Challenge) -> Mode:
    """How this challenge's leaderboard metric treats unclean input."""
    return "published" if challenge.score.behaviour == PUBLISHED_BEHAVIOUR else "strict"


def metric_rules(challenge: Challenge, track: str | None = None, *, mode: Mode | None = None) -> dict[str, Any]:
    """The dictionary that steers :mod:`~perturbarena.evaluation.reference`.

    ``track`` None or "base" is the plain metric. ``mode`` defaults to the challenge's own.

    Raises
    ------
    RulesError
        If the challenge has no such track.
    """
    plain = track is None or track == PLAIN
    found = next(iter(challenge.tracks.values())) if plain else challenge.track(track or PLAIN)
    return {
        "mode": mode or mode_of(challenge),
        "track": not plain,
        "p_up": found.column("p_up").name,
        "p_down": found.column("p_down").name,
        "columns": [] if plain else list(found.metadata_columns),
        "limits": [] if plain else _limits(found),
    }


def _limits(track: Track) -> list[dict[str, Any]]:
    has_tools = track.limits.max_tool_calls is not None
    limits = []
    for column in track.columns:
        largest = track.limit_of(column)
        if largest is None:
            continue
        key = f"{column.role} with tools" if has_tools and column.role == "prompt_tokens" else column.role
        limits.append({"column": column.name, "what": column.role, "max": largest, "advice": _ADVICE.get(key, "")})
    return limits


def render(challenge: Challenge, track: str | None = None) -> str:
    """Source of a self-contained Python file with ``score(solution, submission, row_id_column_name)``.

    Raises
    ------
    RulesError
        If the challenge has no such track.
    """
    rules = pprint.pformat(metric_rules(challenge, track), width=100, sort_dicts=False)
    what = "plain" if track in (None, PLAIN) else f"track {track}"
    return (
        f'"""Metric of {challenge.name}, {what}; made by `perturbarena challenge kaggle-metric`."""\n\n'
        f"{_source()}\n\nRULES = {rules}\n\n\n"
        "def score(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:\n"
        '    """Mean of the DE and the DIR AUROC; higher is better."""\n'
        "    return evaluate(solution, submission, row_id_column_name, RULES).score\n"
    )


def _source() -> str:
    """The reference module's source without its docstring."""
    source = inspect.getsource(reference)
    docstring = ast.parse(source).body[0]
    return "\n".join(source.splitlines()[docstring.end_lineno :]).strip() + "\n"
