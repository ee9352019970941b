"""Processes of a server: they drive runs, pause when it goes in whatever way, and are taken up."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests_graph_support import EXAMPLE, LABELS
from tests_web_support import wait_for

from querist.app.terminal.place import Place
from querist.app.web.drivers import Drivers
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.run.runs import Runs
from querist.memory.store import open_store

SERVER = """
import sys, time
from pathlib import Path
from querist.app.terminal.place import Place
from querist.app.web.drivers import Drivers
drivers = Drivers(Place(Path(sys.argv[1])))
drivers.drive(sys.argv[2])
time.sleep(600)
"""


@pytest.fixture
def workspace(tmp_path):
    """A run that asks people first, and calls no model before they answered."""
    pool = tmp_path / "pool.jsonl"
    rows = [json.loads(line) for line in (EXAMPLE / "pool.jsonl").read_text().splitlines()[:60]]
    pool.write_text("\n".join(json.dumps({"text": row["text"]}) for row in rows))
    body = {
        "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
        "data": {"pool": str(pool), "text": "text", "embedder": "hashing"},
        "budget": {"usd": "4"},
        "loop": {"rounds": 2, "batch": 8, "seed": 3},
        "training": {"target": "linear"},
        "generator": {"enabled": False},
    }
    folder = tmp_path / "work"
    with open_store(folder) as store:
        run = Run.create(make_config(body, source="test"), store).id
        yield folder, store, run


def is_waiting(store, run):
    row = Runs(store).get(run)
    return row.status == "waiting" and Runs(store).is_driven(row)


def test_a_run_pauses_when_its_server_is_killed_and_is_driven_again(workspace):
    folder, store, run = workspace
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(folder), run])
    try:
        wait_for(lambda: is_waiting(store, run))
    finally:
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
    wait_for(lambda: not Runs(store).is_driven(Runs(store).get(run)))
    asked = Inbox(store, run).counts()["open"]
    drivers = Drivers(Place(folder))
    drivers.open()  # as the next server does
    try:
        wait_for(lambda: is_waiting(store, run))
        assert drivers.is_alive(run)
        assert drivers.is_alive("worker")
        # An answer while the loop waits makes it go on by itself.
        inbox = Inbox(store, run)
        for question in inbox.claim("ann", count=asked):
            inbox.answer(question.id, Choice("noise"), who="ann")
        begun = time.monotonic()
        wait_for(lambda: Runs(store).get(run).status == "running")
        if os.environ.get("QUERIST_WHOLE"):  # by hand, on a machine with nothing else to do
            assert time.monotonic() - begun < 2.0
    finally:
        drivers.close()
    assert not Runs(store).is_driven(Runs(store).get(run))
    # What ended in order is not driven again.
    assert json.loads((folder / "logs" / "driven.json").read_text()) == []
    again = Drivers(Place(folder))
    again.open()
    try:
        assert not again.is_alive(run)
    finally:
        again.close()


def test_a_worker_that_dies_is_started_again(tmp_path):
    with open_store(tmp_path / "work"):
        pass
    drivers = Drivers(Place(tmp_path / "work"))
    drivers.open()
    try:
        first = drivers._running["worker"]
        first.kill()
        first.wait()
        assert not drivers.is_alive("worker")
        drivers.tend()
        assert drivers.is_alive("worker")
        assert drivers._running["worker"] is not first
    finally:
        drivers.close()
