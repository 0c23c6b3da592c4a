"""The rules file: what is accepted, and in which words the rest is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from perturbarena.challenge.records import UNANSWERED
from perturbarena.challenge.rules import Entry, bundled_challenges, load_challenge, parse_challenge
from perturbarena.errors import RulesError

SECOND = Path(__file__).parent / "second-challenge.toml"
TEXT = SECOND.read_text()


def test_the_bundled_challenge() -> None:
    assert bundled_challenges() == ("bioreasoning-2026",)
    challenge = load_challenge("bioreasoning-2026")
    assert challenge.unanswered == UNANSWERED
    assert list(challenge.tracks) == ["A", "B", "C"]
    a, b, c = challenge.tracks.values()
    assert (a.limits.max_prompt_tokens, b.limits.max_prompt_tokens) == (4_096, 16_384)
    assert (b.limits.max_tool_calls, b.limits.max_distinct_tools) == (250, 100)
    assert (c.limits.max_new_tokens, c.limits.max_parameters) == (16_000, 10_000_000_000)
    assert (a.seeds, a.calls_per_question, a.aggregation) == ((42, 43, 44), 1, "mean")
    assert a.model.fixed == b.model.fixed == "openai/gpt-oss-120b"
    assert c.model.fixed is None
    assert (a.find("tool_calls"), a.column("prompt_tokens").limit) == (None, "max_prompt_tokens")
    assert "Cas9" in challenge.biology.perturbation
    assert challenge.biology.stimulus == "LPS, 9 hours"


def test_each_contradiction_of_the_kit_is_recorded_with_at_least_two_sources() -> None:
    challenge = load_challenge("bioreasoning-2026")
    assert len(challenge.decisions) == 15
    assert all(len({s.source for s in d.says}) >= 2 for d in challenge.decisions)
    topics = " ".join(d.topic for d in challenge.decisions)
    for word in ("perturbed", "Stimulus", "prompt_tokens", "prompt limit", "calls per", "Track C: the model",
                 "new tokens", "missing column", "nobody answered"):  # fmt: skip
        assert word in topics


def test_a_second_challenge_is_read_by_its_path() -> None:
    challenge = load_challenge(SECOND)
    assert challenge.name == "yeast-heat"
    assert challenge.track("MAIN").column_names == ("question", "up", "down", "why", "who")
    with pytest.raises(RulesError, match="has the tracks main; got 'A'"):
        challenge.track("A")


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(RulesError, match=r"no challenge is named 'nope'.*bundled: bioreasoning-2026"):
        load_challenge("nope")


WRONG = [
    ('name = "yeast-heat"', 'name = "yeast-heat"\ncolour = 1', r"x\.toml: unknown key colour"),
    ('name = "yeast-heat"\n', "", r"x\.toml: the key name is missing"),
    ('name = "yeast-heat"', 'name = "Yeast heat"', "name: .*pattern"),
    ("format_version = 1", "format_version = 2", "format_version: .*1; got 2"),
    ("format_version = 1", "format_version", r"x\.toml is not TOML"),
    ("temperature = 0.0", "temperature = -1.0", r"tracks\.main\.sampling\.temperature: .*got -1\.0"),
    ("temperature = 0.0", "temperature = nan", r"temperature: .*finite"),
    ("max_prompt_tokens = 100", "max_prompt_tokens = 0", r"limits\.max_prompt_tokens: .*greater than 0; got 0"),
    ("max_prompt_tokens = 100", "max_promt_tokens = 100", r"unknown key tracks\.main\.limits\.max_promt_tokens"),
    ('role = "p_down"', 'role = "p_up"', "stands twice"),
    ('role = "p_down"', 'role = "other"', "a column with the role p_down .* is needed"),
    ('type = "text", role = "trace"', 'type = "count", role = "trace"', "role trace needs the type text; got"),
    ('role = "trace",', 'role = "trace", seed = 5,', r"belongs to seed 5, which is not among seeds \[\]"),
    ('type = "text", role = "trace",', 'type = "count", role = "tool_calls", limit = "max_tool_calls",',
     "column why names the limit max_tool_calls, which limits does not set"),
    ('type = "text", role = "trace",', 'type = "text", limit = "max_prompt_tokens",', "needs the type count"),
    ('role = "table"', 'role = "other"', "exactly one required entry with the role table"),
    ('path = "answers.csv"', 'path = "*.csv"', "path must be exact"),
    ('path = "answers.csv"', 'path = "/answers.csv"', r"layout\.0\.path: .*pattern"),
    ("unanswered = [0.3, 0.3]", "unanswered = [0.6, 0.6]", "sum to at most 1; got 1.2"),
    ("unanswered = [0.3, 0.3]", "unanswered = [1.3, 0.3]", r"unanswered\.0: .*less than or equal to 1; got 1\.3"),
    ("sampling =", 'seeds = [1]\naggregation = "mean"\nsampling =', "aggregation needs a column .* for seed 1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_what_is_wrong_is_said_on_one_line_with_file_and_key(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(RulesError, match=message) as caught:
        parse_challenge(TEXT.replace(old, new, 1).encode(), source="x.toml")
    assert str(caught.value).startswith("x.toml")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8() -> None:
    with pytest.raises(RulesError, match=r"x\.toml must be UTF-8 text; byte 0 is not"):
        parse_challenge(b"\xff", source="x.toml")


def test_rules_are_frozen() -> None:
    challenge = load_challenge("bioreasoning-2026")
    with pytest.raises(ValidationError, match="frozen"):
        challenge.tracks["A"].limits.max_prompt_tokens = 9  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a.txt", "a.txt", True),
        ("a.txt", "aXtxt", False),
        ("*.txt", "b.txt", True),
        ("*.txt", "x/b.txt", False),
        ("tools/**", "tools/x/y.py", True),
        ("tools/**.py", "tools/x/y.py", True),
        ("tools/**", "tools2/x", False),
        ("**/.DS_Store", ".DS_Store", True),
        ("**/.DS_Store", "a/b/.DS_Store", True),
        ("**/.DS_Store", "a.DS_Store", False),
    ],
)
def test_patterns_of_paths(pattern: str, path: str, expected: bool) -> None:
    assert Entry(path=pattern, need="optional", meaning="-").matches(path) is expected


def test_every_key_of_the_schema_is_documented() -> None:
    from perturbarena.challenge.describe import schema_markdown

    rows = schema_markdown().splitlines()[2:]
    assert len(rows) > 50
    assert all(not row.endswith("|  |") for row in rows)
