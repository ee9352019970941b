"""Machines' labels that people had put aside, and what waits to be annotated anew."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.records import ExampleId, utc_now
from querist.memory.store import in_chunks, upsert

_table = schema.set_aside
_labels = schema.labels


class SetAside:
    """The set-aside labels of one run; every step belongs to the caller's transaction."""

    def __init__(self, run: str) -> None:
        """Nothing is read before it is wanted."""
        self._run = run

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return _table.c.run == self._run

    def put(
        self, connection: sa.Connection, examples: Sequence[ExampleId], *, command: int, who: str
    ) -> None:
        """Move the labels of examples here; one without a label only waits. Again: no change."""
        now = utc_now()
        for part in in_chunks(examples):
            theirs = sa.and_(_labels.c.run == self._run, _labels.c.example.in_(part))
            query = sa.select(_labels.c.example, _labels.c.body).where(theirs)
            standing = {row.example: row.body for row in connection.execute(query)}
            rows = [
                {
                    "run": self._run,
                    "example": example,
                    "command": command,
                    "who": who,
                    "round": None,
                    "label": standing.get(example),
                    "at": now,
                }
                for example in part
            ]
            upsert(connection, _table, rows, replace=False)
            connection.execute(sa.delete(_labels).where(theirs))

    def waiting(self, connection: sa.Connection) -> list[ExampleId]:
        """List what waits, each once; what a person labelled meanwhile waits no more."""
        labelled = sa.select(_labels.c.example).where(_labels.c.run == self._run)
        query = sa.select(_table.c.example).where(
            self._mine, _table.c.round.is_(None), _table.c.example.not_in(labelled)
        )
        rows = connection.execute(query.order_by(_table.c.command, _table.c.example)).scalars()
        return [ExampleId(example) for example in dict.fromkeys(rows)]

    def taken(
        self, connection: sa.Connection, examples: Sequence[ExampleId], *, number: int
    ) -> None:
        """Note that a round annotates these."""
        waits = sa.and_(self._mine, _table.c.round.is_(None))
        for part in in_chunks(examples):
            mine = sa.and_(waits, _table.c.example.in_(part))
            connection.execute(sa.update(_table).where(mine).values(round=number))

    def wait_again(
        self, connection: sa.Connection, examples: sa.Select[tuple[str]], number: int
    ) -> None:
        """Let what a round gave up wait for another."""
        mine = sa.and_(self._mine, _table.c.round == number, _table.c.example.in_(examples))
        connection.execute(sa.update(_table).where(mine).values(round=None))
