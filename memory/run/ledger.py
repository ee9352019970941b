"""Money: reserve the ceiling, settle what it cost, release what was not used.

Scopes are nested: a job's or run's own cap, and those of the workspace and the day (`caps.py`).
`remaining = cap - settled - reserved`, checked inside the transaction that reserves, with the
run's row locked: the cap holds under any concurrency and across crashes. A reservation whose
process died stays counted as spent (`in_doubt`) until someone says whether it was billed.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from querist.memory import columns, schema
from querist.memory.errors import BudgetExceeded, StoreError
from querist.memory.records import CallKey, Spend, SpendKind, utc_now
from querist.memory.store import Lease, Store, database_time, in_chunks, upsert
from querist.memory.workspace.caps import Cap, Clock, count_day, read_caps

_holds, _spend, _calls, _runs = schema.holds, schema.spend, schema.calls, schema.runs
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Balance:
    """Where a budget stands, in dollars."""

    cap: Decimal
    settled: Decimal
    reserved: Decimal
    in_doubt: Decimal = _ZERO
    """The part of `reserved` that a dead process left behind."""

    @property
    def remaining(self) -> Decimal:
        """What can still be reserved."""
        return self.cap - self.settled - self.reserved


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants to spend, at most."""

    call_key: CallKey
    ceiling: Decimal
    agent: str
    kind: SpendKind = SpendKind.LLM
    round: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one request."""

    id: str
    request: Request


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the account, with its place and time."""

    id: int
    at: datetime
    line: Spend


@dataclass(frozen=True, slots=True)
class Bill:
    """What a request really cost, with the reply to keep so that it is never paid for again."""

    hold: Hold
    usd: Decimal
    detail: Mapping[str, object] = field(default_factory=dict)
    model: str = ""
    reply: Mapping[str, object] | None = None


class Ledger:
    """The account of one run. All methods are one transaction each."""

    def __init__(
        self, store: Store, run: str, *, lease: Lease | None = None, clock: Clock | None = None
    ) -> None:
        """Spend with a lease, or beside whoever drives the run, as a supervisor does; read without.

        What is reserved without one is in doubt until it is settled. `clock` (the database's) is
        for tests: it says which day it is.
        """
        self._store = store
        self._clock = clock
        self._run = run
        self._lease = lease
        # The fencing number keeps ids of two drivers apart; those who only chat have none.
        self._own = str(lease.fencing) if lease else f"chat-{uuid.uuid4().hex[:8]}"
        self._serial = itertools.count()

    @property
    def folder(self) -> Path:
        """The workspace's folder."""
        return self._store.folder

    def balance(self) -> Balance:
        """Tell where the budget stands."""
        with self._store.read() as connection:
            return self._balance(connection)

    def set_cap(self, usd: Decimal) -> None:
        """Change the budget; below what is spent already it stops all further spending."""
        with self._store.write(self._lease) as connection:
            self.put_cap(connection, usd)

    def put_cap(self, connection: sa.Connection, usd: Decimal) -> None:
        """Change the budget in the caller's transaction."""
        statement = sa.update(_runs).where(_runs.c.id == self._run).values(cap=usd)
        connection.execute(statement)

    def reserve(self, requests: Sequence[Request]) -> list[Hold | BudgetExceeded]:
        """Set money aside for each request in order; those that do not fit get the error back.

        That is `CapReached` where only a cap of the workspace stands against it.
        """
        results: list[Hold | BudgetExceeded] = []
        with self._store.write(self._lease) as connection:
            self._lock(connection)
            remaining = self._balance(connection).remaining
            caps = read_caps(connection, now=self._now(connection), locked=True)
            taken = _ZERO
            for request in requests:
                error = _refusal(request, remaining - taken, caps, taken)
                if error is not None:
                    results.append(error)
                    continue
                taken += request.ceiling
                results.append(Hold(self._hold_id(request), request))
            holds = [result for result in results if isinstance(result, Hold)]
            if holds:
                connection.execute(sa.insert(_holds), [self._hold_row(hold) for hold in holds])
                self._write_lines(connection, "reserve", [(h, h.request.ceiling) for h in holds])
        return results

    def settle(self, bills: Sequence[Bill]) -> None:
        """Replace reservations by what was really spent, and keep the replies for replay."""
        with self._store.write(self._lease) as connection:
            self._close(connection, [bill.hold.id for bill in bills])
            lines = [(bill.hold, bill.usd) for bill in bills]
            self._write_lines(connection, "settle", lines, [dict(bill.detail) for bill in bills])
            upsert(connection, _calls, [self._call_row(b) for b in bills if b.reply is not None])
            total = sum((bill.usd for bill in bills), _ZERO)
            self._add_settled(connection, total)
            # Last, as all runs share this row: it is locked until the transaction ends.
            count_day(connection, total, now=self._now(connection))

    def release(self, holds: Sequence[Hold]) -> None:
        """Give reservations back unspent."""
        with self._store.write(self._lease) as connection:
            self._close(connection, [hold.id for hold in holds])
            self._write_lines(connection, "release", [(h, h.request.ceiling) for h in holds])

    def replay(self, keys: Sequence[CallKey]) -> dict[CallKey, dict[str, Any]]:
        """Find the replies of calls that were paid for before, by any run of this workspace."""
        found: dict[CallKey, dict[str, Any]] = {}
        with self._store.read() as connection:
            for part in in_chunks(keys):
                query = sa.select(_calls.c.key, _calls.c.reply).where(_calls.c.key.in_(part))
                found.update((CallKey(key), reply) for key, reply in connection.execute(query))
        return found

    def paid(self, keys: Sequence[CallKey]) -> Decimal:
        """Sum what calls cost this run; one that another run paid for cost it nothing."""
        total = _ZERO
        with self._store.read() as connection:
            for part in in_chunks(list(dict.fromkeys(keys))):
                query = sa.select(sa.func.sum(_spend.c.amount)).where(
                    _spend.c.run == self._run,
                    _spend.c.entry == "settle",
                    _spend.c.call_key.in_(part),
                )
                total += Decimal(connection.execute(query).scalar() or 0)
        return total

    def forget(self, keys: Sequence[CallKey | str]) -> None:
        """Never replay these calls again: their replies were of no use, and will be asked anew."""
        with self._store.write(self._lease) as connection:
            for part in in_chunks(keys):
                connection.execute(sa.delete(_calls).where(_calls.c.key.in_(part)))

    def most_output(self, model: str) -> int:
        """Find the most output tokens that a call was billed beyond its limit in this run."""
        tokens = sa.func.max(_spend.c.detail["output_tokens"].as_integer())
        query = sa.select(tokens).where(
            _spend.c.run == self._run,
            _spend.c.entry == "settle",
            _spend.c.detail["model"].as_string() == model,
            _spend.c.detail["overrun"].as_boolean(),
        )
        with self._store.read() as connection:
            return connection.execute(query).scalar() or 0

    def open_holds(self, *, kind: SpendKind | None = None) -> list[Hold]:
        """List what is set aside and not settled yet."""
        query = sa.select(_holds).where(_holds.c.run == self._run).order_by(_holds.c.id)
        if kind is not None:
            query = query.where(_holds.c.kind == kind.value)
        with self._store.read() as connection:
            return [_hold(row) for row in connection.execute(query)]

    def in_doubt(self) -> list[Hold]:
        """List reservations of dead processes: the calls may or may not have been billed."""
        query = sa.select(_holds).where(_holds.c.run == self._run, self._orphaned)
        with self._store.read() as connection:
            return [_hold(row) for row in connection.execute(query.order_by(_holds.c.id))]

    def reconcile(self, *, billed: bool) -> int:
        """Resolve all reservations in doubt: as billed at their ceiling, or as not billed."""
        holds = self.in_doubt()
        if billed:
            note = {"reconciled": "counted as billed at the ceiling"}
            self.settle([Bill(hold, hold.request.ceiling, note) for hold in holds])
        else:
            self.release(holds)
        return len(holds)

    def lines(self) -> list[Spend]:
        """List the account line by line, oldest first."""
        query = sa.select(_spend).where(_spend.c.run == self._run).order_by(_spend.c.id)
        with self._store.read() as connection:
            return [_line(row) for row in connection.execute(query)]

    def page(self, *, after: int = 0, limit: int) -> list[Entry]:
        """List the first `limit` lines behind line `after`, oldest first."""
        query = sa.select(_spend).where(_spend.c.run == self._run, _spend.c.id > after)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_spend.c.id).limit(limit))
            return [Entry(row.id, row.at, _line(row)) for row in rows]

    def tokens(self) -> dict[str, tuple[int, int]]:
        """Sum input and output tokens of settled calls, by agent."""
        sums = [
            sa.func.sum(_spend.c.detail[name].as_integer())
            for name in ("input_tokens", "output_tokens")
        ]
        query = sa.select(_spend.c.agent, *sums).where(
            _spend.c.run == self._run, _spend.c.entry == "settle", _spend.c.kind == SpendKind.LLM
        )
        with self._store.read() as connection:
            rows = connection.execute(query.group_by(_spend.c.agent)).all()
        return {agent: (int(read or 0), int(written or 0)) for agent, read, written in rows}

    def by_agent(self) -> dict[tuple[str, str], Decimal]:
        """Sum what was settled, by agent and kind."""
        query = (
            sa.select(_spend.c.agent, _spend.c.kind, sa.func.sum(_spend.c.amount))
            .where(_spend.c.run == self._run, _spend.c.entry == "settle")
            .group_by(_spend.c.agent, _spend.c.kind)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return {(agent, kind): Decimal(usd) for agent, kind, usd in rows}

    # ------------------------------------------------------------ inside a transaction

    @property
    def _orphaned(self) -> sa.ColumnElement[bool]:
        # A question to a person outlives processes, so its reservation is never in doubt.
        current = sa.select(_runs.c.fencing).where(_runs.c.id == self._run).scalar_subquery()
        owner = sa.select(_runs.c.owner).where(_runs.c.id == self._run).scalar_subquery()
        return sa.and_(
            _holds.c.kind != SpendKind.HUMAN.value,
            sa.or_(_holds.c.fencing < current, owner == ""),
        )

    def _balance(self, connection: sa.Connection) -> Balance:
        run = connection.execute(
            sa.select(_runs.c.cap, _runs.c.settled).where(_runs.c.id == self._run)
        ).one()
        total = sa.select(sa.func.sum(_holds.c.amount)).where(_holds.c.run == self._run)
        reserved = connection.execute(total).scalar() or _ZERO
        in_doubt = connection.execute(total.where(self._orphaned)).scalar() or _ZERO
        return Balance(run.cap, run.settled, Decimal(reserved), Decimal(in_doubt))

    def _now(self, connection: sa.Connection) -> datetime:
        return self._clock() if self._clock is not None else database_time(connection)

    def _lock(self, connection: sa.Connection) -> None:
        query = sa.select(_runs.c.id).where(_runs.c.id == self._run).with_for_update()
        connection.execute(query).one()

    def _close(self, connection: sa.Connection, ids: Sequence[str]) -> None:
        closed = 0
        for part in in_chunks(ids):
            statement = sa.delete(_holds).where(_holds.c.id.in_(part), _holds.c.run == self._run)
            closed += connection.execute(statement).rowcount
        if closed != len(ids):
            raise StoreError(
                f"Run {self._run}: {len(ids) - closed} reservations were closed twice; "
                "nothing was written. Please report this."
            )

    def _add_settled(self, connection: sa.Connection, usd: Decimal) -> None:
        statement = sa.update(_runs).where(_runs.c.id == self._run)
        connection.execute(statement.values(settled=_runs.c.settled + sa.literal(usd, columns.Usd)))

    def _write_lines(
        self,
        connection: sa.Connection,
        entry: str,
        lines: Sequence[tuple[Hold, Decimal]],
        details: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        at = utc_now()
        rows = [
            {
                "run": self._run,
                "round": hold.request.round,
                "entry": entry,
                "kind": hold.request.kind.value,
                "agent": hold.request.agent,
                "call_key": hold.request.call_key,
                "hold": hold.id,
                "amount": usd,
                "detail": dict(details[i]) if details else {},
                "at": at,
            }
            for i, (hold, usd) in enumerate(lines)
        ]
        if rows:
            connection.execute(sa.insert(_spend), rows)

    def _hold_id(self, request: Request) -> str:
        # The serial keeps ids of two attempts apart.
        return f"{self._run}/{self._own}/{next(self._serial)}/{request.call_key}"

    def _hold_row(self, hold: Hold) -> dict[str, object]:
        request = hold.request
        return {
            "id": hold.id,
            "run": self._run,
            "kind": request.kind.value,
            "agent": request.agent,
            "call_key": request.call_key,
            "amount": request.ceiling,
            "fencing": self._lease.fencing if self._lease else 0,
            "at": utc_now(),
        }

    def _call_row(self, bill: Bill) -> dict[str, object]:
        return {
            "key": bill.hold.request.call_key,
            "model": bill.model,
            "run": self._run,
            "usd": bill.usd,
            "reply": bill.reply,
            "at": utc_now(),
        }


def _refusal(
    request: Request, remaining: Decimal, caps: Sequence[Cap], taken: Decimal
) -> BudgetExceeded | None:
    """Say why a request does not fit beside what was `taken` before it, if it does not."""
    is_answer = request.kind is SpendKind.HUMAN
    what = "A person's answer" if is_answer else f"The next step of the {request.agent}"
    if request.ceiling > max(remaining, _ZERO):
        return BudgetExceeded(wanted=request.ceiling, remaining=remaining, what=what)
    for cap in caps:
        left = cap.remaining - taken
        if request.ceiling > max(left, _ZERO):
            return cap.refusal(wanted=request.ceiling, left=left, what=what)
    return None


def _hold(row: Any) -> Hold:
    request = Request(CallKey(row.call_key), row.amount, row.agent, SpendKind(row.kind))
    return Hold(row.id, request)


def _line(row: Any) -> Spend:
    return Spend(
        entry=row.entry,
        kind=SpendKind(row.kind),
        agent=row.agent,
        call_key=CallKey(row.call_key),
        amount=row.amount,
        round=row.round,
        detail=row.detail,
    )
