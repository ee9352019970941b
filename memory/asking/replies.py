"""What people send from a page: many at a time, some of it twice, kept once.

Whoever sends names each reply; one that comes again, because its answer was lost on the way, is
answered as it was the first time. A batch is one transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Answer, answer_now, name_of
from querist.memory.asking.inbox import LEASE
from querist.memory.asking.question_rows import check_answer, question_body, question_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Question
from querist.memory.run.renaming import Names, names_now
from querist.memory.store import Store, in_chunks, upsert

Deed = Literal["answer", "skip", "unfit", "undo"]
"""Answering; putting aside; putting aside because no label fits; taking one of these back."""
Outcome = Literal["accepted", "taken", "invalid", "gone"]
"""Taken: by somebody else, or by the loop. Gone: there is no such question."""

_LONGEST = 120_000
"""Milliseconds on a question above which somebody was not looking at it all the time."""
_questions, _replies = schema.questions, schema.replies


@dataclass(frozen=True, slots=True)
class Reply:
    """What somebody sent about a question."""

    who: str
    client: str
    question: str
    deed: Deed
    answer: Answer | None = None
    rationale: str = ""
    is_flagged: bool = False
    ms: int = 0
    shown_at: int = 0
    """When it was shown, in milliseconds since 1970 by the sender's clock."""
    trouble: str = ""
    """Why it cannot be read, if so."""
    settles: bool = False
    """Who sends it settles disputes about their own answers, too."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a reply."""

    client: str
    question: str
    outcome: Outcome
    words: str = ""


@dataclass(slots=True)
class _Batch:
    """Replies of one transaction, with the questions as they stand in it."""

    now: datetime
    questions: dict[str, tuple[Question, bool]]
    """With whether the loop has used it."""
    said: dict[str, set[str]]
    """By question that checks others: who answered these."""
    changed: dict[str, Question] = field(default_factory=dict)

    def take(self, reply: Reply) -> Receipt:
        """Do what a reply says, if it may be done."""
        found = self.questions.get(reply.question)
        if found is None:
            return Receipt(reply.client, reply.question, "gone", "There is no such question.")
        question, is_used = found
        if reply.deed == "undo":
            return self._undo(reply, question, is_used=is_used)
        held = question.lease_until is not None and question.lease_until > self.now
        theirs = held and question.assignee not in {"", reply.who}
        if question.status != "open" or theirs:
            return Receipt(reply.client, question.id, "taken", "Somebody else answered it.")
        is_own = reply.who in self.said.get(question.id, ())
        if is_own and not (reply.settles and question.checks == "adjudication"):
            words = "You answered it before: this is for somebody else."
            return Receipt(reply.client, question.id, "taken", words)
        try:
            self._put(_answered(question, reply))
        except InvalidInput as error:
            return Receipt(reply.client, question.id, "invalid", str(error))
        return Receipt(reply.client, question.id, "accepted")

    def _undo(self, reply: Reply, question: Question, *, is_used: bool) -> Receipt:
        if question.assignee != reply.who or question.status == "open" or is_used:
            words = "It is in use already, or is not yours: it stays as it is."
            return Receipt(reply.client, question.id, "taken", words)
        free: dict[str, Any] = {"answer": None, "answered_by": "", "rationale": ""}
        free |= {"is_unfit": False, "is_flagged": False, "lease_until": self.now + LEASE}
        self._put(replace(question, status="open", **free))
        return Receipt(reply.client, question.id, "accepted")

    def _put(self, question: Question) -> None:
        self.questions[question.id] = (question, False)
        self.changed[question.id] = question


class Replies:
    """The replies about one run's questions."""

    def __init__(
        self, store: Store, run: str, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        """`clock` (the database's) is for tests."""
        self._store = store
        self._run = run
        self._clock = clock or store.now

    def take_in(self, replies: Sequence[Reply]) -> list[Receipt]:
        """Do what many replies say, in their order and in one transaction."""
        now = self._clock()
        with self._store.write() as connection:
            names = names_now(connection, self._run)
            # Locked first: another process that writes the same replies is then waited for.
            asked = [reply.question for reply in replies]
            found = self._locked(connection, asked, names)
            batch = _Batch(now, found, self._said(connection, found))
            known = self._known(connection, replies)
            rows = []
            for reply in replies:
                key = (reply.who, reply.client)
                if key not in known:  # it may be there twice
                    known[key] = batch.take(_now(reply, names))
                    rows.append(self._row(reply, known[key], now))
            upsert(connection, _replies, rows, replace=False)
            self._keep(connection, list(batch.changed.values()))
        return [known[reply.who, reply.client] for reply in replies]

    def seconds(self) -> dict[str, float]:
        """Tell by person how long they looked at a question before they answered, on average."""
        c = _replies.c
        shown = sa.case((c.ms > _LONGEST, _LONGEST), else_=c.ms)
        query = sa.select(c.who, sa.func.avg(shown)).where(
            c.run == self._run, c.outcome == "accepted", c.deed == "answer"
        )
        with self._store.read() as connection:
            rows = connection.execute(query.group_by(c.who)).all()
        return {who: float(ms) / 1000 for who, ms in rows}

    def answered(self, who: str, *, since: datetime) -> int:
        """Count the answers that somebody gave since a time and did not take back."""
        c, q = _replies.c, _questions.c
        query = (
            sa.select(sa.func.count(c.question.distinct()))
            .join(_questions, sa.and_(q.run == c.run, q.id == c.question))
            .where(c.run == self._run, c.who == who, c.at >= since, c.outcome == "accepted")
            .where(q.status == "answered", q.assignee == who)
        )
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    # ------------------------------------------------------------ inside a transaction

    def _known(
        self, connection: sa.Connection, replies: Sequence[Reply]
    ) -> dict[tuple[str, str], Receipt]:
        wanted = {(reply.who, reply.client) for reply in replies}
        found: dict[tuple[str, str], Receipt] = {}
        for part in in_chunks(sorted({client for _, client in wanted})):
            query = sa.select(_replies).where(
                _replies.c.run == self._run,
                _replies.c.who.in_({who for who, _ in wanted}),
                _replies.c.client.in_(part),
            )
            for row in connection.execute(query):
                receipt = Receipt(row.client, row.question, row.outcome, row.words)
                found[row.who, row.client] = receipt
        return {key: receipt for key, receipt in found.items() if key in wanted}

    def _locked(
        self, connection: sa.Connection, questions: Sequence[str], names: Names
    ) -> dict[str, tuple[Question, bool]]:
        found: dict[str, tuple[Question, bool]] = {}
        for part in in_chunks(sorted(set(questions))):
            query = sa.select(_questions).where(
                _questions.c.run == self._run, _questions.c.id.in_(part)
            )
            rows = connection.execute(query.order_by(_questions.c.id).with_for_update())
            found |= {row.id: (question_of(row, names), row.folded) for row in rows}
        return found

    def _said(
        self, connection: sa.Connection, found: dict[str, tuple[Question, bool]]
    ) -> dict[str, set[str]]:
        asked = [question for question, _ in found.values() if question.checks]
        c, answers = _questions.c, defaultdict(list)
        for part in in_chunks(sorted({str(question.example) for question in asked})):
            query = sa.select(c.example, c.id, c.assignee).where(
                c.run == self._run, c.example.in_(part), c.status == "answered"
            )
            for example, name, who in connection.execute(query):
                answers[example].append((name, who))
        return {
            question.id: {who for name, who in answers[question.example] if name != question.id}
            for question in asked
        }

    def _keep(self, connection: sa.Connection, changed: Sequence[Question]) -> None:
        if not changed:
            return
        statement = (
            sa.update(_questions)
            .where(_questions.c.run == self._run, _questions.c.id == sa.bindparam("b_id"))
            .values(
                status=sa.bindparam("b_status"),
                assignee=sa.bindparam("b_assignee"),
                lease_until=sa.bindparam("b_until"),
                body=sa.bindparam("b_body"),
            )
        )
        rows = [
            {
                "b_id": question.id,
                "b_status": question.status,
                "b_assignee": question.assignee,
                "b_until": question.lease_until,
                "b_body": question_body(question),
            }
            for question in changed
        ]
        connection.execute(statement, rows)

    def _row(self, reply: Reply, receipt: Receipt, now: datetime) -> dict[str, Any]:
        told = {
            "answer": None if reply.answer is None else name_of(reply.answer),
            "rationale": reply.rationale,
            "is_flagged": reply.is_flagged,
            "shown_at": reply.shown_at,
        }
        return {
            "run": self._run,
            "who": reply.who,
            "client": reply.client,
            "question": reply.question,
            "deed": reply.deed,
            "outcome": receipt.outcome,
            "words": receipt.words,
            "ms": reply.ms,
            "body": {key: value for key, value in told.items() if value},
            "at": now,
        }


def _now(reply: Reply, names: Names) -> Reply:
    """Give a reply under the names that labels have now: its screen may be older."""
    return reply if reply.answer is None else replace(reply, answer=answer_now(reply.answer, names))


def _answered(question: Question, reply: Reply) -> Question:
    """Close a question; raises `InvalidInput` where the answer does not fit it."""
    said: dict[str, Any] = {"rationale": reply.rationale, "is_flagged": reply.is_flagged}
    said |= {"assignee": reply.who, "answered_by": reply.who}
    if reply.deed != "answer":
        return replace(question, status="skipped", is_unfit=reply.deed == "unfit", **said)
    if reply.answer is None:
        raise InvalidInput(reply.trouble or "An answer says which label it gives.")
    check_answer(question, reply.answer)
    return replace(question, status="answered", answer=reply.answer, **said)
