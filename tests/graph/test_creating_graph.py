"""A create job on its graph: after a crash behind any step it ends as if undisturbed."""

import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from datetime import timedelta

import pytest
from tests_jobs_support import models, request, work

from querist.graph import jobs
from querist.graph.jobs.creation import nodes
from querist.graph.jobs.creation.loop import build_creation
from querist.graph.workplace.checkpoints import CHECKPOINTS
from querist.memory.records import JobStatus
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

STEPS = ("initialize", "control", "select", "generate", "verify", "finish")
AGENTS = ("budget_controller", "selector", "generator", "verifier")


class Died(BaseException):
    """As a process dies: nothing catches it."""


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


def outcome(store, job):
    """Everything that must be the same: rows, money and decisions."""
    ledger, journal = Ledger(store, job.run), Journal(store, job.run)
    rows = jobs.rows_of(store, job, rejected=True)
    keys = Counter(line.call_key for line in ledger.lines() if line.entry == "settle")
    assert max(keys.values()) == 1, "nothing is paid twice"
    return (
        [(row.id, row.label, row.status, row.gate, row.usd, row.wave) for row in rows],
        ledger.balance().settled,
        keys,
        [(made.round, made.agent, made.step, made.turn, made.action, made.reason)
         for made in journal.decisions()],
        [(done.number, done.labelled, done.detail["gates"]) for done in journal.rounds()],
    )  # fmt: skip


def dying(step, visit, *, at):
    """Make a node that dies in its `at`-th visit, before or after its work; once."""
    node, seen = getattr(nodes, step), []

    async def run(state, runtime):
        seen.append(1)
        if len(seen) == at and visit == "before":
            raise Died
        done = await node(state, runtime)
        if len(seen) == at and visit == "after":
            raise Died
        return done

    return run


def crashed(store, monkeypatch, step, visit, *, at, **changes):
    job = jobs.submit(request(**changes), store)
    with monkeypatch.context() as patch:
        patch.setattr(nodes, step, dying(step, visit, at=at))
        worker = jobs.Worker(store, models=models(), lease=timedelta(seconds=1))
        with pytest.raises(Died):
            asyncio.run(worker.work_off())
    let_go(store, job)
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    return Jobs(store).get(job.id)


def let_go(store, job):
    """Wait until the leases of whoever died have run out."""
    import time

    until = time.monotonic() + 60
    while Jobs(store).is_worked_on(Jobs(store).get(job.id)) and time.monotonic() < until:
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with open_store(tmp_path_factory.mktemp("whole") / "work") as store:
        job = work(store, rows=24, bounds={"label_check": {"least": [0.4, 0.7]}})
        return outcome(store, job)


@pytest.mark.parametrize("visit", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_behind_any_step_changes_nothing(store, monkeypatch, whole, step, visit):
    at = 2 if step in ("control", "select", "generate", "verify") else 1
    job = crashed(
        store, monkeypatch, step, visit,
        at=at, rows=24, bounds={"label_check": {"least": [0.4, 0.7]}},
    )  # fmt: skip
    assert job.status is JobStatus.DONE, job.reason
    assert outcome(store, job) == whole


@pytest.mark.parametrize("step", ["generate", "verify", "control"])
def test_without_its_checkpoints_a_job_goes_on_from_the_store_alone(
    store, monkeypatch, whole, step
):
    def lost(*_):
        (store.folder / "runs" / job.run / CHECKPOINTS).unlink()

    job = jobs.submit(request(rows=24, bounds={"label_check": {"least": [0.4, 0.7]}}), store)
    with monkeypatch.context() as patch:
        patch.setattr(nodes, step, dying(step, "after", at=2))
        worker = jobs.Worker(store, models=models(), lease=timedelta(seconds=1))
        with pytest.raises(Died):
            asyncio.run(worker.work_off())
    let_go(store, job)
    lost()
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    assert outcome(store, job) == whole


def test_every_wave_has_its_four_decisions_and_the_end_has_one(store):
    job = work(store, rows=24)
    decisions = Journal(store, job.run).decisions()
    waves = len(Journal(store, job.run).rounds())
    for wave in range(1, waves + 1):
        made = [decision for decision in decisions if decision.round == wave]
        assert sorted(decision.agent for decision in made) == sorted(AGENTS)
        assert len({decision.turn for decision in made}) == 1
    (last,) = [decision for decision in decisions if decision.round > waves]
    assert last.agent == "budget_controller"
    assert (last.action["stop"], last.reason) == ("rows", job.reason)
    assert {decision.mind for decision in decisions} == {"rules"}
    assert not Journal(store, job.run).events(), "watchers are told no more than before"


def test_a_checkpoint_is_small_whatever_was_written(store):
    small, large = work(store, rows=8), work(store, rows=120, seed=1, budget={"usd": "50"})

    def largest(job):
        path = store.folder / "runs" / job.run / CHECKPOINTS
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT max(length(checkpoint)) FROM checkpoints").fetchone()

    (few,), (many,) = largest(small), largest(large)
    assert many < few + 200 < 4_000


def test_a_wish_is_taken_before_anything_more_is_paid(store):
    job = jobs.submit(request(rows=400, budget={"usd": "100"}), store)
    found, asked = Jobs(store), []

    async def select(state, runtime):
        asked.append(state["round"])
        if len(asked) == 2:
            found.pause(job.id)
        return await real(state, runtime)

    real = nodes.select
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "select", select)
        asyncio.run(jobs.Worker(store, models=models()).work_off())
    assert found.get(job.id).status is JobStatus.PAUSED
    accounts = Journal(store, job.run).rounds()
    assert len(accounts) == 1, "the second wave was decided on, and not written"
    paid = Ledger(store, job.run).balance().settled
    assert paid == accounts[0].usd
    before = Journal(store, job.run).decisions(number=2)
    assert {made.agent for made in before} == {"budget_controller", "selector"}
    found.resume(job.id)
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    again = Journal(store, job.run).decisions(number=2)
    assert [made.turn for made in again if made.agent == "budget_controller"] == [before[0].turn]


def test_a_long_job_begins_its_thread_of_checkpoints_anew(store, monkeypatch, whole):
    from querist.graph.jobs.creation import driving

    monkeypatch.setattr(driving, "_STEPS", 7)
    job = work(store, rows=24, bounds={"label_check": {"least": [0.4, 0.7]}})
    assert job.status is JobStatus.DONE
    assert outcome(store, job) == whole


def test_the_graph_is_drawn_as_the_docs_have_it():
    drawn = build_creation().compile().get_graph()
    edges = {(edge.source, edge.target) for edge in drawn.edges}
    assert edges == {
        ("__start__", "initialize"), ("initialize", "control"), ("control", "select"),
        ("control", "verify"), ("control", "finish"), ("select", "generate"),
        ("select", "finish"), ("generate", "verify"), ("verify", "control"),
        ("finish", "__end__"),
    }  # fmt: skip


@pytest.mark.parametrize("show", ["random", "diverse", "hard"])
def test_seeds_are_drawn_as_the_job_says(store, tmp_path, show):
    seeds = tmp_path / "seeds.jsonl"
    lines = [
        {"text": f"{name} {topic} seed {n}", "y": name}
        for name in ("good", "bad")
        for topic in ("rent", "noise", "heating")
        for n in range(8)
    ]
    lines += [{"text": "good and bad alike", "y": "good"}]
    seeds.write_text("\n".join(map(json.dumps, lines)))
    section = {"file": str(seeds), "text": "text", "label": "y", "show": show, "shown": 3}
    job = work(store, rows=16, seeds=section)
    assert job.status is JobStatus.DONE
    made = Journal(store, job.run).decisions(agent="selector")
    assert {decision.action["strategy"] for decision in made} == {show}
    rows = jobs.rows_of(store, job)
    assert all(len(row.parents) == 3 for row in rows)
