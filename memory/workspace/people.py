"""Who may use the pages of a workspace: people with a role, by an invitation that can be revoked.

Neither an invitation nor a session is kept: only their SHA-256 is, so that who reads the database
cannot come in by it. Both are 256 random bits, which nobody guesses, so that a slow hash gains
nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.errors import InvalidInput, NotFound
from querist.memory.store import Store

Role = Literal["viewer", "annotator", "owner"]
_ROLES: tuple[Role, ...] = ("viewer", "annotator", "owner")
"""Each may what those before it may."""
SESSION = timedelta(days=30)
_LONGEST = 80
_people, _sessions = schema.people, schema.sessions


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may use the pages."""

    name: str
    role: Role
    at: datetime | None = None
    revoked: bool = False

    def may(self, role: Role) -> bool:
        """Tell whether what needs `role` is theirs to do."""
        return _ROLES.index(self.role) >= _ROLES.index(role)


class People:
    """Those who were invited, and who of them is logged in."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` (the database's) is for tests."""
        self._store = store
        self._clock = clock or store.now

    def invite(self, name: str, role: Role) -> str:
        """Let somebody in, and give the secret of their link; a new one ends the old.

        Raises `InvalidInput` for a name that is empty or too long, and for an unknown role.
        """
        name = " ".join(name.split())
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise InvalidInput(f"A name has 1 to {_LONGEST} characters that can be seen.")
        if role not in _ROLES:
            raise InvalidInput(f"There is no role {role!r}; there are: {', '.join(_ROLES)}.")
        secret = secrets.token_urlsafe(32)
        values = {"role": role, "invite": _digest(secret), "revoked": False, "at": self._clock()}
        with self._store.write() as connection:
            self._end_sessions(connection, name)
            statement = sa.update(_people).where(_people.c.name == name).values(values)
            if not connection.execute(statement).rowcount:
                connection.execute(sa.insert(_people), [{"name": name, **values}])
        return secret

    def revoke(self, name: str) -> None:
        """Shut somebody out at once, link and sessions; raises `NotFound` if there is none."""
        with self._store.write() as connection:
            values = {"revoked": True, "invite": ""}
            statement = sa.update(_people).where(_people.c.name == name).values(values)
            if not connection.execute(statement).rowcount:
                raise NotFound(f"Nobody is called {name!r} here.")
            self._end_sessions(connection, name)

    def all(self) -> list[Person]:
        """List everybody who was ever invited, by name."""
        with self._store.read() as connection:
            rows = connection.execute(sa.select(_people).order_by(_people.c.name))
            return [Person(row.name, row.role, row.at, row.revoked) for row in rows]

    def keep(self, name: str, role: Role) -> None:
        """Note somebody who needs no invitation, such as who started the server."""
        values = {"role": role, "revoked": False, "at": self._clock()}
        with self._store.write() as connection:
            statement = sa.update(_people).where(_people.c.name == name).values(values)
            if not connection.execute(statement).rowcount:
                connection.execute(sa.insert(_people), [{"name": name, "invite": "", **values}])

    def invited(self, secret: str) -> Person | None:
        """Tell who an invitation is for; None if it is unknown or was revoked."""
        query = sa.select(_people).where(
            _people.c.invite == _digest(secret), _people.c.revoked.is_(False)
        )
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Person(row.name, row.role, row.at)

    def log_in(self, name: str) -> str:
        """Start a session and give its secret: always a new one, never one that was handed in."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        row = {"id": _digest(secret), "person": name, "at": now, "until": now + SESSION}
        with self._store.write() as connection:
            connection.execute(sa.delete(_sessions).where(_sessions.c.until < now))
            connection.execute(sa.insert(_sessions), [row])
        return secret

    def log_out(self, secret: str) -> None:
        """End a session."""
        with self._store.write() as connection:
            connection.execute(sa.delete(_sessions).where(_sessions.c.id == _digest(secret)))

    def session(self, secret: str) -> Person | None:
        """Tell whose session it is; None if it ran out, or its person was revoked."""
        query = (
            sa.select(_people)
            .join(_sessions, _sessions.c.person == _people.c.name)
            .where(
                _sessions.c.id == _digest(secret),
                _sessions.c.until > self._clock(),
                _people.c.revoked.is_(False),
            )
        )
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Person(row.name, row.role, row.at)

    def _end_sessions(self, connection: sa.Connection, name: str) -> None:
        connection.execute(sa.delete(_sessions).where(_sessions.c.person == name))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
