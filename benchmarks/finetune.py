"""Fine-tuning on a CPU: does it learn, do rewards rise, does a critic help, is a killed training the same?

Run: OMP_NUM_THREADS=1 python benchmarks/finetune.py [sft grpo critic resume] [--seeds 3]

Questions are simulated: 400 knocked-out genes and 800 targets in four families each; the name tells the family,
and a hidden table of families the answer (``benchmark.simulate_families``). Rows held back are doubly disjoint:
their perturbations and genes are new members of known families. The model has Qwen3's architecture, random
weights, a tokenizer made on the spot and about a quarter of a million parameters. Everything runs through the
commands and the code that a downloaded model goes through.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perturbarena.benchmark.simulate_families import simulate_families
from perturbarena.challenge.formats import read_labelled, write_labelled, write_predictions, write_table
from perturbarena.challenge.records import LABELS, LabelledQuestions, Predictions
from perturbarena.challenge.rules import load_challenge
from perturbarena.cli import run
from perturbarena.errors import InputError
from perturbarena.evaluation import Comparison, compare, read_answered
from perturbarena.tracks.finetune import load_critic, option_text, read_history, read_manifest, read_text
from perturbarena.tracks.finetune.examples import split_rows
from perturbarena.tracks.finetune.rerank import Candidate, rerank

PROMPT = "Knock out {pert}. {gene}?"
SFT = """
format_version = 1
[model]
name = "tiny"
method = "full"
[data]
train = "train.csv"
[prompt]
template = "prompt.txt"
[validation]
every = 25
rows = 300
batch_size = 64
[training]
steps = STEPS
learning_rate = 1e-3
weight_decay = 0.1
warmup = 0.1
schedule = "constant_with_warmup"
batch_size = 32
accumulate = 1
gradient_checkpointing = false
log_every = 5
checkpoint_every = 20
seed = SEED
"""
GRPO = """
format_version = 1
[model]
name = "sft"
method = "full"
[data]
train = "train.csv"
[prompt]
template = "prompt.txt"
[targets]
balance = "classes"
[validation]
every = 40
rows = 300
batch_size = 64
[training]
steps = STEPS
learning_rate = 5e-4
schedule = "constant"
warmup = 0.0
batch_size = 64
accumulate = 1
gradient_checkpointing = false
log_every = 5
checkpoint_every = 1000
seed = SEED
[grpo]
samples = 8
max_new_tokens = 12
good_tokens = 12
"""


def settings(folder: Path, name: str, text: str, *, steps: int, seed: int, extra: str = "") -> Path:
    """A settings file beside its rows and its prompt."""
    path = folder / f"{name}.toml"
    path.write_text(text.replace("STEPS", str(steps)).replace("SEED", str(seed)) + extra, encoding="utf-8")
    return path


def prepare(folder: Path, *, seed: int, questions: int = 4000) -> None:
    """Training rows and the prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    made = simulate_families(
        np.random.default_rng(seed), n_perts=400, n_genes=800, n_questions=questions, n_families=4
    )
    write_labelled(folder / "train.csv", made.questions)
    (folder / "prompt.txt").write_text(PROMPT, encoding="utf-8")


def command(*words: object) -> None:
    """Run a command of perturbarena in this process, its output put aside."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = run([str(word) for word in words])
    if code:
        raise SystemExit(f"{' '.join(map(str, words))}: {said.getvalue()}")


class Learned(NamedTuple):
    """Held-out AUROCs of a training, before and after."""

    start: tuple[float, float]
    manifest: dict[str, Any]
    history: pd.DataFrame


def learned(out: Path) -> Learned:
    """Read a finished training's folder."""
    history = read_history(out / "history.csv")
    first = history[history["step"] == 0].iloc[0]
    return Learned((first["validation_de"], first["validation_dir"]), read_manifest(out), history)


def run_sft(folder: Path, *, seed: int, steps: int = 130) -> Learned:
    """SFT on answers alone."""
    prepare(folder, seed=seed)
    command("train", "sft", settings(folder, "sft", SFT, steps=steps, seed=seed), "-o", folder / "sft")
    return learned(folder / "sft")


def run_grpo(folder: Path, *, seed: int, warm: int = 70, steps: int = 120) -> Learned:
    """A short SFT, so that the model answers in the form asked for, then GRPO."""
    run_sft(folder, seed=seed, steps=warm)
    command("train", "grpo", settings(folder, "grpo", GRPO, steps=steps, seed=seed), "-o", folder / "grpo")
    return learned(folder / "grpo")


def rewards(found: Learned, *, rows: int = 4) -> tuple[float, float]:
    """Mean reward over the first and the last logged rows of a GRPO training."""
    reward = found.history["reward"].dropna().to_numpy()
    return float(reward[:rows].mean()), float(reward[-rows:].mean())


class Chosen(NamedTuple):
    """Majority vote and best of N by the critic, on rows that the critic did not learn from."""

    right: dict[str, np.ndarray]
    """Of each way, which rows it answers right."""
    weighted: Comparison
    """Votes weighted by the critic, compared with plain votes."""
    verdicts: float
    n: int


HOW = ("majority", "best", "weighted")
KNOWS = 0.3
"""Chance that a simulated answer knows the rule; else it guesses."""
SURE = ("{pert} is known to act on {gene}.", "The pathway from {pert} to {gene} is well described.")
UNSURE = ("Hard to tell for {pert} and {gene}.", "Perhaps {pert} touches {gene}, perhaps not.")


def simulated_answers(rows: LabelledQuestions, *, samples: int, rng: np.random.Generator) -> pd.DataFrame:
    """Answers with reasoning: those that know the rule are right and mostly sound sure, the others guess."""
    found = []
    for question, label in zip(rows.questions, rows.label, strict=True):
        for _ in range(samples):
            knows = rng.random() < KNOWS
            sounds_sure = rng.random() < (0.9 if knows else 0.1)
            reason = (SURE if sounds_sure else UNSURE)[rng.integers(2)]
            said = label if knows else LABELS[rng.integers(3)]
            text = f"{reason.format(pert=question.pert, gene=question.gene)}\n{option_text(said)}"
            found.append((question.id, text))
    return pd.DataFrame(found, columns=["id", "reasoning_trace"])


def run_critic(folder: Path, *, seed: int, steps: int = 100, samples: int = 5) -> Chosen:
    """Train a critic on simulated answers to training rows, rerank those to rows held back."""
    prepare(folder, seed=seed)
    rows = read_labelled(folder / "train.csv")
    answers = simulated_answers(rows, samples=samples, rng=np.random.default_rng([seed, 9]))
    write_table(folder / "answers.csv", answers)
    text = SFT.replace('train = "train.csv"', 'train = "train.csv"\ntraces = ["answers.csv"]')
    path = settings(folder, "critic", text, steps=steps, seed=seed, extra='[targets]\nbalance = "classes"\n')
    command("train", "critic", path, "-o", folder / "critic")
    split = split_rows(rows, folds=4, rng=np.random.default_rng([seed, 0]))
    held = split.validation
    write_labelled(folder / "held.csv", held)
    texts = {id_: list(own) for id_, own in answers.groupby("id")["reasoning_trace"]}
    asked = [(question, text) for question in held.questions for text in texts[question.id]]
    scores = load_critic(folder / "critic").score(*zip(*asked, strict=True))
    for how in HOW:
        write_predictions(folder / f"{how}.csv", _reranked(held, texts, scores.reshape(len(held), samples), how))
    challenge = load_challenge("bioreasoning-2026")
    answered = read_answered([folder / f"{how}.csv" for how in HOW], folder / "held.csv", challenge=challenge)
    _, weighted = compare(answered, names=HOW, rng=np.random.default_rng(0))
    right = {how: _right(held.label, one) for how, one in zip(HOW, answered.answers, strict=True)}
    return Chosen(right, weighted, read_manifest(folder / "critic")["verdict_auroc"], len(held))


def _reranked(rows: LabelledQuestions, texts: dict[str, list[str]], scores: np.ndarray, how: Any) -> Predictions:
    """One answer of several for each row."""
    p = []
    for id_, own in zip(rows.id, scores, strict=True):
        read = [read_text(text) for text in texts[id_]]
        candidates = [Candidate(answer.label, answer.p_up, answer.p_down) for answer in read]
        chosen = rerank(candidates, how, scores=None if how == "majority" else own)
        assert chosen is not None
        p.append((chosen.p_up, chosen.p_down))
    return Predictions(rows.id, np.array(p)[:, 0], np.array(p)[:, 1])


def _right(label: np.ndarray, answers: Predictions) -> np.ndarray:
    p = np.stack([answers.p_up, answers.p_down, 1 - answers.p_up - answers.p_down], axis=1)
    return np.array(LABELS, object)[p.argmax(axis=1)] == label


class Resumed(NamedTuple):
    """The course of a training that was killed, and of one that was not."""

    at: int
    killed: pd.DataFrame
    whole: pd.DataFrame


def run_resumed(folder: Path, *, seed: int, steps: int = 60) -> Resumed:
    """Kill a training after a checkpoint, go on with the same command, compare with one left alone."""
    prepare(folder, seed=seed)
    path = settings(folder, "sft", SFT, steps=steps, seed=seed)
    program = "import sys; from perturbarena.cli import main; main(sys.argv[1:])"
    words = [sys.executable, "-c", program, "train", "sft", str(path), "-o", str(folder / "killed")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = folder / "killed" / "checkpoints" / "checkpoint-20" / "trainer_state.json"
    history = folder / "killed" / "history.csv"
    deadline = time.monotonic() + 300
    while not (checkpoint.is_file() and _last_step(history) >= 25):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the training ended before it could be killed")
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "killed" / "train.json").exists()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    command("train", "sft", path, "-o", folder / "whole")
    at = read_manifest(folder / "killed")["course"]["resumed_at"]
    return Resumed(at, read_history(history), read_history(folder / "whole" / "history.csv"))


def _last_step(history: Path) -> int:
    try:
        return int(read_history(history)["step"].max())
    except (InputError, ValueError):  # not there yet
        return 0


def _table(head: list[str], rows: list[list[object]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def _bounds(score: dict[str, Any], name: str) -> str:
    interval = score["intervals"].get(name)
    return f"{score[name]:.3f}" + ("" if interval is None else f" ({interval[0]:.3f}–{interval[1]:.3f})")


def show_sft(folder: Path, seeds: range) -> None:
    """Held-out AUROCs by seed."""
    rows: list[list[object]] = []
    for seed in seeds:
        began = time.process_time()
        found = run_sft(folder / f"sft{seed}", seed=seed)
        score = found.manifest["validation"]
        rows.append([
            seed, f"{found.start[0]:.3f}, {found.start[1]:.3f}", _bounds(score, "de_auroc"),
            _bounds(score, "dir_auroc"), f"{score['n']} ({score['n_de']})", f"{time.process_time() - began:.0f}",
        ])  # fmt: skip
    print("SFT, 130 steps of 32 answers\n")
    _table(["seed", "DE, DIR before", "DE after", "DIR after", "rows (moved)", "CPU s"], rows)


def show_grpo(folder: Path, seeds: range) -> None:
    """Reward at the start and at the end, by seed."""
    rows: list[list[object]] = []
    for seed in seeds:
        began = time.process_time()
        found = run_grpo(folder / f"grpo{seed}", seed=seed)
        first, last = rewards(found)
        score = found.manifest["validation"]
        rows.append([
            seed, f"{first:.3f}", f"{last:.3f}", f"{found.start[0]:.3f}, {found.start[1]:.3f}",
            f"{score['de_auroc']:.3f}, {score['dir_auroc']:.3f}", f"{time.process_time() - began:.0f}",
        ])  # fmt: skip
    print("GRPO after 70 steps of SFT: 120 steps, 8 questions × 8 answers each; best possible reward 0.667\n")
    _table(["seed", "reward, steps 1–20", "last 20", "DE, DIR before", "after", "CPU s"], rows)


def show_critic(folder: Path, seeds: range) -> None:
    """Majority of five against best of five, by seed."""
    rows: list[list[object]] = []
    for seed in seeds:
        began = time.process_time()
        found = run_critic(folder / f"critic{seed}", seed=seed)
        score = found.weighted.contrasts["score"]
        low, high = score.difference.interval or (float("nan"),) * 2
        majority, best = found.right["majority"], found.right["best"]
        rows.append([
            seed, f"{found.verdicts:.3f}", f"{majority.mean():.3f}", f"{best.mean():.3f}",
            f"{(best & ~majority).sum()} : {(majority & ~best).sum()}",
            f"{score.first:.3f}", f"{score.second:.3f}",
            f"{score.difference.difference:+.3f} ({low:.3f} … {high:.3f})", found.n,
            f"{time.process_time() - began:.0f}",
        ])  # fmt: skip
    print(f"Critic: five simulated answers with reasoning, each of which knows the rule at {KNOWS}\n")
    head = ["seed", "critic's AUROC", "right: majority", "best of 5", "only best : only majority right"]
    _table([*head, "score: majority", "weighted votes", "difference", "rows", "CPU s"], rows)


def show_resume(folder: Path, seeds: range) -> None:
    """Largest difference between the two courses."""
    found = run_resumed(folder / "resumed", seed=seeds[0])
    same = found.killed.equals(found.whole)
    worst = float((found.killed - found.whole).abs().max().max())
    print(f"Killed with SIGKILL and gone on with from step {found.at}: the histories are ", end="")
    print(f"{'the same to the last digit' if same else f'different, by {worst:.2g} at most'} "
          f"({len(found.whole)} rows, {len(found.whole.columns)} columns)\n")  # fmt: skip


SHOWN = {"sft": show_sft, "grpo": show_grpo, "critic": show_critic, "resume": show_resume}


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=", ".join(SHOWN))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="keep the folders here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for what in options.what or SHOWN:
            SHOWN[what](options.keep or Path(temporary), range(options.seeds))


if __name__ == "__main__":
    main()
