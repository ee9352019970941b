"""A person's acceptance sample: asked blind, paid once, and it decides on the whole lot."""

import asyncio
from decimal import Decimal

import pytest
from tests_jobs_support import models, request

from querist.graph import jobs
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput
from querist.memory.records import JobStatus
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs
from querist.tools.gates.sampling import least_sample, most_wrong


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


def work(store):
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    return Jobs(store).get()


def answer(store, run, *, wrong):
    """Label every open question, the first ones wrongly."""
    inbox = Inbox(store, run)
    for place, question in enumerate(inbox.all(status="open")):
        assert question.payload.model_says is None
        truth = "good" if "good" in question.payload.text else "bad"
        other = "bad" if truth == "good" else "good"
        inbox.answer(question.id, Choice(other if place < wrong else truth), who="ann")


def test_the_allowed_number_is_that_of_the_table():
    # Binomial: 0.9^22 = 0.098; with 38 answers one wrong one is allowed (0.095 in all).
    assert least_sample(0.1) == 22
    assert [most_wrong(n, 0.1) for n in (21, 22, 37, 38, 52)] == [-1, 0, 0, 1, 2]
    assert most_wrong(100, 0.05) == 1


@pytest.mark.parametrize(("wrong", "status"), [(1, JobStatus.DONE), (2, JobStatus.FAILED)])
def test_a_lot_passes_or_fails_by_what_people_say_of_a_sample(store, wrong, status):
    asked = request(rows=50, people={"sample": 38}, budget={"usd": "3", "human_label_usd": "0.05"})
    job = jobs.submit(asked, store)
    waiting = work(store)
    assert waiting.status is JobStatus.WAITING
    assert "0 of 38 sampled rows are looked at" in waiting.reason
    assert work(store).status is JobStatus.WAITING, "nobody has answered"
    ledger = Ledger(store, job.run)
    assert ledger.balance().reserved == Decimal("1.90")
    answer(store, job.run, wrong=wrong)
    ended = work(store)
    assert ended.status is status
    assert f"People found {wrong} of 38 sampled rows wrong; up to 1" in ended.reason
    assert ledger.by_agent()["people", "human"] == Decimal("1.90")
    assert ledger.balance().reserved == 0
    assert len(jobs.rows_of(store, job)) == 50, "they can be taken in any case"


def test_the_money_for_people_is_set_aside_before_a_row_is_written(store):
    asked = request(rows=500, people={"sample": 22}, budget={"usd": "1.16"})
    job = jobs.submit(asked, store)
    ended = work(store)
    assert ended.status is JobStatus.WAITING
    assert ended.result["stop"] == "cap"
    answer(store, job.run, wrong=0)
    assert work(store).status is JobStatus.DONE
    assert Ledger(store, job.run).balance().settled <= Decimal("1.16")
    jobs.submit(request(people={"sample": 22}, budget={"usd": "0.5"}), store)
    assert "but only" in work(store).reason


def test_a_sample_that_could_show_nothing_is_refused():
    with pytest.raises(InvalidInput, match=r"20 answers cannot show an error below 10%.*about 22"):
        request(people={"sample": 20})
