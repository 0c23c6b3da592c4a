"""Schemas of tools and the check of a model's arguments."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.errors import InputError
from perturbarena.tracks.tools import (
    ToolSet,
    built_in_tools,
    check_arguments,
    describe,
    tool_set,
    uses_training_labels,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def example(gene: str, sign: Literal["up", "down"], n: int = 3, share: float | None = None) -> str:
    """Says something.

    A second line.

    Args:
        gene: A symbol,
            over two lines.
        n (int): A number.

    Returns:
        A text.
    """
    return f"{gene}{sign}{n}{share}"


def test_types_and_docstring_become_a_schema():
    schema = describe(example)
    shown = schema.parameters["properties"]
    assert schema.description == "Says something.\n\nA second line.\n\nReturns:\n    A text."
    assert shown["gene"] == {"type": "string", "description": "A symbol, over two lines."}
    assert shown["sign"] == {"type": "string", "enum": ["up", "down"]}
    assert shown["n"] == {"type": "integer", "description": "A number.", "default": 3}
    assert shown["share"] == {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None}
    assert schema.parameters["required"] == ["gene", "sign"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"gene": "A", "sign": "up"}, ""),
        ({"gene": "A", "sign": "up", "share": None, "n": 2}, ""),
        ({"gene": "A"}, "the argument sign is missing"),
        ({"gene": "A", "sign": "left"}, "must be one of up, down"),
        ({"gene": 1, "sign": "up"}, "must be of type string"),
        ({"gene": "A", "sign": "up", "n": True}, "must be of type integer"),
        ({"gene": "A", "sign": "up", "genes": 1}, "there is no argument 'genes'"),
        ([1], "must be a JSON object"),
    ],
)
def test_arguments_are_held_to_it(arguments, problem):
    found = check_arguments(describe(example).parameters, arguments)
    assert (problem in found) if problem else found == ""


@given(json_values)
def test_the_check_is_total_and_what_passes_can_be_called(value):
    if check_arguments(describe(example).parameters, value) == "":
        assert example(**value)


def test_sets_join_by_name_and_carry_the_mark():
    @uses_training_labels
    def peek(gene: str) -> str:
        """Looks at labels."""
        return gene

    joined = tool_set(example) | tool_set(peek)
    assert [(name, tool.uses_training_labels) for name, tool in joined.items()] == [
        ("example", False),
        ("peek", True),
    ]
    with pytest.raises(InputError, match="two tools are named example"):
        joined | tool_set(example)
    assert built_in_tools() == ToolSet() == {}


def test_a_missing_store_is_named(tmp_path):
    with pytest.raises(InputError, match="no such knowledge store"):
        built_in_tools(tmp_path / "none.sqlite")
