"""Tables of ``perturbarena score --full``: what stands beside the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perturbarena.cli.output import console

if TYPE_CHECKING:
    from rich.table import Table

    from perturbarena.evaluation import FullAccount

LABELS = {
    "de_per_pert": "DE, one AUROC a perturbation, averaged",
    "de_per_gene": "DE, one AUROC a gene, averaged",
    "de_within_pert": "DE, pairs of one perturbation",
    "de_within_gene": "DE, pairs of one gene",
    "dir_per_pert": "DIR, one AUROC a perturbation, averaged",
    "dir_per_gene": "DIR, one AUROC a gene, averaged",
    "dir_within_pert": "DIR, pairs of one perturbation",
    "dir_within_gene": "DIR, pairs of one gene",
    "de_average_precision": "average precision, moved",
    "dir_average_precision": "average precision, up among moved",
    "brier": "Brier score, three answers (0 best, 2 worst)",
    "log_score": "log score, nats (0 best)",
    "de_calibration_error": "calibration error of p(moved)",
    "dir_calibration_error": "calibration error of p(up | moved)",
    "abstention_area": "error rate, mean over coverages",
}


def print_account(account: FullAccount) -> None:
    """All of it, table by table."""
    out = console()
    table = _table("beside the score", "value", "95 % interval", "of")
    for name, label in LABELS.items():
        e = account.detail.measures[name]
        table.add_row(label, _number(e.value), _bounds(e.interval), f"{e.of:,} {e.unit}")
    out.print(table)
    if account.detail.n_floored:
        out.print(
            f"{account.detail.n_floored:,} rows were given a probability below 10⁻⁶ of what happened; the log "
            "score counts them at 10⁻⁶.",
            style="dim",
        )
    for name, title in (("de", "p(moved), by bin"), ("dir", "p(up | moved), by bin")):
        table = _table(title, "rows", "said", "seen", "95 % interval")
        for p in account.detail.reliability[name]:
            table.add_row("", f"{p.n:,}", _number(p.x), _number(p.y), _bounds(p.interval))
        out.print(table)
    table = _table("answering only the surest", "share answered", "wrong", "95 % interval")
    for p in account.detail.abstention:
        table.add_row("", f"{p.x:.0%}", _number(p.y), _bounds(p.interval))
    out.print(table)
    _print_strata(account)
    _print_seeds(account)


def _print_strata(account: FullAccount) -> None:
    if account.strata is None:
        return
    table = _table("stratum", "rows", "score", "95 % interval", "DE", "within genes", "DIR")
    for stratum in account.strata.strata:
        r = stratum.result
        values = (_number(v) for v in (r.de_auroc, r.de_within_gene, r.dir_auroc))
        bounds = _bounds(r.intervals["score"])
        table.add_row(f"{stratum.by}: {stratum.value}", f"{r.n:,}", _number(r.score), bounds, *values)
    console().print(table)
    for name, n in account.strata.left_out.items():
        if n:
            console().print(f"{n:,} rows have no {name}.", style="dim")


def _print_seeds(account: FullAccount) -> None:
    if account.seeds is None:
        return
    s = account.seeds
    table = _table("seeds", *map(str, s.seeds), "sd between", "sd within", "all − one", "95 % interval")
    for name, m in s.measures.items():
        cells = [*map(_number, m.by_seed), _number(m.sd_between), _number(m.sd_within)]
        table.add_row(name, *cells, f"{m.gain.difference:+.4f}", _bounds(m.gain.interval, "+.3f"))
    console().print(table)
    for name, a in s.answers.items():
        console().print(
            f"{name}: {a.share(1):.0%} of one seed's answer is the question's, "
            f"{a.share(len(s.seeds)):.0%} of the mean of {len(s.seeds)}; the rest is the seed's.",
            style="dim",
        )


def _table(first: str, *others: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(first, box=box.SIMPLE_HEAD, pad_edge=False)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.4f}"


def _bounds(interval: Sequence[Any] | None, form: str = ".3f") -> str:
    return "–" if interval is None else f"{interval[0]:{form}} … {interval[1]:{form}}"
