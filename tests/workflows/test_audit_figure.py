from __future__ import annotations

import numpy as np
from tests.benchmark.question_cases import biregular, coin

from perturbarena.benchmark import QuestionSet, audit_questions
from perturbarena.workflows.audit_figure import audit_figure


def test_every_attack_and_oracle_of_every_block_is_drawn(tmp_path):
    rng = np.random.default_rng(0)
    train, hidden = (coin(rng, biregular(rng, n_perts=20, n_genes=50, each=10, mark=m)) for m in "ab")
    part = np.repeat(["Public", "Private"], 100)
    audit = audit_questions(QuestionSet.of(train, hidden, part=part), rng=rng, n_resamples=20)
    audit_figure(tmp_path / "a.svg", audit, title="A set")
    text = (tmp_path / "a.svg").read_text()
    for attack in {finding.attack for finding in audit.findings}:
        assert f"<!-- {attack} -->" in text
    for block in (
        "train: DE, 200 rows",
        "hidden: DIR, ",
        "hidden (Public): DE, 100 rows",
        "hidden (Private): DE, ",
    ):
        assert block in text
    assert text.count("<!-- gene oracle -->") == 2
