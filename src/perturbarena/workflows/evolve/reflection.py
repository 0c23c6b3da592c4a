"""From wrong answers to a request for a better prompt, and from the reply to a template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gepa.strategies.instruction_proposal import InstructionProposalSignature

MOST_SHOWN: Final = 8
"""Wrong answers in one request."""
LONGEST_TEXT: Final = 1_500
"""Characters of a model's text that are shown, its end: the conclusion stands there."""
REQUEST: Final = """A language model is asked what knocking out one gene does to the expression of another: up, \
down or no change.
It is prompted with this template, in which names in braces are filled in for each question:
```
<curr_param>
```

Here are questions that it answered wrongly, with what it wrote and what was measured:

<side_info>

Write a better template. Find what its mistakes have in common (a line of thought, a habit of always naming one
option, a kind of gene it misjudges) and tell it how to do better in general.

- Keep {pert} and {gene}, and keep {cell_context} and {examples} where they stand. No other names in braces.
- Keep the options A (up), B (down) and C (no change), and the form of the last lines: answers are read from there.
- The template is used for other perturbations and other genes. Do not list genes with their answers; a template
  that does so is thrown away.
- Be brief: every word is paid for at every question.

Reply with the whole new template between two lines of ```."""
_BLOCK: Final = re.compile(r"```[^\n`]*\n(.*?)\n?```", re.DOTALL)


def request(template: str, wrong: Sequence[Mapping[str, Any]]) -> str:
    """The text that the reflecting model gets."""
    return str(
        InstructionProposalSignature.prompt_renderer(
            {
                "current_instruction_doc": template,
                "dataset_with_feedback": [{k: v for k, v in one.items() if k != "id"} for one in wrong],
                "prompt_template": REQUEST,
            }
        )
    )


def template_in(reply: str) -> str:
    """The template in a reply: its longest fenced text, or all of it where nothing is fenced."""
    blocks = _BLOCK.findall(reply)
    text = max(blocks, key=len) if blocks else reply
    return text.strip("\n").rstrip() + "\n"


def wrong_answer(id_: str, pert: str, gene: str, *, said: str, answer: str, right: str) -> dict[str, Any]:
    """One wrong answer, as it is shown."""
    text = said.strip()
    if len(text) > LONGEST_TEXT:
        text = "… " + text[-LONGEST_TEXT:]
    return {
        "id": id_,
        "Question": f"Perturbed gene: {pert}; target gene: {gene}",
        "What the model wrote": text or "(nothing)",
        "How that was read": answer,
        "What was measured": right,
    }
