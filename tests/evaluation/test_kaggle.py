"""The rendered metric file: alone it works, and it says what the rules say."""

import ast
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scoring_cases import question_set, solution_of, table_of

from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import PredictionError, RulesError
from perturbarena.evaluation import metric_rules, render, score_strict

PUBLISHED = load_challenge("bioreasoning-2026")
STRICT = PUBLISHED.model_copy(
    update={"name": "mine-2027", "score": PUBLISHED.score.model_copy(update={"behaviour": "strict"})}
)
TRACKS = list(PUBLISHED.tracks)


def run(challenge, track):
    file = {"__name__": "metric"}
    exec(compile(render(challenge, track), "metric.py", "exec"), file)
    return file


def full_table(track, p):
    """A table that keeps every rule of the track, with counts at their limits."""
    table = table_of(p)
    for column in PUBLISHED.tracks[track].columns:
        if column.name not in table:
            limit = PUBLISHED.tracks[track].limit_of(column)
            table[column.name] = 1 / 3 if column.type == "probability" else limit or 1
    return table


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("challenge", [PUBLISHED, STRICT], ids=["published", "strict"])
def test_rules_and_metric_do_not_drift_apart(challenge, track):
    file, rules = run(challenge, track), challenge.tracks[track]
    truth, p = question_set()
    solution, table = solution_of(truth), full_table(track, p)
    error = file["ParticipantVisibleError"]
    assert 0 < file["score"](solution, table, "id") < 1
    for column in rules.columns:
        if column.name != "id":
            with pytest.raises(error, match=column.name):
                file["score"](solution, table.drop(columns=column.name), "id")
        limit = rules.limit_of(column)
        if limit is not None:
            with pytest.raises(error, match=f"{limit:,}|{limit}"):
                file["score"](solution, table.assign(**{column.name: limit + 1}), "id")
    assert file["RULES"]["columns"] == [c.name for c in rules.columns if c.name not in table_of(p)]
    assert len(file["RULES"]["limits"]) == sum(rules.limit_of(c) is not None for c in rules.columns)


def test_a_changed_limit_changes_the_metric():
    limits = PUBLISHED.tracks["A"].limits.model_copy(update={"max_prompt_tokens": 99})
    track = PUBLISHED.tracks["A"].model_copy(update={"limits": limits})
    changed = PUBLISHED.model_copy(update={"tracks": {"A": track}})
    truth, p = question_set()
    file = run(changed, "A")
    with pytest.raises(file["ParticipantVisibleError"], match="max 99, but submission reports 100"):
        file["score"](solution_of(truth), full_table("A", p).assign(prompt_tokens=100), "id")


SPOILT = {
    "duplicate": lambda t: pd.concat([t, t.iloc[[3]]]),
    "missing": lambda t: t.iloc[1:],
    "unknown": lambda t: t.assign(id=["odd", *t["id"][1:]]),
    "text": lambda t: t.assign(prediction_up="x"),
    "nan": lambda t: t.assign(prediction_up=np.nan),
    "negative": lambda t: t.assign(prediction_up=-0.1),
    "sum": lambda t: t.assign(prediction_up=0.9, prediction_down=0.2),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_strict_file_refuses_in_the_words_of_strict_mode(kind):
    truth, p = question_set()
    file = run(STRICT, "base")
    table = SPOILT[kind](table_of(p))
    with pytest.raises(PredictionError) as ours:
        score_strict(truth, table, rng=np.random.default_rng(0), n_resamples=0)
    with pytest.raises(file["ParticipantVisibleError"]) as theirs:
        file["score"](solution_of(truth), table, "id")
    assert str(ours.value) == str(theirs.value)


def test_a_strict_file_scores_as_strict_mode_does():
    truth, p = question_set()
    table = table_of(p)
    table.loc[:40, ["prediction_up", "prediction_down"]] = 0.0
    expected = score_strict(truth, table, rng=np.random.default_rng(0), n_resamples=0).score
    assert run(STRICT, "base")["score"](solution_of(truth), table, "id") == pytest.approx(expected, abs=1e-12)
    assert run(PUBLISHED, "base")["score"](solution_of(truth), table, "id") != pytest.approx(expected, abs=1e-4)


def test_a_strict_file_refuses_a_solution_with_another_label():
    truth, p = question_set()
    file = run(STRICT, "base")
    with pytest.raises(file["ParticipantVisibleError"], match="A label must be up, down or none"):
        file["score"](solution_of(truth).replace("up", "UP"), table_of(p), "id")


@pytest.mark.parametrize("track", ["base", *TRACKS])
def test_the_file_needs_nothing_of_this_package(track, tmp_path):
    source = render(PUBLISHED, track)
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"numpy", "pandas", "sklearn.metrics", "typing"}
    if track == "base":
        (tmp_path / "metric.py").write_text(source, encoding="utf-8")
        code = "import sys, metric; assert not any('perturbarena' in m for m in sys.modules); print(metric.RULES)"
        done = subprocess.run([sys.executable, "-S", "-c", _WITH_SITE + code], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()


_WITH_SITE = (
    f"import sys; sys.path += {[p for p in sys.path if 'site-packages' in p]!r}; sys.path.insert(0, '.'); "
)


def test_an_unknown_track_is_refused():
    with pytest.raises(RulesError, match="A, B, C; got 'D'"):
        metric_rules(PUBLISHED, "D")
