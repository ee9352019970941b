"""All that a run knows of one example, read by its id; nothing else is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import from_json
from querist.memory.records import Annotation, ExampleId, Label, Verdict
from querist.memory.run.labelling import ItemStatus
from querist.memory.run.renaming import Names, annotation_now, label_now, names_now, verdict_now
from querist.memory.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """A batch that an example was in."""

    round: int
    rank: int
    status: ItemStatus
    attempt: int


@dataclass(frozen=True, slots=True)
class Aside:
    """A label that a person had put aside; None where only the example was to be annotated anew."""

    label: Label | None
    who: str
    command: int
    round: int | None
    """That annotated it anew; None while it waits."""
    at: datetime


class History:
    """What a run knows of one example."""

    def __init__(self, store: Store, run: str, example: ExampleId) -> None:
        """Anybody may look."""
        self._store = store
        self._run = run
        self._example = example

    def places(self) -> list[Place]:
        """List the batches that it was in, oldest first."""
        table = schema.batch_items
        rows, _ = self._read(sa.select(table).order_by(table.c.round), table)
        return [Place(row.round, row.rank, row.status, row.attempt) for row in rows]

    def annotations(self) -> list[Annotation]:
        """List what was said of it, oldest first."""
        table = schema.opinions
        query = sa.select(table.c.body).order_by(table.c.round, table.c.who, table.c.sample)
        rows, names = self._read(query, table)
        return [annotation_now(from_json(Annotation, row.body), names) for row in rows]

    def verdicts(self) -> list[Verdict]:
        """List what the verifier made of it, oldest first."""
        table = schema.verdicts
        query = sa.select(table.c.body).order_by(table.c.round, table.c.attempt)
        rows, names = self._read(query, table)
        return [verdict_now(from_json(Verdict, row.body), names) for row in rows]

    def label(self) -> Label | None:
        """Give what stands."""
        table = schema.labels
        rows, names = self._read(sa.select(table.c.body), table)
        return label_now(from_json(Label, rows[0].body), names) if rows else None

    def aside(self) -> list[Aside]:
        """List the labels that were put aside, oldest first."""
        table = schema.set_aside
        rows, names = self._read(sa.select(table).order_by(table.c.command), table)
        return [
            Aside(_label(row.label, names), row.who, row.command, row.round, row.at) for row in rows
        ]

    def _read(self, query: sa.Select[Any], table: sa.Table) -> tuple[list[Any], Names]:
        mine = query.where(table.c.run == self._run, table.c.example == self._example)
        with self._store.read() as connection:
            return list(connection.execute(mine)), names_now(connection, self._run)


def _label(body: object, names: Names) -> Label | None:
    return None if body is None else label_now(from_json(Label, body), names)
