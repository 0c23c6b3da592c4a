"""Who answers the questions, and how an answer is read out of a text."""

from perturbarena.tracks.parsing import (
    DEFAULT_LETTERS,
    ParsedAnswer,
    ParseReport,
    parse_answer,
    parse_answers,
    parse_report,
)

__all__ = ["DEFAULT_LETTERS", "ParseReport", "ParsedAnswer", "parse_answer", "parse_answers", "parse_report"]
