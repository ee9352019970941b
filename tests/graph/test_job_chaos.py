"""Many jobs, four workers, SIGKILLs at random: each delivered once, nothing lost or doubled."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from tests_jobs_support import request
from tests_postgres_support import SKIPS, server

from querist.graph import jobs
from querist.memory.records import JobStatus
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs
from querist.memory.workspace.outbox import Outbox

SUPPORT = Path(__file__).parents[1] / "tests_jobs_support.py"
# QUERIST_CHAOS=20 runs twenty times as many: as the figures in docs/jobs.md were measured.
TIMES = int(os.environ.get("QUERIST_CHAOS", "1"))
JOBS, WORKERS, KILLS = {"sqlite": 10 * TIMES, "postgresql": 5 * TIMES}, 4, max(5, 2 * TIMES)
# Seconds between kills: a worker takes some to start, and over many jobs some must get further.
PAUSE = (0.05, 0.2) if TIMES == 1 else (0.5, 3)
OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)


def start(folder, url):
    command = [sys.executable, str(SUPPORT), str(folder), url or "-", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rage(store, folder, url):
    """Keep four workers at it, and kill one now and then, until nothing is left to do."""
    rng, kills = random.Random(7), 0
    workers = [start(folder, url) for _ in range(WORKERS)]
    until, next_kill = time.monotonic() + 120 * TIMES, 0.0
    try:
        while Jobs(store).all(OPEN):
            assert time.monotonic() < until, Counter(job.status for job in Jobs(store).all())
            time.sleep(rng.uniform(0.05, 0.2))
            is_running = any(job.status is JobStatus.RUNNING for job in Jobs(store).all())
            if kills < KILLS and is_running and time.monotonic() >= next_kill:
                next_kill = time.monotonic() + rng.uniform(*PAUSE)
                victim = rng.randrange(WORKERS)
                os.kill(workers[victim].pid, signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = start(folder, url)
                kills += 1
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.terminate()
        for worker in workers:
            worker.wait(30)
    return kills


@pytest.mark.slow
@pytest.mark.timeout(480 + 120 * TIMES)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=SKIPS)])
def test_each_job_is_delivered_once_whatever_dies(tmp_path, kind):
    with server(kind) as url, open_store(tmp_path / "work", url=url) as store:
        hook = {"url": "http://localhost:9/hook"}  # refused: private
        for number in range(JOBS[kind]):
            # Every fourth runs out of money.
            usd = "0.02" if number % 4 == 0 else "1"
            asked = request(rows=16, seed=number, budget={"usd": usd}, webhook=hook, name="chaos")
            jobs.submit(asked, store, key=f"job {number}")
        # A fast machine may be done before the last of them.
        kills = rage(store, tmp_path / "work", url)
        assert kills >= 2
        print(f"{JOBS[kind]} jobs, {WORKERS} workers, {kills} kills")
        for job in Jobs(store).all():
            assert job.status is JobStatus.DONE, job.reason
            rows = jobs.rows_of(store, job)
            assert len({row.id for row in rows}) == len(rows) == job.result["rows"]
            assert len(rows) == 16 or job.result["stop"] == "cap"
            file = store.folder / "runs" / job.run / "result" / "rows.jsonl"
            assert len(file.read_text().splitlines()) == len(rows)
            ledger = Ledger(store, job.run)
            balance = ledger.balance()
            assert balance.settled + balance.reserved <= balance.cap
            paid = Counter(line.call_key for line in ledger.lines() if line.entry == "settle")
            assert max(paid.values()) == 1
            told = [m for m in Outbox(store).of(job.id) if m.body["told"]["event"] == "done"]
            assert len(told) == 1
