"""Track A: one prompt for each question, sent to a fixed model with every seed of the rules.

What needs inspect-ai stands in ``runner``, ``task`` and ``calls`` and is imported when a run begins.
"""

from perturbarena.tracks.prompt.prompts import Prompts, file_prompts, template_prompts
from perturbarena.tracks.prompt.reading import Reading, Written, read_answer
from perturbarena.tracks.prompt.settings import ANSWER_MODES, PromptSettings, resolve_settings
from perturbarena.tracks.prompt.shots import ChosenExamples, Examples
from perturbarena.tracks.prompt.template import (
    Template,
    cell_context,
    load_template,
    parse_template,
    shipped_template,
)
from perturbarena.tracks.running.endpoint import Transport

__all__ = [
    "ANSWER_MODES",
    "ChosenExamples",
    "Examples",
    "PromptSettings",
    "Prompts",
    "Reading",
    "Template",
    "Transport",
    "Written",
    "cell_context",
    "file_prompts",
    "load_template",
    "parse_template",
    "read_answer",
    "resolve_settings",
    "shipped_template",
    "template_prompts",
]
