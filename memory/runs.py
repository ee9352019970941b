"""Runs and the right to drive them.

One process drives a run. It takes a lease with a fencing number, renews it while it works, and
every write it makes is checked against that number. A lease whose process is dead on this machine
is taken over at once; one held elsewhere after it has run out.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import to_json
from querist.memory.errors import InvalidInput, LeaseLost, RunBusy
from querist.memory.records import RunId, Task, content_id, utc_now
from querist.memory.store import Lease, Store, check_lease, upsert

LEASE = timedelta(seconds=60)
HEARTBEAT = 15.0
_runs = schema.runs


@dataclass(frozen=True, slots=True)
class RunRow:
    """What the store knows about a run."""

    id: RunId
    task: str
    dataset: str
    config: Mapping[str, Any]
    status: str
    reason: str
    owner: str
    lease_until: datetime | None
    at: datetime


class Runs:
    """All runs of a workspace."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = utc_now) -> None:
        """`clock` is for tests."""
        self._store = store
        self._clock = clock

    def create(
        self, run: RunId, *, task: Task, dataset: str, config: Mapping[str, Any], cap: Decimal
    ) -> None:
        """Write a new run and its task down, before anything is done for it."""
        body = to_json(task)
        task_row = {"id": content_id(body), "body": body, "at": self._clock()}
        row = {
            "id": run,
            "task": task_row["id"],
            "dataset": dataset,
            "config": dict(config),
            "status": "created",
            "cap": cap,
            "at": self._clock(),
        }
        with self._store.write() as connection:
            upsert(connection, schema.tasks, [task_row], replace=False)
            connection.execute(sa.insert(_runs), [row])

    def get(self, run: str | None = None) -> RunRow:
        """Find a run by id or unique prefix; without one, the newest. Raises `InvalidInput`."""
        rows = self.all()
        matches = rows[:1] if run is None else [row for row in rows if row.id.startswith(run)]
        exact = [row for row in matches if row.id == run]
        if len(exact or matches) == 1:
            return (exact or matches)[0]
        known = ", ".join(row.id for row in rows[:8]) or "none yet"
        what = "There is no run here yet" if run is None else f"No single run is called {run!r}"
        raise InvalidInput(f"{what} in {self._store.folder} (runs: {known}). See: querist status")

    def all(self) -> list[RunRow]:
        """List the runs, newest first."""
        with self._store.read() as connection:
            rows = connection.execute(sa.select(_runs).order_by(_runs.c.at.desc()))
            return [
                RunRow(
                    RunId(r.id),
                    r.task,
                    r.dataset,
                    r.config,
                    r.status,
                    r.reason,
                    r.owner,
                    r.lease_until,
                    r.at,
                )
                for r in rows
            ]

    def set_status(self, lease: Lease, status: str, reason: str = "") -> None:
        """Say where the run stands."""
        with self._store.write(lease) as connection:
            values = {"status": status, "reason": reason}
            connection.execute(sa.update(_runs).where(_runs.c.id == lease.run).values(values))

    def set_config(self, lease: Lease, config: Mapping[str, Any]) -> None:
        """Keep a configuration that a command changed."""
        with self._store.write(lease) as connection:
            statement = sa.update(_runs).where(_runs.c.id == lease.run)
            connection.execute(statement.values(config=dict(config)))

    def take(self, run: RunId) -> Lease:
        """Take the right to drive a run; raises `RunBusy` while a live process has it."""
        with self._store.write() as connection:
            row = connection.execute(
                sa.select(_runs).where(_runs.c.id == run).with_for_update()
            ).one()
            if row.owner and self._is_live(row.owner, row.lease_until):
                raise RunBusy(
                    f"Run {run} is being driven by another process ({row.owner}). Watch it with "
                    f"`querist status {run}`, or stop it with `querist stop {run}`."
                )
            values = {
                "owner": process_name(),
                "fencing": row.fencing + 1,
                "lease_until": self._clock() + LEASE,
            }
            connection.execute(sa.update(_runs).where(_runs.c.id == run).values(values))
        return Lease(run, row.fencing + 1)

    def renew(self, lease: Lease) -> None:
        """Keep the lease for another minute; raises `LeaseLost` if it is gone."""
        self._set_lease(lease, owner=process_name(), until=self._clock() + LEASE)

    def give_up(self, lease: Lease) -> None:
        """Hand the lease back."""
        self._set_lease(lease, owner="", until=None)

    def _set_lease(self, lease: Lease, *, owner: str, until: datetime | None) -> None:
        with self._store.write() as connection:
            check_lease(connection, lease)
            values = {"owner": owner, "lease_until": until}
            connection.execute(sa.update(_runs).where(_runs.c.id == lease.run).values(values))

    def is_driven(self, row: RunRow) -> bool:
        """Tell whether a live process drives the run now."""
        return bool(row.owner) and self._is_live(row.owner, row.lease_until)

    def _is_live(self, owner: str, until: datetime | None) -> bool:
        host, pid, started = owner.rsplit(":", 2)
        if host == socket.gethostname():
            return _start_time(int(pid)) == started
        return until is not None and until > self._clock()


class Heartbeat:
    """Renews a lease from a thread while a `with` block runs."""

    def __init__(self, runs: Runs, lease: Lease, *, every: float = HEARTBEAT) -> None:
        """`every` is in seconds."""
        self._runs = runs
        self._lease = lease
        self._every = every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="querist-lease", daemon=True)

    def __enter__(self) -> Self:
        """Start renewing."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop renewing and hand the lease back, if it is still ours."""
        self._done.set()
        self._thread.join()
        with suppress(LeaseLost):
            self._runs.give_up(self._lease)

    def _beat(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._runs.renew(self._lease)
            except LeaseLost:
                return  # the next write of the loop will say so


def process_name() -> str:
    """Name this process so that another one on this machine can tell whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"


def _start_time(pid: int) -> str:
    # Process ids are used again; with the start time from /proc they are unique.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return "gone" if fields[0] in "ZX" else fields[19]  # a zombie drives nothing
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        return "alive"
    return "alive"
