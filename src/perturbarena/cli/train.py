"""``perturbarena train``: make an open model expert, by examples, by rewards, or as a critic of answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import console, print_json, progress_bar, progress_console
from perturbarena.cli.score import print_score

if TYPE_CHECKING:
    from perturbarena.workflows.train import Kind, Trained

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Fine-tune an open model (track C): by examples, by rewards, or as a critic; merge the result.",
)

Settings = Annotated[str, typer.Argument(metavar="SETTINGS", help="A TOML file, or the name of a shipped one.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The training's folder.")]
Train = Annotated[
    Path | None, typer.Option(metavar="CSV", help="CSV with id, pert, gene, label; instead of data.train.")
]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="Folder or hub's name; instead of model.name.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def attach(parent: typer.Typer) -> None:
    """Add ``train …``."""
    parent.add_typer(app, name="train")


@app.command()
def sft(
    settings: Settings, output: Output, train: Train = None, model: Model = None, as_json: Json = False
) -> None:
    """Learn from labelled rows: answers, recorded reasoning that led to them, or probabilities.

    A quarter of the perturbations and of the genes is held back to watch the training; the score at the end is
    on these rows alone. The same command goes on with a training that was killed.

    Example: perturbarena train sft qwen3-4b-thinking --train train.csv -o trained/
    """
    _train("sft", settings, output, train, model, as_json=as_json)


@app.command()
def grpo(
    settings: Settings, output: Output, train: Train = None, model: Model = None, as_json: Json = False
) -> None:
    """Learn from rewards: sampled answers to one question are compared, and the better ones favoured.

    Rewards (grpo.rewards in the settings): correct, proper (stated probabilities), format, length.

    Example: perturbarena train grpo qwen3-4b-thinking --model trained/ --train train.csv -o rewarded/
    """
    _train("grpo", settings, output, train, model, as_json=as_json)


@app.command()
def critic(
    settings: Settings, output: Output, train: Train = None, model: Model = None, as_json: Json = False
) -> None:
    """Learn to tell right answers from wrong ones, from recorded answers to training rows (data.traces).

    Example: perturbarena train critic critic.toml --train train.csv -o critic/
    """
    _train("critic", settings, output, train, model, as_json=as_json)


@app.command()
def merge(
    trained: Annotated[Path, typer.Argument(metavar="DIR", help="A finished training's folder, or an adapter's.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The model folder to write.")],
    base: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The base, where the adapter's own note of it is out of date."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one ordinary model folder of base and adapter, read it back and compare what both say.

    Example: perturbarena train merge trained/ -o expert/
    """
    from perturbarena.tracks.finetune.merge import merge_model

    merged = merge_model(trained, output, base=base)
    if as_json:
        print_json(merged.as_json())
        return
    out = console()
    out.print(f"[b]{output}[/]: {merged.identity.parameters:,} parameters, one model", soft_wrap=True)
    out.print(
        f"  read back: logits differ by {merged.largest_difference:.1e} at most from base and adapter "
        f"({merged.texts} texts)",
        soft_wrap=True,
    )
    out.print(f"  sha256 of all files together: {merged.identity.base.digest}", style="dim", soft_wrap=True)


@app.command()
def settings(
    name: Annotated[str | None, typer.Argument(help="A shipped file to print; without, their names.")] = None,
) -> None:
    """Print a shipped settings file, to be changed; without a name, list them.

    Example: perturbarena train settings qwen3-4b-thinking > mine.toml
    """
    from perturbarena.errors import InputError
    from perturbarena.tracks.finetune.settings import bundled_settings, bundled_text

    names = bundled_settings()
    if name is None:
        for one in names:
            first = bundled_text(one).splitlines()[0].removeprefix("# ")
            console().print(f"[b]{one}[/]  {first}", soft_wrap=True)
        return
    if name not in names:
        raise InputError(f"no settings are named {name!r}; shipped: {', '.join(names)}")
    typer.echo(bundled_text(name), nl=False)


@app.command()
def costs(
    rows: Annotated[int, typer.Option(min=1, help="Training rows.")] = 7705,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of an example, prompt and answer.")] = 320,
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over them.")] = 2.0,
    batch: Annotated[int, typer.Option(min=1, help="Examples on the device at once.")] = 8,
    as_json: Json = False,
) -> None:
    """Compute memory and time of fine-tuning common sizes on common GPUs. Computed, not measured.

    Example: perturbarena train costs --rows 7705 --tokens 1500
    """
    from perturbarena.tracks.finetune.costs import GPUS, training_costs

    found = training_costs(rows=rows, tokens=tokens, epochs=epochs, batch=batch)
    if as_json:
        print_json([cost.as_json() for cost in found])
        return
    from rich import box
    from rich.table import Table

    table = Table("model", "method", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("memory", justify="right")
    for gpu in GPUS:
        table.add_column(gpu.name, justify="right")
    for cost in found:
        cells = [_hours(cost.hours_on(gpu)) if cost.fits(gpu) else "[dim]too small[/]" for gpu in GPUS]
        table.add_row(cost.size.name, cost.method, f"{cost.memory_gib:.0f} GiB", *cells)
    out = console()
    out.print(table)
    out.print(
        f"Computed, not measured: {rows:,} rows of {tokens:,} tokens, {epochs:g} passes, {batch} at once, "
        "gradient checkpointing, at 35 % of each GPU's peak.",
        style="dim",
    )


def _hours(hours: float) -> str:
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.1f} h"


def _train(
    kind: Kind, settings_file: str, output: Path, train: Path | None, model: str | None, *, as_json: bool
) -> None:
    from perturbarena.tracks.finetune.settings import load_settings
    from perturbarena.workflows.train import train as run

    chosen = load_settings(settings_file, train=None if train is None else str(train), model=model)
    at = [0, 0]
    note = progress_console()
    with progress_bar("steps") as bar:

        def step(done: int, total: int) -> None:
            at[:] = [done, total]
            bar(done, total)

        def seen(values: dict[str, float]) -> None:
            shown = ", ".join(f"{_short(name)} {value:.3f}" for name, value in values.items())
            note.print(f"[dim]step {at[0]:,}:[/] {shown}", soft_wrap=True)

        trained = run(kind, chosen, output, progress=step, on_look=seen)
    if as_json:
        print_json({"folder": str(output)} | _finite(trained.manifest))
    else:
        _show(trained)


def _short(name: str) -> str:
    return {
        "validation_de": "DE",
        "validation_dir": "DIR",
        "validation_log_loss": "log loss",
        "validation_mass": "mass on answers",
        "validation_auroc": "right or wrong",
    }.get(name, name)


def _show(trained: Trained) -> None:
    found, out = trained.manifest, console()
    rows, course = found["rows"], found["course"]
    out.print(
        f"[b]{trained.folder.model}[/]: {course['steps']:,} steps on {rows['train']:,} rows; "
        f"{rows['validation']:,} held back, {rows['left_out']:,} share a name with both and were left out",
        soft_wrap=True,
    )
    if found["counts"].get("too_long"):
        out.print(
            f"  {found['counts']['too_long']:,} examples are longer than training.max_tokens and were left out",
            style="yellow",
        )
    if course["resumed_at"]:
        out.print(f"  gone on with from step {course['resumed_at']:,}")
    speed = course["tokens"] / course["seconds"] if course["seconds"] else 0.0
    out.print(
        f"  {found['trainable_parameters']:,} of {found['started_from']['parameters']:,} parameters trained on "
        f"{found['device']}; {course['seconds']:,.0f} s, {speed:,.0f} tokens/s"
    )
    if trained.score is not None:
        from perturbarena.workflows.train import N_RESAMPLES

        print_score(trained.score, title="rows held back", resamples=N_RESAMPLES)
    if trained.verdicts is not None:
        out.print(f"  right told from wrong on rows held back: AUROC {trained.verdicts:.3f}")
    out.print(f"  curves: {trained.folder.curves}", style="dim", soft_wrap=True)


def _finite(value: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and value != value else value
