"""Create jobs on a machine in trouble: a full disk, a clock that jumps; and the later gates."""

import asyncio
import errno
import json
import shutil
import subprocess
import time
from collections import Counter
from datetime import timedelta

import pytest
from tests_jobs_support import CHECKER, WRITER, models, request, run_worker, wait_for_lease, work

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.memory.errors import StoreError
from querist.memory.records import JobStatus
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.creations import Creations
from querist.memory.workspace.jobs import Jobs


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


def test_a_full_disk_pauses_a_job_with_one_message_and_it_goes_on(store, tmp_path, monkeypatch):
    with open_store(tmp_path / "whole") as other:
        whole = work(other, rows=30)
        expected = [row.id for row in jobs.rows_of(other, whole)]
        cost = Ledger(other, whole.run).balance().settled
    job = jobs.submit(request(rows=30), store)
    kept, waves = Creations._keep, []

    def keep(self, rows, account):
        waves.append(account.number)
        if len(waves) == 2:
            with store.write():
                raise OSError(errno.ENOSPC, "No space left on device")
        kept(self, rows, account)

    told = []
    with monkeypatch.context() as patch:
        patch.setattr(Creations, "_keep", keep)
        asyncio.run(jobs.Worker(store, models=models(), tell=told.append).work_off())
    paused = Jobs(store).get(job.id)
    assert paused.status is JobStatus.PAUSED
    assert "is full. Free some space" in paused.reason
    assert "querist job resume" in paused.reason
    assert sum("is full" in words for words in told) == 1
    assert len(Journal(store, job.run).rounds()) == 1, "of the second wave nothing was kept"
    Jobs(store).resume(job.id)
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    assert Jobs(store).get(job.id).status is JobStatus.DONE
    assert [row.id for row in jobs.rows_of(store, job)] == expected
    assert Ledger(store, job.run).balance().settled == cost, "nothing was paid twice"
    settled = Counter(
        line.call_key for line in Ledger(store, job.run).lines() if line.entry == "settle"
    )
    assert max(settled.values()) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with 12 MB, which only the superuser of a machine can mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("left", [0, 60_000, 150_000, 400_000])
def test_a_disk_that_is_really_full_loses_and_doubles_nothing(small_disk, tmp_path, left):
    """Whatever is written when it happens: the job, its checkpoints, a wave, the ledger."""
    with open_store(tmp_path / "whole") as other:
        whole = work(other, rows=30)
        expected = [row.id for row in jobs.rows_of(other, whole)]
        cost = Ledger(other, whole.run).balance().settled
    filler = small_disk / "filler"
    with open_store(small_disk / "work") as store:
        job = jobs.submit(request(rows=30), store)
        filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - left))
        worker = run_worker(store, "once", lease="2")
        said = worker.communicate(timeout=120)[0]
        assert "is full. Free some space" in said
        filler.unlink()
        if Jobs(store).get(job.id).status is JobStatus.PAUSED:
            Jobs(store).resume(job.id)
        wait_for_lease(store, job.id)
        asyncio.run(jobs.Worker(store, models=models()).work_off())
        assert Jobs(store).get(job.id).status is JobStatus.DONE
        assert [row.id for row in jobs.rows_of(store, job)] == expected
        balance = Ledger(store, job.run).balance()
        assert balance.settled == cost
        # A reply that there was no room to write down may have been billed.
        assert balance.reserved == balance.in_doubt


def test_a_worker_waits_for_a_disk_or_a_server_to_come_back(store, monkeypatch):
    job = jobs.submit(request(rows=6), store)
    told, away = [], iter([StoreError("the server is away")] * 3)
    worker = jobs.Worker(store, models=models(), poll=0.1, tell=told.append)
    claim, close = worker.jobs.claim, worker._close_job

    def claim_later(**options):
        if (trouble := next(away, None)) is not None:
            raise trouble
        return claim(**options)

    def close_and_stop(*closed):
        close(*closed)
        worker.stop()

    monkeypatch.setattr(worker.jobs, "claim", claim_later)
    monkeypatch.setattr(worker, "_close_job", close_and_stop)
    asyncio.run(worker.work())
    assert Jobs(store).get(job.id).status is JobStatus.DONE
    assert told.count("the server is away") == 1


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_jumps_takes_no_job_from_its_worker(store, monkeypatch, hours):
    """Leases look at the clock of the database alone, which is not what jumps here."""
    job = jobs.submit(request(rows=60, budget={"usd": "5"}), store)
    clocks, jump = {name: getattr(time, name) for name in ("time", "monotonic")}, []

    def write(asked):
        if not jump:
            jump.append(hours * 3600)
        from tests_jobs_support import written

        return written(asked)

    for name, real in clocks.items():
        monkeypatch.setattr(time, name, lambda real=real: real() + (jump[0] if jump else 0))
    given = models() | {WRITER: ScriptedModel(write, name=WRITER, in_flight=4)}
    told = []
    worker = jobs.Worker(store, models=given, lease=timedelta(seconds=20), tell=told.append)
    asyncio.run(worker.work_off())
    assert jump
    ended = Jobs(store).get(job.id)
    assert ended.status is JobStatus.DONE, ended.reason
    assert sum("taken" in words for words in told) == 1
    settled = Counter(
        line.call_key for line in Ledger(store, job.run).lines() if line.entry == "settle"
    )
    assert max(settled.values()) == 1


def test_the_best_rows_of_each_call_are_kept_and_a_wave_is_trained_on_trial(store, tmp_path):
    seeds = tmp_path / "seeds.jsonl"
    lines = [{"text": f"{name} seed {n}", "y": name} for name in ("good", "bad") for n in range(9)]
    seeds.write_text("\n".join(map(json.dumps, lines)))

    def points(asked):
        text = json.loads(asked.messages[-1].content)["row"]["text"]
        return json.dumps({"points": 5 + len(text) % 5})

    given = models() | {CHECKER: ScriptedModel(points, name=CHECKER, in_flight=4)}
    job = work(
        store,
        given=given,
        rows=6,
        seeds={"file": str(seeds), "text": "text", "label": "y"},
        gates=["schema", "exact", "reward(least=5, of=4)", "trial(least=-0.5)"],
    )
    assert job.status is JobStatus.DONE, job.reason
    accepted = jobs.rows_of(store, job)
    assert all("trial" in row.scores and row.scores["reward"] >= 5 for row in accepted)
    first = Journal(store, job.run).rounds()[0].detail
    assert first["gates"]["reward"] == [12, 3], "one of each call's four"


def test_a_gate_that_its_seeds_cannot_serve_is_refused_before_anything_is_spent(store, tmp_path):
    rows = [("a good day", "good")] * 3 + [(f"a bad day {n}", "bad") for n in range(5)]
    file = tmp_path / "seeds.jsonl"
    file.write_text("\n".join(json.dumps({"text": text, "label": name}) for text, name in rows))
    seeds = {"file": str(file), "text": "text", "label": "label"}
    job = work(store, rows=30, gates=["schema", "classifier"], seeds=seeds)
    assert job.status is JobStatus.FAILED
    assert "of good. Name more in seeds.file" in job.reason
    assert not Ledger(store, job.run).lines()
