"""The published metric's behaviour, held to what the published scripts themselves answered."""

import io
import json

import pandas as pd
import pytest

from perturbarena.challenge.rules import load_challenge
from perturbarena.evaluation import reference
from perturbarena.evaluation.kaggle import metric_rules, render

CHALLENGE = load_challenge("bioreasoning-2026")


@pytest.fixture(scope="module")
def cases(golden):
    found = json.loads((golden / "challenge_metric.json").read_text())
    assert len(found) == 84
    return found


def tables(case):
    return (
        pd.read_csv(io.StringIO(case[name]), float_precision="round_trip") for name in ("solution", "submission")
    )


def answer(score, case, error):
    try:
        return score(*tables(case), "id")
    except error as refused:
        return str(refused)


def expected(case):
    return pytest.approx(case["score"], abs=1e-12) if "score" in case else case["message"]


def test_equals_the_published_scripts_errors_included(cases):
    for case in cases:
        rules = metric_rules(CHALLENGE, case["track"])
        got = answer(
            lambda *tables, rules=rules: reference.evaluate(*tables, rules).score,
            case,
            reference.ParticipantVisibleError,
        )
        assert got == expected(case), (case["track"], case["kind"])


def test_the_rendered_files_equal_the_published_scripts(cases):
    files = {}
    for track in ("base", "A", "B", "C"):
        files[track] = {"__name__": f"metric_{track}"}
        exec(compile(render(CHALLENGE, track), f"metric_{track}.py", "exec"), files[track])
    for case in cases:
        file = files[case["track"]]
        assert answer(file["score"], case, file["ParticipantVisibleError"]) == expected(case)
