"""Examples of a run with what stands for them, a page at a time: 100,000 are never read at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import from_json
from querist.memory.records import ExampleId, Label
from querist.memory.run.renaming import Names, label_now, names_now
from querist.memory.store import Store

_examples, _labels, _opinions = schema.examples, schema.labels, schema.opinions
Standing = Literal["", "labelled", "unlabelled", "asked", "disputed"]
"""Which examples: all, with or without a label, with an open question, with opinions that differ.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which examples are looked for; what is empty does not matter."""

    text: str = ""
    """Is a part of one of the fields, whatever the case of its letters."""
    labels: Sequence[str] = ()
    """The label is one of these."""
    source: str = ""
    round: int | None = None
    """The round whose label stands."""
    standing: Standing = ""
    most_sure: float = 1.0
    """The label is right with at most this chance, as the verifier thinks."""
    is_blind: bool = False
    """Leave out what people are asked about again, wherever being found tells of the label."""

    @property
    def tells(self) -> bool:
        """Whether being found tells of the label."""
        is_about_it = self.labels or self.source or self.standing == "disputed"
        return bool(is_about_it) or self.most_sure < 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """An example in a list."""

    position: int
    example: ExampleId
    fields: Mapping[str, str]
    origin: str
    label: Label | None
    asked: bool
    """It has an open question."""


class Browse:
    """The pool of one run and what was written for it; held-out texts are not among them."""

    def __init__(self, store: Store, run: str, *, dataset: str) -> None:
        """Reading needs no lease."""
        self._store = store
        self._run = run
        self._dataset = dataset

    def page(
        self,
        wanted: Wanted,
        fields: Sequence[str],
        *,
        limit: int,
        after: int = -1,
        skip: int = 0,
    ) -> list[Seen]:
        """List `limit` examples in the order of the file: behind position `after`, less `skip`."""
        names = self._names
        query = (
            self._joined(
                _examples.c.position,
                _examples.c.id,
                _examples.c.fields,
                _examples.c.origin,
                _labels.c.body,
            )
            .where(*self._conditions(wanted, fields, names), _examples.c.position > after)
            .order_by(_examples.c.position)
            .limit(limit)
            .offset(skip)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
            asked = self._asked(connection, [row.id for row in rows])
        return [_seen(row, names, asked) for row in rows]

    def count(self, wanted: Wanted, fields: Sequence[str]) -> int:
        """Count what `page` lists in all."""
        query = self._joined(sa.func.count()).where(*self._conditions(wanted, fields, self._names))
        with self._store.read() as connection:
            return int(connection.execute(query).scalar_one())

    def get(self, examples: Sequence[ExampleId]) -> list[Seen]:
        """List some examples, in the order in which they are named."""
        names = self._names
        query = self._joined(
            _examples.c.position,
            _examples.c.id,
            _examples.c.fields,
            _examples.c.origin,
            _labels.c.body,
        ).where(*self._mine, _examples.c.id.in_(examples))
        with self._store.read() as connection:
            asked = self._asked(connection, examples)
            found = {row.id: _seen(row, names, asked) for row in connection.execute(query)}
        return [found[example] for example in examples if example in found]

    def texts(self, *, limit: int) -> list[tuple[str, dict[str, str]]]:
        """List (id, fields) of the first `limit` examples."""
        query = (
            sa.select(_examples.c.id, _examples.c.fields)
            .where(*self._mine)
            .order_by(_examples.c.position)
            .limit(limit)
        )
        with self._store.read() as connection:
            return [(row.id, row.fields) for row in connection.execute(query)]

    # ------------------------------------------------------------ queries

    @property
    def _mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            _examples.c.dataset == self._dataset,
            _examples.c.split == "pool",
            _examples.c.run.in_(("", self._run)),
        )

    @property
    def _open(self) -> sa.Select[Any]:
        # Never correlated with an example: SQLite would read all open questions for each of them.
        table = schema.questions
        return sa.select(table.c.example).where(table.c.run == self._run, table.c.status == "open")

    def _asked(self, connection: sa.Connection, examples: Sequence[str]) -> set[str]:
        query = self._open.where(schema.questions.c.example.in_(examples))
        return set(connection.execute(query).scalars())

    @property
    def _names(self) -> Names:
        with self._store.read() as connection:
            return names_now(connection, self._run)

    def _is_disputed(self, names: Names) -> sa.ColumnElement[bool]:
        said: sa.ColumnElement[Any] = _opinions.c.body["answer"]["value"].as_string()
        # Two names of which one was merged into the other are one opinion.
        cases = [(said == old, now) for old, now in names.items()]
        answer: sa.ColumnElement[Any] = sa.case(*cases, else_=said) if cases else said
        disputed = (
            sa.select(_opinions.c.example)
            .where(_opinions.c.run == self._run, answer.is_not(None))
            .group_by(_opinions.c.example)
            .having(sa.func.min(answer) != sa.func.max(answer))
        )
        return _examples.c.id.in_(disputed)

    def _joined(self, *columns: Any) -> sa.Select[Any]:
        mine = sa.and_(_labels.c.run == self._run, _labels.c.example == _examples.c.id)
        return sa.select(*columns).select_from(_examples.outerjoin(_labels, mine))

    def _conditions(
        self, wanted: Wanted, fields: Sequence[str], names: Names
    ) -> list[sa.ColumnElement[bool]]:
        found = list(self._mine)
        if wanted.text:
            parts = [
                _examples.c.fields[name].as_string().icontains(wanted.text, autoescape=True)
                for name in fields
            ]
            found.append(sa.or_(*parts))
        if wanted.labels:
            earlier = [old for old, now in names.items() if now in wanted.labels]
            meant = [*wanted.labels, *earlier]
            found.append(_labels.c.body["answer"]["value"].as_string().in_(meant))
        if wanted.source:
            found.append(_labels.c.source == wanted.source)
        if wanted.round is not None:
            found.append(_labels.c.round == wanted.round)
        if wanted.most_sure < 1.0:
            found.append(_labels.c.body["p_correct"].as_float() <= wanted.most_sure)
        if wanted.is_blind and wanted.tells:
            checked = self._open.where(schema.questions.c.checks != "")
            found.append(_examples.c.id.not_in(checked))
        return found + self._of_standing(wanted.standing, names)

    def _of_standing(self, standing: Standing, names: Names) -> list[sa.ColumnElement[bool]]:
        match standing:
            case "labelled":
                return [_labels.c.example.is_not(None)]
            case "unlabelled":
                return [_labels.c.example.is_(None)]
            case "asked":
                return [_examples.c.id.in_(self._open)]
            case "disputed":
                return [self._is_disputed(names)]
        return []


def _seen(row: Any, names: Names, asked: Collection[str]) -> Seen:
    return Seen(
        position=row.position,
        example=ExampleId(row.id),
        fields=row.fields,
        origin=row.origin,
        label=None if row.body is None else label_now(from_json(Label, row.body), names),
        asked=row.id in asked,
    )
