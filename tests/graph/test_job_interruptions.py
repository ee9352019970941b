"""Jobs that are killed, handed back, paused, ended, or cannot be read any more."""

import asyncio
from collections import Counter

import pytest
import sqlalchemy as sa
from tests_jobs_support import WRITER, models, request, run_worker, wait_for_lease, work

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.memory import schema
from querist.memory.records import JobStatus
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.creations import Creations
from querist.memory.workspace.jobs import Jobs


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


def test_killed_again_and_again_a_job_ends_as_if_undisturbed(store, tmp_path):
    with open_store(tmp_path / "whole") as other:
        whole = work(other, rows=30)
        expected = [(row.id, row.label) for row in jobs.rows_of(other, whole)]
        cost = Ledger(other, whole.run).balance().settled
        keys = Counter(
            line.call_key for line in Ledger(other, whole.run).lines() if line.entry == "settle"
        )
    job = jobs.submit(request(rows=30), store)
    for replies in (1, 3, 4):
        killed = run_worker(store, f"die:{replies}")
        killed.wait(60)
        assert killed.returncode in (-9, 0), killed.stdout.read()
        killed.stdout.close()
        if Jobs(store).get(job.id).status is JobStatus.DONE:
            break
    wait_for_lease(store, job.id)
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    ended = Jobs(store).get(job.id)
    assert ended.status is JobStatus.DONE, ended.reason
    assert [(row.id, row.label) for row in jobs.rows_of(store, job)] == expected
    ledger = Ledger(store, job.run)
    settled = Counter(line.call_key for line in ledger.lines() if line.entry == "settle")
    assert max(settled.values()) == 1, "no settled call was paid for again"
    assert settled == keys
    assert ledger.balance().settled == cost


def test_a_worker_that_is_told_to_stop_hands_its_job_back(store):
    job = jobs.submit(request(rows=2000, budget={"usd": "500"}), store)
    worker = run_worker(store, lease="60")
    creations = Creations(store, job.run)
    while len(creations.all("accepted")) < 20:
        assert worker.poll() is None, worker.stdout.read()
    worker.terminate()
    assert worker.wait(30) == 0, worker.stdout.read()
    worker.stdout.close()
    assert Jobs(store).get(job.id).status is JobStatus.QUEUED
    Jobs(store).cancel(job.id)
    assert Jobs(store).get(job.id).status is JobStatus.CANCELLED
    assert len(creations.all("accepted")) >= 20


@pytest.mark.parametrize("wish", ["pause", "cancel"])
def test_a_running_job_is_paused_or_ended_at_its_next_wave(store, wish):
    job = jobs.submit(request(rows=400, budget={"usd": "100"}), store)
    found = Jobs(store)

    def write(asked):
        getattr(found, wish)(job.id)
        from tests_jobs_support import written

        return written(asked)

    given = models() | {WRITER: ScriptedModel(write, name=WRITER, in_flight=4)}
    asyncio.run(jobs.Worker(store, models=given).work_off())
    ended = found.get(job.id)
    assert ended.status is {"pause": JobStatus.PAUSED, "cancel": JobStatus.CANCELLED}[wish]
    assert ended.wish == ""
    assert 0 < len(jobs.rows_of(store, job)) < 400
    if wish == "pause":
        assert found.resume(job.id).status is JobStatus.QUEUED


# ------------------------------------------------------------ bad input


def test_a_request_that_can_no_longer_be_read_fails_its_job_and_no_worker(store):
    """What an older version took may be refused by a newer one."""
    job = jobs.submit(request(rows=4), store)
    with store.write() as connection:
        old = dict(job.request) | {"colour": "red"}
        connection.execute(sa.update(schema.jobs).values(request=old))
    other = jobs.submit(request(rows=4, seed=1), store)
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    assert Jobs(store).get(job.id).status is JobStatus.FAILED
    assert "colour" in Jobs(store).get(job.id).reason
    assert Jobs(store).get(other.id).status is JobStatus.DONE
