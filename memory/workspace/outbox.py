"""Messages to the outside that must not get lost: written with what they tell, sent later.

A message is a row that is written in the transaction of the event it tells of, and tried until it
is taken or its tries are used up: at least once, never silently not at all. The token is the same
in every try, so a receiver can tell a repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.store import Store, database_time, upsert

_outbox = schema.outbox
_TRIES = 8
_FIRST = timedelta(seconds=2)
_UNDER_WAY = timedelta(seconds=60)
"""How long a message that is being sent is left alone by others."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told, and of which job."""

    token: str
    """Equal tokens are one message."""
    job: str
    body: Mapping[str, object]
    attempts: int = 0
    status: str = "due"
    """due, sent or given up."""
    trouble: str = ""


def put_out(connection: sa.Connection, message: Message, *, now: datetime) -> None:
    """Keep a message, in a transaction; one that is known already is not repeated."""
    row = {
        "token": message.token,
        "job": message.job,
        "body": dict(message.body),
        "status": "due",
        "attempts": 0,
        "due": now,
        "trouble": "",
        "at": now,
    }
    upsert(connection, _outbox, [row], replace=False)


class Outbox:
    """The messages of a workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, message: Message) -> None:
        """Keep a message; one that is known already is not repeated."""
        with self._store.write() as connection:
            put_out(connection, message, now=database_time(connection))

    def take(self) -> Message | None:
        """Take the message that is due longest; nobody else gets it for a minute."""
        with self._store.write() as connection:
            now = database_time(connection)
            query = (
                sa.select(_outbox)
                .where(_outbox.c.status == "due", _outbox.c.due <= now)
                .order_by(_outbox.c.due)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            row = connection.execute(query).first()
            if row is None:
                return None
            statement = sa.update(_outbox).where(_outbox.c.token == row.token)
            connection.execute(statement.values(due=now + _UNDER_WAY, attempts=row.attempts + 1))
        return _message(row)

    def sent(self, message: Message) -> None:
        """Note that it was taken."""
        self._update(message, {"status": "sent", "trouble": ""})

    def failed(self, message: Message, trouble: str, *, is_final: bool = False) -> None:
        """Note why it was not taken; it is tried again later, twice as late each time.

        After eight tries, or when trying again cannot help, it is given up.
        """
        tries = message.attempts + 1
        if is_final or tries >= _TRIES:
            self._update(message, {"status": "given up", "trouble": trouble})
            return
        due = self._store.now() + _FIRST * 2 ** (tries - 1)
        self._update(message, {"due": due, "trouble": trouble})

    def of(self, job: str) -> list[Message]:
        """List the messages about a job, oldest first."""
        query = sa.select(_outbox).where(_outbox.c.job == job).order_by(_outbox.c.at)
        with self._store.read() as connection:
            return [_message(row) for row in connection.execute(query)]

    def _update(self, message: Message, values: Mapping[str, object]) -> None:
        with self._store.write() as connection:
            statement = sa.update(_outbox).where(_outbox.c.token == message.token)
            connection.execute(statement.values(dict(values)))


def _message(row: Any) -> Message:
    return Message(row.token, row.job, row.body, row.attempts, row.status, row.trouble)
