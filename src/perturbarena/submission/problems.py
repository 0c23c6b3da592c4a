"""What can be wrong with a submission: every rule with its meaning and its fix, and the list of findings.

``docs/submissions.md`` holds :func:`rules_markdown` word for word; a test compares them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple

Severity = Literal["error", "warning"]

MAX_PER_RULE: Final = 20
"""Findings listed for one rule in one column; the rest are counted in one more line."""


class Rule(NamedTuple):
    """A rule: how bad breaking it is, what it asks, and what to do about it."""

    severity: Severity
    meaning: str
    fix: str


RULES: Final[dict[str, Rule]] = {
    "archive.size": Rule("error", "the zip and what it unpacks to stay below fixed sizes", "shorten the traces"),
    "archive.entries": Rule(
        "error", "the zip holds at most 1,000 entries", "leave out what the layout does not ask"
    ),
    "archive.ratio": Rule(
        "error", "no entry unpacks to more than 200 times its size", "zip real text, not padding"
    ),
    "archive.path": Rule(
        "error",
        "paths are relative, with forward slashes and no '..'",
        "zip from inside the folder, with 'submit pack'",
    ),
    "archive.name": Rule(
        "error", "paths are UTF-8, printable, at most 255 characters", "rename the file with plain letters"
    ),
    "archive.link": Rule(
        "error", "entries are plain files and folders", "put the file itself in place of the link"
    ),
    "archive.nested": Rule("error", "no archive stands inside the zip", "unpack it and add its files"),
    "archive.duplicate": Rule(
        "error", "no two paths are equal, nor differ only by letter case", "keep one of them, or rename one"
    ),
    "archive.encrypted": Rule("error", "nothing is encrypted", "zip again without a password"),
    "archive.compression": Rule("error", "entries are stored or deflated", "zip again with the default method"),
    "layout.missing": Rule("error", "every required file is there", "add it at exactly this path"),
    "layout.forbidden": Rule("error", "no forbidden file is there", "leave it out"),
    "layout.unexpected": Rule("error", "only files that the track foresees are there", "leave it out"),
    "layout.ignored": Rule("warning", "leftovers are not packed", "leave them out; nobody reads them"),
    "layout.text": Rule(
        "error", "prompts and tool code are UTF-8 text of at most 1 MiB", "save the file as UTF-8"
    ),
    "layout.blank": Rule("error", "prompts are not blank", "put the prompt's text in it"),
    "disclosure.invalid": Rule(
        "error",
        "a disclosure holds text under ai_role, training_data, code_url, notes",
        "correct or remove the key",
    ),
    "table.encoding": Rule("error", "the table is UTF-8 text", "save it as UTF-8 ('CSV UTF-8' in a spreadsheet)"),
    "table.csv": Rule("error", "the table is CSV with a header line", "write it with a CSV library"),
    "table.width": Rule(
        "error", "each row has as many cells as the header", "quote cells that hold commas or line ends"
    ),
    "table.rows": Rule("error", "the table has one row per question", "remove the surplus rows"),
    "column.missing": Rule("error", "every column of the track is there", "add it; 'challenge sample' shows all"),
    "column.duplicate": Rule("error", "no column stands twice", "remove or rename one"),
    "column.unknown": Rule("error", "only columns of the track are there", "remove it"),
    "id.missing": Rule("error", "every question is answered", "add its row; unanswered is (1/3, 1/3)"),
    "id.unknown": Rule("error", "every id is a question's", "copy ids from the questions file"),
    "id.duplicate": Rule("error", "each id stands once", "keep one of the rows"),
    "cell.blank": Rule(
        "error",
        "no cell is blank, nor a word that is read as a missing value",
        "write 'none' for text, 0 for counts",
    ),
    "probability.number": Rule("error", "a probability is a number", "write a decimal number such as 0.25"),
    "probability.range": Rule("error", "a probability lies in [0, 1]", "rescale or clip it"),
    "probability.sum": Rule("error", "up and down sum to at most 1", "divide both by their sum, or lower them"),
    "seed.mean": Rule(
        "error", "the prediction is the mean of the seeds' answers", "write the mean of the seed columns"
    ),
    "count.number": Rule("error", "a count is a whole number", "write digits only"),
    "count.range": Rule("error", "a count is 0 or more", "write 0 where nothing was counted"),
    "limit.exceeded": Rule("error", "a count stays within the track's limit", "answer again within the limit"),
    "model.varies": Rule("error", "one model answers all questions", "answer all rows with one model"),
    "model.fixed": Rule("error", "the model is the track's fixed one", "answer with the track's model"),
    "model.unnamed": Rule("error", "the model is named", "write the name under which its hub lists it"),
    "model.size": Rule("error", "the model is smaller than the track's bound", "use a smaller model"),
    "answer.zero": Rule(
        "warning",
        "(0, 0) is read by the published metric as 'certainly not moved, and if so certainly down'",
        "write small probabilities instead; (1/3, 1/3) where there is no answer",
    ),
    "trace.empty": Rule("warning", "an answered row has a trace", "keep the model's text"),
    "tokens.zero": Rule("warning", "a row with a trace cost tokens", "take the count from the server's answer"),
}
"""Every rule that a finding can name. Errors make a submission not ok, warnings do not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    ``row`` counts as a spreadsheet does: the header is row 1, the first answer row 2, whatever line ends stand
    inside quoted traces. It is None where the finding is not about one row; so is ``column``.
    """

    rule: str
    message: str
    row: int | None = None
    column: str | None = None
    severity: Severity = "error"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Findings:
    """Collects problems; lists the first ones of each rule and column, and counts the rest."""

    def __init__(self) -> None:
        self._listed: list[Problem] = []
        self._counts: Counter[tuple[str, str | None]] = Counter()

    def add(self, rule: str, what: str, *, row: int | None = None, column: str | None = None) -> None:
        """Record that ``rule`` is broken; the rule's fix is appended to ``what``."""
        self._counts[rule, column] += 1
        if self._counts[rule, column] <= MAX_PER_RULE:
            severity, _, fix = RULES[rule]
            self._listed.append(Problem(rule, f"{printable(what)}; {fix}", row, column, severity))

    def all(self) -> tuple[Problem, ...]:
        """The problems as found, then one line for each rule and column with more than are listed."""
        more = [
            Problem(
                rule,
                f"{count - MAX_PER_RULE:,} more of this kind; {count:,} in all, {MAX_PER_RULE} listed above",
                None,
                column,
                RULES[rule].severity,
            )
            for (rule, column), count in self._counts.items()
            if count > MAX_PER_RULE
        ]
        return (*self._listed, *more)


def rules_markdown() -> str:
    """Every rule as a Markdown table."""
    rows = [f"| `{name}` | {rule.severity} | {rule.meaning} | {rule.fix} |" for name, rule in RULES.items()]
    return (
        "\n".join(["| Rule | Severity | What it asks | What to do |", "| --- | --- | --- | --- |", *rows]) + "\n"
    )


def printable(text: str) -> str:
    """On one line, without control characters: names and cells come from strangers."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
