"""Jobs: one worker each, states changed by compare-and-set; on both databases."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from querist.memory.errors import InvalidInput, LeaseLost
from querist.memory.records import JobStatus, Round, RunId
from querist.memory.workspace.creations import CreatedRow, Creations
from querist.memory.workspace.jobs import MOVES, Jobs, NewJob
from querist.memory.workspace.outbox import Message, Outbox


class Clock:
    def __init__(self):
        self.time = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


def new(name="rows", **changes):
    return NewJob("create", name, {"rows": 3}, RunId("run"), **changes)


def test_one_key_is_one_job_and_another_request_under_it_is_refused(store):
    jobs = Jobs(store)
    first = jobs.submit(new(key="k"))
    assert jobs.submit(new(key="k")) == first
    assert jobs.known("k", {"rows": 3}) == first
    assert len(jobs.all()) == 1
    with pytest.raises(InvalidInput, match=f"belongs to job {first.id}"):
        jobs.submit(NewJob("create", "x", {"rows": 4}, RunId("run"), key="k"))
    assert jobs.submit(new()).id != jobs.submit(new()).id, "without a key every one is another"


def test_the_highest_priority_goes_first_and_then_the_oldest(store):
    jobs = Jobs(store)
    low, old, young = (jobs.submit(new(n, priority=p)) for n, p in (("l", 0), ("o", 5), ("y", 5)))
    assert [jobs.claim().job for _ in range(3)] == [old.id, young.id, low.id]
    assert jobs.claim() is None


def test_what_a_dead_worker_left_is_taken_over_when_its_lease_has_run_out(store, clock):
    ann, bob = Jobs(store, clock=clock), Jobs(store, clock=clock)
    job = ann.submit(new())
    lease = ann.claim()
    clock.time += timedelta(seconds=59)
    assert bob.claim() is None
    ann.renew(lease)
    clock.time += timedelta(seconds=59)
    assert bob.claim() is None, "it was renewed"
    clock.time += timedelta(seconds=1)
    newer = bob.claim()
    assert newer.fencing == lease.fencing + 1
    assert bob.get(job.id).worker == bob.worker != ann.worker
    for late in (ann.renew, ann.give_up, ann.wish, lambda old: ann.close(old, JobStatus.DONE)):
        with pytest.raises(LeaseLost):
            late(lease)
    bob.close(newer, JobStatus.DONE, "done", result={"rows": 3})
    assert bob.get(job.id).result == {"rows": 3}


def test_a_worker_that_hands_back_leaves_the_job_to_others_at_once(store):
    jobs = Jobs(store)
    jobs.submit(new())
    jobs.give_up(jobs.claim())
    assert jobs.get().status is JobStatus.QUEUED
    lease = jobs.claim()
    jobs.close(lease, JobStatus.WAITING)
    with pytest.raises(LeaseLost):
        jobs.close(lease, JobStatus.DONE)


def test_people_pause_resume_and_cancel_from_every_state_that_allows_it(store):
    jobs = Jobs(store)
    ways = {"pause": JobStatus.PAUSED, "cancel": JobStatus.CANCELLED, "resume": JobStatus.QUEUED}
    for status in JobStatus:
        for name, to in ways.items():
            job = jobs.submit(new(priority=9))
            put_into(jobs, job.id, status)
            if status is JobStatus.RUNNING:
                if name == "resume":
                    continue
                getattr(jobs, name)(job.id)
                assert jobs.get(job.id).wish == name, "its worker hears of it"
                jobs.cancel(job.id)
                jobs.claim()  # nothing: it is running
                continue
            if to in MOVES[status]:
                assert getattr(jobs, name)(job.id).status is to
                if to is JobStatus.QUEUED:
                    jobs.cancel(job.id)
            else:
                with pytest.raises(InvalidInput, match=f"is {status} and cannot be"):
                    getattr(jobs, name)(job.id)
                if status is JobStatus.QUEUED:
                    jobs.cancel(job.id)


def put_into(jobs, job, status):
    if status is JobStatus.QUEUED:
        return
    lease = jobs.claim()
    assert lease.job == job
    if status is not JobStatus.RUNNING:
        jobs.close(lease, status)


def test_a_pause_that_was_wished_can_be_taken_back(store):
    jobs = Jobs(store)
    job = jobs.submit(new())
    lease = jobs.claim()
    jobs.pause(job.id)
    assert jobs.wish(lease) == "pause"
    jobs.resume(job.id)
    assert jobs.wish(lease) == ""


def test_eight_workers_at_once_share_jobs_without_meeting(store):
    jobs = Jobs(store)
    names = {jobs.submit(new()).id for _ in range(24)}
    taken, lock = Counter(), threading.Lock()

    def work():
        mine = Jobs(store)
        while lease := mine.claim():
            with lock:
                taken[lease.job] += 1
            mine.close(lease, JobStatus.DONE)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == dict.fromkeys(names, 1)


def test_a_message_goes_out_with_the_change_that_it_tells_of_and_only_once(store):
    jobs, outbox = Jobs(store), Outbox(store)
    job = jobs.submit(new())
    lease = jobs.claim()
    message = Message(f"{job.id}/done", job.id, {"event": "done"})
    jobs.close(lease, JobStatus.DONE, message=message)
    outbox.put(message)
    taken = outbox.take()
    assert taken.body == {"event": "done"}
    assert outbox.take() is None, "it is under way"
    outbox.failed(taken, "503")
    assert outbox.of(job.id)[0].status == "due"
    assert outbox.of(job.id)[0].trouble == "503"
    outbox.sent(taken)
    assert outbox.of(job.id)[0].status == "sent"
    outbox.failed(taken, "404", is_final=True)
    assert outbox.of(job.id)[0].status == "given up"


def test_a_wave_of_rows_is_written_whole_or_not_at_all(store, run):
    rows = [
        CreatedRow("a", {"text": "one", "n": 2}, "x", {"tone": "angry"}, "conditioned", "accepted"),
        CreatedRow("b", {"text": "two"}, None, {}, "paraphrase", "rejected", "exact", "a copy"),
    ]
    account = Round(1, 1, 0, Decimal("0.1"), None, detail={"written": 2})
    creations = Creations(store, RunId("run"), lease=run)
    creations.keep(rows, account)
    creations.keep(rows, account)
    assert creations.all() == rows
    assert len(creations.all("accepted")) == 1
    assert rows[0].text == "one\n2"
    stale = Creations(store, RunId("run"), lease=type(run)(run.run, run.fencing - 1))
    with pytest.raises(LeaseLost):
        stale.keep(rows, Round(2, 2, 0, Decimal(0), None))
    assert creations.all() == rows
