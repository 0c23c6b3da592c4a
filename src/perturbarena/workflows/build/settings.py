"""Everything that decides what a question set is, in one file that people can read and edit.

A preset for each sampling design ships with the package; a file of one's own overrides single keys of it. What
comes out is resolved: every key has a value, and goes into ``benchmark.json``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perturbarena.benchmark.labels import LabelSettings
from perturbarena.benchmark.sampling.fair import FairDesign
from perturbarena.benchmark.sampling.published import PublishedDesign
from perturbarena.benchmark.splits import SplitSettings
from perturbarena.errors import InputError
from perturbarena.screen import EffectSettings

FAIR: Final = "fair"
PUBLISHED: Final = "bioreasoning-2026"
DESIGNS: Final = (FAIR, PUBLISHED)
ALL: Final = "all"
"""How a file says None, which TOML does not have: no limit on control cells or genes."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class About(_Settings):
    """What readers of the card need to know of the experiment; nothing is computed from it."""

    title: str = ""
    """Name of the question set; by default that of the input file."""
    species: str = ""
    """Such as "mouse"."""
    cell: str = ""
    """Cell type or line."""
    stimulus: str = ""
    """What the cells were given, and for how long; "none" where nothing."""
    perturbation: str = ""
    """Kind of perturbation, such as "CRISPR knockout (Cas9)" or "CRISPRi knockdown"."""
    licence: str = ""
    """Under which the question set may be used."""
    citation: str = ""
    """What its users should cite."""
    source: str = ""
    """Where the screen was published."""


class BuildSettings(_Settings):
    """How a question set is made of a screen."""

    format_version: Literal[1] = 1
    """Version of this file's format."""
    nulls: Annotated[int, Field(ge=0, le=100_000)] = 500
    """Artificial perturbations of control cells for the null calibration; 0 leaves it out."""
    ceilings: bool = True
    """Whether to measure how well one half of the cells answers the other's questions."""
    about: About = About()
    """For the card."""
    effects: EffectSettings = EffectSettings()
    """Counts to effects; unused where an effect table is given."""
    labels: LabelSettings = LabelSettings()
    """Effects to labels."""
    splits: SplitSettings = SplitSettings()
    """Names to train, validation and test."""
    design: Annotated[FairDesign | PublishedDesign, Field(discriminator="name")] = FairDesign()
    """Which pairs are asked."""


def load_settings(
    design: str | None = None, path: Path | None = None, *, nulls: int | None = None
) -> BuildSettings:
    """The preset of a design, overridden by a file and by ``nulls``.

    Without ``design`` the file's own ``design.name`` decides, and ``fair`` without that.

    Raises
    ------
    InputError
        If the design is unknown or another than the file's, or the file has a wrong key or value; the message
        names file, key, what it is and what is needed.
    """
    given = {} if path is None else _read(path)
    own = given.get("design", {}).get("name") if isinstance(given.get("design"), dict) else None
    chosen = design or own or FAIR
    if chosen not in DESIGNS:
        where = f"{path}: design.name" if design is None else "--design"
        raise InputError(f"{where} must be {' or '.join(DESIGNS)}; got {chosen!r}")
    if own is not None and own != chosen:
        raise InputError(f"--design {chosen} and {path}, whose design.name is {own!r}, contradict each other")
    preset = tomllib.loads(resources.files(__package__ or "").joinpath(f"{chosen}.toml").read_text("utf-8"))
    merged = _merge(preset, given)
    if nulls is not None:
        merged["nulls"] = nulls
    try:
        return BuildSettings.model_validate(_without_all(merged))
    except ValidationError as error:
        raise InputError(f"{path or f'{chosen}.toml'}: {_first(error)}") from error


def settings_toml(settings: BuildSettings) -> str:
    """The settings as TOML, every key with its meaning above it; :func:`load_settings` reads it back."""
    lines = [
        "# What decides how a question set is made. Keys that are left out keep the design's preset.",
        f'# "{ALL}" stands for None: no limit.',
    ]
    lines += _table(settings, ())
    return "\n".join(lines) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"the settings {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from error


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _without_all(raw: dict[str, Any]) -> dict[str, Any]:
    effects = raw.get("effects")
    if not isinstance(effects, dict):
        return raw
    plain = {k: None if v == ALL and k in ("controls", "genes") else v for k, v in effects.items()}
    return raw | {"effects": plain}


def _first(error: ValidationError) -> str:
    """The first thing wrong, with its key as the file writes it, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    loc = [part for part in first["loc"] if part not in DESIGNS]  # the union's tag is no key
    key = ".".join(map(str, loc)) or "the file"
    if first["type"] == "extra_forbidden":
        text = f"unknown key {key}; there {_known(loc[:-1])}"
    else:
        text = f"{key}: {first['msg'].removeprefix('Value error, ')}"
        if first["type"] != "value_error":
            text += f"; got {first['input']!r}"
    more = len(problems) - 1
    return text + (f" (and {more} more)" if more else "")


def _known(loc: list[Any]) -> str:
    model: Any = BuildSettings()
    for part in loc:
        model = getattr(model, str(part), model)
    return f"may stand {', '.join(type(model).model_fields)}"


def _table(model: BaseModel, path: tuple[str, ...]) -> Iterator[str]:
    """Plain keys first, for TOML has no way back from a table to the one above it."""
    fields = type(model).model_fields
    names = sorted(fields, key=lambda name: name != "name")  # a design's name leads
    tables = [name for name in names if isinstance(getattr(model, name), BaseModel)]
    for name in names:
        if name not in tables:
            meaning = " ".join((fields[name].description or "").split())
            if meaning:
                yield f"# {meaning}"
            yield f"{name} = {_value(getattr(model, name))}"
    for name in tables:
        yield ""
        if fields[name].description:
            yield f"# {fields[name].description}"
        yield f"[{'.'.join((*path, name))}]"
        yield from _table(getattr(model, name), (*path, name))


def _value(value: Any) -> str:
    if value is None:
        return json.dumps(ALL)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
