"""Caps of the workspace: on what all its runs and jobs spend together, and on what they do a day.

They are checked in the transaction that reserves, beside the run's own cap. Their rows are locked
first, so that runs which reserve at the same time wait for each other. A day is one of UTC; what is
set aside counts for today, whenever that was done, because it will be paid today or later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from querist.memory import schema
from querist.memory.errors import CapReached
from querist.memory.store import Store, database_time

CapName = Literal["workspace", "day"]
Clock = Callable[[], datetime]
_caps, _days, _runs, _holds = schema.caps, schema.days, schema.runs, schema.holds
_NAMES: tuple[CapName, ...] = get_args(CapName)


@dataclass(frozen=True, slots=True)
class Cap:
    """A cap and what counts for it, in dollars."""

    name: CapName
    usd: Decimal
    settled: Decimal
    reserved: Decimal

    @property
    def remaining(self) -> Decimal:
        """What can still be reserved; below 0 where the cap was lowered, or a bill was higher."""
        return self.usd - self.settled - self.reserved

    def refusal(self, *, wanted: Decimal, left: Decimal, what: str) -> CapReached:
        """Make the error for what does not fit into what is `left`."""
        left = max(left, Decimal(0))
        if self.name == "day":
            whose = "what all runs and jobs of the workspace may spend today"
            remedy = "Go on after midnight UTC, or raise it: querist workspace cap --day-usd USD."
        else:
            whose = "what all runs and jobs of the workspace may spend together"
            remedy = "Raise it: querist workspace cap --usd USD."
        return CapReached(
            f"{what} may cost up to {wanted:f} USD, but only {left:f} USD are left of the "
            f"{self.usd:f} USD that are {whose}. {remedy}",
            wanted=wanted,
            remaining=left,
        )


class Caps:
    """The caps of one workspace."""

    def __init__(self, store: Store, *, clock: Clock | None = None) -> None:
        """`clock` (the database's) is for tests."""
        self._store = store
        self._clock = clock

    def all(self) -> list[Cap]:
        """List the caps that are set, with what is left of them."""
        with self._store.read() as connection:
            return read_caps(connection, now=self._now(connection))

    def mark(self) -> str:
        """Write down what is allowed, and on which day: it differs once more may be spent."""
        with self._store.read() as connection:
            now = self._now(connection)
            caps = read_caps(connection, now=now)
        words = [f"{cap.name} {cap.usd:f}" for cap in caps]
        return " ".join([*words, _day_of(now)] if any(cap.name == "day" for cap in caps) else words)

    def put(self, name: CapName, usd: Decimal | None, *, who: str) -> None:
        """Set a cap, or take it away with None; below what is spent it stops all spending."""
        with self._store.write() as connection:
            connection.execute(sa.delete(_caps).where(_caps.c.name == name))
            if usd is not None:
                row = {"name": name, "usd": usd, "who": who, "at": self._now(connection)}
                connection.execute(sa.insert(_caps), [row])

    def _now(self, connection: sa.Connection) -> datetime:
        return self._clock() if self._clock is not None else database_time(connection)


def read_caps(connection: sa.Connection, *, now: datetime, locked: bool = False) -> list[Cap]:
    """Read the caps and what counts for them; `locked` keeps others from reserving meanwhile."""
    query = sa.select(_caps.c.name, _caps.c.usd).order_by(_caps.c.name)
    rows = connection.execute(query.with_for_update() if locked else query).all()
    if not rows:
        return []
    # One statement: between two, a bill could leave what is reserved and not yet be in what is
    # settled.
    found = connection.execute(
        sa.select(
            sa.select(sa.func.sum(_runs.c.settled)).scalar_subquery().label("settled"),
            sa.select(sa.func.sum(_holds.c.amount)).scalar_subquery().label("reserved"),
            sa.select(_days.c.settled)
            .where(_days.c.day == _day_of(now))
            .scalar_subquery()
            .label("today"),
        )
    ).one()
    zero = Decimal(0)
    settled = {"workspace": found.settled or zero, "day": found.today or zero}
    caps = {row.name: row.usd for row in rows}
    return [
        Cap(name, caps[name], Decimal(settled[name]), Decimal(found.reserved or zero))
        for name in _NAMES
        if name in caps
    ]


def _day_of(now: datetime) -> str:
    """Name the day in UTC."""
    return f"{now.astimezone(UTC):%Y-%m-%d}"


def count_day(connection: sa.Connection, usd: Decimal, *, now: datetime) -> None:
    """Add what was settled to its day, in the caller's transaction."""
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = build(_days).values(day=_day_of(now), settled=usd)
    more = _days.c.settled + statement.excluded.settled
    connection.execute(
        statement.on_conflict_do_update(index_elements=["day"], set_={"settled": more})
    )
