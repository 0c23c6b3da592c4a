"""A valid submission spoilt in one way breaks that rule and no other."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from drafts import QUESTIONS, draft
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perturbarena.errors import FormatError, RulesError
from perturbarena.submission import RULES, Report, check_submission
from perturbarena.submission.problems import MAX_PER_RULE, Findings

TRACKS = ("A", "B", "C")


def rules_of(report: Report) -> set[str]:
    return {p.rule for p in report.problems}


@pytest.mark.parametrize("track", TRACKS)
def test_a_valid_submission_has_no_problem(track: str, tmp_path: Path) -> None:
    report = draft(track).check(tmp_path / "s.zip")
    assert (report.ok, report.problems, report.n_rows, report.track) == (True, (), 12, track)


def test_the_track_may_be_written_in_lower_case(tmp_path: Path) -> None:
    made = draft("B")
    path = made.write(tmp_path / "s.zip")
    assert check_submission(path, challenge=made.challenge, track="b", questions=QUESTIONS).track == "B"
    with pytest.raises(RulesError, match="tracks A, B, C; got 'D'"):
        check_submission(path, challenge=made.challenge, track="D", questions=QUESTIONS)


CELLS = [
    ("prediction_up", "", "cell.blank"),
    ("prediction_up", "  ", "cell.blank"),
    ("prediction_up", "nan", "cell.blank"),
    ("prediction_up", "high", "probability.number"),
    ("prediction_up", "inf", "probability.number"),
    ("prediction_up", "1_0", "probability.number"),
    ("prediction_up", "٠.٥", "probability.number"),
    ("prediction_up", "0x1", "probability.number"),
    ("prediction_up", "-0.01", "probability.range"),
    ("prediction_down", "1.0001", "probability.range"),
    ("prediction_down", "1e400", "probability.range"),
    ("prediction_down", "0.76", "probability.sum"),
    ("tokens_used", "12.5", "count.number"),
    ("tokens_used", "many", "count.number"),
    ("tokens_used", "-3", "count.range"),
    ("tokens_used", "NaN", "cell.blank"),
    ("tokens_used", "0", "tokens.zero"),
    ("num_tool_calls", "NaN", "cell.blank"),
    ("num_tool_calls", "251", "limit.exceeded"),
    ("num_distinct_tools", "101", "limit.exceeded"),
    ("prompt_tokens", "16385", "limit.exceeded"),
    ("prompt_tokens", "999999999999999999", "limit.exceeded"),
    ("reasoning_trace", "", "cell.blank"),
    ("reasoning_trace", "none", "trace.empty"),
    ("model_name", "", "cell.blank"),
    ("id", "", "cell.blank"),
    ("id", "Pert0_Unheard", "id.unknown"),
]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(CELLS), row=st.integers(0, 11))
def test_one_spoilt_cell_breaks_one_rule(case: tuple[str, str, str], row: int, tmp_path: Path) -> None:
    column, value, rule = case
    made = draft("B")
    made.set(row, column, value)
    report = made.check(tmp_path / "s.zip")
    found = [p for p in report.problems if p.rule != "id.missing"]  # its question has lost its row
    assert {p.rule for p in found} == {rule}
    assert {p.row for p in found} == {row + 2}
    assert report.ok is (RULES[rule].severity == "warning")
    assert (column == "id") == ("id.missing" in rules_of(report))
    if rule not in ("probability.sum", "id.unknown"):
        assert found[0].column == column


@given(row=st.integers(0, 11), value=st.sampled_from(["250", "16384", "4.0", "0"]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_at_the_limit_pass(row: int, value: str, tmp_path: Path) -> None:
    made = draft("B")
    made.set(row, "prompt_tokens", value)
    made.set(row, "num_tool_calls", str(min(250, int(float(value)))))
    assert made.check(tmp_path / "s.zip").problems == ()


@pytest.mark.parametrize("column", ["prediction_up", "prediction_down"])
def test_the_prediction_is_the_mean_of_the_seeds(column: str, tmp_path: Path) -> None:
    made = draft("A")
    made.set(4, f"{column}_seed43", "0.1")
    report = made.check(tmp_path / "s.zip")
    assert [(p.rule, p.row, p.column) for p in report.problems] == [("seed.mean", 6, column)]
    assert not report.ok
    assert "the seeds' mean is 0." in report.problems[0].message


def test_three_decimals_are_near_enough_to_the_mean(tmp_path: Path) -> None:
    made = draft("A")
    for seed, value in ((42, "0"), (43, "1"), (44, "0")):
        made.set(0, f"prediction_up_seed{seed}", value)
        made.set(0, f"prediction_down_seed{seed}", "0")
    made.set(0, "prediction_up", "0.333")
    made.set(0, "prediction_down", "0")
    assert made.check(tmp_path / "s.zip").problems == ()


@pytest.mark.parametrize("track", TRACKS)
def test_each_missing_column_is_named(track: str, tmp_path: Path) -> None:
    for name in draft(track).header:
        made = draft(track)
        at = made.column(name)
        made.header.pop(at)
        for row in made.rows:
            row.pop(at)
        report = made.check(tmp_path / "s.zip")
        assert [(p.rule, p.column) for p in report.problems] == [("column.missing", name)]


def test_unknown_and_repeated_columns(tmp_path: Path) -> None:
    made = draft("C")
    made.header += ["label", "tokens_used", "Model_Name "]
    for row in made.rows:
        row += ["up", "9", "x"]
    report = made.check(tmp_path / "s.zip")
    found = {(p.rule, p.column) for p in report.problems}
    assert found == {
        ("column.unknown", "label"),
        ("column.duplicate", "tokens_used"),
        ("column.unknown", "Model_Name "),
    }
    assert any("did you mean model_name?" in p.message for p in report.problems)


def test_ids_missing_doubled_unknown_all_at_once(tmp_path: Path) -> None:
    made = draft("C")
    made.set(3, "id", "Pert0_Gene0")
    made.set(5, "id", "Nobody_Asked")
    report = made.check(tmp_path / "s.zip")
    assert [(p.rule, p.row) for p in report.problems] == [
        ("id.duplicate", 5),
        ("id.unknown", 7),
        ("id.missing", None),
        ("id.missing", None),
    ]
    assert "Pert0_Gene3" in report.problems[2].message


def test_repeated_problems_are_counted_not_listed(tmp_path: Path) -> None:
    made = draft("C")
    made.rows = [[f"X_{i}", *made.rows[0][1:]] for i in range(50)]
    report = made.check(tmp_path / "s.zip")
    unknown = [p for p in report.problems if p.rule == "id.unknown"]
    assert len(unknown) == MAX_PER_RULE + 1
    assert unknown[-1].row is None
    assert "30 more of this kind; 50 in all" in unknown[-1].message


def test_far_too_many_rows_stop_the_reading(tmp_path: Path) -> None:
    made = draft("C")
    made.rows = made.rows[:1] * 5000
    report = made.check(tmp_path / "s.zip")
    assert "table.rows" in rules_of(report)
    assert report.n_rows < 1100


def test_zero_rows_are_explained_with_their_number(tmp_path: Path) -> None:
    made = draft("C")
    for row in (2, 7):
        made.set(row, "prediction_up", "0")
        made.set(row, "prediction_down", "0.0")
    report = made.check(tmp_path / "s.zip")
    assert report.ok
    (problem,) = report.problems
    assert (problem.rule, problem.severity, problem.row) == ("answer.zero", "warning", 4)
    assert problem.message.startswith("2 of 12 rows are (0, 0)")


def test_an_unanswered_row_needs_no_trace(tmp_path: Path) -> None:
    made = draft("C")
    for name, value in (("prediction_up", "0.333"), ("prediction_down", "0.333"), ("reasoning_trace", "none")):
        made.set(0, name, value)
    assert made.check(tmp_path / "s.zip").problems == ()


MODELS = [
    ("B", "gpt-oss-120b", None),
    ("B", "openai/GPT-OSS-120B", None),
    ("B", "openai/gpt-oss-20b", "model.fixed"),
    ("A", "none", "model.unnamed"),
    ("C", "none", "model.unnamed"),
    ("C", "meta-llama/Llama-3.1-8B-Instruct", None),
    ("C", "Qwen/Qwen3-9.9B", None),
    ("C", "Qwen/Qwen2.5-14B", "model.size"),
    ("C", "Qwen/Qwen3-30B-A3B", "model.size"),
    ("C", "my-10b-lora", "model.size"),
    ("C", "b1b-v70base", None),
]


@pytest.mark.parametrize(("track", "model", "rule"), MODELS)
def test_models(track: str, model: str, rule: str | None, tmp_path: Path) -> None:
    made = draft(track)
    for i in range(len(made.rows)):
        made.set(i, "model_name", model)
    assert rules_of(made.check(tmp_path / "s.zip")) == ({rule} if rule else set())


def test_two_models(tmp_path: Path) -> None:
    made = draft("C")
    made.set(11, "model_name", "Other-3B")
    report = made.check(tmp_path / "s.zip")
    assert rules_of(report) == {"model.varies"}
    assert "'Other-3B' (1 rows)" in report.problems[0].message


TABLES = [
    (b"", "table.csv"),
    (b"\n\n", "table.csv"),
    ("id,prediction_up\n".encode("utf-16"), "table.encoding"),
    ("id,prediction_up\n".encode("utf-16-le"), "table.csv"),
    (b'id,"prediction_up\n1,2\n', "table.csv"),
    (b"id;prediction_up;prediction_down\nA_B;1;2\n", "table.csv"),
]


@pytest.mark.parametrize(("table", "rule"), TABLES)
def test_tables_that_are_not_csv(table: bytes, rule: str, tmp_path: Path) -> None:
    report = draft("C").check(tmp_path / "s.zip", table=table)
    assert rules_of(report) == {rule}


def test_a_byte_that_is_not_utf8_is_placed(tmp_path: Path) -> None:
    made = draft("C")
    table = made.csv().replace(b"I think", b"I think \xe9", 1)
    assert "table.encoding" in rules_of(made.check(tmp_path / "s.zip", table=table))


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    made = draft("C")
    table = b"\xef\xbb\xbf" + made.csv().replace(b"\n", b"\r\n")
    assert made.check(tmp_path / "s.zip", table=table).problems == ()


def test_a_row_of_another_width_is_reported_and_its_id_still_counts(tmp_path: Path) -> None:
    made = draft("C")
    made.rows[2] = made.rows[2][:4]
    report = made.check(tmp_path / "s.zip")
    assert [(p.rule, p.row) for p in report.problems] == [("table.width", 4)]


def test_a_line_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perturbarena.submission.table.MAX_LINE_CHARS", 500)
    made = draft("C")
    made.set(1, "reasoning_trace", "x" * 600)
    report = made.check(tmp_path / "s.zip")
    assert [(p.rule, p.row) for p in report.problems] == [("table.csv", 3)]


LAYOUTS = [
    ("A", {"prompt.txt": None}, {"layout.missing"}),
    ("B", {"tools/lookup.py": None}, {"layout.missing"}),
    ("A", {"tools/lookup.py": b"x = 1"}, {"layout.forbidden"}),
    ("C", {"tools/lookup.py": b"x = 1"}, {"layout.forbidden"}),
    ("A", {"weights.bin": b"1"}, {"layout.unexpected"}),
    ("A", {"prompt.txt": b" \n"}, {"layout.blank"}),
    ("A", {"prompt.txt": b"\xff\xfeh\x00"}, {"layout.text"}),
    ("A", {"prompt.txt": b"h\x00i\x00"}, {"layout.text"}),
    ("A", {"prompt.txt": b" ".join(b"%d" % i for i in range(200_000))}, {"layout.text"}),
    ("B", {"tools/lookup.py": b"\xe9"}, {"layout.text"}),
    ("B", {"tools/table.bin": b"\xe9", "expert.txt": b"You know genes."}, set()),
    ("B", {"tools/__pycache__/a.pyc": b"\xe9"}, {"layout.ignored"}),
    ("A", {"README.md": b"hello", "__MACOSX/._prompt.txt": b"1"}, {"layout.ignored"}),
    ("A", {"disclosure.json": b'{"ai_role": "none", "code_url": "https://example.org/x"}'}, set()),
    ("A", {"disclosure.toml": b'training_data = "train.csv"'}, set()),
    ("A", {"disclosure.toml": b"training_data = 3"}, {"disclosure.invalid"}),
    ("A", {"disclosure.json": b'{"secret": 1}'}, {"disclosure.invalid"}),
    ("A", {"disclosure.json": b"[" * 50_000}, {"disclosure.invalid"}),
    ("A", {"disclosure.json": b'{"code_url": "javascript:alert(1)"}'}, {"disclosure.invalid"}),
]


@pytest.mark.parametrize(("track", "files", "rules"), LAYOUTS)
def test_layout(track: str, files: dict[str, bytes | None], rules: set[str], tmp_path: Path) -> None:
    made = draft(track)
    for name, content in files.items():
        made.files.pop(name, None)
        if content is not None:
            made.files[name] = content
    report = made.check(tmp_path / "s.zip")
    assert rules_of(report) == rules
    assert report.ok is all(RULES[rule].severity == "warning" for rule in rules)


def test_a_table_in_a_folder_is_pointed_at(tmp_path: Path) -> None:
    made = draft("A")
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("entry/submission.csv", made.csv())
        archive.writestr("prompt.txt", b"p")
    report = check_submission(path, challenge=made.challenge, track="A", questions=QUESTIONS)
    missing = next(p for p in report.problems if p.rule == "layout.missing")
    assert "it lies at 'entry/submission.csv'" in missing.message


def test_the_disclosure_is_handed_on(tmp_path: Path) -> None:
    made = draft("A")
    made.files["disclosure.toml"] = b'ai_role = "wrote the prompt"\ncode_url = "https://example.org/code"'
    report = made.check(tmp_path / "s.zip")
    assert report.disclosure is not None
    assert report.disclosure.ai_role == "wrote the prompt"


def test_every_message_holds_the_fix_on_one_printable_line(tmp_path: Path) -> None:
    made = draft("B")
    made.set(0, "prediction_up", "\x1b[31m\n2")
    made.set(1, "id", "evil\x07\nname")
    made.files["\u202ename.txt"] = b"1"
    report = made.check(tmp_path / "s.zip")
    assert len(report.problems) >= 3
    for problem in report.problems:
        assert problem.message.isprintable()
        assert problem.message.endswith(RULES[problem.rule].fix)
    json.dumps(report.to_json(), allow_nan=False)


def test_every_rule_in_the_code_is_in_the_list_and_every_listed_rule_is_used() -> None:
    import perturbarena.submission as room

    folder = Path(room.__file__).parent
    code = "".join(f.read_text() for f in folder.glob("*.py") if f.name != "problems.py")
    used = set(
        re.findall(
            r'"((?:archive|layout|disclosure|table|column|id|cell|probability|seed|count|limit|model'
            r'|answer|trace|tokens)\.[a-z]+)"',
            code,
        )
    )
    used |= {f"{kind}.number" for kind in ("probability", "count")}
    assert used - {"archive.files"} == set(RULES)


def test_findings_keep_their_order() -> None:
    findings = Findings()
    findings.add("id.unknown", "b", row=3)
    findings.add("cell.blank", "a", row=2)
    assert [p.row for p in findings.all()] == [3, 2]


def test_a_missing_file(tmp_path: Path) -> None:
    made = draft("A")
    with pytest.raises(FormatError, match="no such file"):
        check_submission(tmp_path / "no.zip", challenge=made.challenge, track="A", questions=QUESTIONS)


@given(content=st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_gives_a_report(content: bytes, tmp_path: Path) -> None:
    report = draft("C").check(tmp_path / "s.zip", table=content)
    assert not report.ok
