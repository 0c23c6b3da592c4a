"""Every planted fraud is found, and honest submissions, synthetic and real, raise nothing severe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from audit_cases import CHALLENGE, FRAUDS, Entry, Fraud, honest, recorded

from perturbarena.submission.audit import SEVERITIES, Finding
from perturbarena.workflows.audit_submission import audit_submissions

Before = set[tuple[str, str]]
REAL = {"A": "prompt_train2499", "B": "kit_track_b_test", "C": "kit_track_c_test"}
ONLY_SYNTHETIC = {
    "tokens of other rows",  # of the first 240 real rows, chance decides
    "predictions from the gene alone",  # few of these rows share a gene
    "traces without an answer",  # real texts say their answer before the tag as well
}


def audit(entry: Entry, path: Path) -> tuple[Finding, ...]:
    found = audit_submissions(
        [entry.write(path)], challenge=CHALLENGE, track=entry.track, questions=entry.questions
    )
    return found.audits[0].findings


@pytest.fixture(scope="module")
def synthetic() -> dict[str, Entry]:
    return {track: honest(track) for track in "ABC"}


@pytest.fixture(scope="module")
def real(shared: Path) -> dict[str, Entry]:
    return {track: recorded(shared / "data" / "llm_outputs", name, track) for track, name in REAL.items()}


@pytest.mark.parametrize("track", ["A", "B", "C"])
def test_an_honest_submission_raises_nothing(track: str, synthetic: dict[str, Entry], tmp_path: Path) -> None:
    assert [f for f in audit(synthetic[track], tmp_path / "s.zip") if f.severity != "note"] == []


@pytest.mark.parametrize("track", ["A", "B", "C"])
def test_real_outputs_raise_nothing_severe(track: str, real: dict[str, Entry], tmp_path: Path) -> None:
    assert [f for f in audit(real[track], tmp_path / "s.zip") if f.severity == "severe"] == []


@pytest.fixture(scope="module")
def said_before(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Entry], Before]:
    """What is said of an honest submission, once for each."""
    known: dict[int, Before] = {}

    def of(entry: Entry) -> Before:
        if id(entry) not in known:
            known[id(entry)] = {(f.rule, f.severity) for f in audit(entry, tmp_path_factory.mktemp("h") / "s.zip")}
        return known[id(entry)]

    return of


def _found(fraud: Fraud, honest_entry: Entry, before: Before, path: Path) -> None:
    entry = honest_entry.copy()
    fraud.plant(entry)
    after = [f for f in audit(entry, path) if (f.rule, f.severity) not in before]
    found = [f for f in after if f.rule == fraud.rule]
    assert found, f"{fraud.name}: found only {[(f.rule, f.severity, f.message) for f in after]}"
    worst = min(SEVERITIES.index(f.severity) for f in found)
    assert SEVERITIES[worst] == fraud.severity, found[0].message


@pytest.mark.parametrize("fraud", FRAUDS, ids=lambda fraud: fraud.name)
def test_a_planted_fraud_is_found(
    fraud: Fraud, synthetic: dict[str, Entry], said_before: Callable[[Entry], Before], tmp_path: Path
) -> None:
    _found(fraud, synthetic[fraud.track], said_before(synthetic[fraud.track]), tmp_path / "s.zip")


@pytest.mark.slow  # a second for each fraud
@pytest.mark.parametrize(
    "fraud", [f for f in FRAUDS if f.name not in ONLY_SYNTHETIC], ids=lambda fraud: fraud.name
)
def test_a_fraud_planted_into_real_outputs_is_found(
    fraud: Fraud, real: dict[str, Entry], said_before: Callable[[Entry], Before], tmp_path: Path
) -> None:
    if fraud.rule == "tokens.zero":
        pytest.skip("the kit's own run has rows with 0 tokens")
    _found(fraud, real[fraud.track], said_before(real[fraud.track]), tmp_path / "s.zip")
