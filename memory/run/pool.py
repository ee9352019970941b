"""Data sets: the examples of a pool, imported once and shared by runs.

What a run generated, and what was appended to its pool later, is its own: no other run sees it.

A data set's imported examples never change, so readers may keep what they read, but for what their
answers are called: a run reads them under the names that its labels have by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Answer, answer_now
from querist.memory.codec import from_json, to_json
from querist.memory.records import Example, ExampleId, Origin, Split
from querist.memory.run.renaming import Names, names_now
from querist.memory.store import Lease, Store, in_chunks, upsert

_BATCH = 5_000
_table = schema.examples


def keep_dataset(store: Store, dataset: str, examples: Sequence[Example], *, name: str) -> None:
    """Write a data set down, unless it is known already; `dataset` names its content."""
    table = schema.datasets
    known = sa.select(table.c.id).where(table.c.id == dataset)
    with store.read() as connection:
        if connection.execute(known).first() is not None:
            return
    Pool(store, dataset=dataset).add(examples)
    # The row comes last: a data set without it was cut off half way and is completed next time.
    row = {"id": dataset, "name": name, "body": {"examples": len(examples)}}
    with store.write() as connection:
        upsert(connection, table, [row], replace=False)


class Pool:
    """The examples that one run sees: its data set's, and its own."""

    def __init__(self, store: Store, *, dataset: str, run: str = "") -> None:
        """Look at `dataset`; `run` adds that run's own examples."""
        self._store = store
        self.dataset = dataset
        self.run = run

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(_table.c.dataset == self.dataset, _table.c.run.in_(("", self.run)))

    def add(self, examples: Iterable[Example], *, lease: Lease | None = None) -> int:
        """Append examples after those that are there; known ids are left as they are."""
        examples = iter(examples)
        with self._store.write(lease) as connection:
            start = self._next_position(connection)
            position = start
            while batch := list(islice(examples, _BATCH)):
                rows = [self._row(example, position + i) for i, example in enumerate(batch)]
                upsert(connection, _table, rows, replace=False)
                position += len(batch)
        return position - start

    def append(self, connection: sa.Connection, examples: Sequence[Example]) -> None:
        """Add imported examples that only this run sees, in the caller's transaction."""
        start = self._next_position(connection)
        rows = [
            self._row(example, start + i) | {"run": self.run} for i, example in enumerate(examples)
        ]
        for part in in_chunks(rows):
            connection.execute(sa.insert(_table), list(part))

    def ids(self, split: Split = Split.POOL) -> list[ExampleId]:
        """List all ids of a split in their order."""
        query = (
            sa.select(_table.c.id)
            .where(self._mine, _table.c.split == split.value)
            .order_by(_table.c.position, _table.c.id)
        )
        with self._store.read() as connection:
            return [ExampleId(value) for value in connection.execute(query).scalars()]

    def get(self, ids: Sequence[ExampleId]) -> list[Example]:
        """Fetch examples in the order asked for; unknown ids are a `KeyError`."""
        found: dict[str, Example] = {}
        with self._store.read() as connection:
            names = names_now(connection, self.run)
            for part in in_chunks(ids):
                query = sa.select(_table).where(self._mine, _table.c.id.in_(part))
                found.update((row.id, _example(row, names)) for row in connection.execute(query))
        return [found[example_id] for example_id in ids]

    def beginning(self, start: str, *, most: int = 10) -> list[ExampleId]:
        """List ids of the pool that begin with `start`, at most so many."""
        query = sa.select(_table.c.id).where(
            self._mine,
            _table.c.split == Split.POOL.value,
            _table.c.id >= start,
            _table.c.id < f"{start}\U0010ffff",
        )
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_table.c.id).limit(most)).scalars()
            return [ExampleId(name) for name in rows if name.startswith(start)]

    def first(self, count: int) -> list[Example]:
        """Fetch the first examples of the pool."""
        query = sa.select(_table).where(self._mine, _table.c.split == Split.POOL.value)
        with self._store.read() as connection:
            names = names_now(connection, self.run)
            rows = connection.execute(query.order_by(_table.c.position).limit(count))
            return [_example(row, names) for row in rows]

    def texts(self, split: Split = Split.POOL) -> list[str]:
        """List the texts of a split, in the order of `ids`."""
        return [example.text for example in self.all(split)]

    def all(self, split: Split = Split.POOL) -> list[Example]:
        """List the examples of a split, in the order of `ids`."""
        query = (
            sa.select(_table)
            .where(self._mine, _table.c.split == split.value)
            .order_by(_table.c.position, _table.c.id)
        )
        with self._store.read() as connection:
            names = names_now(connection, self.run)
            return [_example(row, names) for row in connection.execute(query)]

    def count(self, split: Split = Split.POOL) -> int:
        """Count the examples of a split."""
        query = (sa.select(sa.func.count()).select_from(_table).where(self._mine)).where(
            _table.c.split == split.value
        )
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    def _next_position(self, connection: sa.Connection) -> int:
        query = sa.select(sa.func.max(_table.c.position)).where(_table.c.dataset == self.dataset)
        last = connection.execute(query).scalar()
        return 0 if last is None else last + 1

    def _row(self, example: Example, position: int) -> dict[str, object]:
        generated = example.origin is Origin.GENERATED
        return {
            "dataset": self.dataset,
            "id": example.id,
            "position": position,
            "split": example.split.value,
            "origin": example.origin.value,
            "run": self.run if generated else "",
            "fields": dict(example.fields),
            "parents": list(example.parents),
            "gold": _written(example.gold),
            "written_as": _written(example.written_as),
        }


def _example(row: sa.Row[tuple[object, ...]], names: Names) -> Example:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's documented access
    return Example(
        id=ExampleId(values["id"]),
        fields=values["fields"],
        origin=Origin(values["origin"]),
        split=Split(values["split"]),
        parents=tuple(values["parents"]),
        gold=_read(values["gold"], names),
        written_as=_read(values["written_as"], names),
    )


def _written(answer: Answer | None) -> object:
    return None if answer is None else to_json(answer)


def _read(body: object, names: Names) -> Answer | None:
    if body is None:
        return None
    answer: Answer = from_json(Answer, body)  # type: ignore[arg-type]
    return answer_now(answer, names)
