"""A campaign as a pipeline drives it: order, results, faults, repetition, kill -9, a watched folder, a
language model."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from tests.lab.worlds import effect_table, features_table, world

from perturbarena.challenge.formats import read_table
from perturbarena.errors import FormatError, InputError
from perturbarena.lab import Campaign, CampaignSettings, History, history
from perturbarena.workflows.lab import BeginPlan, ProposePlan, begin_campaign, ingest_results, propose_round
from perturbarena.workflows.lab.overview import overview_of
from perturbarena.workflows.lab.watch import WatchPlan, look

WORLD = world()
NAMES = WORLD.features.names


def begin(folder: Path, *, guides: bool = False, batch: int = 6) -> Path:
    """A campaign with the world's candidates."""
    folder.mkdir(exist_ok=True)
    lines = ["gene,guide"] + [f"{n},{f'{n}_1;{n}_2' if guides and n != 'Ko5' else ''}" for n in NAMES]
    (folder / "candidates.csv").write_text("\n".join(lines) + "\n")
    plan = BeginPlan(
        root=folder / "C", candidates=folder / "candidates.csv", objective=WORLD.objective,
        settings=CampaignSettings(batch=batch, seed=7),
        features=features_table(folder / "features.csv", WORLD.features),
    )  # fmt: skip
    begin_campaign(plan)
    return folder / "C"


def results(path: Path, names, *, failed: tuple[str, ...] = ()) -> Path:
    return effect_table(path, WORLD.measured.rows(names), failed=failed)


def tree(root: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"}


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A campaign with eight knockouts measured before."""
    root = begin(tmp_path)
    ingest_results(root, results(tmp_path / "before.h5ad", NAMES[:8]))
    return root


def test_a_round_from_order_to_verdicts(started, tmp_path):
    ordered = propose_round(started)
    assert ordered.number == 1
    assert len(ordered.picks) == 6
    assert all(p.name not in NAMES[:8] for p in ordered.picks)
    plate = read_table(ordered.plate)
    assert list(plate["gene"]) == [p.name for p in ordered.picks]
    assert plate["well"].tolist() == ["A01", "B01", "C01", "D01", "E01", "F01"]
    assert all(plate["reason"])
    came = ingest_results(started, results(tmp_path / "r1.h5ad", [p.name for p in ordered.picks]))
    assert set(came.arrived.measured) == {p.name for p in ordered.picks}
    assert came.arrived.sentences() == ["6 knockouts measured"]
    assert {s.verdict for s in came.settled} <= {"borne out", "refuted", "open"}
    assert "borne out" in {s.verdict for s in came.settled}
    assert len(came.surprises) == 6
    assert came.mean_r > 0.3
    record = json.loads(next((started / "rounds/001/results").glob("*.json")).read_text())
    assert [h["knockout"] for h in record["hypotheses"]] == [p.name for p in ordered.picks]
    found = overview_of(started)
    assert found.measured == 14
    assert [line.measured for line in found.rounds] == [8, 6]
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["rounds"][0]["r"] is None


def test_the_same_order_and_the_same_file_count_once(started, tmp_path):
    first = propose_round(started)
    before = tree(started)
    again = propose_round(started)
    assert again.already
    assert tree(started) == before
    assert again.picks == first.picks
    path = results(tmp_path / "r1.h5ad", [p.name for p in first.picks])
    ingest_results(started, path)
    before = tree(started)
    copy = path.rename(tmp_path / "another name.h5ad")
    assert ingest_results(started, copy).already
    assert tree(started) == before


def test_a_round_can_be_repeated_to_the_byte(tmp_path):
    trees = []
    for name in ("one", "two"):
        root = begin(tmp_path / name)
        ingest_results(root, results(tmp_path / name / "before.h5ad", NAMES[:8]))
        ordered = propose_round(root, ProposePlan(strategy="0.5*hit+0.5*random"))
        ingest_results(root, results(tmp_path / name / "r.h5ad", [p.name for p in ordered.picks]))
        trees.append({k: v for k, v in tree(root).items() if "results" not in k and k != "campaign.json"})
        trees[-1] = {k: v for k, v in trees[-1].items() if not k.endswith("proposal.json")}
        picks = json.loads((root / "rounds/001/proposal.json").read_text())["picks"]
        trees[-1]["picks"] = json.dumps(picks).encode()
    assert trees[0] == trees[1]


def test_half_the_knockouts_failed(started, tmp_path):
    names = [p.name for p in propose_round(started).picks]
    came = ingest_results(started, results(tmp_path / "r1.h5ad", names[:5], failed=tuple(names[:3])))
    assert came.arrived.measured == tuple(names[3:5])
    assert came.arrived.missing == (names[5],)
    said = " | ".join(came.arrived.sentences())
    assert "2 knockouts measured" in said
    assert "3 knockouts failed and can be proposed again" in said
    assert "too few cells: 3, at least 25 needed" in said
    assert f"1 ordered knockout not in the file: {names[5]}" in said
    able = set(NAMES[History.of(Campaign.open(started)).may_be_proposed()])
    assert set(names[:3]) | {names[5]} <= able
    again = propose_round(started, ProposePlan(n=52 - 2))
    failed_twice = tuple(n for n in names[:3])
    late = [n for n in names if n not in came.arrived.measured]
    assert set(late) <= {p.name for p in again.picks}
    ingest_results(started, results(tmp_path / "r2.h5ad", late, failed=failed_twice))
    found = overview_of(started)
    assert found.given_up == tuple(sorted(failed_twice))
    assert not set(failed_twice) & set(NAMES[History.of(Campaign.open(started)).may_be_proposed()])


def test_late_unordered_and_repeated_knockouts_are_told_apart(started, tmp_path):
    first = [p.name for p in propose_round(started).picks]
    ingest_results(started, results(tmp_path / "r1.h5ad", first[:4]))
    second = [p.name for p in propose_round(started, ProposePlan(strategy="random")).picks]
    stray = next(n for n in NAMES if n not in {*NAMES[:8], *first, *second})
    held_back = [n for n in first[4:] if n not in second]
    came = ingest_results(started, results(tmp_path / "r2.h5ad", [*second, *held_back, stray, NAMES[0]]))
    assert came.arrived.late == tuple(held_back)
    assert came.arrived.unordered == (stray,)
    assert came.arrived.again == (NAMES[0],)
    measured = History.of(Campaign.open(started)).measured
    assert len(set(measured.perturbations)) == len(measured) == 8 + 4 + 6 + len(held_back) + 1
    row = measured.rows([NAMES[0]])
    np.testing.assert_allclose(row.effect, WORLD.measured.rows([NAMES[0]]).effect, atol=1e-6)


def test_wrong_files_are_refused_in_plain_words_and_leave_nothing(started, tmp_path):
    ordered = [p.name for p in propose_round(started).picks]
    before = tree(started)
    others = [n for n in NAMES if n not in {*NAMES[:8], *ordered}][:4]
    strangers = WORLD.measured.rows(NAMES[:3])
    renamed = strangers.__class__(
        np.array(["X", "Y", "Z"], object),
        *(getattr(strangers, f) for f in ("genes", "effect", "log2fc", "se", "fdr")),
    )
    other_genes = WORLD.measured.rows(ordered)
    foreign = other_genes.__class__(
        other_genes.perturbations,
        np.array([f"Hs{i}" for i in range(80)], object),
        *(getattr(other_genes, f) for f in ("effect", "log2fc", "se", "fdr")),
    )
    cases = {
        "others.h5ad": (results(tmp_path / "others.h5ad", others), "none of the 6 knockouts ordered is in it"),
        "strangers.h5ad": (effect_table(tmp_path / "strangers.h5ad", renamed), "is a candidate of this campaign"),
        "foreign.h5ad": (
            effect_table(tmp_path / "foreign.h5ad", foreign),
            "at least half of the campaign",
        ),
    }
    (tmp_path / "text.h5ad").write_text("no such thing")
    cases["text.h5ad"] = (tmp_path / "text.h5ad", "text.h5ad")
    for path, words in cases.values():
        with pytest.raises(InputError, match=words) as refused:
            ingest_results(started, path)
        assert "\n" not in str(refused.value)
        assert tree(started) == before
    with pytest.raises(FormatError, match="no such file"):
        ingest_results(started, tmp_path / "none.h5ad")
    taken = ingest_results(started, cases["others.h5ad"][0], anything=True)
    assert taken.arrived.unordered == tuple(others)


def test_another_order_waits_until_the_first_has_come(started):
    first = propose_round(started)
    with pytest.raises(InputError, match=r"round 1 waits for results: 6 knockouts chosen by hit.*--replace"):
        propose_round(started, ProposePlan(strategy="random"))
    second = propose_round(started, ProposePlan(strategy="random", replace=True))
    assert (second.number, second.strategy) == (1, "random")
    assert (started / "rounds/001/withdrawn-001.json").is_file()
    assert History.of(Campaign.open(started)).latest.picks == second.picks != first.picks
    with pytest.raises(InputError, match="60 knockouts wanted; 52 candidates can still be proposed"):
        propose_round(started, ProposePlan(n=60, replace=True))


def test_candidates_without_guides_are_not_ordered_and_plates_have_a_line_a_guide(tmp_path):
    root = begin(tmp_path, guides=True, batch=59)
    ordered = propose_round(root, ProposePlan(strategy="random"))
    assert "Ko5" not in {p.name for p in ordered.picks}
    plate = read_table(ordered.plate)
    assert len(plate) == 118
    assert plate["plate"].tolist() == ["1"] * 96 + ["2"] * 22
    assert plate["well"].iloc[95] == "H12"
    assert set(plate["guide"]) == {f"{n}_{k}" for n in NAMES if n != "Ko5" for k in (1, 2)}


def test_a_changed_campaign_and_a_second_beginning_are_refused(started, tmp_path):
    with pytest.raises(InputError, match="is a campaign already"):
        begin(tmp_path)
    with pytest.raises(FormatError, match="is no campaign"):
        propose_round(tmp_path)
    (started / "candidates.csv").write_text("gene,guides\nA,\n")
    with pytest.raises(FormatError, match="was changed since the campaign began"):
        propose_round(started)


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_half_way(path: Path, _: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PK half a file")
    die()


DEATHS = {
    "before": ("write_measurements", die),
    "half": ("write_measurements", die_half_way),
    "record": ("write_json", die),
}


@pytest.mark.parametrize("where", ["before", "half", "record"])
def test_kill_9_in_ingest_and_the_same_again(started, tmp_path, where):
    ordered = propose_round(started)
    path = results(tmp_path / "r1.h5ad", [p.name for p in ordered.picks])
    stood = overview_of(started)
    child = os.fork()
    if not child:
        setattr(history, *DEATHS[where])
        ingest_results(started, path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert overview_of(started).as_json() == stood.as_json()
    came = ingest_results(started, path)
    assert not came.already
    names = sorted(p.name for p in (started / "rounds/001/results").iterdir())
    assert [Path(n).suffix for n in names] == [".json", ".npz"]
    assert len(History.of(Campaign.open(started)).measured) == 14
    assert ingest_results(started, path).already


def test_a_watched_folder_takes_each_content_once_and_orders_the_next_round(started, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    plan = WatchPlan(inbox=inbox, propose=ProposePlan(), settle_s=0.0)
    seen: dict[Path, float] = {}
    assert list(look(started, plan, seen=seen)) == []
    ordered = [p.name for p in propose_round(started).picks]
    results(inbox / "a.h5ad", ordered)
    (inbox / "b.h5ad").write_bytes((inbox / "a.h5ad").read_bytes())
    (inbox / "c.h5ad").write_text("broken")
    (inbox / "notes.txt").write_text("not looked at")
    a, b, c = look(started, plan, seen=seen)
    assert a.ingested is not None
    assert a.ordered is not None
    assert a.ordered.number == 2
    assert b.ingested is not None
    assert b.ingested.already
    assert b.ordered is None
    assert c.ingested is None
    assert "c.h5ad" in c.refused
    assert list(look(started, plan, seen=seen)) == []
    assert overview_of(started).measured == 14
    still = WatchPlan(inbox=inbox, settle_s=3600.0)
    assert list(look(started, still, seen={})) == []


@pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning")
def test_a_language_models_answers_are_kept_and_replayed(started, tmp_path):
    from perturbarena.tracks.models import FakeModel

    moves = [{"gene": "G0", "direction": "up", "sure": 0.9}, {"gene": "G1", "direction": "up", "sure": 0.9}]
    answer = json.dumps([{"gene": n, "why": "it should", "moves": moves} for n in ("Ko20", "Ko21", "Ko99")])
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"answer": answer}]))
    before = tree(started)
    with FakeModel(latency_ms=0, script=script) as fake:
        plan = ProposePlan(strategy="llm", model="fake", base_url=fake.url)
        ordered = propose_round(started, plan)
        asked = fake.stats()["calls"]
        (body,) = fake.requests()
    assert asked == 1
    assert [p.name for p in ordered.picks[:2]] == ["Ko20", "Ko21"]
    assert "Candidates not yet measured" in body["messages"][-1]["content"]
    assert [m.gene for m in ordered.picks[0].hypothesis.moves] == ["G0", "G1"]
    record = started / "rounds/001/answers.jsonl"
    kept = tmp_path / "answers.jsonl"
    kept.write_bytes(record.read_bytes() + b'{"torn')
    came = ingest_results(started, results(tmp_path / "r1.h5ad", [p.name for p in ordered.picks]))
    verdicts = {s.hypothesis.knockout: s.verdict for s in came.settled}
    assert set(verdicts) == {p.name for p in ordered.picks}
    (again := tmp_path / "again").mkdir()
    root = begin(again)
    ingest_results(root, tmp_path / "before.h5ad")
    replayed = propose_round(root, ProposePlan(strategy="llm", replay=kept))
    assert replayed.picks == ordered.picks
    assert set(before) < set(tree(started))
    other = begin(tmp_path / "other")
    with pytest.raises(InputError, match="no answer to this round's prompt"):
        propose_round(other, ProposePlan(strategy="llm", replay=kept))


def test_settled_hypotheses_are_told_to_the_next_proposer(started, tmp_path):
    ordered = propose_round(started)
    ingest_results(started, results(tmp_path / "r1.h5ad", [p.name for p in ordered.picks]))
    from perturbarena.lab.acquisition.llm import record
    from perturbarena.workflows.lab.propose import situation_of

    campaign = Campaign.open(started)
    told = record(situation_of(campaign, History.of(campaign)))
    assert all(f"hypothesis on {p.name}, " in told for p in ordered.picks)
    assert "as said" in told


@pytest.mark.parametrize("name", ["predicted.npz", "results/001-*.npz", "results/001-*.json", "proposal.json"])
def test_a_damaged_record_is_named(started, tmp_path, name):
    ordered = propose_round(started)
    ingest_results(started, results(tmp_path / "r1.h5ad", [p.name for p in ordered.picks]))
    (path,) = (started / "rounds/001").glob(name)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FormatError, match=r"rounds/001/.*cannot be read"):
        overview_of(started)


def test_a_knockout_that_failed_and_came_later_counts_in_the_round_that_ordered_it_last(started, tmp_path):
    first = [p.name for p in propose_round(started).picks]
    ingest_results(started, results(tmp_path / "r1.h5ad", first[:5], failed=tuple(first[:2])))
    propose_round(started, ProposePlan(n=49))
    ordered = History.of(Campaign.open(started)).latest.ordered
    assert set(first[:2]) | {first[5]} == set(first) & set(ordered)
    ingest_results(started, results(tmp_path / "r2.h5ad", ordered))
    found = overview_of(started)
    assert [line.measured for line in found.rounds] == [8, 3, 49]
    assert [(line.failed, line.missing) for line in found.rounds] == [(0, 0), (2, 1), (0, 0)]
    assert sum(len(line.hits) for line in found.rounds) == len(found.hits)
    assert len(History.of(Campaign.open(started)).settled()) == 3 + 49
