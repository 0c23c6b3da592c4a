"""Rules on what is stated about a run, against what its traces show: tokens, tool calls, models, limits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from perturbarena.submission.audit.case import Case
from perturbarena.submission.audit.ranks import rank_correlation
from perturbarena.submission.audit.rules import Hit, Rule, many, shown
from perturbarena.submission.audit.toolcalls import FRAMEWORK_TOOLS
from perturbarena.submission.table import short_name, stated_parameters

WORDS_PER_TOKEN: Final = 4
"""A token never holds this many words: tokenisers begin a new one at each blank, so a word costs one."""
LEAST_ROWS: Final = 50
"""Rows below which a number that never changes says nothing."""
LEAST_RANKED: Final = 200
"""Rows below which a rank correlation is not looked at."""
UNRELATED: Final = 0.1
"""Rank correlation of tokens with text length under which a remark is made; honest runs show 0.19 to 0.98."""


def zero_tokens(case: Case) -> Iterator[Hit]:
    """0 tokens on rows that have a trace."""
    tokens = case.number("tokens_used")
    if tokens is None:
        return
    rows = case.present & (tokens == 0) & (case.chars > 0)
    if rows.any():
        yield Hit(
            f"{rows.sum():,} of {case.n:,} rows have a trace and state 0 tokens: not counted", case.ids(rows)
        )


def too_few_tokens(case: Case) -> Iterator[Hit]:
    """Fewer tokens than a quarter of the trace's words (5 rows and 1 %; fewer: warning)."""
    tokens = case.number("tokens_used")
    if tokens is None:
        return
    words = np.sum([[len(text.split()) for text in spoken.text] for spoken in case.spoken()], axis=0, dtype=float)
    rows = case.present & (tokens > 0) & (tokens < words / WORDS_PER_TOKEN)
    if rows.any():
        i = int(np.flatnonzero(rows)[np.argmax((words / np.where(tokens > 0, tokens, np.inf))[rows])])
        what = (
            f"{rows.sum():,} rows state fewer tokens than a quarter of their trace's words, such as "
            f"{tokens[i]:,.0f} tokens for {words[i]:,.0f} words ({case.questions.id[i]})"
        )
        yield Hit(what, case.ids(rows), None if many(int(rows.sum()), case.n) else "warning")


def constant_tokens(case: Case) -> Iterator[Hit]:
    """The same number of tokens on all rows (50 or more) while the longest trace is at least 1.5 times the
    shortest.
    """
    tokens, chars = case.number("tokens_used"), case.chars
    rows = case.present & (chars > 0)
    if tokens is None or rows.sum() < LEAST_ROWS:
        return
    values = np.unique(tokens[rows])
    if len(values) == 1 and values[0] > 0 and chars[rows].max() >= 1.5 * chars[rows].min():
        what = (
            f"all {rows.sum():,} rows state {values[0]:,.0f} tokens; traces have {chars[rows].min():,.0f} to "
            f"{chars[rows].max():,.0f} characters"
        )
        yield Hit(what, case.ids(rows))


def unrelated_tokens(case: Case) -> Iterator[Hit]:
    """Rank correlation of tokens with trace length below 0.1 (200 rows or more)."""
    tokens, chars = case.number("tokens_used"), case.chars
    if tokens is None:
        return
    rows = case.present & (chars > 0) & (tokens > 0)
    if rows.sum() < LEAST_RANKED:
        return
    rho = rank_correlation(tokens[rows], chars[rows])
    if rho < UNRELATED:
        yield Hit(f"tokens and trace lengths have a rank correlation of {rho:.2f} over {rows.sum():,} rows")


def prompt_over_used(case: Case) -> Iterator[Hit]:
    """More tokens in the prompt than used in all."""
    tokens, prompt = case.number("tokens_used"), case.number("prompt_tokens")
    if tokens is None or prompt is None:
        return
    rows = case.present & (tokens > 0) & (prompt > tokens)
    if rows.any():
        yield Hit(f"{rows.sum():,} rows state more tokens in the prompt than used in all", case.ids(rows))


def miscounted_calls(case: Case) -> Iterator[Hit]:
    """0 stated tool calls where the trace shows some (5 rows and 1 %); other differences are a warning, traces
    without a recognisable call a note (a warning on half of the rows).
    """
    stated = case.number("tool_calls")
    if stated is None:
        return
    traced = np.array([len(use.names) for use in case.tool_uses], float)
    hidden = case.present & (stated == 0) & (traced > 0)
    if hidden.any():
        what = f"{hidden.sum():,} rows state 0 tool calls; their traces show {traced[hidden].sum():,.0f}"
        yield Hit(what, case.ids(hidden), None if many(int(hidden.sum()), case.n) else "warning")
    other = case.present & (traced > 0) & (stated != traced) & ~hidden
    if other.any():
        i = int(np.flatnonzero(other)[0])
        what = (
            f"{other.sum():,} rows state another number of tool calls than their trace shows, such as "
            f"{stated[i]:,.0f} for {traced[i]:,.0f} ({case.questions.id[i]})"
        )
        yield Hit(what, case.ids(other), "warning")
    unseen = case.present & (stated > 0) & (traced == 0)
    if unseen.any():
        what = f"{unseen.sum():,} rows state tool calls, and no call can be recognised in their trace"
        yield Hit(what, case.ids(unseen), "warning" if many(int(unseen.sum()), case.n, share=0.5) else "note")


def undisclosed_tools(case: Case) -> Iterator[Hit]:
    """Tools called in traces that no file of the zip names, or more than are stated."""
    if case.number("tool_calls") is None:
        return
    uses = case.tool_uses
    called = Counter(name for use in uses for name in set(use.names))
    words = {word for f in case.files.values() for word in re.findall(r"[A-Za-z_]\w*", f.text or "")}
    unknown = {
        name
        for name in called
        if name not in FRAMEWORK_TOOLS and re.split(r"[.\-]", name)[-1] not in words and name not in words
    }
    if unknown:
        listed = ", ".join(
            f"{shown(n)} ({called[n]:,} rows)" for n in sorted(unknown, key=lambda n: -called[n])[:5]
        )
        rows = [i for i, use in enumerate(uses) if unknown & set(use.names)]
        yield Hit(f"traces call {len(unknown)} tools that no file in the zip names: {listed}", case.ids(rows))
    distinct, stated = {n for n in called if n not in FRAMEWORK_TOOLS}, case.number("distinct_tools")
    if stated is not None and np.isfinite(stated).any() and len(distinct) > np.nanmax(stated):
        what = f"traces call {len(distinct)} different tools; at most {np.nanmax(stated):,.0f} are stated"
        yield Hit(what)


def forbidden_tools(case: Case) -> Iterator[Hit]:
    """Tool calls with their results in traces of a track without tools (5 % of the rows; fewer: warning)."""
    if case.number("tool_calls") is not None:
        return
    uses = case.tool_uses
    rows = [i for i, use in enumerate(uses) if use.names and use.n_results]
    if rows:
        names = Counter(name for i in rows for name in uses[i].names)
        listed = ", ".join(shown(name) for name, _ in names.most_common(5))
        what = f"{len(rows):,} traces call tools and show their results, on a track without tools: {listed}"
        yield Hit(what, case.ids(rows), None if many(len(rows), case.n, share=0.05) else "warning")


def over_limits(case: Case) -> Iterator[Hit]:
    """Counts beyond the track's limits, as stated or as the trace shows."""
    for column in case.rules.columns:
        limit = case.rules.limit_of(column)
        if limit is None:
            continue
        rows = case.present & (case.numbers[column.name] > limit)
        if rows.any():
            top = np.nanmax(case.numbers[column.name])
            yield Hit(f"{rows.sum():,} rows have {column.name} above {limit:,}, up to {top:,.0f}", case.ids(rows))
    limit = case.rules.limits.max_tool_calls
    if limit is not None:
        traced = np.array([len(use.names) for use in case.tool_uses])
        rows = traced > limit
        if rows.any():
            what = f"{rows.sum():,} traces show more than {limit:,} tool calls, up to {traced.max():,}"
            yield Hit(what, case.ids(rows))


def mixed_models(case: Case) -> Iterator[Hit]:
    """More than one model on the rows."""
    names = Counter(short_name(name) for name in case.models if name)
    if len(names) > 1:
        most = names.most_common(1)[0][0]
        rows = [i for i, name in enumerate(case.models) if name and short_name(name) != most]
        listed = ", ".join(f"{shown(name)} ({n:,} rows)" for name, n in names.most_common(5))
        yield Hit(f"{len(names)} models answered: {listed}", case.ids(rows))


def forbidden_model(case: Case) -> Iterator[Hit]:
    """Another model than the track's fixed one, or one of too many parameters."""
    fixed, limit = case.rules.model.fixed, case.rules.limits.max_parameters
    for name in sorted({name for name in case.models if name}):
        rows = [i for i, other in enumerate(case.models) if other == name]
        if fixed is not None and short_name(name) != short_name(fixed):
            yield Hit(f"{len(rows):,} rows name the model {shown(name)}; the track's is {fixed}", case.ids(rows))
        if limit is not None and stated_parameters(name) >= limit:
            what = f"{shown(name)} names {stated_parameters(name):,.0f} parameters; allowed: under {limit:,}"
            yield Hit(what, case.ids(rows))


RULES: Final = (
    Rule("tokens.zero", "warning", zero_tokens),
    Rule("tokens.too_few", "severe", too_few_tokens),
    Rule("tokens.constant", "severe", constant_tokens),
    Rule("tokens.unrelated", "warning", unrelated_tokens),
    Rule("tokens.prompt", "warning", prompt_over_used),
    Rule("tools.miscounted", "severe", miscounted_calls),
    Rule("tools.undisclosed", "warning", undisclosed_tools),
    Rule("tools.forbidden", "severe", forbidden_tools),
    Rule("limits.exceeded", "severe", over_limits),
    Rule("model.mixed", "severe", mixed_models),
    Rule("model.forbidden", "severe", forbidden_model),
)
