"""Runs and the right to drive them.

One process drives a run. It takes a lease with a fencing number, renews it while it works, and
every write it makes is checked against that number. A lease that is not renewed runs out, by the
clock of the database where that is a server, and whoever comes next takes the run over. Only where
the process that held it is certainly dead, on this very machine, is that not waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import to_json
from querist.memory.errors import LeaseLost, NotFound, RunBusy, StoreError
from querist.memory.records import RunId, Task, content_id
from querist.memory.run.owners import Owner, owner_from_text, owner_to_text, this_process
from querist.memory.store import Lease, Store, database_time, upsert

LEASE = timedelta(seconds=60)
_HEARTBEAT = 15.0
RunKind = Literal["loop", "choice", "create"]
_runs = schema.runs
AnyLease_contra = TypeVar("AnyLease_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class RunRow:
    """What the store knows about a run."""

    id: RunId
    kind: RunKind
    """A run of the loop, a choice (`querist choose`), or a job that creates rows."""
    task: str
    dataset: str
    config: Mapping[str, Any]
    status: str
    reason: str
    owner: Owner | None
    """Who drove it last, unless they handed it back."""
    lease_until: datetime | None
    at: datetime

    @property
    def driver(self) -> str:
        """Say who has the lease, and until when if nobody renews it."""
        name = "nobody" if self.owner is None else self.owner.name
        until = self.lease_until
        return name if until is None else f"{name}, with a lease until {until:%H:%M:%S} UTC"


class Runs:
    """All runs of a workspace."""

    def __init__(
        self,
        store: Store,
        *,
        owner: Owner | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """`owner` (this process) and `clock` (the database's) are for tests."""
        self._store = store
        self._owner = owner or this_process()
        self._clock = clock

    def create(
        self,
        run: RunId,
        *,
        task: Task,
        dataset: str,
        config: Mapping[str, Any],
        cap: Decimal,
        kind: RunKind = "loop",
    ) -> None:
        """Write a new run and its task down, before anything is done for it."""
        body, now = to_json(task), self._now()
        task_row = {"id": content_id(body), "body": body, "at": now}
        row = {
            "id": run,
            "kind": kind,
            "task": task_row["id"],
            "dataset": dataset,
            "config": dict(config),
            "status": "created",
            "cap": cap,
            "at": now,
        }
        with self._store.write() as connection:
            upsert(connection, schema.tasks, [task_row], replace=False)
            connection.execute(sa.insert(_runs), [row])

    def get(self, run: str | None = None) -> RunRow:
        """Find a run by id or unique prefix; without one, the newest. Raises `NotFound`."""
        query = sa.select(_runs).order_by(_runs.c.at.desc(), _runs.c.id)
        with self._store.read() as connection:
            if run is None:
                found = connection.execute(query.limit(1)).all()
            else:
                found = connection.execute(query.where(_runs.c.id == run)).all()
                begins = query.where(_runs.c.id.startswith(run, autoescape=True)).limit(2)
                found = found or connection.execute(begins).all()
        if len(found) == 1:
            return _row(found[0])
        known = ", ".join(row.id for row in self.all()[:8]) or "none yet"
        what = "There is no run here yet" if run is None else f"No single run is called {run!r}"
        raise NotFound(f"{what} in {self._store.folder} (runs: {known}). See: querist status")

    def all(self) -> list[RunRow]:
        """List the runs, newest first."""
        with self._store.read() as connection:
            rows = connection.execute(sa.select(_runs).order_by(_runs.c.at.desc()))
            return [_row(row) for row in rows]

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

    def put(self, connection: sa.Connection, lease: Lease, **values: object) -> None:
        """Set columns of the run in the caller's transaction, which has checked the lease."""
        connection.execute(sa.update(_runs).where(_runs.c.id == lease.run).values(values))

    def take(self, run: RunId) -> Lease:
        """Take the right to drive a run; raises `RunBusy` while another process has it."""
        with self._store.write() as connection:
            found = connection.execute(
                sa.select(_runs).where(_runs.c.id == run).with_for_update()
            ).one()
            row, now = _row(found), self._now(connection)
            if _is_live(row, now):
                raise RunBusy(
                    f"Run {run} is being driven by another process ({row.driver}, which it renews "
                    f"while it lives). Watch it with `querist status {run}`, or stop it with "
                    f"`querist stop {run}`; if it was killed, try again when the lease has run out."
                )
            values = {
                "owner": owner_to_text(self._owner),
                "fencing": found.fencing + 1,
                "lease_until": now + LEASE,
            }
            connection.execute(sa.update(_runs).where(_runs.c.id == run).values(values))
        return Lease(run, found.fencing + 1)

    def renew(self, lease: Lease) -> None:
        """Keep the lease for another minute; raises `LeaseLost` if it is gone."""
        with self._store.write(lease) as connection:
            values = {"lease_until": self._now(connection) + LEASE}
            connection.execute(sa.update(_runs).where(_runs.c.id == lease.run).values(values))

    def give_up(self, lease: Lease) -> None:
        """Hand the lease back."""
        with self._store.write(lease) as connection:
            values = {"owner": "", "lease_until": None}
            connection.execute(sa.update(_runs).where(_runs.c.id == lease.run).values(values))

    def is_driven(self, row: RunRow) -> bool:
        """Tell whether a live process drives the run now."""
        return row.owner is not None and _is_live(row, self._now())

    def _now(self, connection: sa.Connection | None = None) -> datetime:
        if self._clock is not None:
            return self._clock()
        return self._store.now() if connection is None else database_time(connection)


def _row(row: Any) -> RunRow:
    return RunRow(
        id=RunId(row.id),
        kind=row.kind,
        task=row.task,
        dataset=row.dataset,
        config=row.config,
        status=row.status,
        reason=row.reason,
        owner=owner_from_text(row.owner),
        lease_until=row.lease_until,
        at=row.at,
    )


def _is_live(row: RunRow, now: datetime) -> bool:
    if row.owner is None or row.lease_until is None or row.lease_until <= now:
        return False
    return not row.owner.is_dead()


class Leases(Protocol[AnyLease_contra]):
    """What a lease can be renewed with, and handed back to."""

    def renew(self, lease: AnyLease_contra) -> None:
        """Keep it for a while longer; raises `LeaseLost`."""

    def give_up(self, lease: AnyLease_contra) -> None:
        """Hand it back; raises `LeaseLost`."""


class Heartbeat(Generic[AnyLease_contra]):
    """Renews a lease from a thread while a `with` block runs."""

    def __init__(
        self, leases: Leases[AnyLease_contra], lease: AnyLease_contra, *, every: float = _HEARTBEAT
    ) -> None:
        """`every` is in seconds."""
        self._runs = leases
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
        # Where it cannot be written (a full disk, a server that went away) it runs out by itself;
        # raised here, that would hide what the block itself met.
        with suppress(LeaseLost, StoreError):
            self._runs.give_up(self._lease)

    def _beat(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._runs.renew(self._lease)
            except LeaseLost:
                return  # the next write of the loop will say so
            except StoreError:
                continue  # what the loop writes meets the same trouble, and it may pass
