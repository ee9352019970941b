"""Answers of people, folded into the labels once, and what is asked because of them."""

from __future__ import annotations

from decimal import Decimal

from querist.graph.people.checks import ask_checks
from querist.graph.workplace.context import Context
from querist.memory.events import AnswersFolded
from querist.memory.records import Annotation, CallKey, Label, Question, SpendKind
from querist.memory.run.ledger import Bill, Hold


def fold_answers(context: Context, *, number: int) -> int:
    """Take closed questions in: settle or release their money, and put people's labels in place."""
    closed = context.inbox.unfolded()
    if not closed:
        return 0
    holds = {
        hold.request.call_key: hold for hold in context.ledger.open_holds(kind=SpendKind.HUMAN)
    }
    answered = [
        question
        for question in closed
        if question.status == "answered" and question.answer is not None
    ]
    price = context.config.budget.human_label_usd
    bills = [
        _bill(question, holds[CallKey(question.id)], price)
        for question in answered
        if question.id in holds
    ]
    free = [
        holds[CallKey(question.id)]
        for question in closed
        if question not in answered and question.id in holds
    ]
    context.ledger.settle(bills)
    context.ledger.release(free)
    context.labelling.record(
        [_annotation(question, price, number, context.task.version) for question in answered]
    )
    # A second opinion and a gold check change no label; what settles a dispute does.
    context.labelling.relabel(
        [
            _label(question, number)
            for question in answered
            if question.checks in ("", "adjudication")
        ]
    )
    ask_checks(context, number=number)
    context.inbox.folded([question.id for question in closed], lease=context.lease)
    context.emit(AnswersFolded(len(answered), skipped=len(closed) - len(answered)))
    return len(answered)


def _bill(question: Question, hold: Hold, price: Decimal) -> Bill:
    return Bill(hold, price, {"labels": 1, "by": question.answered_by})


def _annotation(question: Question, price: Decimal, number: int, version: int) -> Annotation:
    return Annotation(
        example=question.example,
        who=f"human:{question.answered_by}",
        answer=question.answer,
        round=number,
        confidence=1.0,
        rationale=question.rationale,
        prompt_version="inbox",
        usd=price,
        call_key=question.id,
        guideline=version,
    )


def _label(question: Question, number: int) -> Label:
    assert question.answer is not None
    return Label(
        example=question.example,
        answer=question.answer,
        source="human",
        who=f"human:{question.answered_by}",
        weight=1.0,
        p_correct=1.0,
        round=number,
    )
