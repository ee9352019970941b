"""Questions to people: leased so that two never meet, answered once, folded into the run once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Answer, answer_now
from querist.memory.asking.checks import may_answer, may_settle
from querist.memory.asking.question_rows import (
    BY_VALUE,
    check_answer,
    most_valuable,
    overdue,
    question_body,
    question_of,
    question_row,
)
from querist.memory.errors import NotFound, NotOpen
from querist.memory.questions import Option
from querist.memory.records import ExampleId, Purpose, Question
from querist.memory.run.renaming import Names, names_now
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
        rows = [question_row(self._run, question) for question in questions]
        with self._store.write(lease) as connection:
            upsert(connection, _questions, rows, replace=False)

    def claim(
        self,
        who: str,
        *,
        count: int = 1,
        reason: str | None = None,
        but: Sequence[str] = (),
        disputes: bool = False,
    ) -> list[Question]:
        """Lease the most valuable open questions to a person, after their own and overdue ones.

        Only of one group of reasons if asked; none of those that they have on hand (`but`). Nobody
        is asked twice about an example. `disputes` are served apart, since they show two answers,
        and to those who gave one of them, too: who asks for them owns the run.
        """
        now = self._clock()
        theirs = may_settle(who, is_owner=True) if disputes else may_answer(who)
        open_ = sa.and_(self._mine, _questions.c.status == "open", theirs)
        if reason is not None:
            open_ = sa.and_(open_, _questions.c.reason == reason)
        mine = sa.and_(_questions.c.assignee == who, _questions.c.id.not_in(but))
        # Apart, so that an index finds each of them among 100,000 questions.
        lapsed = sa.and_(
            _questions.c.assignee > "", _questions.c.assignee != who, _questions.c.lease_until < now
        )
        with self._store.write() as connection:
            found = most_valuable(connection, sa.and_(open_, mine), count)
            free = most_valuable(connection, sa.and_(open_, _questions.c.assignee == ""), count)
            free += most_valuable(connection, sa.and_(open_, lapsed), count)
            late = overdue(connection, sa.and_(open_, ~mine), count, now=now)
            served = [name for _, name in (*found, *late, *sorted(free))]
            ids = list(dict.fromkeys(served))[:count]
            names, rows = names_now(connection, self._run), list[Any]()
            for part in in_chunks(ids):
                these = sa.update(_questions).where(self._mine, _questions.c.id.in_(part))
                these = these.values(assignee=who, lease_until=now + LEASE)
                rows += connection.execute(these.returning(_questions)).all()
        # They are theirs now, so the long part is done without a lock.
        claimed = {row.id: question_of(row, names) for row in rows}
        return [claimed[name] for name in ids]

    def renew(self, who: str, questions: Sequence[str]) -> set[str]:
        """Keep questions for somebody who has them on hand; give those that are theirs."""
        c, until, now = _questions.c, _questions.c.lease_until, self._clock()
        # None that was handed back: a page that is left may have asked a moment ago to keep it.
        lapsed = sa.and_(c.assignee != "", until < now)
        # One that is good for long is not written anew each time that more is asked for.
        is_due = sa.or_(until.is_(None), until < now + 0.9 * LEASE)
        theirs = sa.and_(may_answer(who), sa.or_(c.assignee == who, lapsed))
        kept: set[str] = set()
        with self._store.write() as connection:
            for part in in_chunks(questions):
                open_ = sa.and_(self._mine, c.id.in_(part), c.status == "open")
                renewed = sa.update(_questions).where(open_, theirs, is_due)
                connection.execute(renewed.values(assignee=who, lease_until=now + LEASE))
                mine = sa.select(c.id).where(open_, c.assignee == who)
                kept.update(connection.execute(mine).scalars())
        return kept

    def answer(self, question: str, answer: Answer, *, who: str, settles: bool = False) -> Question:
        """Answer a question, if it is still open and not leased to somebody else.

        Raises `NotOpen` when it is not, or is about an example that they answered before (an owner
        `settles` disputes about their own answers, too), and `InvalidInput` when the answer does
        not fit the question's schema; the question then stays open.
        """
        found, names = self._find(question)
        answer = answer_now(answer, names)  # it may have been given on an older screen
        check_answer(found, answer)
        now = self._clock()
        done = replace(found, status="answered", answer=answer, answered_by=who)
        theirs = sa.and_(
            _questions.c.assignee != who,
            _questions.c.assignee != "",
            _questions.c.lease_until > now,
        )
        with self._store.write() as connection:
            statement = self._update(question).where(_questions.c.status == "open", ~theirs)
            allowed = sa.or_(may_answer(who), may_settle(who, is_owner=settles))
            values = {"status": "answered", "assignee": who, "body": question_body(done)}
            if connection.execute(statement.where(allowed).values(values)).rowcount != 1:
                words = "was answered or taken by somebody else, or is about your own answer."
                raise NotOpen(f"Question {question} {words}")
        return done

    def has_free(self, who: str, *, disputes: bool = False) -> bool:
        """Tell whether `claim` would find a question for somebody."""
        c = _questions.c
        theirs = may_settle(who, is_owner=True) if disputes else may_answer(who)
        free = sa.or_(c.assignee.in_(("", who)), c.lease_until < self._clock())
        query = sa.select(c.id).where(self._mine, c.status == "open", theirs, free).limit(1)
        with self._store.read() as connection:
            return connection.execute(query).first() is not None

    def held(self, who: str) -> set[str]:
        """Tell which open questions are leased to somebody, also if the lease is over."""
        c = _questions.c
        query = sa.select(c.id).where(self._mine, c.status == "open", c.assignee == who)
        with self._store.read() as connection:
            return set(connection.execute(query).scalars())

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

    def release(self, *questions: str, who: str) -> None:
        """Hand questions back that one has on hand but does not answer."""
        mine = sa.and_(self._mine, _questions.c.assignee == who, _questions.c.status == "open")
        values = {"assignee": "", "lease_until": None}
        with self._store.write() as connection:
            for part in in_chunks(questions):
                these = sa.update(_questions).where(mine, _questions.c.id.in_(part))
                connection.execute(these.values(values))

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
            values = {"status": "open", "body": question_body(found), **free}
            if connection.execute(statement.values(values)).rowcount != 1:
                raise NotOpen(f"Question {question} is in use already and cannot be taken back.")

    def get(self, question: str) -> Question:
        """Find one question."""
        return self._find(question)[0]

    def _find(self, question: str) -> tuple[Question, Names]:
        query = sa.select(_questions).where(self._mine, _questions.c.id == question)
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
            names = names_now(connection, self._run)
        if row is None:
            raise NotFound(f"Run {self._run} has no question {question!r}.")
        return question_of(row, names), names

    def some(self, questions: Sequence[str]) -> dict[str, Question]:
        """Find questions by id, those that there are."""
        found: dict[str, Question] = {}
        for part in in_chunks(questions):
            these = sa.select(_questions).where(self._mine, _questions.c.id.in_(part))
            found |= {question.id: question for question in self._fetch(these)}
        return found

    def all(self, *, status: str | None = None) -> list[Question]:
        """List questions, the most valuable first."""
        query = sa.select(_questions).where(self._mine)
        if status is not None:
            query = query.where(_questions.c.status == status)
        return self._fetch(query.order_by(*BY_VALUE))

    def page(
        self,
        *,
        status: str | None = None,
        reason: str | None = None,
        after: tuple[float, str] | None = None,
        limit: int,
    ) -> list[Question]:
        """List questions, the most valuable first, from behind a (value, id) on."""
        query = sa.select(_questions).where(self._mine)
        if status is not None:
            query = query.where(_questions.c.status == status)
        if reason is not None:
            query = query.where(_questions.c.reason == reason)
        if after is not None:
            value, name = after
            same = sa.and_(_questions.c.value == value, _questions.c.id > name)
            query = query.where(sa.or_(_questions.c.value < value, same))
        return self._fetch(query.order_by(*BY_VALUE).limit(limit))

    def texts(self, *, free_for: str, limit: int) -> list[tuple[str, dict[str, str]]]:
        """List the fields of open questions that nobody else holds, the most valuable first."""
        others = sa.and_(
            _questions.c.assignee != "",
            _questions.c.assignee != free_for,
            _questions.c.lease_until >= self._clock(),
        )
        query = (
            sa.select(_questions.c.id, _questions.c.body["payload"]["fields"])
            .where(self._mine, _questions.c.status == "open", ~others, may_answer(free_for))
            .order_by(*BY_VALUE)
            .limit(limit)
        )
        with self._store.read() as connection:
            return [(row[0], dict(row[1] or {})) for row in connection.execute(query)]

    def first_open(self, most: int, *, who: str | None = None) -> list[Question]:
        """List the most valuable open questions, at most so many; those for a person if asked."""
        query = sa.select(_questions).where(self._mine, _questions.c.status == "open")
        if who is not None:
            query = query.where(may_answer(who))
        return self._fetch(query.order_by(*BY_VALUE).limit(most))

    def not_for(self, who: str) -> int:
        """Count open questions that a person is not asked, since they answered them before."""
        checks = _questions.c.checks.in_(("second", "gold"))
        query = sa.select(sa.func.count()).where(
            self._mine, _questions.c.status == "open", checks, ~may_answer(who)
        )
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    def examples(self, purpose: Purpose, *, number: int | None = None) -> set[ExampleId]:
        """The examples that were asked about for this purpose, in one round if asked.

        Questions that check people's answers copy the purpose of others, and are left out.
        """
        wanted = sa.and_(
            _questions.c.checks == "", _questions.c.body["purpose"].as_string() == purpose
        )
        if number is not None:
            wanted = sa.and_(wanted, _questions.c.round == number)
        query = sa.select(_questions.c.example).where(self._mine, wanted)
        with self._store.read() as connection:
            return {ExampleId(scalar) for scalar in connection.execute(query).scalars()}

    def about(self, example: str) -> list[Question]:
        """List what people were asked about one example."""
        return self._fetch(
            sa.select(_questions)
            .where(self._mine, _questions.c.example == example)
            .order_by(_questions.c.round, _questions.c.id)
        )

    def offer(
        self,
        options: Sequence[Option],
        answer_schema: Mapping[str, object],
        *,
        lease: Lease | None = None,
    ) -> int:
        """Offer other answers to every open question, as after a label was added; count them."""
        with self._store.write(lease) as connection:
            names = names_now(connection, self._run)
            still_open = sa.and_(self._mine, _questions.c.status == "open")
            rows = connection.execute(sa.select(_questions).where(still_open)).all()
            for row in rows:
                found = question_of(row, names)
                payload = replace(found.payload, options=tuple(options))
                body = question_body(
                    replace(found, payload=payload, answer_schema=dict(answer_schema))
                )
                # Whoever answers meanwhile wins: what was answered is read under today's names.
                mine = self._update(row.id).where(_questions.c.status == "open")
                connection.execute(mine.values(body=body))
        return len(rows)

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
        """Count the questions of a round, or all, and those of them that are closed.

        What checks people's answers is left out: no round waits for it.
        """
        closed = sa.case((_questions.c.status != "open", 1), else_=0)
        query = sa.select(sa.func.count(), sa.func.sum(closed)).where(
            self._mine, _questions.c.checks == ""
        )
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

    def by_reason(self) -> dict[str, int]:
        """Count open questions by the group of their reason."""
        open_ = sa.and_(self._mine, _questions.c.status == "open")
        query = sa.select(_questions.c.reason, sa.func.count()).where(open_)
        with self._store.read() as connection:
            rows = connection.execute(query.group_by(_questions.c.reason))
            return {row[0]: row[1] for row in rows}

    def by_person(self) -> dict[str, dict[str, int]]:
        """Count what each person closed, by status."""
        c = _questions.c
        query = sa.select(c.assignee, c.status, sa.func.count()).where(
            self._mine, c.status.in_(("answered", "skipped"))
        )
        found: dict[str, dict[str, int]] = {}
        with self._store.read() as connection:
            for who, status, count in connection.execute(query.group_by(c.assignee, c.status)):
                found.setdefault(who, {})[status] = count
        return found

    def unfit(self) -> int:
        """Count the questions that were put aside because no label fits."""
        wanted = _questions.c.body["is_unfit"].as_boolean()
        skipped = sa.and_(self._mine, _questions.c.status == "skipped")
        query = sa.select(sa.func.count()).where(skipped, wanted)
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return _questions.c.run == self._run

    def _update(self, question: str) -> sa.Update:
        return sa.update(_questions).where(self._mine, _questions.c.id == question)

    def _fetch(self, query: sa.Select[Any]) -> list[Question]:
        with self._store.read() as connection:
            names = names_now(connection, self._run)
            return [question_of(row, names) for row in connection.execute(query)]
