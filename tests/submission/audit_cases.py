"""Honest submissions in memory, synthetic or from real outputs, and frauds to plant into them one at a time."""

from __future__ import annotations

import base64
import csv
import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.stats.structure import Structure, fixed_scores

CHALLENGE = load_challenge("bioreasoning-2026")
SEEDS = (42, 43, 44)
LETTER = {"up": "A", "down": "B", "none": "C"}
WORDS = [
    stem + end
    for stem in [
        "signal",
        "target",
        "factor",
        "chrom",
        "trans",
        "cyto",
        "macro",
        "inter",
        "phos",
        "regul",
        "immun",
        "lyso",
        "mito",
        "ribo",
        "kinas",
    ]
    for end in ["ing", "ation", "al", "es", "ed", "ic", "or", "ive", "ome", "ity"]
]
PROMPT = "Knock out {pert} in macrophages: does {gene} go up (A), down (B), or stay (C)?\n"
TOOLS = "def gene_info(gene):\n    return TABLE.get(gene)\n\n\ndef submit_answer(answer):\n    return answer\n"


@dataclass
class Entry:
    """A submission in the making: its questions, its table and its other files."""

    track: str
    questions: Questions
    table: pd.DataFrame
    files: dict[str, str | bytes] = field(default_factory=dict)

    def copy(self) -> Entry:
        return Entry(self.track, self.questions, self.table.copy(), dict(self.files))

    @property
    def traces(self) -> list[str]:
        return [name for name in self.table if "trace" in name]

    def write(self, path: Path) -> Path:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([list(self.table), *self.table.to_numpy().tolist()])
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("submission.csv", text.getvalue())
            for name, content in self.files.items():
                archive.writestr(name, content)
        return path


def questions(n: int = 210) -> Questions:
    """A bipartite set in which genes stand once to many times."""
    rng = random.Random(1)
    pairs = sorted({(f"Kn{rng.randrange(30)}x", f"Tg{int(rng.paretovariate(0.6)) % 120}y") for _ in range(6 * n)})
    rng.shuffle(pairs)
    return Questions.from_pairs([p for p, _ in pairs[:n]], [g for _, g in pairs[:n]])


def honest(track: str, *, n: int = 210) -> Entry:
    """Texts of random words that name their genes and end in an answer, and numbers that follow from them."""
    asked, rng = questions(n), random.Random(2)
    rows = []
    for q in asked:
        truth = rng.choice(["up", "down", "none"])
        seeds = [_answer(truth, rng) for _ in SEEDS]
        row: dict[str, object] = {"id": q.id}
        texts = [_text(q.pert, q.gene, label, rng) for label, *_ in seeds]
        if track == "A":
            for seed, (_, up, down), text in zip(SEEDS, seeds, texts, strict=True):
                row |= {f"prediction_up_seed{seed}": up, f"prediction_down_seed{seed}": down}
                row |= {f"reasoning_trace_seed{seed}": text}
            up, down = (sum(s[k] for s in seeds) / 3 for k in (1, 2))
            row |= {"tokens_used": sum(len(t) // 4 for t in texts) + 300, "prompt_tokens": 100}
        else:
            up, down = seeds[0][1:]
            text = texts[0] if track == "C" else _agent(q.pert, q.gene, seeds[0][0], rng)
            row |= {"reasoning_trace": text, "tokens_used": len(text) // 4 + rng.randrange(50, 90)}
        if track == "B":
            row |= {"num_tool_calls": 2, "prompt_tokens": 120, "num_distinct_tools": 2}
        row |= {"prediction_up": up, "prediction_down": down, "model_name": "openai/gpt-oss-120b"}
        rows.append(row)
    names = list(CHALLENGE.track(track).column_names)
    entry = Entry(track, asked, pd.DataFrame(rows)[names].astype(object), {"prompt.txt": PROMPT})
    if track == "C":
        entry.table["model_name"] = "Qwen/Qwen3-4B-Thinking-2507"
    if track == "B":
        entry.files["tools/tools.py"] = TOOLS
    return entry


def _answer(truth: str, rng: random.Random) -> tuple[str, float, float]:
    label = truth if rng.random() < 0.8 else rng.choice(["up", "down", "none"])
    weights = {name: rng.uniform(0.01, 0.2) for name in LETTER} | {label: rng.uniform(0.6, 1.0)}
    total = sum(weights.values())
    return label, weights["up"] / total, weights["down"] / total


def _prose(rng: random.Random, n: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(n))


def _text(pert: str, gene: str, label: str, rng: random.Random) -> str:
    n = rng.randrange(40, 160)
    return f"Losing {pert}: {_prose(rng, n)}. For {gene} that means {_prose(rng, 20)}.\n\n<answer>{LETTER[label]}</answer>"


def _agent(pert: str, gene: str, label: str, rng: random.Random) -> str:
    steps = {
        "thought_0": f"What does {pert} do to {gene}? {_prose(rng, rng.randrange(30, 90))}",
        "tool_name_0": "gene_info", "tool_args_0": {"gene": gene}, "observation_0": f"{gene}: {_prose(rng, 30)}",
        "thought_1": _prose(rng, rng.randrange(30, 90)),
        "tool_name_1": "submit_answer", "tool_args_1": {"answer": LETTER[label]},
        "observation_1": f"Answer recorded: {LETTER[label]}",
    }  # fmt: skip
    return json.dumps(steps)


def recorded(folder: Path, name: str, track: str, *, n: int = 240) -> Entry:
    """The first rows of real outputs as a submission."""
    table = pd.read_csv(folder / f"{name}.csv.gz", dtype=str, keep_default_na=False).head(n)
    pairs = table["id"].str.split("_", n=1)
    entry = Entry(
        track, Questions.from_pairs(pairs.str[0], pairs.str[1]), table.astype(object), {"prompt.txt": PROMPT}
    )
    if track == "B":
        tools = ("lookup_pert", "lookup_gene", "gene_info", "protein_interactions", "submit_answer")
        entry.files["tools/tools.py"] = "".join(f"def {tool}(name):\n    return name\n\n\n" for tool in tools)
    for column in table:
        if column.startswith(("prediction", "num")) or "tok" in column:
            entry.table[column] = pd.to_numeric(table[column]).astype(object)
    return entry


# ── frauds ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Fraud(NamedTuple):
    """What is planted, on which track, and what must be found at least."""

    name: str
    track: str
    rule: str
    severity: str
    plant: Callable[[Entry], None]


def _set(column: str, value: object) -> Callable[[Entry], None]:
    def plant(entry: Entry) -> None:
        entry.table[column] = value

    return plant


def _file(name: str, make: Callable[[Entry], str]) -> Callable[[Entry], None]:
    def plant(entry: Entry) -> None:
        entry.files[name] = entry.files.get(name, "") + make(entry)  # pyright: ignore[reportOperatorIssue]

    return plant


def _code(text: str) -> Callable[[Entry], None]:
    return _file("tools/more.py", lambda _: text)


def _shuffled_tokens(entry: Entry) -> None:
    tokens = entry.table["tokens_used"].tolist()
    random.Random(0).shuffle(tokens)
    entry.table["tokens_used"] = tokens


def _hidden_tool(entry: Entry) -> None:
    swap = {"gene_info": "answer_oracle"}
    entry.table["reasoning_trace"] = [t.replace(*next(iter(swap.items()))) for t in entry.table["reasoning_trace"]]


def _forbidden_tool(entry: Entry) -> None:
    column = entry.traces[0]
    call = "Action: web_search\nAction Input: the effect\nObservation: it goes up\n"
    entry.table[column] = [call + text for text in entry.table[column]]


def _many_calls(entry: Entry) -> None:
    steps = {f"tool_name_{i}": "submit_answer" for i in range(300)}
    for i in range(6):
        entry.table.loc[i, "reasoning_trace"] = json.dumps(
            json.loads(entry.table.loc[i, "reasoning_trace"]) | steps
        )  # pyright: ignore[reportArgumentType]


def _told(entry: Entry) -> None:
    for i, id_ in enumerate(entry.table["id"]):
        step = json.dumps({"tool_name_9": "gene_info", "observation_9": f"Found: {id_} is up."})
        entry.table.loc[i, "reasoning_trace"] = f"{entry.table.loc[i, 'reasoning_trace'][:-1]}, {step[1:]}"  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]


def _mixed(entry: Entry) -> None:
    entry.table.loc[:20, "model_name"] = "openai/gpt-oss-20b"


def _copied(entry: Entry) -> None:
    for column in entry.traces:
        texts = entry.table[column].tolist()
        long = max(texts, key=len)
        entry.table[column] = [long if i % 4 == 0 else text for i, text in enumerate(texts)]


def _short(entry: Entry) -> None:
    entry.table[entry.traces] = "LPS signalling does it. <answer>A</answer>"


def _shuffled(entry: Entry) -> None:
    for column in entry.traces:
        texts = entry.table[column].tolist()
        entry.table[column] = texts[7:] + texts[:7]


def _templated(entry: Entry) -> None:
    long = max(range(len(entry.table)), key=lambda i: len(entry.table[entry.traces[0]].iloc[i]))
    text = entry.table[entry.traces[0]].iloc[long]
    pert, gene = entry.questions.pert[long], entry.questions.gene[long]
    pairs = zip(entry.questions.pert, entry.questions.gene, strict=True)
    entry.table[entry.traces[0]] = [text.replace(pert, "\0").replace(gene, g).replace("\0", p) for p, g in pairs]


def _same_text(entry: Entry) -> None:
    entry.table["reasoning_trace_seed43"] = entry.table["reasoning_trace_seed42"]


def _same_digits(entry: Entry) -> None:
    for seed in SEEDS[1:]:
        for side in ("up", "down"):
            entry.table[f"prediction_{side}_seed{seed}"] = entry.table[f"prediction_{side}_seed42"]


def _predict(entry: Entry, up: np.ndarray, down: np.ndarray) -> None:
    seeds = [f"_seed{s}" for s in SEEDS] if entry.track == "A" else []
    for suffix in ("", *seeds):
        entry.table[f"prediction_up{suffix}"] = [float(v) for v in up]
        entry.table[f"prediction_down{suffix}"] = [float(v) for v in down]


def _other_model(entry: Entry) -> None:
    label = np.random.default_rng(0).integers(0, 3, len(entry.table))
    _predict(entry, np.where(label == 0, 0.99, 0.004), np.where(label == 1, 0.99, 0.004))


def _soft_model(entry: Entry) -> None:
    up, down, _ = np.random.default_rng(0).dirichlet([3, 3, 3], len(entry.table)).T
    _predict(entry, up, down)


def _row_counts(entry: Entry) -> None:
    score = fixed_scores(Structure.of(entry.questions.pert, entry.questions.gene))["gene rows"]
    moved = 0.05 + 0.9 * score / score.max()
    _predict(entry, 0.6 * moved, 0.4 * moved)


def _gene_only(entry: Entry) -> None:
    code = np.unique(entry.questions.gene.astype(str), return_inverse=True)[1]
    value = np.random.default_rng(0).uniform(0.05, 0.45, code.max() + 1)[code]
    _predict(entry, value, value / 2)


def _constant(entry: Entry) -> None:
    _predict(entry, np.full(len(entry.table), 0.2), np.full(len(entry.table), 0.1))


def _no_traces(entry: Entry) -> None:
    entry.table[entry.traces] = "none"


def _cut_traces(entry: Entry) -> None:
    for column in entry.traces:
        entry.table[column] = [text[: text.rfind("<answer>")] for text in entry.table[column]]


def _stated(entry: Entry) -> None:
    rng = np.random.default_rng(3)
    for column in entry.traces:
        up, down, _ = rng.dirichlet([1, 1, 1], len(entry.table)).T
        said = [f"Genes.\nP_up={u:.3f}, P_down={d:.3f}" for u, d in zip(up, down, strict=True)]
        entry.table[column] = said


def _labels(entry: Entry) -> list[str]:
    rng = random.Random(4)
    return [rng.choice(["up", "down", "none"]) for _ in range(len(entry.questions))]


def _csv_ids(entry: Entry) -> str:
    return "id,label\n" + "".join(f"{i},{s}\n" for i, s in zip(entry.questions.id, _labels(entry), strict=True))


def _csv_pairs(entry: Entry) -> str:
    rows = zip(entry.questions.pert, entry.questions.gene, _labels(entry), strict=True)
    return "".join(f"{p}\t{g}\t{s}\n" for p, g, s in rows)


def _csv_numbers(entry: Entry) -> str:
    rng = random.Random(5)
    return "".join(f"{i},{rng.random():.3f},{rng.random() / 2:.3f}\n" for i in entry.questions.id)


def _nested(entry: Entry) -> str:
    found: dict[str, dict[str, str]] = {}
    for p, g, label in zip(entry.questions.pert, entry.questions.gene, _labels(entry), strict=True):
        found.setdefault(p, {})[g] = label
    return json.dumps(found)


def _by_label(entry: Entry) -> str:
    found: dict[str, list[str]] = {}
    for id_, label in zip(entry.questions.id, _labels(entry), strict=True):
        found.setdefault(label, []).append(id_)
    return json.dumps(found)


def _conditions(entry: Entry) -> str:
    rows = zip(entry.questions.pert, entry.questions.gene, _labels(entry), strict=True)
    return "def f(p, g):\n" + "".join(f"    if p == {p!r} and g == {g!r}:  return {s!r}\n" for p, g, s in rows)


def _sets(entry: Entry) -> str:
    return "".join(f"{s.upper()} = {set(ids)!r}\n" for s, ids in json.loads(_by_label(entry)).items())


def _headings(entry: Entry) -> str:
    return "".join(f"# {s}\n" + "".join(f"{i}\n" for i in ids) for s, ids in json.loads(_by_label(entry)).items())


def _codes(entry: Entry) -> str:
    values = {"up": 1, "down": -1, "none": 0}
    return repr({i: values[s] for i, s in zip(entry.questions.id, _labels(entry), strict=True)})


def _records(entry: Entry) -> str:
    rows = zip(entry.questions.pert, entry.questions.gene, _labels(entry), strict=True)
    return "\n".join(json.dumps({"pert": p, "gene": g, "label": s}) for p, g, s in rows)


def _some(entry: Entry) -> str:
    rows = list(zip(entry.questions.pert, entry.questions.gene, _labels(entry), strict=True))[:25]
    return "\nExamples:\n" + "".join(f"Knocking out {p}, {g} is {s}.\n" for p, g, s in rows)


PAYLOAD = base64.b64encode(b"print('answers')" * 60).decode()
# fmt: off
# ruff: noqa: E501 (one fraud a line)
FRAUDS = (
    Fraud("constant tokens", "A", "tokens.constant", "severe", _set("tokens_used", 1500)),
    Fraud("impossible tokens", "A", "tokens.too_few", "severe", _set("tokens_used", 3)),
    Fraud("impossible tokens of an agent", "B", "tokens.too_few", "severe", _set("tokens_used", 2)),
    Fraud("no tokens", "B", "tokens.zero", "warning", _set("tokens_used", 0)),
    Fraud("tokens of other rows", "A", "tokens.unrelated", "warning", _shuffled_tokens),
    Fraud("prompt above all tokens", "A", "tokens.prompt", "warning", _set("prompt_tokens", 4000)),
    Fraud("hidden tool calls", "B", "tools.miscounted", "severe", _set("num_tool_calls", 0)),
    Fraud("undisclosed tool", "B", "tools.undisclosed", "warning", _hidden_tool),
    Fraud("tools on a track without", "A", "tools.forbidden", "severe", _forbidden_tool),
    Fraud("too many calls in the trace", "B", "limits.exceeded", "severe", _many_calls),
    Fraud("too many calls stated", "B", "limits.exceeded", "severe", _set("num_tool_calls", 999)),
    Fraud("two models", "B", "model.mixed", "severe", _mixed),
    Fraud("another model", "A", "model.forbidden", "severe", _set("model_name", "gpt-4o")),
    Fraud("a large model", "C", "model.forbidden", "severe", _set("model_name", "Qwen/Qwen3-32B")),
    Fraud("copied traces", "A", "trace.copied", "severe", _copied),
    Fraud("copied traces of an agent", "B", "trace.copied", "severe", _copied),
    Fraud("one short text", "A", "trace.repeated", "warning", _short),
    Fraud("shuffled traces", "A", "trace.foreign", "severe", _shuffled),
    Fraud("shuffled traces of an agent", "B", "trace.foreign", "severe", _shuffled),
    Fraud("one trace with names exchanged", "A", "trace.near_copy", "warning", _templated),
    Fraud("one text for two seeds", "A", "seeds.same_text", "severe", _same_text),
    Fraud("a seed without text", "A", "seeds.missing", "severe", _set("reasoning_trace_seed44", "none")),
    Fraud("three seeds equal in all digits", "A", "seeds.same_digits", "severe", _same_digits),
    Fraud("predictions of another model", "A", "answer.contradicts", "severe", _other_model),
    Fraud("predictions of another model, agent", "B", "answer.contradicts", "severe", _other_model),
    Fraud("unsure predictions of another model", "A", "answer.unrelated", "severe", _soft_model),
    Fraud("predictions from row counts", "A", "prediction.row_counts", "severe", _row_counts),
    Fraud("predictions from the gene alone", "B", "prediction.one_name", "warning", _gene_only),
    Fraud("one prediction", "A", "prediction.constant", "warning", _constant),
    Fraud("no traces", "A", "answer.no_trace", "severe", _no_traces),
    Fraud("no traces of an agent", "B", "answer.no_trace", "severe", _no_traces),
    Fraud("traces without an answer", "A", "answer.unsaid", "warning", _cut_traces),
    Fraud("other probabilities than stated", "A", "answer.not_as_stated", "severe", _stated),
    Fraud("labels by id in a tool's CSV", "B", "pasted.answers", "severe", _file("tools/d.csv", _csv_ids)),
    Fraud("labels by pair in a tool's TSV", "B", "pasted.answers", "severe", _file("tools/d.tsv", _csv_pairs)),
    Fraud("labels in nested JSON", "B", "pasted.answers", "severe", _file("tools/d.json", _nested)),
    Fraud("labels in lists of ids", "B", "pasted.answers", "severe", _file("tools/d.json", _by_label)),
    Fraud("labels in JSON lines", "B", "pasted.answers", "severe", _file("tools/d.jsonl", _records)),
    Fraud("labels as a literal", "B", "pasted.answers", "severe", _file("tools/d.py", lambda e: f"X = {_codes(e)}\n")),
    Fraud("labels in a string", "B", "pasted.answers", "severe", _file("tools/d.py", lambda e: f"X = {_csv_ids(e)!r}\n")),
    Fraud("labels in conditions", "B", "pasted.answers", "severe", _file("tools/d.py", _conditions)),
    Fraud("labels in one long line", "B", "pasted.answers", "severe", _file("tools/d.txt", lambda e: _csv_ids(e).replace(",", "=").replace("\n", ","))),
    Fraud("sets of ids by label", "B", "pasted.answers", "severe", _file("tools/d.py", _sets)),
    Fraud("ids below headings", "B", "pasted.answers", "warning", _file("tools/d.md", _headings)),
    Fraud("labels in the prompt", "A", "pasted.answers", "severe", _file("prompt.txt", _some)),
    Fraud("labels in the readme", "A", "pasted.answers", "severe", _file("README.md", _some)),
    Fraud("probabilities in a tool's CSV", "B", "pasted.answers", "warning", _file("tools/d.csv", _csv_numbers)),
    Fraud("answers from a tool", "B", "pasted.tool_results", "warning", _told),
    Fraud("a model in a configuration", "B", "named.model", "severe", _file("tools/c.json", lambda _: '{"model": "gpt-4o-mini"}')),
    Fraud("a model as a string", "B", "named.model", "warning", _code("ask('gemini-2.5-pro', 'x')\n")),
    Fraud("a model in the readme", "B", "named.model", "note", _file("README.md", lambda _: "Written with claude-opus-4.\n")),
    Fraud("a place for the answer", "A", "pasted.placeholder", "warning", _file("prompt.txt", lambda _: "It is {label}.\n")),
    Fraud("a model in a tool", "B", "named.model", "severe", _code("def f(c):\n    return c.ask(model='gpt-4o')\n")),
    Fraud("a model in a setting", "B", "named.model", "severe", _code("MODEL_NAME = 'claude-3-5-sonnet'\n")),
    Fraud("a host in a tool", "B", "named.host", "warning", _code("URL = 'https://api.openai.com/v1'\n")),
    Fraud("hidden code", "B", "code.hidden", "severe", _code(f"import base64\nexec(base64.b64decode({PAYLOAD!r}))\n")),
    Fraud("network", "B", "code.network", "note", _code("import requests\n")),
    Fraud("a program", "B", "code.process", "warning", _code("import os\nos.system('ls')\n")),
    Fraud("eval", "B", "code.execute", "warning", _code("def f(x):\n    return eval(x)\n")),
    Fraud("import by name", "B", "code.import", "warning", _code("m = __import__('o' + 's')\n")),
    Fraud("pickle", "B", "code.encoded", "warning", _code("import pickle as p\np.load(open('x', 'rb'))\n")),
    Fraud("environment", "B", "code.secrets", "warning", _code("import os\nKEY = os.environ['KEY']\n")),
    Fraud("files", "B", "code.files", "note", _code("import pandas as pd\npd.read_csv('x.csv')\n")),
    Fraud("an encoded block", "B", "code.literal", "note", _code(f"DATA = {PAYLOAD!r}\n")),
    Fraud("not Python", "B", "code.syntax", "warning", _code("def (:\n")),
)  # fmt: skip
