"""Jobs with scripted models: a writer whose hit rate is known, and a checker that knows the truth.

    python tests_jobs_support.py WORKSPACE URL LEASE [die:N | once]

is a worker in a process of its own; with `die:N` it kills itself after N replies of the writer,
with `once` it ends when nothing is left to do.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

WRITER, CHECKER = "openai:writer", "openai:checker"
PRICES = {name: {"input": 1, "output": 2, "per_call": "0.001"} for name in (WRITER, CHECKER)}
_WORDS = [f"word{i}" for i in range(4000)]


def written(request, *, hits=0.7):
    """Four rows: some of the class that was wanted, some of the other."""
    rng = random.Random(f"{request.messages}{request.sample}")
    wanted = "good" if "class 'good'" in request.messages[0].content else "bad"
    other = "bad" if wanted == "good" else "good"
    rows = [
        " ".join([wanted if rng.random() < hits else other, *rng.sample(_WORDS, 10)])
        for _ in range(4)
    ]
    return json.dumps({"texts": rows})


def checked(request):
    """The label that the row names."""
    name = next((c for c in request.choices if c in request.messages[-1].content), None)
    if name is None:  # a text without content
        return dict.fromkeys(request.choices, 1 / len(request.choices))
    return {choice: 0.9 if choice == name else 0.1 for choice in request.choices}


def models(*, hits=0.7, delay=0.0, die_after=None):
    count = 0

    def write(request):
        nonlocal count
        count += 1
        if die_after is not None and count > die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return written(request, hits=hits)

    return {
        WRITER: ScriptedModel(write, name=WRITER, in_flight=4, delay=delay),
        CHECKER: ScriptedModel(checked, name=CHECKER, in_flight=4),
    }


def body(**changes):
    return {
        "kind": "create",
        "name": "test rows",
        "rows": 12,
        "task": {"labels": ["good", "bad"]},
        "gates": ["schema", "length", "exact", "label_check"],
        "models": {
            "generator": WRITER,
            "checker": CHECKER,
            "base_url": "http://127.0.0.1:9/v1",
        },
        "prices": PRICES,
        "embedder": "hashing",
        "budget": {"usd": "1"},
        "patience": 20,
    } | changes


def request(**changes):
    return jobs.read_request(body(**changes), source="the test")


def main():
    workspace, url, lease, *rest = sys.argv[1:]
    mode, _, replies = (rest or [""])[0].partition(":")
    die_after = int(replies) if mode == "die" else None
    with open_store(workspace, url=None if url == "-" else url) as store:
        worker = jobs.Worker(
            store,
            lease=timedelta(seconds=float(lease)),
            models=models(delay=0.002, die_after=die_after),
            poll=0.1,
            tell=lambda words: print(words, flush=True),
        )
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        asyncio.run(worker.work_off() if mode == "once" else worker.work())


def run_worker(store, *rest, lease="1"):
    """Start a worker in a process of its own."""
    command = [sys.executable, __file__, str(store.folder), "-", lease, *rest]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_lease(store, name):
    """Wait until nobody has a job any more."""
    found = Jobs(store)
    until = time.monotonic() + 60
    while found.is_worked_on(found.get(name)) and time.monotonic() < until:
        time.sleep(0.05)


def work(store, *, given=None, **changes):
    """Hand a job in, work it off, and give it as it ended."""
    job = jobs.submit(request(**changes), store)
    asyncio.run(jobs.Worker(store, models=given or models()).work_off())
    return Jobs(store).get(job.id)


if __name__ == "__main__":
    main()
