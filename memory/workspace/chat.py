"""What was said in the chat of a run, and what became of the commands that were proposed in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import from_json, to_json
from querist.memory.errors import InvalidInput
from querist.memory.records import utc_now
from querist.memory.store import Store

_chat = schema.chat
Role = Literal["person", "supervisor", "tool"]
State = Literal["", "open", "approved", "edited", "rejected"]


@dataclass(frozen=True, slots=True)
class Cite:
    """What an answer was read from, to be linked to."""

    kind: Literal["example", "round", "decision", "question", "run", "spend", "job", "lesson"]
    id: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that say more than a sentence."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A command that waits for a person's word; nothing happens before that."""

    command: str
    arguments: Mapping[str, Any]
    words: str
    """What it will do."""
    to: Literal["run", "job", "driver"] = "run"
    """Who carries it out: the loop, the queue of jobs, or whoever starts runs."""
    by: str = ""
    """Who decided."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something that was said. Its text may be a model's or a pool's: show it as text only."""

    id: int
    run: str
    who: str
    role: Role
    text: str
    at: datetime
    citations: tuple[Cite, ...] = ()
    table: Table | None = None
    proposal: Proposal | None = None
    state: State = ""
    """Of the proposal."""


class Chat:
    """The messages of one run; append-only, but for the state of what is proposed."""

    def __init__(self, store: Store, run: str) -> None:
        """Anybody who may speak writes."""
        self._store = store
        self._run = run

    def add(
        self,
        who: str,
        text: str,
        *,
        role: Role,
        citations: Sequence[Cite] = (),
        table: Table | None = None,
        proposal: Proposal | None = None,
    ) -> Message:
        """Keep a message; one with a proposal is open until somebody decides."""
        row = {
            "run": self._run,
            "who": who,
            "role": role,
            "text": text,
            "citations": [to_json(cite) for cite in citations],
            "rows": None if table is None else to_json(table),
            "proposal": None if proposal is None else to_json(proposal),
            "state": "" if proposal is None else "open",
            "at": utc_now(),
        }
        with self._store.write() as connection:
            result = connection.execute(sa.insert(_chat).returning(_chat.c.id), [row])
            return self._get(connection, result.scalar_one())

    def get(self, message: int) -> Message:
        """Find a message; raises `InvalidInput`."""
        with self._store.read() as connection:
            return self._get(connection, message)

    def all(self, *, after: int = 0, most: int | None = None) -> list[Message]:
        """List messages with a higher id than `after`, oldest first; the last `most` if asked."""
        query = sa.select(_chat).where(self._mine, _chat.c.id > after)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_chat.c.id.desc()).limit(most))
            return [_message(row) for row in rows][::-1]

    def settle(self, message: int, state: State, proposal: Proposal) -> bool:
        """Decide on an open proposal, as it is given now; False where it was decided before."""
        statement = sa.update(_chat).where(
            self._mine, _chat.c.id == message, _chat.c.state == "open"
        )
        values = {"state": state, "proposal": to_json(proposal)}
        with self._store.write() as connection:
            return connection.execute(statement.values(values)).rowcount == 1

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return _chat.c.run == self._run

    def _get(self, connection: sa.Connection, message: int) -> Message:
        query = sa.select(_chat).where(self._mine, _chat.c.id == message)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise InvalidInput(f"There is no message {message} in the chat of {self._run}.")
        return _message(row)


def _message(row: Any) -> Message:
    found = Message(row.id, row.run, row.who, row.role, row.text, row.at, state=row.state)
    return replace(
        found,
        citations=tuple(from_json(Cite, cite) for cite in row.citations),
        table=None if row.rows is None else from_json(Table, row.rows),
        proposal=None if row.proposal is None else from_json(Proposal, row.proposal),
    )
