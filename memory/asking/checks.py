"""People check people: who may answer which question, and what was said twice of an example.

Nobody gives a second opinion on their own answer, and nobody is tried on what they answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.asking.question_rows import question_of
from querist.memory.questions import Check
from querist.memory.records import ExampleId, Purpose, Question
from querist.memory.run.renaming import names_now
from querist.memory.store import Store, in_chunks

_questions = schema.questions
_CHECKS: tuple[Check, ...] = ("second", "adjudication", "gold")


def may_answer(who: str) -> sa.ColumnElement[bool]:
    """Tell of rows of questions whether a person may be asked them unseen, as most are."""
    c = _questions.c
    # Most check nothing, and cost no look at others about the same example.
    return sa.or_(c.checks == "", sa.and_(c.checks != "adjudication", ~_said_by(who)))


def may_settle(who: str, *, is_owner: bool = False) -> sa.ColumnElement[bool]:
    """Tell of rows of questions whether they are disputes that a person may settle.

    Those who gave one of the two answers may not; an owner may.
    """
    is_dispute = _questions.c.checks == "adjudication"
    return is_dispute if is_owner else sa.and_(is_dispute, ~_said_by(who))


def _said_by(who: str) -> sa.ColumnElement[bool]:
    """Whether somebody answered another question about a question's example."""
    other = _questions.alias()
    return (
        sa.exists()
        .where(other.c.run == _questions.c.run, other.c.example == _questions.c.example)
        .where(other.c.id != _questions.c.id, other.c.assignee == who)
        .where(other.c.status == "answered")
        .correlate(_questions)
    )


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """An example that somebody answered, and what they were asked for."""

    question: str
    example: ExampleId
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Opinions:
    """What people were asked about one example, more than once."""

    first: Question | None
    """None where the example was only asked about to try somebody."""
    second: Question | None
    adjudication: Question | None
    gold: Question | None

    @property
    def example(self) -> ExampleId:
        """Which one."""
        return next(asked.example for asked in self._every if asked is not None)

    @property
    def pair(self) -> tuple[Question, Question] | None:
        """The first answer and the second one, where both were given."""
        first, second = self.first, self.second
        if first is None or second is None or {first.status, second.status} != {"answered"}:
            return None
        return first, second

    @property
    def answered(self) -> tuple[Question, ...]:
        """The answers, the first one first; what was not answered is left out."""
        return tuple(
            asked for asked in self._every if asked is not None and asked.status == "answered"
        )

    @property
    def _every(self) -> tuple[Question | None, ...]:
        return self.first, self.second, self.adjudication, self.gold


class Checks:
    """The questions of one run that check people's answers, with those that they check."""

    def __init__(self, store: Store, run: str) -> None:
        """Only read."""
        self._store = store
        self._run = run

    def first_answers(self) -> list[FirstAnswer]:
        """List what people answered when they were asked for an answer's own sake."""
        c = _questions.c
        query = sa.select(c.id, c.example, c.body["purpose"].as_string()).where(
            c.run == self._run, c.checks == "", c.status == "answered"
        )
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(c.id)).all()
        return [FirstAnswer(row[0], ExampleId(row[1]), row[2]) for row in rows]

    def asked(self, checks: Check) -> set[ExampleId]:
        """Tell about which examples such a check was asked, whatever became of it."""
        c = _questions.c
        query = sa.select(c.example).where(c.run == self._run, c.checks == checks)
        with self._store.read() as connection:
            return {ExampleId(name) for name in connection.execute(query).scalars()}

    def under_way(self, examples: Sequence[ExampleId]) -> set[ExampleId]:
        """Tell about which of some examples a check is open: what was said of them is not shown."""
        return self._open(examples, _questions.c.checks.in_(_CHECKS))

    def sampled(self, examples: Sequence[ExampleId]) -> set[ExampleId]:
        """Tell which of some written rows people are to label unseen: a job's acceptance sample."""
        return self._open(examples, _questions.c.checks == "")

    def _open(self, examples: Sequence[ExampleId], which: sa.ColumnElement[bool]) -> set[ExampleId]:
        c = _questions.c
        query = sa.select(c.example).where(c.run == self._run, which, c.status == "open")
        with self._store.read() as connection:
            return {
                ExampleId(name)
                for part in in_chunks(examples)
                for name in connection.execute(query.where(c.example.in_(part))).scalars()
            }

    def answered(self) -> int:
        """Count the second opinions and adjudications that the loop took in."""
        c = _questions.c
        query = sa.select(sa.func.count()).where(
            c.run == self._run, c.checks.in_(("second", "adjudication")), c.status == "answered"
        )
        with self._store.read() as connection:
            return connection.execute(query.where(c.folded.is_(True))).scalar_one()

    def opinions(self) -> list[Opinions]:
        """List what was said of the examples that were asked about again, ordered by example."""
        c = _questions.c
        # Each by its name, so that an index finds the few of them among 100,000 questions.
        again = sa.select(c.example).where(c.run == self._run, c.checks.in_(_CHECKS))
        query = sa.select(_questions).where(c.run == self._run, c.example.in_(again))
        with self._store.read() as connection:
            names = names_now(connection, self._run)
            found = [question_of(row, names) for row in connection.execute(query)]
        by_example: dict[ExampleId, dict[Check, Question]] = {}
        for question in found:
            by_example.setdefault(question.example, {})[question.checks] = question
        return [_opinions(by_example[example]) for example in sorted(by_example)]


def _opinions(by_check: dict[Check, Question]) -> Opinions:
    return Opinions(
        first=by_check.get(""),
        second=by_check.get("second"),
        adjudication=by_check.get("adjudication"),
        gold=by_check.get("gold"),
    )
