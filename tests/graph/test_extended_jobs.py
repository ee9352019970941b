"""A finished label job that is extended: more rows, rounds and money; what stands stays."""

import asyncio
import json
from collections import Counter
from decimal import Decimal

import pytest
import sqlalchemy as sa
from tests_graph_support import EXAMPLE, LABELS, weak_annotator

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.graph.round.audit import ask_audit, learnable, reserved, selectable
from querist.graph.run import Run
from querist.graph.workplace.context import Context
from querist.memory.errors import InvalidInput
from querist.memory.records import JobStatus, Split
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

ROWS = [json.loads(line) for line in (EXAMPLE / "pool.jsonl").read_text().splitlines()]
TEST = [json.loads(line) for line in (EXAMPLE / "test.jsonl").read_text().splitlines()]
PAID = {"name": "openai:paid", "usd": "0.001"}


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


@pytest.fixture
def model():
    return ScriptedModel(weak_annotator, name=PAID["name"])


@pytest.fixture
def work(store, model):
    def work(job):
        worker = jobs.Worker(store, models={PAID["name"]: model}, only=job.id)
        asyncio.run(worker.work_off())
        return Jobs(store).get(job.id)

    return work


@pytest.fixture
def request_(tmp_path):
    body = {
        "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
        "data": {
            "pool": str(write(tmp_path / "pool.jsonl", ROWS[:120])),
            "test": str(write(tmp_path / "test.jsonl", TEST[:40])),
            "text": "text",
            "gold": "label",
            "embedder": "hashing",
        },
        "models": {"annotator": PAID["name"], "base_url": "http://127.0.0.1:9/v1"},
        "prices": {PAID["name"]: {"input": 0, "output": 0, "per_call": PAID["usd"]}},
        "budget": {"usd": "6", "human_label_usd": "0.05"},
        "people": {"kind": "simulated", "error_rate": 0.1},
        "loop": {"rounds": 2, "batch": 30, "seed": 3},
        "generator": {"enabled": False},
        "training": {"target": "linear"},
    }
    return jobs.read_request({"kind": "label", "config": body}, source="the test")


def reserved_ids(context):
    return [context.view.ids[row] for row in reserved(context)]


def test_a_finished_job_goes_on_with_appended_rows(store, request_, work, model, tmp_path):
    beside = jobs.submit(request_, store)  # the same data
    job = work(jobs.submit(request_, store))
    assert job.status is JobStatus.DONE, job.reason
    before = Run(store, job.run).view()
    stood = {label.example: label for label in before.labelling.labels()}
    kept, asked_before = reserved_ids(before), before.inbox.examples("audit")
    calls, events = len(model.calls), len(before.journal.events())
    told = []
    again = [*ROWS[115:180], {**TEST[3], "id": "t3"}]
    rows = write(tmp_path / "more.jsonl", again)
    with pytest.raises(InvalidInput, match="--rounds 4"):
        jobs.extend(store, job, rows=rows)
    extended = jobs.extend(store, job, rows=rows, usd=Decimal(9), rounds=5, tell=told.append)
    assert extended.status is JobStatus.QUEUED
    assert any(
        line.startswith("60 new rows; left out: 5 in the pool already, 1 among") for line in told
    ), told
    begun = Run(store, job.run).view()
    kept_now, free = reserved_ids(begun), {begun.view.ids[row] for row in selectable(begun)}
    assert set(kept) < set(kept_now)
    assert not set(kept_now) & free
    assert free >= set(begun.view.ids) - set(before.view.ids) - set(kept_now)

    job = work(job)
    assert job.status is JobStatus.DONE, job.reason
    after = Run(store, job.run).view()
    new = set(after.view.ids) - set(before.view.ids)
    assert len(new) == 60
    assert after.view.ids[:120] == before.view.ids
    # Only what is new was embedded.
    told = [e.data for e in after.journal.events()[events:] if e.kind == "embedded"]
    assert {one["total"] - one["done"] for one in told if one["done"] < one["total"]} <= {60}

    labels = {label.example: label for label in after.labelling.labels()}
    assert stood.keys() <= labels.keys()
    assert len(new & labels.keys()) > 20
    # Each is asked about once, and every call is paid for once.
    assert len(model.calls) > calls
    batches = [item.example for n in range(6) for item in after.labelling.batch(n)]
    assert len(batches) == len(set(batches))
    questions = Counter(question.example for question in after.inbox.all())
    assert set(questions.values()) == {1}
    ledger = Ledger(store, job.run)
    lines = [line for line in ledger.lines() if line.entry == "settle"]
    assert ledger.balance().settled == sum(line.amount for line in lines) <= 9
    keys = [line.call_key for line in lines if line.amount]
    assert len(keys) == len(set(keys))

    out = tmp_path / "labels.jsonl"
    assert jobs.write_result(store, job, out, format="jsonl") == job.result["rows"] == len(labels)

    # Nothing that was learnt from is measured on, and what was reserved stays so.
    audit = after.inbox.examples("audit")
    assert asked_before <= audit <= set(reserved_ids(after))
    assert kept_now == reserved_ids(after)
    assert audit & new
    assert not audit & set(batches)
    assert not audit & set(learnable(after))

    other = Run(store, beside.run).view()
    assert other.run.dataset == after.run.dataset
    assert other.view.ids == before.view.ids
    assert reserved_ids(other) == kept
    # Another run may get the same rows.
    jobs.extend(store, Jobs(store).get(beside.id), rows=rows)
    assert Run(store, beside.run).view().pool.ids(Split.POOL) == list(after.view.ids)


def test_the_audit_sample_is_asked_about_in_like_shares_of_old_and_new_rows(
    store, request_, tmp_path
):
    def ask(count, number):
        context = Context(store, Run(store, job.run).row, Runs(store).take(job.run))
        asked = ask_audit(context, count, number=number)
        Runs(store).give_up(context.lease)
        return [question.example for question in asked]

    job = jobs.submit(request_, store)
    first = ask(8, 0)
    old = set(Run(store, job.run).view().view.ids)
    kept = reserved_ids(Run(store, job.run).view())
    assert (len(first), len(kept)) == (8, 24)
    rows = write(tmp_path / "more.jsonl", ROWS[120:180])
    jobs.extend(store, job, rows=rows, usd=Decimal(9), rounds=5)
    now = reserved_ids(Run(store, job.run).view())
    assert [name for name in now if name in old] == kept
    assert len(now) == 36, "a fifth of the new rows, too"
    # 8 of 120 were asked about, so 4 of 60 are due, and then one of the new for two of the old.
    assert not old & set(ask(4, 1))
    assert len(old & set(ask(9, 2))) == 6


class Cut(Exception):
    pass


def test_a_crash_while_rows_are_appended_leaves_nothing(store, request_, tmp_path):
    job = jobs.submit(request_, store)
    view = Run(store, job.run).view()
    before = (view.pool.ids(Split.POOL), view.run.config, view.ledger.balance().cap)
    rows = write(tmp_path / "more.jsonl", ROWS[120:150])

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def cut(_c, _cursor, statement, *_rest):
        if statement.startswith("UPDATE jobs"):
            raise Cut

    with pytest.raises(Cut):
        jobs.extend(store, job, rows=rows, usd=Decimal(9), rounds=6)
    sa.event.remove(store.engine, "before_cursor_execute", cut)
    view = Run(store, job.run).view()
    assert (view.pool.ids(Split.POOL), view.run.config, view.ledger.balance().cap) == before
    assert Jobs(store).get(job.id).status is JobStatus.QUEUED
    jobs.extend(store, Jobs(store).get(job.id), rows=rows, usd=Decimal(9), rounds=6)
    assert Run(store, job.run).view().pool.count() == len(before[0]) + 30


def test_what_cannot_be_is_refused_before_anything_is_written(store, request_, tmp_path):
    job = jobs.submit(request_, store)
    with pytest.raises(InvalidInput, match="--rows FILE"):
        jobs.extend(store, job)
    known = write(tmp_path / "known.jsonl", ROWS[:20])
    with pytest.raises(InvalidInput, match="no new rows: 20 in the pool already"):
        jobs.extend(store, job, rows=known, rounds=9)
    with pytest.raises(InvalidInput, match="column 'text'"):
        jobs.extend(store, job, rows=write(tmp_path / "odd.jsonl", [{"body": "x"}]), rounds=9)
    Jobs(store).cancel(job.id)
    with pytest.raises(InvalidInput, match="is cancelled and cannot be extended"):
        jobs.extend(store, Jobs(store).get(job.id), usd=Decimal(9))
