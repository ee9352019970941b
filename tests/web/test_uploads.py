"""Files that were handed in are removed when nothing needs them."""

import asyncio
import os
from datetime import timedelta

import pytest
from tests_graph_support import EXAMPLE, LABELS, weak_annotator

from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.web.uploads import Uploads
from querist.graph import jobs
from querist.memory.errors import NotFound
from querist.memory.records import JobStatus
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


@pytest.fixture
def uploads(store):
    return Uploads(store.folder)


@pytest.fixture
def pool_file(tmp_path):
    path = tmp_path / "pool.jsonl"
    rows = (EXAMPLE / "pool.jsonl").read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:120]))
    return path


def keep(uploads, content=b"text\nthe tap drips\n", name="pool.csv"):
    async def chunks():
        yield content

    return asyncio.run(uploads.keep(name, chunks()))


def label_job(store, path):
    config = {
        "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
        "data": {"pool": str(path), "text": "text", "gold": "label", "embedder": "hashing"},
        "budget": {"usd": "4", "human_label_usd": "0.05"},
        "people": {"kind": "simulated"},
        "loop": {"rounds": 1, "batch": 20, "seed": 3},
        "generator": {"enabled": False},
        "training": {"target": "linear"},
    }
    request = jobs.read_request({"kind": "label", "config": config}, source="the test")
    return jobs.submit(request, store)


def test_what_no_job_uses_is_removed_after_a_day(store, uploads):
    kept, now = keep(uploads), store.now()
    half = store.folder / "uploads" / "0123456789abcdef.csv"
    half.write_text("text\n")  # its server was killed
    assert uploads.sweep([], now=now + DAY - HOUR) == 0
    os.utime(half, (now.timestamp() + 3600,) * 2)
    assert uploads.sweep([], now=now + DAY + timedelta(minutes=1)) == 1
    assert [path.name for path in half.parent.iterdir()] == [half.name]
    with pytest.raises(NotFound, match="Upload it again"):
        uploads.get(kept.id)


def test_a_jobs_file_goes_when_it_has_ended_and_the_job_goes_on_without_it(
    store, uploads, pool_file, tmp_path
):
    kept = keep(uploads, pool_file.read_bytes(), name=pool_file.name)
    job, found = label_job(store, kept.path.resolve()), Jobs(store)
    assert uploads.sweep(found.all(), now=store.now() + 9 * DAY) == 0, "the job is in the queue"
    model = ScriptedModel(weak_annotator, name="local")
    asyncio.run(jobs.Worker(store, models={"local": model}).work_off())
    assert found.get(job.id).status is JobStatus.DONE
    assert uploads.sweep(found.all(), now=store.now()) == 0
    assert uploads.sweep(found.all(), now=store.now() + 2 * HOUR) == 1
    assert not kept.path.exists()
    # With more money it goes on, and its labels are delivered as ever.
    Ledger(store, job.run).set_cap(9)
    found.resume(job.id)
    asyncio.run(jobs.Worker(store, models={"local": model}).work_off())
    ended = found.get(job.id)
    assert ended.status is JobStatus.DONE, ended.reason
    assert jobs.write_result(store, ended, tmp_path / "out.jsonl", format="jsonl") > 20


def test_a_file_stays_as_long_as_one_of_its_jobs_goes_on(store, uploads, pool_file):
    kept = keep(uploads, pool_file.read_bytes(), name=pool_file.name)
    first, second = (label_job(store, kept.path.resolve()) for _ in range(2))
    found = Jobs(store)
    found.cancel(first.id)
    assert uploads.sweep(found.all(), now=store.now() + DAY) == 0
    found.cancel(second.id)
    assert uploads.sweep(found.all(), now=store.now() + DAY) == 1


def test_files_are_called_what_people_call_them(tmp_path):
    uploads = Uploads(tmp_path)
    kept = keep(uploads, name="my pool.csv")
    other = "0123456789abcdef.csv"
    said = f"{kept.path.name}: 3 of 3 rows; {kept.path}, line 2; {other} is not known"
    told = uploads.by_their_names(said)
    assert told == f"my pool.csv: 3 of 3 rows; my pool.csv, line 2; {other} is not known"
