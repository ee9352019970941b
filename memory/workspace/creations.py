"""The rows that a job writes: accepted ones, and rejected ones with the reason.

A wave is a few calls that are planned together. Its rows, what its gates cost and the account of it
are one transaction: after a crash a wave is there with all its rows, or not at all, and is then
planned again from the same state, so that the calls it had paid for are replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import from_json, to_json
from querist.memory.records import Round, RunId, utc_now
from querist.memory.store import Lease, Store, upsert

_rows = schema.created_rows
RowStatus = Literal["accepted", "rejected", "unchecked", "spare"]
"""Unchecked: the money ended before a gate was passed; spare: it came when there were enough."""


@dataclass(frozen=True, slots=True)
class CreatedRow:
    """Something that was written, and what became of it."""

    id: str
    record: Mapping[str, Any]
    """The row as it is delivered, without its label."""
    label: str | None
    attributes: Mapping[str, str]
    method: str
    status: RowStatus
    gate: str = ""
    """Which gate rejected it."""
    reason: str = ""
    parents: tuple[str, ...] = ()
    evidence: str = ""
    """The words of a passage that it rests on."""
    scores: Mapping[str, float] = field(default_factory=dict)
    prompt_version: str = ""
    writer: str = ""
    usd: Decimal = Decimal(0)
    """Its share of the call that wrote it, and what its gates cost."""
    wave: int = 0

    @property
    def text(self) -> str:
        """The record as one text, for embedding and comparing."""
        return "\n".join(_as_text(value) for value in self.record.values())


class Creations:
    """The rows of one job's run."""

    def __init__(self, store: Store, run: RunId, *, lease: Lease | None = None) -> None:
        """Write only with a lease."""
        self._store = store
        self._run = run
        self._lease = lease

    def keep(self, rows: Sequence[CreatedRow], account: Round) -> None:
        """Write a wave down, all of it in one transaction."""
        self._keep([self._row(row, place) for place, row in enumerate(rows)], account)

    def unchecked(self) -> list[tuple[int, CreatedRow]]:
        """List the rows that a gate could not look at, each with its place in its wave."""
        query = sa.select(_rows.c.place, _rows.c.body).where(
            _rows.c.run == self._run, _rows.c.status == "unchecked"
        )
        with self._store.read() as connection:
            found = connection.execute(query.order_by(_rows.c.wave, _rows.c.place))
            return [(row.place, from_json(CreatedRow, row.body)) for row in found]

    def keep_again(self, rows: Sequence[tuple[int, CreatedRow]], account: Round) -> None:
        """Write down what became of rows of earlier waves, at their places, with the account."""
        self._keep([self._row(row, place) for place, row in rows], account)

    def _row(self, row: CreatedRow, place: int) -> dict[str, object]:
        return {
            "run": self._run,
            "wave": row.wave,
            "place": place,
            "id": row.id,
            "status": row.status,
            "gate": row.gate,
            "usd": row.usd,
            "body": to_json(row),
        }

    def _keep(self, kept: Sequence[Mapping[str, object]], account: Round) -> None:
        body = {
            "run": self._run,
            "number": account.number,
            "body": to_json(account),
            "at": utc_now(),
        }
        with self._store.write(self._lease) as connection:
            upsert(connection, _rows, kept)
            upsert(connection, schema.rounds, [body])

    def all(self, *statuses: RowStatus) -> list[CreatedRow]:
        """List rows in the order they were written; of these states, if any are named."""
        query = sa.select(_rows.c.body).where(_rows.c.run == self._run)
        if statuses:
            query = query.where(_rows.c.status.in_(statuses))
        with self._store.read() as connection:
            found = connection.execute(query.order_by(_rows.c.wave, _rows.c.place))
            return [from_json(CreatedRow, body) for body in found.scalars()]

    def newest(self, status: RowStatus, *, limit: int) -> list[CreatedRow]:
        """List the `limit` rows of a state that were written last, the newest first."""
        query = (
            sa.select(_rows.c.body)
            .where(_rows.c.run == self._run, _rows.c.status == status)
            .order_by(_rows.c.wave.desc(), _rows.c.place.desc())
            .limit(limit)
        )
        with self._store.read() as connection:
            return [from_json(CreatedRow, body) for body in connection.execute(query).scalars()]


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else str(value)
