"""The account of a run: events as they happen, decisions with their reasons, rounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.codec import from_json, to_json
from querist.memory.events import EventBody, body_to_json
from querist.memory.records import Decision, Event, Round, utc_now
from querist.memory.store import Lease, Store, upsert

Body = TypeVar("Body", bound=EventBody)
_events, _decisions, _rounds = schema.events, schema.decisions, schema.rounds


class Journal:
    """The events, decisions and rounds of one run. Append-only."""

    def __init__(self, store: Store, run: str, *, lease: Lease | None = None) -> None:
        """Write only with a lease."""
        self._store = store
        self._run = run
        self._lease = lease

    def event(self, body: EventBody) -> Event:
        """Note that something happened."""
        at, data = utc_now(), body_to_json(body)
        row = {"run": self._run, "kind": body.kind, "data": data, "at": at}
        with self._store.write(self._lease) as connection:
            result = connection.execute(sa.insert(_events).returning(_events.c.id), [row])
            return Event(result.scalar_one(), body.kind, data, at)

    def events(self, *, after: int = 0, kind: str | None = None) -> list[Event]:
        """List events with a higher id than `after`, oldest first; only of one kind if asked."""
        query = sa.select(_events).where(_events.c.run == self._run, _events.c.id > after)
        if kind is not None:
            query = query.where(_events.c.kind == kind)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_events.c.id))
            return [Event(row.id, row.kind, row.data, row.at) for row in rows]

    def page(self, *, after: int = 0, limit: int) -> list[Event]:
        """List the first `limit` events with a higher id than `after`."""
        query = sa.select(_events).where(_events.c.run == self._run, _events.c.id > after)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_events.c.id).limit(limit))
            return [Event(row.id, row.kind, row.data, row.at) for row in rows]

    def newest(self, *, but: Collection[str] = ()) -> Event | None:
        """Find the newest event that is of none of the kinds `but`."""
        query = sa.select(_events).where(_events.c.run == self._run, _events.c.kind.not_in(but))
        with self._store.read() as connection:
            row = connection.execute(query.order_by(_events.c.id.desc()).limit(1)).first()
            return None if row is None else Event(row.id, row.kind, row.data, row.at)

    def bodies(self, of: type[Body]) -> list[Body]:
        """List what the events of one type told, oldest first."""
        bodies = (event.body for event in self.events(kind=of.kind))
        return [body for body in bodies if isinstance(body, of)]

    def decided(self, decision: Decision) -> None:
        """Write a decision down; a step that is repeated after a crash keeps the turn's first."""
        row = {
            "run": self._run,
            "round": decision.round,
            "agent": decision.agent,
            "step": _step(decision.turn, decision.step),
            "body": to_json(decision),
            "at": utc_now(),
        }
        with self._store.write(self._lease) as connection:
            upsert(connection, _decisions, [row], replace=False)

    def decision(self, *, turn: int, agent: str, step: str) -> Decision | None:
        """Find what an agent decided in a step of a turn, if it did."""
        query = sa.select(_decisions.c.body).where(
            _decisions.c.run == self._run,
            _decisions.c.agent == agent,
            _decisions.c.step == _step(turn, step),
        )
        with self._store.read() as connection:
            body = connection.execute(query).scalar()
        return None if body is None else _decision(body)

    def last_turn(self) -> int:
        """Find the newest turn that anything was decided in; 0 before the first."""
        # Of the keys alone: a long job has tens of thousands of decisions with their evidence.
        query = sa.select(_decisions.c.step).where(_decisions.c.run == self._run)
        with self._store.read() as connection:
            steps = connection.execute(query).scalars()
            return max((_turn(step) for step in steps), default=0)

    def decisions(self, *, number: int | None = None, agent: str | None = None) -> list[Decision]:
        """List decisions, oldest first."""
        query = sa.select(_decisions.c.body).where(_decisions.c.run == self._run)
        if number is not None:
            query = query.where(_decisions.c.round == number)
        if agent is not None:
            query = query.where(_decisions.c.agent == agent)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_decisions.c.round, _decisions.c.at))
            return [_decision(body) for body in rows.scalars()]

    def decided_before(self, number: int | None, *, rounds: int) -> list[Decision]:
        """List the decisions of the last `rounds` rounds before one, or of all, oldest first."""
        mine = _decisions.c.run == self._run
        if number is not None:
            mine = sa.and_(mine, _decisions.c.round < number)
        newest = sa.select(_decisions.c.round).where(mine).distinct()
        newest = newest.order_by(_decisions.c.round.desc()).limit(rounds)
        with self._store.read() as connection:
            numbers = list(connection.execute(newest).scalars())
            these = sa.and_(mine, _decisions.c.round.in_(numbers))
            query = sa.select(_decisions.c.body).where(these)
            rows = connection.execute(query.order_by(_decisions.c.round, _decisions.c.at))
            return [_decision(body) for body in rows.scalars()]

    def round_done(self, done: Round) -> None:
        """Write down what a round achieved."""
        row = {"run": self._run, "number": done.number, "body": to_json(done), "at": utc_now()}
        with self._store.write(self._lease) as connection:
            upsert(connection, _rounds, [row])

    def rounds(self) -> list[Round]:
        """List the rounds in order."""
        query = sa.select(_rounds.c.body).where(_rounds.c.run == self._run)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(_rounds.c.number))
            return [from_json(Round, body) for body in rows.scalars()]


def _decision(body: Mapping[str, Any]) -> Decision:
    # The first version kept no more of a tool's call than its name.
    calls = [
        {"name": call} if isinstance(call, str) else call for call in body.get("tool_calls", ())
    ]
    return from_json(Decision, {**body, "tool_calls": calls})


def _turn(key: str) -> int:
    """Read the turn that `_step` put before a step."""
    turn, slash, _ = key.partition("/")
    return int(turn) if slash and turn.isdigit() else 0


def _step(turn: int, step: str) -> str:
    """Make turns part of the key under which a decision is kept."""
    return f"{turn}/{step}" if turn else step
