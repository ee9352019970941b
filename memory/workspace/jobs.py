"""Jobs: requests that wait in a queue, and the right of one worker to work on each.

A worker goes by a random name and takes a job with a lease and a fencing number. It renews the
lease while it works; one that is not renewed runs out, by the clock of the database, and the next
worker takes the job over. Nothing rests on host names or process ids. Every change of a job's state
is a compare-and-set on the state (and, by a worker, on its number), so no two can make it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from querist.memory import schema
from querist.memory.errors import InvalidInput, LeaseLost, NotFound
from querist.memory.records import Job, JobKind, JobStatus, RunId, content_id, slug
from querist.memory.run.runs import LEASE
from querist.memory.store import Lease, Store, database_time
from querist.memory.workspace.outbox import Message, put_out

_jobs = schema.jobs
_S = JobStatus

MOVES: Mapping[JobStatus, frozenset[JobStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.PAUSED, _S.CANCELLED}),
    _S.RUNNING: frozenset(
        {_S.QUEUED, _S.WAITING, _S.PAUSED, _S.DONE, _S.FAILED, _S.CANCELLED, _S.RUNNING}
    ),
    _S.WAITING: frozenset({_S.QUEUED, _S.PAUSED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.FAILED: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.DONE: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset(),
}
"""From where to where a job can go. One that is taken over goes on running; one that is done can go
on with more money or rows."""


@dataclass(frozen=True, slots=True)
class JobLease:
    """The right of a worker to work on a job: whoever has the highest number has it."""

    job: str
    fencing: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is handed in."""

    kind: JobKind
    name: str
    request: Mapping[str, object]
    run: RunId
    priority: int = 0
    key: str | None = None
    deadline: datetime | None = None
    asked: Mapping[str, object] | None = None
    """What was handed in under the key, in the form that the same request has again."""


_Again = Callable[[Mapping[str, object]], object]


class Jobs:
    """All jobs of a workspace."""

    def __init__(
        self,
        store: Store,
        *,
        worker: str = "",
        lease: timedelta = LEASE,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """`worker` (a random name) and `lease` are for who claims; `clock` is for tests."""
        self._store = store
        self.worker = worker or f"worker-{secrets.token_hex(6)}"
        self._lease = lease
        self._clock = clock

    def known(
        self, key: str, asked: Mapping[str, object], *, again: _Again = lambda _: None
    ) -> Job | None:
        """Find the job that was handed in under a key.

        `again` gives the form of `asked` to a request that is kept: an earlier version may have
        compared others. Raises `InvalidInput` if that was another request.
        """
        with self._store.read() as connection:
            row = connection.execute(sa.select(_jobs).where(_jobs.c.key == key)).first()
        if row is None:
            return None
        if row.digest != _digest(asked) and again(row.request) != asked:
            raise InvalidInput(
                f"The key {key!r} belongs to job {row.id}, which asks for something else. Use "
                "another key for another request."
            )
        return _job(row)

    def submit(self, new: NewJob) -> Job:
        """Put a job into the queue; the same key and request again give the job that is there.

        Raises `InvalidInput` for a key that another request has.
        """
        now = self._store.now()
        row = {
            "id": f"{slug(new.name, empty='job')}-{secrets.token_hex(4)}",
            "kind": new.kind,
            "name": new.name,
            "status": _S.QUEUED.value,
            "request": dict(new.request),
            "digest": _digest(new.request if new.asked is None else new.asked),
            "key": new.key,
            "run": new.run,
            "priority": new.priority,
            "deadline": new.deadline,
            "at": now,
            "changed": now,
        }
        try:
            with self._store.write() as connection:
                connection.execute(sa.insert(_jobs), [row])
        except IntegrityError:
            asked = new.request if new.asked is None else new.asked
            known = self.known(new.key, asked) if new.key is not None else None
            if known is None:
                raise
            return known
        return self.get(str(row["id"]))

    def get(self, job: str | None = None) -> Job:
        """Find a job by id or unique beginning; without one, the newest. Raises `InvalidInput`."""
        query = sa.select(_jobs).order_by(_jobs.c.at.desc(), _jobs.c.id)
        if job is not None:
            query = query.where(_jobs.c.id.startswith(job, autoescape=True))
        with self._store.read() as connection:
            rows = connection.execute(query.limit(1 if job is None else 2)).all()
            if job is not None:
                exact = connection.execute(sa.select(_jobs).where(_jobs.c.id == job)).all()
                rows = exact or rows
        if len(rows) == 1:
            return _job(rows[0])
        known = ", ".join(known_job.id for known_job in self.all()[:8]) or "none yet"
        what = "There is no job here yet" if job is None else f"No single job is called {job!r}"
        raise NotFound(f"{what} in {self._store.folder} (jobs: {known}). See: querist job list")

    def all(self, statuses: Collection[JobStatus] = ()) -> list[Job]:
        """List jobs, newest first; of these states only, if any are named."""
        query = sa.select(_jobs).order_by(_jobs.c.at.desc(), _jobs.c.id)
        if statuses:
            query = query.where(_jobs.c.status.in_([status.value for status in statuses]))
        with self._store.read() as connection:
            return [_job(row) for row in connection.execute(query)]

    def of_run(self, run: str) -> Job | None:
        """Find the job that a run belongs to; None for a run of its own."""
        with self._store.read() as connection:
            row = connection.execute(sa.select(_jobs).where(_jobs.c.run == run)).first()
        return None if row is None else _job(row)

    def is_worked_on(self, job: Job) -> bool:
        """Tell whether a worker has it now."""
        until = job.lease_until
        return job.status is _S.RUNNING and until is not None and until > self._now()

    # ------------------------------------------------------------ by workers

    def claim(self, *, but: Collection[str] = (), only: str | None = None) -> JobLease | None:
        """Take the job of highest priority, the oldest of these: queued, or left by a dead worker.

        `but` names jobs to leave alone, `only` the one to take. None when there is nothing to do.
        """
        with self._store.write() as connection:
            now = self._now(connection)
            left = sa.and_(_jobs.c.status == _S.RUNNING.value, _jobs.c.lease_until <= now)
            query = (
                sa.select(_jobs.c.id, _jobs.c.fencing)
                .where(sa.or_(_jobs.c.status == _S.QUEUED.value, left), _jobs.c.id.not_in(but))
                .where(sa.true() if only is None else _jobs.c.id == only)
                .order_by(_jobs.c.priority.desc(), _jobs.c.at, _jobs.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            row = connection.execute(query).first()
            if row is None:
                return None
            values = {
                "status": _S.RUNNING.value,
                "reason": "",
                "owner": self.worker,
                "fencing": row.fencing + 1,
                "lease_until": now + self._lease,
                "changed": now,
            }
            connection.execute(sa.update(_jobs).where(_jobs.c.id == row.id).values(values))
        return JobLease(row.id, row.fencing + 1)

    def renew(self, lease: JobLease) -> None:
        """Keep the lease for another while; raises `LeaseLost` if it is gone."""
        with self._store.write() as connection:
            until = self._now(connection) + self._lease
            self._set(connection, lease, {"lease_until": until})

    def give_up(self, lease: JobLease) -> None:
        """Put a job that is not finished back into the queue; raises `LeaseLost`."""
        with self._store.write() as connection:
            status = self._held(connection, lease)
            if status is _S.RUNNING:
                self._set(connection, lease, _free(_S.QUEUED, "Handed back by its worker."))

    def close(
        self,
        lease: JobLease,
        to: JobStatus,
        reason: str = "",
        *,
        result: Mapping[str, object] | None = None,
        message: Message | None = None,
    ) -> None:
        """Move a job on from running, once, and put the message about it into the outbox.

        Both happen, or neither. Raises `LeaseLost` where another worker has the job.
        """
        with self._store.write() as connection:
            values = _free(to, reason) | {"changed": self._now(connection), "wish": ""}
            if result is not None:
                values["result"] = dict(result)
            self._set(connection, lease, values)
            if message is not None:
                put_out(connection, message, now=self._now(connection))

    def wish(self, lease: JobLease) -> str:
        """Read what a person wants of the job; raises `LeaseLost` where another worker has it."""
        with self._store.read() as connection:
            query = sa.select(_jobs.c.wish, _jobs.c.fencing).where(_jobs.c.id == lease.job)
            row = connection.execute(query).one()
        if row.fencing != lease.fencing:
            raise _lost(lease)
        return str(row.wish)

    # ------------------------------------------------------------ by people, and their answers

    def pause(self, job: str) -> Job:
        """Pause a job; one that runs stops at its next step. Raises `InvalidInput`."""
        return self._ask(job, "pause", _S.PAUSED)

    def cancel(self, job: str) -> Job:
        """End a job for good; what it made so far is kept. Raises `InvalidInput`."""
        return self._ask(job, "cancel", _S.CANCELLED)

    def resume(self, job: str, *, reason: str = "") -> Job:
        """Put a job that stopped back into the queue; raises `InvalidInput`.

        A deadline that is over holds no more.
        """
        found = self.get(job)
        with self._store.write() as connection:
            is_moved = self._requeue(connection, found, reason)
            if not is_moved and found.status is _S.RUNNING and found.wish == "pause":
                is_moved = _unwish(connection, found)
        if not is_moved:
            raise _cannot(self.get(found.id), "resumed")
        return self.get(found.id)

    def extend(self, job: str, work: Callable[[sa.Connection], None], *, lease: Lease) -> Job:
        """Put a job that nobody works on back into the queue with what `work` adds to its run.

        It is one transaction: all of it is there, or none. `lease` is on the run. Raises
        `InvalidInput` for a job that is worked on or was cancelled.
        """
        found = self.get(job)
        with self._store.write(lease) as connection:
            work(connection)
            is_moved = self._requeue(connection, found, "Extended.")
            if not is_moved and found.status is _S.QUEUED:
                mine = sa.and_(_jobs.c.id == found.id, _jobs.c.status == _S.QUEUED.value)
                values = {"changed": self._now(connection)}
                statement = sa.update(_jobs).where(mine).values(values)
                is_moved = connection.execute(statement).rowcount == 1
            if not is_moved:  # which undoes the work
                raise _cannot(found, "extended")
        return self.get(found.id)

    def _requeue(self, connection: sa.Connection, job: Job, reason: str) -> bool:
        """Move a stopped job into the queue; a deadline that is over holds no more."""
        is_moved = self._move(connection, job, _S.QUEUED, reason)
        if is_moved and job.deadline is not None and job.deadline <= self._now(connection):
            statement = sa.update(_jobs).where(_jobs.c.id == job.id)
            connection.execute(statement.values(deadline=None))
        return is_moved

    def _ask(self, job: str, wish: Literal["pause", "cancel"], to: JobStatus) -> Job:
        found = self.get(job)
        with self._store.write() as connection:
            if found.status is _S.RUNNING:
                statement = sa.update(_jobs).where(
                    _jobs.c.id == found.id, _jobs.c.status == _S.RUNNING.value
                )
                is_moved = connection.execute(statement.values(wish=wish)).rowcount == 1
            else:
                is_moved = self._move(connection, found, to, "")
        if not is_moved:
            raise _cannot(self.get(found.id), "paused" if wish == "pause" else "cancelled")
        return self.get(found.id)

    def _move(self, connection: sa.Connection, job: Job, to: JobStatus, reason: str) -> bool:
        """Compare and set; False where the job does not stand where it stood, or may not go."""
        if to not in MOVES[job.status] or job.status is _S.RUNNING:
            return False
        statement = sa.update(_jobs).where(_jobs.c.id == job.id, _jobs.c.status == job.status.value)
        values = _free(to, reason) | {"changed": self._now(connection)}
        return connection.execute(statement.values(values)).rowcount == 1

    # ------------------------------------------------------------ inside a transaction

    def _held(self, connection: sa.Connection, lease: JobLease) -> JobStatus:
        query = sa.select(_jobs.c.status).where(
            _jobs.c.id == lease.job, _jobs.c.fencing == lease.fencing
        )
        status = connection.execute(query.with_for_update()).scalar()
        if status is None:
            raise _lost(lease)
        return JobStatus(status)

    def _set(
        self, connection: sa.Connection, lease: JobLease, values: Mapping[str, object]
    ) -> None:
        statement = sa.update(_jobs).where(
            _jobs.c.id == lease.job,
            _jobs.c.fencing == lease.fencing,
            _jobs.c.status == _S.RUNNING.value,
        )
        if connection.execute(statement.values(dict(values))).rowcount != 1:
            raise _lost(lease)

    def _now(self, connection: sa.Connection | None = None) -> datetime:
        if self._clock is not None:
            return self._clock()
        return self._store.now() if connection is None else database_time(connection)


def _unwish(connection: sa.Connection, job: Job) -> bool:
    statement = sa.update(_jobs).where(_jobs.c.id == job.id, _jobs.c.wish == "pause")
    return connection.execute(statement.values(wish="")).rowcount == 1


def _free(to: JobStatus, reason: str) -> dict[str, Any]:
    """Give the columns of a job that no worker has."""
    return {"status": to.value, "reason": reason, "owner": "", "lease_until": None}


def _lost(lease: JobLease) -> LeaseLost:
    return LeaseLost(
        f"Job {lease.job} was taken over by another worker. Nothing was written by this one."
    )


def _cannot(job: Job, what: str) -> InvalidInput:
    ways = sorted(MOVES[job.status] - {_S.RUNNING})
    next_ = f"It can only become {' or '.join(ways)}." if ways else "That is final."
    return InvalidInput(f"Job {job.id} is {job.status} and cannot be {what}. {next_}")


def _digest(request: Mapping[str, object]) -> str:
    return content_id(dict(request), size=32)


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        name=row.name,
        request=row.request,
        run=RunId(row.run),
        status=JobStatus(row.status),
        reason=row.reason,
        priority=row.priority,
        key=row.key,
        deadline=row.deadline,
        wish=row.wish,
        result=row.result,
        worker=row.owner,
        lease_until=row.lease_until,
        at=row.at,
        changed=row.changed,
    )
