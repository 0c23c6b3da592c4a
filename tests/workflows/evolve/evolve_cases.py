"""Small questions, a planted phrase, and models that live in this process and remember what they were asked."""

from __future__ import annotations

import numpy as np

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.tracks.models import Planted
from perturbarena.tracks.prompt import shipped_template
from perturbarena.workflows.evolve import EvolvePlan, Limits, planted_asker, proposing_asker

PHRASE = "Weigh direct and indirect routes apart."
SENTENCES = ("Be careful.", PHRASE, "Most pairs do not change.", "Think of feedback loops first.")
RULES = load_challenge("bioreasoning-2026")
ROWS = simulate_questions(np.random.default_rng(5), n_perts=90, n_genes=240, n_questions=3_000).questions
TEMPLATE = shipped_template("stated").text
LIMITS = Limits(proposals=5, minibatch=16, rows={"train": 150, "selection": 80, "confirmation": 200})


def plan(**changes):
    base = {
        "rows": ROWS, "template": TEMPLATE, "challenge": RULES, "model": {"name": "stand-in"}, "seeds": (42,),
        "limits": LIMITS, "n_resamples": 300,
    }  # fmt: skip
    return EvolvePlan(**(base | changes))


def planted(*, phrase=PHRASE, skill=0.3, phrase_skill=0.8, seed=0):
    labels = dict(zip(ROWS.id, ROWS.label, strict=True))
    return Planted(labels, skill, phrase, phrase_skill, seed=seed)


class Noted:
    """An asker that notes every call it gets, and can be told to fail after so many."""

    def __init__(self, asker, *, fail_after=None):
        self._asker, self._left, self.calls = asker, fail_after, []

    def __call__(self, calls, done, *, meter):
        for call in calls:
            if self._left is not None:
                if self._left == 0:
                    raise KeyboardInterrupt
                self._left -= 1
            if meter.allows():
                self.calls.append(call)
            self._asker([call], done, meter=meter)


def models(*, sentences=SENTENCES, fail_after=None, **knowing):
    """Both models, each noting what it is asked."""
    return {
        "asker": Noted(planted_asker(planted(**knowing)), fail_after=fail_after),
        "reflector": Noted(proposing_asker(sentences)),
    }
