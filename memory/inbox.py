"""Questions to people: leased so that two never meet, answered once, folded into the run once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Answer, name_of
from querist.memory.codec import from_json, to_json
from querist.memory.errors import InvalidInput, NotOpen
from querist.memory.records import ExampleId, Purpose, Question
from querist.memory.store import Lease, Store, in_chunks, upsert

LEASE = timedelta(minutes=10)
_questions = schema.questions


class Inbox:
    """The questions of one run."""

    def __init__(
        self, store: Store, run: str, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        """`clock` (the database's) is for tests."""
        self._store = store
        self._run = run
        self._clock = clock or store.now

    def ask(self, questions: Sequence[Question], *, lease: Lease | None = None) -> None:
        """Put questions into the inbox; one that is there already stays as it is."""
        rows = [
            {
                "run": self._run,
                "id": q.id,
                "example": q.example,
                "round": q.round,
                "value": q.value,
                "status": q.status,
                "assignee": "",
                "lease_until": None,
                "folded": False,
                "body": _to_body(q),
            }
            for q in questions
        ]
        with self._store.write(lease) as connection:
            upsert(connection, _questions, rows, replace=False)

    def claim(self, who: str, *, count: int = 1) -> list[Question]:
        """Lease the most valuable open questions to a person, their own leased ones first."""
        now = self._clock()
        free = sa.or_(_questions.c.lease_until.is_(None), _questions.c.lease_until < now)
        mine = _questions.c.assignee == who
        with self._store.write() as connection:
            query = (
                sa.select(_questions)
                .where(self._mine, _questions.c.status == "open", sa.or_(free, mine))
                .order_by(sa.case((mine, 0), else_=1), _questions.c.value.desc(), _questions.c.id)
                .limit(count)
                .with_for_update(skip_locked=True)
            )
            rows = connection.execute(query).all()
            values = {"assignee": who, "lease_until": now + LEASE}
            for row in rows:
                connection.execute(self._update(row.id).values(values))
        return [replace(_question(r), assignee=who, lease_until=now + LEASE) for r in rows]

    def answer(self, question: str, answer: Answer, *, who: str) -> Question:
        """Answer a question, if it is still open and not leased to somebody else.

        Raises `NotOpen` when it is not, and `InvalidInput` when the answer does not fit the
        question's schema; the question then stays open.
        """
        found = self.get(question)
        _check_answer(found, answer)
        now = self._clock()
        done = replace(found, status="answered", answer=answer, answered_by=who)
        theirs = sa.and_(
            _questions.c.assignee != who,
            _questions.c.assignee != "",
            _questions.c.lease_until > now,
        )
        with self._store.write() as connection:
            statement = self._update(question).where(_questions.c.status == "open", ~theirs)
            values = {"status": "answered", "assignee": who, "body": _to_body(done)}
            if connection.execute(statement.values(values)).rowcount != 1:
                raise NotOpen(f"Question {question} was answered or taken by somebody else.")
        return done

    def holders(self) -> dict[str, tuple[int, datetime]]:
        """Tell who has open questions on the screen now, how many, and until when at the latest."""
        held = sa.and_(
            self._mine,
            _questions.c.status == "open",
            _questions.c.assignee != "",
            _questions.c.lease_until >= self._clock(),
        )
        query = sa.select(
            _questions.c.assignee, sa.func.count(), sa.func.max(_questions.c.lease_until)
        ).where(held)
        with self._store.read() as connection:
            rows = connection.execute(query.group_by(_questions.c.assignee)).all()
        return {who: (count, until) for who, count, until in rows}

    def release(self, question: str, *, who: str) -> None:
        """Hand a question back that one has on the screen but does not answer."""
        with self._store.write() as connection:
            mine = sa.and_(_questions.c.assignee == who, _questions.c.status == "open")
            values = {"assignee": "", "lease_until": None}
            connection.execute(self._update(question).where(mine).values(values))

    def skip(self, question: str, *, who: str) -> None:
        """Put a question aside for good: it will not be asked again, and costs nothing."""
        with self._store.write() as connection:
            statement = self._update(question).where(_questions.c.status == "open")
            if connection.execute(statement.values(status="skipped", assignee=who)).rowcount != 1:
                raise NotOpen(f"Question {question} is not open any more.")

    def reopen(self, question: str, *, who: str) -> None:
        """Take one's own answer or skip back, unless the loop has used it already (`NotOpen`)."""
        mine = sa.and_(_questions.c.assignee == who, _questions.c.folded.is_(False))
        found = replace(self.get(question), status="open", answer=None, answered_by="")
        with self._store.write() as connection:
            statement = self._update(question).where(mine, _questions.c.status != "open")
            free = {"assignee": "", "lease_until": None}
            values = {"status": "open", "body": _to_body(found), **free}
            if connection.execute(statement.values(values)).rowcount != 1:
                raise NotOpen(f"Question {question} is in use already and cannot be taken back.")

    def get(self, question: str) -> Question:
        """Find one question."""
        query = sa.select(_questions).where(self._mine, _questions.c.id == question)
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise InvalidInput(f"Run {self._run} has no question {question!r}.")
        return _question(row)

    def all(self, *, status: str | None = None) -> list[Question]:
        """List questions, the most valuable first."""
        query = sa.select(_questions).where(self._mine)
        if status is not None:
            query = query.where(_questions.c.status == status)
        return self._fetch(query.order_by(_questions.c.value.desc(), _questions.c.id))

    def examples(self, purpose: Purpose, *, number: int | None = None) -> set[ExampleId]:
        """The examples that were asked about for this purpose, in one round if asked."""
        wanted = _questions.c.body["purpose"].as_string() == purpose
        if number is not None:
            wanted = sa.and_(wanted, _questions.c.round == number)
        query = sa.select(_questions.c.example).where(self._mine, wanted)
        with self._store.read() as connection:
            return {ExampleId(scalar) for scalar in connection.execute(query).scalars()}

    def known(self, questions: Sequence[str]) -> set[str]:
        """Tell which of these questions were asked already."""
        found: set[str] = set()
        with self._store.read() as connection:
            for part in in_chunks(questions):
                query = sa.select(_questions.c.id).where(self._mine, _questions.c.id.in_(part))
                found.update(connection.execute(query).scalars())
        return found

    def unfolded(self) -> list[Question]:
        """List closed questions that the loop has not taken notice of yet."""
        closed = sa.and_(_questions.c.status != "open", _questions.c.folded.is_(False))
        return self._fetch(sa.select(_questions).where(self._mine, closed).order_by("id"))

    def folded(self, questions: Sequence[str], *, lease: Lease | None = None) -> None:
        """Note that the loop took these in."""
        with self._store.write(lease) as connection:
            for part in in_chunks(questions):
                mine = sa.and_(self._mine, _questions.c.id.in_(part))
                connection.execute(sa.update(_questions).where(mine).values(folded=True))

    def progress(self, number: int | None = None) -> tuple[int, int]:
        """Count the questions of a round, or all, and those of them that are closed."""
        closed = sa.case((_questions.c.status != "open", 1), else_=0)
        query = sa.select(sa.func.count(), sa.func.sum(closed)).where(self._mine)
        if number is not None:
            query = query.where(_questions.c.round == number)
        with self._store.read() as connection:
            asked, done = connection.execute(query).one()
        return asked, done or 0

    def counts(self) -> dict[str, int]:
        """Count questions by status."""
        query = sa.select(_questions.c.status, sa.func.count()).where(self._mine)
        with self._store.read() as connection:
            rows = connection.execute(query.group_by(_questions.c.status))
            return {row[0]: row[1] for row in rows}

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return _questions.c.run == self._run

    def _update(self, question: str) -> sa.Update:
        return sa.update(_questions).where(self._mine, _questions.c.id == question)

    def _fetch(self, query: sa.Select[Any]) -> list[Question]:
        with self._store.read() as connection:
            return [_question(row) for row in connection.execute(query)]


def _check_answer(question: Question, answer: Answer) -> None:
    """Raise `InvalidInput` when an answer does not fit the question's schema."""
    schema_ = question.answer_schema
    if answer.kind != schema_.get("kind", answer.kind):
        raise InvalidInput(f"Question {question.id} wants a {schema_['kind']}, not {answer.kind}.")
    allowed = schema_.get("enum")
    if isinstance(allowed, list) and name_of(answer) not in allowed:
        more = f" and {len(allowed) - 12} more" if len(allowed) > 12 else ""
        names = ", ".join(map(str, allowed[:12]))
        raise InvalidInput(f"{name_of(answer)!r} is not one of the labels: {names}{more}.")


def _to_body(question: Question) -> dict[str, Any]:
    body: dict[str, Any] = to_json(question)
    # The stored name is older than that of the field.
    body["payload"]["labels"] = body["payload"].pop("options")
    return body


def _question(row: Any) -> Question:
    payload = {**row.body["payload"], "options": row.body["payload"].get("labels", ())}
    question = from_json(Question, {**row.body, "payload": payload})
    return replace(question, status=row.status, assignee=row.assignee, lease_until=row.lease_until)
