"""A planted improvement is found and confirmed; luck is not; budgets, kills and leaks end as they should."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from evolve_cases import LIMITS, PHRASE, ROWS, SENTENCES, TEMPLATE, models, plan

from perturbarena.errors import FoldLeakError, InputError
from perturbarena.tracks.running.folder import RunFolder
from perturbarena.workflows.evolve import Candidate, History, evolve, evolve_in


def run(tmp_path, *, asked=None, **changes):
    asked = asked or models()
    return evolve(plan(**changes), **asked, ledger=tmp_path / "looks.json")


def test_a_planted_improvement_is_found_and_confirmed_on_untouched_rows(tmp_path):
    asked = models()
    found = run(tmp_path, asked=asked)
    assert found.verdict == "improved"
    assert PHRASE in found.best.template
    assert found.confirmation.gated.look.low > 0
    assert found.confirmation.gated.look.disjoint
    assert found.meter.calls == len(asked["asker"].calls) + len(asked["reflector"].calls) <= LIMITS.max_calls
    confirming = {call.user for call in asked["asker"].calls} & set(found.parts.confirmation.id)
    assert len(confirming) == len(found.parts.confirmation)


def test_each_part_is_asked_only_what_it_is_for(tmp_path):
    asked = models()
    found = run(tmp_path, asked=asked)
    shown = "\n".join(call.prompt for call in asked["reflector"].calls)
    for part in ("selection", "confirmation"):
        rows = found.parts.of(part)
        assert not [
            1 for p, g in zip(rows.pert, rows.gene, strict=True) if f"gene: {p}; target gene: {g}" in shown
        ]
    train = {f"Perturbed gene: {p}; target gene: {g}"
             for p, g in zip(found.parts.train.pert, found.parts.train.gene, strict=True)}  # fmt: skip
    assert sum(line in shown for line in train) > 5
    by_prompt = {call.prompt for call in asked["asker"].calls if call.user in set(found.parts.confirmation.id)}
    assert len(by_prompt) == 2 * len(found.parts.confirmation)  # the baseline's and the winner's, once each


def test_a_model_that_ignores_the_prompt_gives_no_improvement_and_the_baseline_is_kept(tmp_path):
    verdicts = []
    for seed in range(3):
        found = run(tmp_path / str(seed), asked=models(phrase=None, seed=seed), seed=seed)
        verdicts.append(found.verdict)
        assert found.best.template == TEMPLATE
    assert verdicts == ["no improvement"] * 3


def test_the_budget_in_calls_is_a_hard_stop_that_leaves_room_to_confirm(tmp_path):
    least = 80 + 2 * 200 + 2 * 16 + 1
    asked = models()
    limits = LIMITS.__class__(max_calls=least + 90, proposals=50, minibatch=16, rows=LIMITS.rows)
    found = run(tmp_path, asked=asked, limits=limits)
    assert len(asked["asker"].calls) + len(asked["reflector"].calls) <= limits.max_calls
    assert found.ended == "the budget for searching was spent"
    assert found.verdict in ("improved", "no improvement")
    with pytest.raises(InputError, match=f"at least {least} are needed"):
        run(tmp_path, limits=LIMITS.__class__(max_calls=least - 1, minibatch=16, rows=LIMITS.rows))


def test_the_budget_in_tokens_is_a_hard_stop(tmp_path):
    limits = LIMITS.__class__(max_tokens=130_000, proposals=50, minibatch=16, rows=LIMITS.rows)
    found = run(tmp_path, limits=limits)
    assert found.meter.tokens <= 130_000
    assert found.ended == "the budget for searching was spent"
    few = LIMITS.__class__(max_tokens=3_000, rows=LIMITS.rows)
    with pytest.raises(InputError, match="before the baseline was judged"):
        run(tmp_path, limits=few)


def test_what_looked_better_but_could_not_be_confirmed_is_not_believed(tmp_path):
    """Tokens run out while the confirmation rows are asked: the prompt has grown longer than was put by for."""
    padded = tuple(f"{sentence} {'word ' * 400}" for sentence in SENTENCES)
    limits = LIMITS.__class__(max_tokens=200_000, proposals=3, minibatch=16, rows=LIMITS.rows)
    found = run(tmp_path, asked=models(sentences=padded), limits=limits)
    assert found.meter.tokens <= 200_000
    assert len(found.history.trials) == 2
    assert (found.verdict, found.best.template) == ("not confirmed", TEMPLATE)


def test_an_interrupted_run_goes_on_without_asking_again_and_ends_the_same(tmp_path):
    whole = models()
    first = evolve_in(tmp_path / "whole", plan(), **whole, ledger=tmp_path / "a.json")
    broken = models(fail_after=333)
    with pytest.raises(KeyboardInterrupt):
        evolve_in(tmp_path / "cut", plan(), **broken, ledger=tmp_path / "b.json")
    assert not (tmp_path / "cut" / "evolve.json").exists()
    traces = RunFolder(tmp_path / "cut").traces
    traces.write_bytes(traces.read_bytes()[:-7])  # as a kill in the middle of a line leaves it
    rest = models()
    second = evolve_in(tmp_path / "cut", plan(), **rest, ledger=tmp_path / "b.json")
    asked = [len(m["asker"].calls) + len(m["reflector"].calls) for m in (whole, broken, rest)]
    assert asked[0] == asked[1] + asked[2] - 1  # the torn answer alone is asked again
    assert second.best == first.best
    for name in ("prompt.txt", "pareto.csv", "history.json", "rows.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = models()
    third = evolve_in(tmp_path / "cut", plan(), **again, ledger=tmp_path / "b.json")
    assert not again["asker"].calls
    assert third.verdict == second.verdict
    assert third.confirmation.gated.look.number == 1
    with pytest.raises(InputError, match="was run with seed 0, not 9"):
        evolve_in(tmp_path / "cut", plan(seed=9), **models(), ledger=tmp_path / "b.json")


def test_a_folder_holds_what_a_reader_needs(tmp_path):
    found = evolve_in(tmp_path / "evo", plan(shots=3), **models(), ledger=tmp_path / "looks.json")
    manifest = json.loads((tmp_path / "evo" / "evolve.json").read_text())
    assert manifest["verdict"] == found.verdict
    assert manifest["budget"]["calls"] == found.meter.calls
    assert manifest["confirmation"]["accepted"] == (found.verdict == "improved")
    names = {path.name for path in (tmp_path / "evo").iterdir()}
    assert {"prompt.txt", "shots.csv", "pareto.csv", "pareto.png", "history.json", "rows.csv"} <= names
    parts = {
        proposal["part"] for proposal in json.loads((tmp_path / "evo" / "history.json").read_text())["proposals"]
    }
    assert parts == {"template", "shots"}
    assert set(found.best.shots) <= set(found.parts.train.id)


def test_a_second_run_on_the_same_rows_is_a_second_look(tmp_path):
    run(tmp_path)
    found = run(tmp_path, asked=models(seed=1))
    assert found.confirmation.gated.look.number == 2
    assert found.confirmation.gated.look.alpha == pytest.approx(0.05 / 6)


def test_a_change_that_tells_of_scored_rows_is_refused_before_a_call(tmp_path):
    rows = run(tmp_path).parts.confirmation
    pert, gene = rows.pert[0], rows.gene[0]
    leaking = (f"Knocking out {pert} lowers {gene}.", f"See {rows.id[1]}.", "Use {label} here.")
    asked = models(sentences=leaking)
    found = run(tmp_path / "again", asked=asked)
    assert [p["outcome"] for p in found.history.proposals] == ["refused"] * LIMITS.proposals
    reasons = " ".join(p["why"] for p in found.history.proposals)
    assert "scored or still to be asked" in reasons
    assert "no template" in reasons
    assert len(asked["asker"].calls) <= 80 + len(found.parts.train)  # the baseline, and its own training rows
    assert found.verdict == "no improvement"
    with pytest.raises(InputError, match="the template cannot be used: it gives a label"):
        run(tmp_path / "own", template=TEMPLATE + f"\n{pert},{gene},up\n")


def test_questions_still_to_be_asked_are_protected(tmp_path):
    asked = ROWS.questions.take([0])
    told = TEMPLATE + f"\n{asked.pert[0]} and {asked.gene[0]} belong together.\n"
    with pytest.raises(InputError, match="still to be asked"):
        run(tmp_path, template=told, protected=(asked,), rows=ROWS.take(np.arange(1, len(ROWS))))


def test_parts_that_leak_are_refused_by_the_gate(tmp_path, monkeypatch):
    """The gate checks for itself that what was learned from shares nothing with what is confirmed on."""
    from perturbarena.workflows.evolve import confirmation as module

    monkeypatch.setattr(module, "_together", lambda parts: parts.confirmation)
    with pytest.raises(FoldLeakError):
        run(tmp_path)


def test_labelled_rows_among_the_protected_questions_are_refused(tmp_path):
    """As an example, such a row would put an asked question's answer into a prompt."""
    with pytest.raises(InputError, match="2 labelled rows are among the protected questions"):
        run(tmp_path, protected=(ROWS.questions.take([3, 8]),))


def test_a_prompt_that_the_server_finds_too_long_is_no_winner(tmp_path):
    found = run(tmp_path)
    better = found.history.best
    history = History(limit=500)
    history.add_trial(found.history.baseline)
    history.add_trial(replace(better, longest=501))
    assert history.best == found.history.baseline
    history.add_trial(replace(better, candidate=Candidate("other"), longest=500))
    assert history.best.candidate.template == "other"


def test_a_proposed_prompt_that_is_too_long_is_refused(tmp_path):
    asked = models(sentences=("word " * 9_000,))
    found = run(tmp_path, asked=asked, max_prompt_tokens=4_096)
    assert all("tokens; the track allows 4,096" in proposal["why"] for proposal in found.history.proposals)
