"""What gates could not look at goes through them when there is more money."""

import asyncio
from collections import Counter
from decimal import Decimal

import pytest
from tests_jobs_support import CHECKER, WRITER, models, work

from querist.graph import jobs
from querist.memory.records import JobStatus
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

PRICES = {
    WRITER: {"input": 0, "output": 0, "per_call": "0.01"},
    CHECKER: {"input": 0, "output": 0, "per_call": "0.01"},
}


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


def statuses(store, job):
    return Counter(row.status for row in jobs.rows_of(store, job, rejected=True))


def test_unchecked_rows_go_through_the_remaining_gates_first(store):
    # Four calls of four rows each; of sixteen checks the money pays for some.
    job = work(store, rows=12, prices=PRICES, budget={"usd": "0.12"})
    assert job.status is JobStatus.DONE
    before = statuses(store, job)
    assert before["unchecked"] > 4, before
    written, kept = sum(before.values()), len(jobs.rows_of(store, job))
    calls = len(Ledger(store, job.run).lines())
    more = models()
    jobs.extend(store, job, usd=Decimal("0.34"))
    asyncio.run(jobs.Worker(store, models=more).work_off())
    after = statuses(store, Jobs(store).get(job.id))
    assert after["unchecked"] == 0, after
    again = next(r for r in Journal(store, job.run).rounds() if "looked_at_again" in r.detail)
    assert again.detail["looked_at_again"] == before["unchecked"]
    assert again.detail["calls"] == again.detail["written"] == 0
    assert set(again.detail["gates"]) == {"label_check"}, "others looked at them before"
    assert again.detail["gates"]["label_check"][0] == before["unchecked"]
    assert len(jobs.rows_of(store, job)) > kept
    lines = [line for line in Ledger(store, job.run).lines() if line.entry == "settle"]
    assert len({line.call_key for line in lines}) == len(lines), "nothing is paid twice"
    assert Ledger(store, job.run).balance().settled == sum(line.amount for line in lines)
    assert calls < len(Ledger(store, job.run).lines())
    # They were looked at before anything more was written.
    first_write = min((r.number for r in Journal(store, job.run).rounds()[1:] if r.detail["calls"]),
                      default=again.number + 1)  # fmt: skip
    assert again.number < first_write
    assert sum(after.values()) >= written


def test_without_more_money_they_stay_as_they_are(store):
    job = work(store, rows=12, prices=PRICES, budget={"usd": "0.12"})
    before, waves = statuses(store, job), len(Journal(store, job.run).rounds())
    jobs.extend(store, job, usd=Decimal("0.12"))
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    assert statuses(store, job) == before
    assert len(Journal(store, job.run).rounds()) == waves
