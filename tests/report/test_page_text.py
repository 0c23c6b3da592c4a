from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perturbarena.report.page_text import HEAD, TAIL, between, excerpt, number, share, shown, signed, significant

NAN = float("nan")


@given(st.text(st.characters(codec=None)))
def test_shown_text_is_encodable_and_has_nothing_hidden(text):
    plain = shown(text)
    plain.encode("utf-8")
    assert not set(plain) & {"\x00", "\x1b", "\r", "\u202e", "\u2066", "\u200f"}
    assert shown(plain) == plain


def test_turning_marks_are_named():
    assert shown("a\u202eb") == "a⟨U+202E⟩b"


def test_a_long_text_keeps_both_ends_and_says_what_is_left_out():
    text = excerpt("start" + "x" * 100_000 + "<answer>A</answer>")
    assert text.startswith("start")
    assert text.endswith("<answer>A</answer>")
    assert "98,623 characters left out" in text
    assert len(text) < HEAD + TAIL + 60


def test_numbers():
    assert [number(x) for x in (0.5, -0.25, NAN, None, -0.0001)] == ["0.500", "−0.250", "–", "–", "0.000"]
    assert [signed(x) for x in (0.5, -0.5, 0.0001, NAN)] == ["+0.500", "−0.500", "0.000", "–"]
    assert [significant(x) for x in (0.000331, 12.345, 0.0)] == ["0.00033", "12", "0"]
    assert [between(x) for x in ((0.1, 0.2), None, (NAN, 1.0))] == ["0.100 … 0.200", "–", "–"]
    assert share(0.1234, 1) == "12.3\N{NARROW NO-BREAK SPACE}%"
