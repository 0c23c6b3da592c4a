"""Record → one HTML page: no network, no scripts, everything within the file.

A content security policy in the page's head forbids scripts and any fetch, so that even text that got past the
escaping could do nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from perturbarena.report import sentences
from perturbarena.report.page_figures import histogram_svg, reliability_svg, roc_svg
from perturbarena.report.page_record import Page, RunSection, Value
from perturbarena.report.page_text import between, number, share, shown, signed, significant

if TYPE_CHECKING:
    from jinja2 import Environment

CHANCE: Final = 0.5
_MARGIN: Final = 0.04
"""Of the scale, kept free beyond what is drawn."""


class Scale(NamedTuple):
    """A stretch of numbers laid over the width of a drawing."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """Where a value lies, in percent of the width; values outside lie at an end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0), 1):.2f}%"

    def width(self, low: float, high: float) -> str:
        """How wide a stretch is, in percent."""
        low, high = max(low, self.low), min(high, self.high)
        return f"{100 * max(high - low, 0) / (self.high - self.low):.2f}%"

    def anchor(self, value: float) -> str:
        """Which end of a label stands at the value, so that it stays within the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return "start" if share < 0.2 else "end" if share > 0.8 else "middle"


def render_page(page: Page) -> str:
    """The page's HTML; the same record gives the same text."""
    from markupsafe import Markup

    environment = page_environment()
    names = (f"figure{i}" for i in itertools.count(1))
    environment.globals |= {
        "say": sentences,
        "headline_scale": headline_scale,
        "strip_scale": strip_scale,
        "difference_scale": difference_scale,
        "roc": lambda panel: Markup(roc_svg(panel, next(names))),
        "reliability": lambda panel: Markup(reliability_svg(panel, next(names))),
        "histogram": lambda panel: Markup(histogram_svg(panel, next(names))),
    }
    return environment.get_template("report.html").render(page=page)


def page_environment() -> Environment:
    """What every page shares: templates, escaping, the house's numbers and style."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("perturbarena.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.finalize = _shown
    environment.filters |= {
        "number": number,
        "signed": signed,
        "between": between,
        "percent": share,
        "significant": significant,
    }
    environment.tests["defined_value"] = math.isfinite
    environment.globals |= {"css": Markup(_style())}
    return environment


def headline_scale(run: RunSection) -> Scale:
    """From chance to the highest ceiling, wide enough for the score's interval; to 1 where no ceiling is known."""
    score = run.measure("score")
    drawn = [CHANCE, *(m.value for m in run.marks)] + ([] if score is None else list(score.value))
    finite = [x for x in drawn if math.isfinite(x)]
    high = max(finite) if any(math.isfinite(m.value) for m in run.marks) else 1.0
    return Scale(min(finite) - _MARGIN, min(high + _MARGIN, 1.0))


def strip_scale(values: Sequence[Value]) -> Scale:
    """One scale for all strips of a table: chance and every interval lie on it."""
    finite = [x for value in values for x in value if math.isfinite(x)]
    return Scale(min([0.45, *finite]) - 0.01, max([0.6, *finite]) + 0.01)


def difference_scale(values: Sequence[Value]) -> Scale:
    """As :func:`strip_scale`, about 0."""
    reach = max([0.02, *(abs(x) for value in values for x in value if math.isfinite(x))])
    return Scale(-1.05 * reach, 1.05 * reach)


def _shown(value: Any) -> Any:
    """Applied to whatever a template writes: text is made visible, then escaped as usual."""
    from markupsafe import Markup

    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _style() -> str:
    return (resources.files("perturbarena.report") / "templates" / "report.css").read_text(encoding="utf-8")
