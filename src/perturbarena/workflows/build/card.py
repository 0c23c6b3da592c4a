"""README.md of a question set: ``benchmark.json`` for people. It says nothing that the record does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from perturbarena.benchmark.splits import SPLITS, TEST, TRAIN
from perturbarena.challenge.describe import markdown_table
from perturbarena.challenge.records import LABELS

NOT_STATED: Final = "not stated"
ABOUT: Final = {
    "species": "Species",
    "cell": "Cells",
    "stimulus": "Stimulus",
    "perturbation": "Perturbation",
    "source": "Screen",
}
DESIGN: Final = {
    "fair": "Every perturbation of a split has as many rows as any other, every asked gene too, and labels are "
    "dealt apart from both: the set's shape tells nothing about its answers.",
    "bioreasoning-2026": "The published design of the BioReasoning Challenge 2026: up to {top} strongest genes of "
    "every perturbation, as many unchanged rows of the same genes, random unchanged genes on top. How many rows a "
    "gene and a perturbation have gives answers away (see the audit); the set is for comparison.",
}
CEILINGS: Final = {"split_half": "replicate", "gene_mean": "gene mean", "perturbation_mean": "perturbation mean"}
MEASURES: Final = {"score": "score", "de_auroc": "DE", "dir_auroc": "DIR"}


def card(record: Mapping[str, Any], *, figures: Mapping[str, str], hashes: Mapping[str, str]) -> str:
    """The card as Markdown; ``figures`` are file names with captions, ``hashes`` those of the tables."""
    parts = [
        f"# {record['name']}",
        _summary(record),
        *_biology(record),
        *_labels(record),
        _figure(figures, "log2fc.svg"),
        _figure(figures, "moved-genes.svg"),
        *_nulls(record),
        _figure(figures, "nulls.svg"),
        *_splits(record),
        _figure(figures, "label-mix.svg"),
        *_sampling(record),
        _figure(figures, "rows-per-gene.svg"),
        *_audit(record["audit"]),
        _figure(figures, "audit.svg"),
        *_ceilings(record),
        *_power(record["power"]),
        *_terms(record),
        *_files(record, hashes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(record: Mapping[str, Any]) -> str:
    counts = record["counts"]
    total = sum(counts[split]["rows"] for split in SPLITS)
    return (
        f"{total:,} questions of the form: perturb gene *X*; does gene *Y* go up, go down, or stay? "
        f"`train.csv` has {counts[TRAIN]['rows']:,} with labels; `test.csv` has "
        f"{total - counts[TRAIN]['rows']:,} without. Made by perturbarena "
        f"{record['provenance']['versions']['perturbarena']}, design `{record['design']}`; "
        "everything here stands in `benchmark.json` too."
    )


def _biology(record: Mapping[str, Any]) -> Iterator[str]:
    yield "## The experiment"
    yield markdown_table(
        ("What", ""), [(words, record["about"][key] or NOT_STATED) for key, words in ABOUT.items()]
    )


def _labels(record: Mapping[str, Any]) -> Iterator[str]:
    rules, effects, source = (
        record["settings"]["labels"],
        record["settings"]["effects"],
        record["provenance"]["input"],
    )
    yield "## How labels were made"
    if source["kind"] == "screen":
        controls = (
            "every control cell" if effects["controls"] is None else f"{effects['controls']:,} control cells"
        )
        yield (
            f"Each perturbation was compared with {controls} in a negative-binomial regression with a "
            f"quasi-likelihood test; fold changes were shrunken under a {effects['prior'].replace('_', '-')} "
            "prior fitted to the whole screen. Perturbations with fewer than "
            f"{effects['min_cells']} cells were left out."
        )
    else:
        yield f"Effects were taken from the table `{source['file']}`."
    floor = rules["min_share_of_control_cells"]
    yield markdown_table(
        ("Label", "When"),
        [
            (
                "up, down",
                f"FDR < {rules['max_fdr']:g} and shrunken |log2 fold change| ≥ {rules['min_abs_log2fc']:.3f}",
            ),
            (
                "none",
                f"FDR ≥ {rules['max_fdr']:g} and shrunken |log2 fold change| < {rules['max_abs_log2fc_none']:g}",
            ),
            ("not asked", "what lies between"),
            ("not asked", f"genes seen in fewer than {floor:.0%} of control cells ({record['left_out_genes']:,})"),
            ("not asked", f"perturbations that move fewer than {rules['min_degs']} genes"),
            ("asked" if rules["ask_self"] else "not asked", "the perturbed gene itself"),
        ],
    )
    left_out = record["left_out_perturbations"]
    yield f"{len(left_out)} perturbations are left out, each with its reason in `benchmark.json`."
    noise = record["label_noise"].items()
    told = ", ".join(f"{split} {found['wrong_direction_expected']:.1%}" for split, found in noise)
    yield (
        "Label noise: the share of up and down rows expected to go the other way, or not at all, "
        f"by the mean local false sign rate: {told}."
    )


def _nulls(record: Mapping[str, Any]) -> Iterator[str]:
    found = record["null_calibration"]
    yield "## Null calibration"
    if "not_measured" in found:
        yield f"Not measured: {found['not_measured']}."
        return
    fdr = found["empirical_fdr"]
    share = 1 - found["significant_unshrunken"].get("0", 0) / found["nulls"]
    clean = "clean" if found["clean"] else "**not clean**: p-values of this screen are too small"
    yield (
        f"{found['nulls']:,} artificial perturbations, each four control guides' cells, went the whole path. "
        f"Mean moved genes: {found['mean_significant']:.3f} in an artificial one, "
        f"{found['mean_significant_real']:.1f} in a real one, an empirical FDR of "
        f"{'–' if fdr is None else f'{fdr:.2%}'}. {share:.1%} of them have a finding by FDR alone, where chance "
        f"gives 5 %: the nulls are {clean}."
    )


def _splits(record: Mapping[str, Any]) -> Iterator[str]:
    across = record["settings"]["splits"]["across"]
    yield "## Splits"
    yield (
        "No perturbation and no target gene stands in two splits"
        + (", and no gene is perturbed in one and a target in another." if across else ".")
        + " `test.csv` holds both hidden blocks, in the order of their ids' SHA-256: validation (`Public`, for a "
        "running leaderboard) and test (`Private`, for the final ranking)."
    )
    header = ("Split", "Rows", "Perturbations", "Genes", *LABELS)
    rows = []
    for split in SPLITS:
        c = record["counts"][split]
        mix = (f"{c[label]:,} ({c[label] / c['rows']:.1%})" for label in LABELS)
        rows.append((split, f"{c['rows']:,}", f"{c['perturbations']:,}", f"{c['genes']:,}", *mix))
    yield markdown_table(header, rows)
    yield "How alike the splits are, as means over their perturbations:"
    columns = list(record["balance"][0])
    yield markdown_table(
        [name.replace("_", " ") for name in columns],
        [[_cell(row[name]) for name in columns] for row in record["balance"]],
    )


def _sampling(record: Mapping[str, Any]) -> Iterator[str]:
    yield "## Which pairs are asked"
    yield DESIGN[record["design"]].format(**record["settings"]["design"])
    notes = [f"- {split}: {note}" for split, notes in record["notes"].items() for note in notes]
    if notes:
        yield "\n".join(notes)


def _audit(audit: Mapping[str, Any]) -> Iterator[str]:
    yield "## Audit"
    yield (
        f"How far the set's own shape, order and labels answer it, without biology: **{audit['leaks']} leaks**. "
        "A verdict rests on an interval widened for the number of attacks."
    )
    findings = []
    for f in audit["findings"]:
        bounds = "–" if f["interval"] is None else "{:.3f} – {:.3f}".format(*f["interval"])
        findings.append((f["attack"], f["rows"], f["target"], _cell(f["auroc"]), bounds, f["verdict"]))
    yield markdown_table(("Attack", "Rows", "Target", "AUROC", "95 % interval", "Verdict"), findings)
    checks = [(c["check"], _cell(c["count"]), c["verdict"]) for c in audit["checks"]]
    yield markdown_table(("Check", "Count", "Verdict"), checks)


def _ceilings(record: Mapping[str, Any]) -> Iterator[str]:
    ceilings = record["ceilings"]
    yield "## Ceilings"
    if "not_measured" in ceilings:
        yield f"Not measured: {ceilings['not_measured']}."
        return
    yield (
        "What could be reached, with 95 % intervals. *Replicate*: labels from one half of the cells, ranked by "
        "the evidence of the other; a half is a smaller experiment, so the whole screen's labels are better. "
        "*Gene mean*, *perturbation mean*: the mean of a gene's, or a perturbation's, other labels in the "
        "split, which no entrant has. Chance is 0.5."
    )
    rows = []
    for split, found in ceilings.items():
        for key, words in CEILINGS.items():
            if found[key] is not None:
                rows.append((split, words, *(_with_interval(found[key], name) for name in MEASURES)))
    yield markdown_table(("Split", "Ceiling", *MEASURES.values()), rows)
    halves = {split: found["agreement"] for split, found in ceilings.items() if found["agreement"]}
    if halves:
        yield "How often half the cells gives a row the label it has here, loses it, or turns up into down:"
        rows = [(s, *(f"{h[name]:.1%}" for name in ("kept", "lost", "flipped"))) for s, h in halves.items()]
        yield markdown_table(("Split", "kept", "lost", "flipped"), rows)


def _power(power: Mapping[str, Any]) -> Iterator[str]:
    yield "## What differences it can show"
    rows = []
    for name, found in power.items():
        words = "final ranking (test)" if name == TEST else "both hidden blocks"
        if "not_measured" in found:
            rows.append((words, "–", *(found["not_measured"] for _ in MEASURES)))
        else:
            smallest = found["whole"]["smallest"]
            rows.append((words, f"{found['whole']['n']:,.0f}", *(_cell(smallest[name]) for name in MEASURES)))
    yield "The smallest true difference between two entrants that a paired test sees in 80 of 100 such sets:"
    yield markdown_table(("Rows", "n", *MEASURES.values()), rows)


def _terms(record: Mapping[str, Any]) -> Iterator[str]:
    about = record["about"]
    yield "## Licence and citation"
    yield f"Licence: {about['licence'] or NOT_STATED}.\n\nPlease cite: {about['citation'] or NOT_STATED}."


def _files(record: Mapping[str, Any], hashes: Mapping[str, str]) -> Iterator[str]:
    source = record["provenance"]["input"]
    yield "## Files"
    rows = [(f"`{name}`", f"`{digest}`") for name, digest in hashes.items()]
    rows.append((f"input: `{source['file']}`", f"`{source['sha256']}`"))
    yield markdown_table(("File", "SHA-256"), rows)
    yield (
        "`solution.csv` is not here; its hash lets organisers prove later that the answers were fixed. "
        f"Seed {record['seed']}; draws are seeded by it together with the effects, so that the seed alone "
        "repeats none."
    )


def _figure(figures: Mapping[str, str], name: str) -> str:
    return f"![{figures[name]}](figures/{name})" if name in figures else ""


def _with_interval(found: Mapping[str, Any], name: str) -> str:
    bounds = found["intervals"][name]
    return _cell(found[name]) + ("" if bounds is None else " ({:.3f} – {:.3f})".format(*bounds))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
