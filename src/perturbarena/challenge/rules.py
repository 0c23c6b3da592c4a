"""A challenge as data: one typed, documented rules file from which everything else is derived.

The validator, the sample submissions, the documentation tables and the one-file metric for Kaggle all read this
schema, so that they cannot drift apart. A challenge is a TOML file; ``bioreasoning-2026`` ships with the package
and any other is given by its path. A new challenge needs no code.

The models are frozen; bounds stand in the types; a key that the schema does not know is refused.
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from perturbarena.errors import RulesError

FORMAT_VERSION: Final = 1
"""Version of the rules file's format, written into each file as ``format_version``."""

ColumnType = Literal["id", "probability", "count", "text", "model"]
"""What a cell may hold: a question's id; a number in [0, 1]; a whole number; any text; a model's name."""

Role = Literal[
    "id",
    "p_up",
    "p_down",
    "trace",
    "tokens_used",
    "prompt_tokens",
    "tool_calls",
    "distinct_tools",
    "model",
    "other",
]
"""What a column is for. Code asks for a role, never for a column's name."""

LimitName = Literal[
    "max_prompt_tokens", "max_tool_calls", "max_distinct_tools", "max_new_tokens", "max_parameters"
]

_ROLE_TYPES: Final[dict[str, ColumnType]] = {
    "id": "id", "p_up": "probability", "p_down": "probability", "trace": "text", "tokens_used": "count",
    "prompt_tokens": "count", "tool_calls": "count", "distinct_tools": "count", "model": "model",
}  # fmt: skip

Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Biology(_Rules):
    """Where the data come from: what the cells are and what was done to them."""

    species: Text
    """Latin or common name of the species."""
    cell: Text
    """Cell type."""
    stimulus: Text
    """What the cells were given, and for how long; "none" where nothing."""
    perturbation: Text
    """How the genes were perturbed, such as "CRISPR knockout (Cas9)"."""


class Labels(_Rules):
    """What the three answers mean."""

    up: Text
    """Definition of "up"."""
    down: Text
    """Definition of "down"."""
    none: Text
    """Definition of "none"."""
    max_fdr: Annotated[float, Field(gt=0, lt=1)] | None = None
    """A gene is called moved below this false discovery rate; absent where labels were made another way."""
    min_abs_log2fc: Annotated[float, Field(ge=0)] | None = None
    """… and at or above this absolute shrunken log2 fold change."""


class Score(_Rules):
    """How answers become a number."""

    behaviour: Literal["bioreasoning-2026", "strict"]
    """How the metric treats unclean input: as a published script does, errors and all, or strictly."""
    definition: Text
    """The score in words."""
    de: Text
    """The number whose AUROC separates moved genes from unmoved ones."""
    direction: Text
    """The number whose AUROC separates up from down among moved genes."""


class Column(_Rules):
    """One column of the submission's table."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^,\"\r\n]+$")]
    """Header of the column."""
    type: ColumnType
    """What a cell may hold."""
    role: Role = "other"
    """What the column is for."""
    meaning: Text
    """One sentence for people."""
    seed: int | None = None
    """The sampling seed the column belongs to; none for a column about all calls."""
    limit: LimitName | None = None
    """The track's limit that bounds each cell of this column (count columns only)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        needed = _ROLE_TYPES.get(self.role, self.type)
        if self.type != needed:
            raise ValueError(f"column {self.name}: the role {self.role} needs the type {needed}; got {self.type}")
        if self.limit is not None and self.type != "count":
            raise ValueError(f"column {self.name}: a limit needs the type count; got {self.type}")
        return self


class Model(_Rules):
    """Which language model may answer."""

    fixed: Text | None = None
    """The one model that is allowed, as its hub names it; none where entrants choose."""
    examples: tuple[str, ...] = ()
    """Models that satisfy the rule, for people to read."""


class Sampling(_Rules):
    """Sampling parameters that every call must use."""

    temperature: Annotated[float, Field(ge=0)]
    """Sampling temperature."""
    top_p: Annotated[float, Field(gt=0, le=1)]
    """Probability mass that is sampled from."""


class Limits(_Rules):
    """Upper bounds; none where there is none."""

    max_prompt_tokens: Positive | None = None
    """Tokens in the prompt, per question."""
    max_tool_calls: Positive | None = None
    """Tool calls per question, summed over sub-agents."""
    max_distinct_tools: Positive | None = None
    """Different tools defined."""
    max_new_tokens: Positive | None = None
    """Tokens that the model may write, per question."""
    max_parameters: Positive | None = None
    """The model must have fewer parameters than this."""


class Entry(_Rules):
    """One kind of file in the zip."""

    path: Annotated[str, Field(min_length=1, pattern=r"^[^/\\].*$")]
    """Path inside the zip; ``*`` stands for any characters but ``/``, ``**`` for any characters."""
    need: Literal["required", "optional", "forbidden", "ignored"]
    """Must, may or must not be there; ``ignored`` files are harmless leftovers that nobody reads."""
    role: Literal["table", "prompt", "tools", "disclosure", "other"] = "other"
    """What the file is for. Exactly one entry is the table."""
    meaning: Text
    """One sentence for people."""

    def matches(self, path: str) -> bool:
        """Whether a path inside the zip is of this kind."""
        parts = re.split(r"(\*\*/|\*\*|\*)", self.path)
        wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
        return re.fullmatch("".join(wild.get(p, re.escape(p)) for p in parts), path, re.DOTALL) is not None


class Track(_Rules):
    """One way to take part: who may answer, within which limits, and what is handed in."""

    title: Text
    """A few words."""
    description: Text
    """A sentence or two."""
    columns: Annotated[tuple[Column, ...], Field(min_length=3)]
    """The table's columns, in order. All are required."""
    seeds: tuple[int, ...] = ()
    """Seeds with which each question is asked; empty where the choice is free."""
    aggregation: Literal["mean"] | None = None
    """How the answers of the seeds become the prediction; none where there are no seed columns."""
    aggregation_tolerance: Annotated[float, Field(ge=0, lt=1)] = 1e-3
    """How far the prediction may lie from the aggregate: room for rounding to three decimals."""
    calls_per_question: Positive | None = None
    """Model calls per question and seed; none where the number is free."""
    model: Model
    """Which model may answer."""
    sampling: Sampling | None = None
    """How it must be sampled; none where the choice is free."""
    limits: Limits = Limits()
    """Upper bounds."""
    layout: Annotated[tuple[Entry, ...], Field(min_length=1)]
    """The files of the zip. The first entry that matches a path decides."""
    tools_may_use_training_labels: bool = False
    """Whether a tool may look at labels of the challenge's own training rows."""
    allowed: tuple[str, ...] = ()
    """What entrants may do, in sentences."""
    not_allowed: tuple[str, ...] = ()
    """What entrants may not do, in sentences."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _unique([c.name for c in self.columns], "column")
        _unique([str(s) for s in self.seeds], "seed")
        _unique([f"role {c.role}, seed {c.seed}" for c in self.columns if c.role != "other"], "column with")
        for role in ("id", "p_up", "p_down"):
            if self.find(role) is None:
                raise ValueError(f"a column with the role {role} (and no seed) is needed; there is none")
        for c in self.columns:
            if c.limit is not None and getattr(self.limits, c.limit) is None:
                raise ValueError(f"column {c.name} names the limit {c.limit}, which limits does not set")
        self._check_seeds()
        if sum(e.role == "table" and e.need == "required" for e in self.layout) != 1:
            raise ValueError("layout needs exactly one required entry with the role table")
        if "*" in self.table_path:
            raise ValueError(f"the table's path must be exact; got {self.table_path}")
        return self

    def _check_seeds(self) -> None:
        seeded = {c.seed for c in self.columns if c.seed is not None}
        unknown = sorted(seeded - set(self.seeds))
        if unknown:
            raise ValueError(f"a column belongs to seed {unknown[0]}, which is not among seeds {list(self.seeds)}")
        if self.aggregation is None:
            return
        for seed in self.seeds:
            for role in ("p_up", "p_down"):
                if self.find(role, seed=seed) is None:
                    raise ValueError(f"aggregation needs a column with the role {role} for seed {seed}")

    def find(self, role: Role, *, seed: int | None = None) -> Column | None:
        """The column with this role (and seed), or None."""
        return next((c for c in self.columns if c.role == role and c.seed == seed), None)

    def column(self, role: Role, *, seed: int | None = None) -> Column:
        """The column with this role (and seed); RulesError where there is none."""
        found = self.find(role, seed=seed)
        if found is None:
            raise RulesError(f"this track has no column with the role {role}" + (f", seed {seed}" if seed else ""))
        return found

    def limit_of(self, column: Column) -> int | None:
        """The largest value that a cell of this column may hold, or None."""
        return None if column.limit is None else getattr(self.limits, column.limit)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def metadata_columns(self) -> tuple[str, ...]:
        """Required columns that the score does not read, in order."""
        scored = {self.column(role).name for role in ("id", "p_up", "p_down")}
        return tuple(name for name in self.column_names if name not in scored)

    @property
    def table_path(self) -> str:
        """Path of the table inside the zip."""
        return next(e.path for e in self.layout if e.role == "table")

    def entry_for(self, path: str) -> Entry | None:
        """The layout's entry that decides about a path inside the zip, or None where it is not foreseen."""
        return next((e for e in self.layout if e.matches(path)), None)


class Statement(_Rules):
    """What one source says."""

    source: Text
    """A document or file."""
    value: Text
    """What it says, in short."""


class Decision(_Rules):
    """A point on which the published sources contradict each other, and what holds here."""

    topic: Text
    """What the point is about."""
    says: Annotated[tuple[Statement, ...], Field(min_length=1)]
    """What each source says."""
    resolved: Text
    """What this rules file says."""
    why: Text
    """The reason."""


class Challenge(_Rules):
    """All the rules of one challenge."""

    format_version: Literal[1]
    """Version of the file format."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    """Short name, lower case, such as "bioreasoning-2026"."""
    title: Text
    """Full name."""
    sources: tuple[str, ...] = ()
    """Where the rules were published."""
    biology: Biology
    """What the data are."""
    labels: Labels
    """What up, down and none mean."""
    score: Score
    """How answers become a number."""
    unanswered: tuple[Probability, Probability]
    """(p_up, p_down) of a question that nobody answered."""
    empty_text: Text = "none"
    """What stands in a text or model cell that has nothing to say; cells may not be blank."""
    training_data: Text
    """Which data may be used to build an entry."""
    tracks: Annotated[dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], Track], Field(min_length=1)]
    """The tracks by name."""
    decisions: tuple[Decision, ...] = ()
    """Points on which the published sources differ."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(self.unanswered) > 1 + 1e-12:
            raise ValueError(f"unanswered must sum to at most 1; got {sum(self.unanswered)}")
        return self

    def track(self, name: str) -> Track:
        """A track by its name, whatever the case; RulesError names those that exist."""
        return self.tracks[self.track_name(name)]

    def track_name(self, name: str) -> str:
        """A track's name as the rules write it, whatever the case; RulesError names those that exist."""
        for key in self.tracks:
            if key.casefold() == name.casefold():
                return key
        raise RulesError(f"the challenge {self.name} has the tracks {', '.join(self.tracks)}; got {name!r}")


def bundled_challenges() -> tuple[str, ...]:
    """Names of the challenges that ship with the package, sorted."""
    folder = resources.files("perturbarena.challenge")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load_challenge(name_or_path: str | Path) -> Challenge:
    """A challenge by its bundled name or by the path of a rules file.

    Raises
    ------
    RulesError
        If there is no such challenge, or the file breaks the schema; the message names file and key.
    """
    name = str(name_or_path)
    if name in bundled_challenges():
        text = resources.files("perturbarena.challenge").joinpath(f"{name}.toml").read_bytes()
        return parse_challenge(text, source=f"{name}.toml")
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(bundled_challenges())
        raise RulesError(f"no challenge is named {name!r}, and there is no such file; bundled: {known}")
    return parse_challenge(path.read_bytes(), source=str(path))


def parse_challenge(content: bytes, *, source: str) -> Challenge:
    """A challenge from the bytes of a rules file; ``source`` is named in messages."""
    try:
        raw = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RulesError(f"{source} must be UTF-8 text; byte {error.start} is not") from error
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{source} is not TOML: {error}") from error
    try:
        return Challenge.model_validate(raw)
    except ValidationError as error:
        raise RulesError(f"{source}: {_first(error, raw)}") from error


def _first(error: ValidationError, raw: dict[str, Any]) -> str:
    """The first thing wrong, with its key; and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "extra_forbidden":
        text = f"unknown key {key}"
    elif first["type"] == "missing":
        text = f"the key {key} is missing"
    else:
        text = f"{key}: {first['msg'].removeprefix('Value error, ')}"
        if first["type"] != "value_error" and not isinstance(first["input"], dict | list):
            text += f"; got {first['input']!r}"
    more = len(problems) - 1
    return text + (f" (and {more} more)" if more else "")


def _unique(values: list[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} stands twice")
        seen.add(value)
