"""The audit as one HTML page: no scripts, nothing from the network, every word of the submission escaped."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from perturbarena.submission.audit.catalogue import DECISION, Audit
from perturbarena.submission.audit.rules import Finding

EXCERPTS: Final = 3
"""Rows of a finding that are shown with their texts."""
EXCERPT_CHARS: Final = 1_200


def html_report(audit: Audit, *, review: Mapping[str, Any] | None = None) -> str:
    """The page of one submission, with a form for the panel's decision.

    ``review`` is a model's opinion (``as_json`` of a review).
    """
    from jinja2 import Environment, StrictUndefined

    text = resources.files("perturbarena.submission.audit").joinpath("page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(text)
    findings = [{**finding.as_json(), "excerpts": _excerpts(audit, finding)} for finding in audit.findings]
    return page.render(audit=audit.as_json(), findings=findings, review=review, decision=list(DECISION))


def _excerpts(audit: Audit, finding: Finding) -> list[dict[str, str]]:
    """The first rows of a finding with their predictions and the beginning and end of their texts."""
    case = audit.case
    position = {str(id_): i for i, id_ in enumerate(case.questions.id)}
    shown = []
    for id_ in finding.rows[:EXCERPTS]:
        i = position[id_]
        texts = [_cut(spoken.text[i]) for spoken in case.spoken()]
        shown.append(
            {
                "id": id_,
                "prediction": f"up {case.p_up[i]:.4g}, down {case.p_down[i]:.4g}",
                "text": "\n\n———\n\n".join(texts),
            }
        )
    return shown


def _cut(text: str) -> str:
    half = EXCERPT_CHARS // 2
    return text if len(text) <= EXCERPT_CHARS else f"{text[:half]}\n[…]\n{text[-half:]}"
