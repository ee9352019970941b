"""Who said what about which example, what the verifier made of it, and what stands now.

A batch item moves `todo -> annotated -> accepted | escalated | dropped`, or back to `todo` for
another attempt. Each step is one transaction, so a killed run finds every item where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import from_json, to_json
from querist.memory.records import Annotation, ExampleId, Label, Verdict
from querist.memory.run.renaming import Names, annotation_now, label_now, names_now, verdict_now
from querist.memory.run.set_aside import SetAside
from querist.memory.store import Lease, Store, in_chunks, upsert

ItemStatus = Literal["todo", "annotated", "accepted", "escalated", "dropped"]
_items = schema.batch_items


@dataclass(frozen=True, slots=True)
class BatchItem:
    """An example that this round works on."""

    example: ExampleId
    rank: int
    status: ItemStatus
    attempt: int = 0


class Labelling:
    """The annotations, verdicts and labels of one run."""

    def __init__(self, store: Store, run: str, *, lease: Lease | None = None) -> None:
        """Read with or without a lease; write only with one."""
        self._store = store
        self._run = run
        self._lease = lease
        self._labels: dict[ExampleId, Label] | None = None
        self._annotations: dict[tuple[object, ...], Annotation] | None = None
        self._aside = SetAside(run)

    # ------------------------------------------------------------ the batch

    def open_batch(self, number: int, examples: Sequence[ExampleId]) -> None:
        """Start a round's batch; a batch that was opened before stays as it is."""
        rows = [
            {
                "run": self._run,
                "round": number,
                "example": example,
                "rank": rank,
                "status": "todo",
                "attempt": 0,
            }
            for rank, example in enumerate(examples)
        ]
        opened = sa.select(_items.c.example).where(
            _items.c.run == self._run, _items.c.round == number
        )
        with self._store.write(self._lease) as connection:
            if connection.execute(opened.limit(1)).first() is None:
                upsert(connection, _items, rows)
                self._aside.taken(connection, examples, number=number)

    def batch(self, number: int, *, status: ItemStatus | None = None) -> list[BatchItem]:
        """List a round's batch in its order, or only the items of one status."""
        query = sa.select(_items).where(_items.c.run == self._run, _items.c.round == number)
        if status is not None:
            query = query.where(_items.c.status == status)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_items.c.rank, _items.c.example))
            return [BatchItem(ExampleId(r.example), r.rank, r.status, r.attempt) for r in rows]

    def last_round(self) -> int:
        """Find the newest round that has a batch; -1 before the first."""
        query = sa.select(sa.func.max(_items.c.round)).where(_items.c.run == self._run)
        with self._store.read() as connection:
            last = connection.execute(query).scalar()
        return -1 if last is None else last

    def touched(self) -> set[ExampleId]:
        """All examples that were ever in a batch, asked about or labelled: not in the pool now."""
        queries = (
            sa.select(_items.c.example).where(_items.c.run == self._run),
            sa.select(schema.labels.c.example).where(schema.labels.c.run == self._run),
            sa.select(schema.questions.c.example).where(schema.questions.c.run == self._run),
        )
        with self._store.read() as connection:
            return set(connection.execute(sa.union(*queries)).scalars())

    def worked_on(self) -> dict[ExampleId, tuple[int, int]]:
        """Tell where in which batch each example last was: (round, rank)."""
        query = sa.select(_items.c.example, _items.c.round, _items.c.rank).where(
            _items.c.run == self._run
        )
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_items.c.round))
            return {ExampleId(row.example): (row.round, row.rank) for row in rows}

    def abandon(self, number: int) -> None:
        """Give the items of a batch that nobody looked at back to the pool."""
        with self._store.write(self._lease) as connection:
            mine = sa.and_(_items.c.run == self._run, _items.c.round == number)
            unseen = sa.and_(mine, _items.c.status == "todo", _items.c.attempt == 0)
            self._aside.wait_again(connection, sa.select(_items.c.example).where(unseen), number)
            connection.execute(sa.delete(_items).where(unseen))
            sent_back = sa.and_(mine, _items.c.status == "todo")
            connection.execute(sa.update(_items).where(sent_back).values(status="dropped"))

    # ------------------------------------------------------------ opinions

    def annotated(self, number: int, annotations: Sequence[Annotation]) -> None:
        """Record opinions on batch items and mark the items as annotated."""
        with self._write() as connection:
            self._insert_annotations(connection, annotations)
            self._move(
                connection, number, {annotation.example: "annotated" for annotation in annotations}
            )

    def unseen(self, number: int, examples: Sequence[ExampleId]) -> None:
        """Hand batch items on that no language model looks at."""
        with self._write() as connection:
            self._move(connection, number, dict.fromkeys(examples, "annotated"))

    def record(self, annotations: Sequence[Annotation]) -> None:
        """Record opinions that belong to no batch (a person's answers, probes)."""
        with self._write() as connection:
            self._insert_annotations(connection, annotations)

    def annotations(
        self, examples: Iterable[ExampleId] | None = None, *, number: int | None = None
    ) -> list[Annotation]:
        """List opinions, oldest round first; of some examples or of one round if asked.

        They are kept like `labels`.
        """
        if self._annotations is None or not self._is_mine:
            table = schema.opinions
            query = sa.select(table.c.body).where(table.c.run == self._run)
            bodies, names = self._select(query)
            found = [annotation_now(from_json(Annotation, body), names) for body in bodies]
            self._annotations = {_key(annotation): annotation for annotation in found}
        wanted = None if examples is None else set(examples)
        listed = [
            annotation
            for annotation in self._annotations.values()
            if (wanted is None or annotation.example in wanted)
            and number in (None, annotation.round)
        ]
        return sorted(
            listed,
            key=lambda annotation: (
                annotation.round,
                annotation.example,
                annotation.who,
                annotation.sample,
            ),
        )

    # ------------------------------------------------------------ verdicts and labels

    def judged(self, number: int, verdicts: Sequence[Verdict], labels: Sequence[Label]) -> None:
        """Record verdicts, the labels that they accept, and where each item goes next."""
        rows = [
            {
                "run": self._run,
                "round": number,
                "example": v.example,
                "attempt": v.attempt,
                "body": to_json(v),
            }
            for v in verdicts
        ]
        statuses: dict[str, ItemStatus] = {
            "accept": "accepted",
            "reannotate": "todo",
            "escalate": "escalated",
            "drop": "dropped",
        }
        with self._write() as connection:
            upsert(connection, schema.verdicts, rows)
            self._put_labels(connection, labels)
            self._move(
                connection,
                number,
                {v.example: statuses[v.action.value] for v in verdicts},
                attempts={v.example: v.attempt + (v.action == "reannotate") for v in verdicts},
            )

    def verdicts(self, number: int | None = None) -> list[Verdict]:
        """List verdicts, oldest first."""
        table = schema.verdicts
        query = sa.select(table.c.body).where(table.c.run == self._run)
        if number is not None:
            query = query.where(table.c.round == number)
        query = query.order_by(table.c.round, table.c.example, table.c.attempt)
        bodies, names = self._select(query)
        return [verdict_now(from_json(Verdict, body), names) for body in bodies]

    def relabel(self, labels: Sequence[Label]) -> None:
        """Put labels in place; a person's label is never replaced by a machine's."""
        with self._write() as connection:
            self._put_labels(connection, labels)

    def put_aside(self, examples: Sequence[ExampleId], *, command: int, who: str) -> None:
        """Take the machines' labels off these, to be annotated anew; people's labels stay.

        The labels are kept beside what stands, with the command that put them aside.
        """
        with self._write() as connection:
            people = self._by_people(connection, examples)
            kept = [example for example in examples if example not in people]
            self._aside.put(connection, kept, command=command, who=who)
        self.reread()

    def aside(self) -> list[ExampleId]:
        """List what waits to be annotated anew, in the order it was put aside."""
        with self._store.read() as connection:
            return self._aside.waiting(connection)

    def reread(self) -> None:
        """Forget what was read: something else is true now, as labels that were renamed."""
        self._labels = self._annotations = None

    def labels(self) -> list[Label]:
        """List what stands, ordered by example id.

        Every step of a round asks. Who holds the lease is the only one who writes labels, so they
        are read from the database once.
        """
        if self._labels is None or not self._is_mine:
            table = schema.labels
            query = sa.select(table.c.body).where(table.c.run == self._run)
            bodies, names = self._select(query)
            found = [label_now(from_json(Label, body), names) for body in bodies]
            self._labels = {label.example: label for label in found}
        return sorted(self._labels.values(), key=lambda label: label.example)

    def counts(self) -> dict[str, int]:
        """Count labels by source."""
        table = schema.labels
        query = (
            sa.select(table.c.source, sa.func.count())
            .where(table.c.run == self._run)
            .group_by(table.c.source)
        )
        with self._store.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def by_answer(self) -> dict[tuple[str, str], int]:
        """Count labels by (answer, source), where an answer is one name; others are left out."""
        table = schema.labels
        name = table.c.body["answer"]["value"].as_string()
        query = (
            sa.select(name, table.c.source, sa.func.count())
            .where(table.c.run == self._run, name.is_not(None))
            .group_by(name, table.c.source)
        )
        with self._store.read() as connection:
            names = names_now(connection, self._run)
            rows = connection.execute(query).all()
        found: dict[tuple[str, str], int] = {}
        for value, source, count in rows:
            key = (names.get(value, value), source)
            found[key] = found.get(key, 0) + count
        return found

    @property
    def _is_mine(self) -> bool:
        """Tell whether nobody else writes meanwhile, so that what was read stays true."""
        return self._lease is not None and self._lease.may_write

    # ------------------------------------------------------------ inside a transaction

    def _insert_annotations(
        self, connection: sa.Connection, annotations: Sequence[Annotation]
    ) -> None:
        rows = [
            {
                "run": self._run,
                "round": a.round,
                "example": a.example,
                "who": a.who,
                "prompt_version": a.prompt_version,
                "sample": a.sample,
                "body": to_json(a),
                "usd": a.usd,
            }
            for a in annotations
        ]
        upsert(connection, schema.opinions, rows, replace=False)
        if self._annotations is not None:
            for row in rows:
                annotation = from_json(Annotation, row["body"])
                self._annotations.setdefault(_key(annotation), annotation)

    def _put_labels(self, connection: sa.Connection, labels: Sequence[Label]) -> None:
        human = self._by_people(connection, [label.example for label in labels])
        rows = [
            {
                "run": self._run,
                "example": label.example,
                "round": label.round,
                "source": label.source,
                "body": to_json(label),
            }
            for label in labels
            if label.source == "human" or label.example not in human
        ]
        upsert(connection, schema.labels, rows)
        if self._labels is not None:
            written = [from_json(Label, row["body"]) for row in rows]
            self._labels |= {label.example: label for label in written}

    def _by_people(self, connection: sa.Connection, examples: Sequence[str]) -> set[str]:
        table = schema.labels
        query = sa.select(table.c.example).where(
            table.c.run == self._run, table.c.source == "human"
        )
        found: set[str] = set()
        for part in in_chunks(examples):
            found.update(connection.execute(query.where(table.c.example.in_(part))).scalars())
        return found

    def _move(
        self,
        connection: sa.Connection,
        number: int,
        statuses: Mapping[ExampleId, ItemStatus],
        *,
        attempts: Mapping[ExampleId, int] | None = None,
    ) -> None:
        if not statuses:
            return
        parameters: list[dict[str, Any]] = [
            {"b_example": example, "b_status": status}
            | ({} if attempts is None else {"b_attempt": attempts[example]})
            for example, status in statuses.items()
        ]
        values: dict[str, Any] = {"status": sa.bindparam("b_status")}
        if attempts is not None:
            values["attempt"] = sa.bindparam("b_attempt")
        statement = (
            sa.update(_items)
            .where(_items.c.run == self._run, _items.c.round == number)
            .where(_items.c.example == sa.bindparam("b_example"))
            .values(values)
        )
        connection.execute(statement, parameters)

    def _select(self, query: sa.Select[Any]) -> tuple[list[Any], Names]:
        """Read bodies, and the names that the labels in them have by now."""
        with self._store.read() as connection:
            return list(connection.execute(query).scalars()), names_now(connection, self._run)

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """Write in one transaction; what is not committed must not be remembered either."""
        try:
            with self._store.write(self._lease) as connection:
                yield connection
        except BaseException:
            self._labels = self._annotations = None
            raise


def _key(annotation: Annotation) -> tuple[object, ...]:
    """The primary key of an opinion."""
    return (
        annotation.round,
        annotation.example,
        annotation.who,
        annotation.prompt_version,
        annotation.sample,
    )
