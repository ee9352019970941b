"""A cap of the workspace or the day pauses runs and jobs; they go on when it allows."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from tests_graph_support import weak_annotator
from tests_jobs_support import CHECKER, WRITER, models, work
from tests_web_support import wait_for

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.memory.events import Notice
from querist.memory.records import JobStatus
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.caps import Caps
from querist.memory.workspace.jobs import Jobs

PAID = "openai:paid"
PRICES = {name: {"input": 0, "output": 0, "per_call": "0.01"} for name in (WRITER, CHECKER)}


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


def test_a_cap_of_the_workspace_pauses_a_create_job_and_it_goes_on_when_raised(store):
    caps = Caps(store)
    caps.put("workspace", Decimal("0.12"), who="ann")
    job = work(store, rows=12, prices=PRICES)
    assert job.status is JobStatus.PAUSED
    assert "querist workspace cap --usd" in job.reason
    assert caps.all()[0].remaining >= 0
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    assert Jobs(store).get(job.id).changed == job.changed, "nothing has changed"
    caps.put("workspace", Decimal(2), who="ann")
    asyncio.run(jobs.Worker(store, models=models()).work_off())  # it wakes by itself
    ended = Jobs(store).get(job.id)
    assert ended.status is JobStatus.DONE, ended.reason
    assert len(jobs.rows_of(store, ended)) == 12
    assert caps.all()[0].settled == Ledger(store, job.run).balance().settled


@pytest.mark.parametrize(
    ("people", "name"), [("none", "workspace"), ("simulated", "day")], ids=["calls", "questions"]
)
def test_a_cap_pauses_a_run_in_the_middle_and_nothing_is_lost(make_run, people, name):
    run = make_run(
        models={"annotator": PAID, "base_url": "http://127.0.0.1:9/v1"},
        prices={PAID: {"input": 0, "output": 0, "per_call": "0.01"}},
        people={"kind": people},
        annotator={"calibrate": False},
    )
    run.use(models={PAID: ScriptedModel(weak_annotator, name=PAID, in_flight=4)})
    caps = Caps(run.store)
    caps.put(name, Decimal("0.33"), who="ann")
    outcome = asyncio.run(run.drive())
    assert (outcome.status, outcome.is_capped) == ("paused", True)
    assert run.row.status == "paused"
    option = "--day-usd" if name == "day" else "--usd"
    assert f"querist workspace cap {option}" in outcome.reason
    (cap,) = caps.all()
    assert cap.settled + cap.reserved <= Decimal("0.33")
    again = asyncio.run(run.drive())
    assert again.is_capped, "nothing has changed"
    caps.put(name, Decimal(4), who="ann")
    done = asyncio.run(run.drive())
    assert done.status == "finished", done.reason
    view = run.view()
    batches = [item.example for n in range(4) for item in view.labelling.batch(n)]
    assert len(batches) == len(set(batches))
    assert not [item for n in range(4) for item in view.labelling.batch(n, status="todo")]
    lines = [line for line in view.ledger.lines() if line.entry == "settle"]
    assert len({line.call_key for line in lines}) == len(lines)
    questions = [question.example for question in view.inbox.all()]
    assert len(questions) == len(set(questions))


def test_a_job_that_the_day_paused_is_taken_again_on_the_next(store):
    Caps(store).put("day", Decimal("0.12"), who="ann")
    job = work(store, rows=12, prices=PRICES)
    assert "--day-usd" in job.reason

    def taken(clock):
        told = []
        caps = Caps(store, clock=clock)
        worker = jobs.Worker(store, models=models(), tell=told.append, caps=caps)
        asyncio.run(worker.work_off())
        return f"Job {job.id} (create): taken." in told

    assert not taken(store.now)
    assert taken(lambda: store.now() + timedelta(days=1))


def test_a_job_that_a_person_pauses_is_not_woken(store):
    caps, queue = Caps(store), Jobs(store)
    caps.put("workspace", Decimal("0.12"), who="ann")
    job = work(store, rows=12, prices=PRICES)
    queue.resume(job.id)
    queue.pause(job.id)
    caps.put("workspace", Decimal(2), who="ann")
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    assert queue.get(job.id).status is JobStatus.PAUSED


def test_a_run_that_somebody_attends_goes_on_by_itself_when_a_cap_is_raised(make_run):
    run = make_run(
        models={"annotator": PAID, "base_url": "http://127.0.0.1:9/v1"},
        prices={PAID: {"input": 0, "output": 0, "per_call": "0.01"}},
        people={"kind": "none"},
        annotator={"calibrate": False},
    )
    run.use(models={PAID: ScriptedModel(weak_annotator, name=PAID, in_flight=4)})
    caps = Caps(run.store)
    caps.put("day", Decimal("0.33"), who="ann")

    async def attended():
        driving = asyncio.create_task(run.drive(attend=True))
        await asyncio.to_thread(wait_for, lambda: run.row.status == "paused")
        assert not driving.done()
        caps.put("day", Decimal(4), who="ann")
        return await driving

    assert asyncio.run(attended()).status == "finished"
    assert "goes on by itself" in " ".join(
        notice.text for notice in run.view().journal.bodies(Notice)
    )
