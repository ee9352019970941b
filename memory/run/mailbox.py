"""What people want of a running loop: commands that it picks up between chunks, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.errors import InvalidInput
from querist.memory.records import Command, utc_now
from querist.memory.store import Lease, Store

_COMMANDS = (
    "pause", "stop", "proceed", "budget", "set", "strategy", "guideline", "relabel", "ask",
    "correct", "label_add", "label_rename", "label_merge",
)  # fmt: skip
_commands = schema.commands


class Mailbox:
    """The commands to one run."""

    def __init__(self, store: Store, run: str) -> None:
        """Anybody may post; only the run's driver closes."""
        self._store = store
        self._run = run

    def post(
        self, name: str, *, who: str, token: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Post a command; the same token twice is one command."""
        if name not in _COMMANDS:
            raise InvalidInput(f"There is no command {name!r}; there are: {', '.join(_COMMANDS)}.")
        row = {
            "run": self._run,
            "name": name,
            "arguments": dict(arguments or {}),
            "who": who,
            "token": token,
            "status": "queued",
            "result": "",
            "at": utc_now(),
        }
        known = sa.select(_commands.c.id).where(
            _commands.c.run == self._run, _commands.c.token == token
        )
        with self._store.write() as connection:
            if connection.execute(known).first() is None:
                connection.execute(sa.insert(_commands), [row])

    def stop_command(self) -> Command | None:
        """Find a person's wish to stop that waits to be taken."""
        return next((command for command in self.queued() if command.name == "stop"), None)

    def queued(self) -> list[Command]:
        """List what is still to be done, oldest first."""
        return self._fetch(_commands.c.status == "queued")

    def find(self, token: str) -> Command | None:
        """Find the command that was posted with a token."""
        return next(iter(self._fetch(_commands.c.token == token)), None)

    def all(self) -> list[Command]:
        """List every command, oldest first."""
        return self._fetch(sa.true())

    def close(
        self, command: Command, *, status: str, result: str, lease: Lease | None = None
    ) -> None:
        """Say what became of a command."""
        with self._store.write(lease) as connection:
            statement = sa.update(_commands).where(_commands.c.id == command.id)
            connection.execute(statement.values(status=status, result=result))

    def _fetch(self, condition: sa.ColumnElement[bool]) -> list[Command]:
        query = sa.select(_commands).where(_commands.c.run == self._run, condition)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_commands.c.id))
            return [Command(r.id, r.name, r.arguments, r.who, r.status, r.result) for r in rows]
