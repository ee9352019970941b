"""The right to drive a run: kept by a heartbeat, judged by one clock; on both databases."""

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from querist.memory import schema
from querist.memory.errors import LeaseLost, RunBusy
from querist.memory.events import Notice
from querist.memory.records import RunId
from querist.memory.run.journal import Journal
from querist.memory.run.owners import Owner, this_process
from querist.memory.run.runs import LEASE, Heartbeat, Runs

RUN = RunId("run")
HOLDER = Path(__file__).with_name("holder.py")
# Containers often have one host name and one process with the same small number.
ANN, BOB = (Owner(token, host="worker", pid=7) for token in ("ann", "bob"))


class Clock:
    """A clock that is set by hand; it tells who waits that somebody looked at it."""

    def __init__(self):
        self.time = datetime(2026, 11, 26, 12, tzinfo=UTC)
        self.looked = threading.Event()

    def __call__(self):
        self.looked.set()
        return self.time

    def go_on(self, seconds):
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def free(store, run):
    """The store, with a run that nobody drives."""
    Runs(store).give_up(run)
    return store


def by(owner, store, clock=None):
    return Runs(store, owner=owner, clock=clock)


def wait_until_looked_at(clock):
    clock.looked.clear()
    assert clock.looked.wait(20)


def test_of_two_processes_of_one_host_name_and_number_one_waits_for_the_other(free, clock):
    by(ANN, free, clock).take(RUN)
    clock.go_on(59)
    with pytest.raises(RunBusy, match=r"worker:7, with a lease until 12:01:00 UTC") as refused:
        by(BOB, free, clock).take(RUN)
    assert "querist status run" in str(refused.value)
    clock.go_on(1)
    assert not by(BOB, free, clock).is_driven(Runs(free).get("run"))
    assert by(BOB, free, clock).take(RUN).fencing > 0


def test_a_lease_that_is_renewed_does_not_run_out(free, clock):
    ann = by(ANN, free, clock)
    lease = ann.take(RUN)
    for _ in range(9):
        clock.go_on(59)
        ann.renew(lease)
    with pytest.raises(RunBusy):
        by(BOB, free, clock).take(RUN)


def test_who_was_taken_over_can_neither_renew_nor_write_nor_hand_back(free, clock):
    ann = by(ANN, free, clock)
    lease = ann.take(RUN)
    clock.go_on(60)
    newer = by(BOB, free, clock).take(RUN)
    for late in (ann.renew, ann.give_up, lambda old: ann.set_status(old, "finished")):
        with pytest.raises(LeaseLost):
            late(lease)
    Journal(free, "run", lease=newer).event(Notice("still mine"))


def test_a_heartbeat_renews_while_it_works_and_hands_the_lease_back(free, clock):
    ann = by(ANN, free, clock)
    lease = ann.take(RUN)
    with Heartbeat(ann, lease, every=0.001):
        clock.go_on(3600)
        wait_until_looked_at(clock)
        wait_until_looked_at(clock)
        assert ann.is_driven(ann.get("run"))
    assert ann.get("run").owner is None
    by(BOB, free, clock).take(RUN)


def test_a_heartbeat_outlives_a_database_that_is_away_for_a_while(free, clock):
    ann, failed = by(ANN, free, clock), threading.Event()
    lease = ann.take(RUN)

    @sa.event.listens_for(free.engine, "begin")
    def fail_once(_connection):
        if not failed.is_set():
            failed.set()
            raise OSError("the server went away")

    with Heartbeat(ann, lease, every=0.001):
        assert failed.wait(20)
        wait_until_looked_at(clock)


@pytest.mark.skipif(not this_process().machine, reason="this system does not tell its boot")
def test_a_run_whose_process_was_killed_here_is_taken_over_at_once(free):
    url = free.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, str(HOLDER), str(free.folder), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(RunBusy, match=f":{holder.pid}, with a lease until"):
            Runs(free).take(RUN)
        holder.send_signal(signal.SIGKILL)
    row = Runs(free).get("run")
    assert row.lease_until > free.now(), "it has not run out"
    assert not Runs(free).is_driven(row)
    Runs(free).take(RUN)


@pytest.fixture
def dead():
    """This machine's description of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return replace(this_process(), token="dead", pid=ended.pid)


@pytest.mark.parametrize(
    "other", [{"machine": "another boot or namespace"}, {"machine": ""}, {"started": ""}]
)
def test_where_it_is_not_certain_that_a_process_is_dead_its_lease_is_waited_for(
    free, clock, dead, other
):
    by(replace(dead, **other), free, clock).take(RUN)
    with pytest.raises(RunBusy):
        by(BOB, free, clock).take(RUN)
    clock.go_on(60)
    by(BOB, free, clock).take(RUN)


@pytest.mark.skipif(not this_process().machine, reason="this system does not tell its boot")
def test_a_process_number_that_was_given_again_is_not_taken_for_the_dead_one(free, clock):
    by(replace(this_process(), token="former", started="1"), free, clock).take(RUN)
    by(BOB, free, clock).take(RUN)


def test_a_process_that_lives_but_does_not_renew_loses_its_lease(free, clock):
    by(this_process(), free, clock).take(RUN)
    with pytest.raises(RunBusy):
        by(BOB, free, clock).take(RUN)
    clock.go_on(60)
    by(BOB, free, clock).take(RUN)


def test_a_forked_child_is_another_process():
    code = (
        "import os, sys\n"
        "from querist.memory.run.owners import this_process\n"
        "token, child = this_process().token, os.fork()\n"
        "if child == 0: sys.exit(this_process().token == token)\n"
        "sys.exit(os.waitpid(child, 0)[1] != 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_lease_of_an_earlier_version_is_waited_for(free, clock):
    table = schema.runs
    with free.write() as connection:
        values = {"owner": "box:123:456", "lease_until": clock.time + LEASE}
        connection.execute(sa.update(table).where(table.c.id == "run").values(values))
    with pytest.raises(RunBusy, match="box:123:456"):
        by(BOB, free, clock).take(RUN)
    clock.go_on(60)
    by(BOB, free, clock).take(RUN)


def test_the_clock_of_a_database_server_judges_and_not_that_of_the_host(free):
    if free.engine.dialect.name != "postgresql":
        assert abs(free.now() - datetime.now(UTC)) < timedelta(minutes=1)
        return
    runs = Runs(free)
    set_database_clock(free, hours=5)
    runs.take(RUN)
    row = runs.get("run")
    assert row.lease_until - datetime.now(UTC) > timedelta(hours=4)
    assert Runs(free, owner=BOB).is_driven(row)
    set_database_clock(free, hours=6)
    assert not Runs(free, owner=BOB).is_driven(row)
    Runs(free, owner=BOB).take(RUN)


def set_database_clock(store, *, hours):
    """Let the database tell another time: a function of ours hides the server's own."""
    with store.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
            f"AS 'SELECT pg_catalog.clock_timestamp() + interval ''{hours} hours'''"
        )
        name = store.engine.url.database
        path = f"ALTER DATABASE {name} SET search_path = public, pg_catalog"
        connection.exec_driver_sql(path)
    store.engine.dispose()  # new connections search in the new order
