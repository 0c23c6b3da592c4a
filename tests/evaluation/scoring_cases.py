"""Small question sets with answers, shared by the tests of scoring."""

import numpy as np
import pandas as pd

from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions


def question_set(seed=0, *, n=200, perts=15, genes=40):
    rng = np.random.default_rng(seed)
    pairs = rng.choice(perts * genes, size=n, replace=False)
    questions = Questions.from_pairs([f"P{i // genes}" for i in pairs], [f"G{i % genes}" for i in pairs])
    label = rng.choice(["up", "down", "none"], size=n, p=[0.3, 0.2, 0.5])
    p_up, p_down, _ = rng.dirichlet([1, 1, 2], size=n).T
    return LabelledQuestions(questions, label), Predictions(questions.id, p_up, p_down)


def table_of(predictions):
    return pd.DataFrame(
        {"id": predictions.id, "prediction_up": predictions.p_up, "prediction_down": predictions.p_down}
    )


def solution_of(truth):
    usage = np.where(np.arange(len(truth)) % 2, "Public", "Private")
    return pd.DataFrame({"id": truth.id, "label": truth.label, "Usage": usage})
