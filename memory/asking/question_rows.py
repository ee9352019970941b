"""Questions as the database keeps them, and what an answer to one must be."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Answer, name_of
from querist.memory.codec import from_json, to_json
from querist.memory.errors import InvalidInput
from querist.memory.records import Question
from querist.memory.run.renaming import Names, question_now

_LONGEST_GROUP = 80
_questions = schema.questions
BY_VALUE = (_questions.c.value.desc(), _questions.c.id)
"""The order in which questions are served."""


def question_row(run: str, question: Question) -> dict[str, Any]:
    """Make the row of a question that nobody holds."""
    return {
        "run": run,
        "id": question.id,
        "example": question.example,
        "round": question.round,
        "value": question.value,
        "status": question.status,
        "assignee": "",
        "lease_until": None,
        "due": question.due,
        "folded": False,
        "reason": _group_of(question.reason),
        "checks": question.checks,
        "body": question_body(question),
    }


def question_body(question: Question) -> dict[str, Any]:
    """Turn a question into JSON."""
    body: dict[str, Any] = to_json(question)
    # The stored name is older than that of the field.
    body["payload"]["labels"] = body["payload"].pop("options")
    return body


def question_of(row: Any, names: Names) -> Question:
    """Read a question's row under the names that labels have now."""
    payload = {**row.body["payload"], "options": row.body["payload"].get("labels", ())}
    columns = {"status": row.status, "assignee": row.assignee, "lease_until": row.lease_until}
    columns["due"] = row.due
    return question_now(from_json(Question, {**row.body, **columns, "payload": payload}), names)


def _group_of(reason: str) -> str:
    """Name the group of a reason: what stands before its figures."""
    return reason.partition(":")[0].strip()[:_LONGEST_GROUP]


def check_answer(question: Question, answer: Answer) -> None:
    """Raise `InvalidInput` when an answer does not fit the question's schema."""
    schema_ = question.answer_schema
    if answer.kind != schema_.get("kind", answer.kind):
        raise InvalidInput(f"Question {question.id} wants a {schema_['kind']}, not {answer.kind}.")
    allowed = schema_.get("enum")
    if isinstance(allowed, list) and name_of(answer) not in allowed:
        more = f" and {len(allowed) - 12} more" if len(allowed) > 12 else ""
        names = ", ".join(map(str, allowed[:12]))
        raise InvalidInput(f"{name_of(answer)!r} is not one of the labels: {names}{more}.")


def most_valuable(
    connection: sa.Connection, which: sa.ColumnElement[bool], count: int
) -> list[tuple[float, str]]:
    """Lock the most valuable of some questions; give (-value, id), which sort as they are served.

    Bodies are not sorted along.
    """
    query = sa.select(_questions.c.value, _questions.c.id).where(which)
    query = query.order_by(*BY_VALUE).limit(count).with_for_update(skip_locked=True)
    return [(-value, name) for value, name in connection.execute(query)]


def overdue(
    connection: sa.Connection, which: sa.ColumnElement[bool], count: int, *, now: datetime
) -> list[tuple[float, str]]:
    """Lock those of some questions that are overdue and that nobody holds, the oldest first."""
    c = _questions.c
    free = sa.or_(c.assignee == "", c.lease_until < now)
    query = sa.select(c.value, c.id).where(which, free, c.due < now)
    query = query.order_by(c.due, *BY_VALUE).limit(count).with_for_update(skip_locked=True)
    return [(-value, name) for value, name in connection.execute(query)]
