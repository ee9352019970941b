"""Questions to people: asked with money set aside, answered, folded into the labels once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.errors import BudgetExceeded
from querist.memory.events import AnswersFolded
from querist.memory.inbox import Inbox
from querist.memory.ledger import Bill, Hold, Request
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import (
    Annotation,
    CallKey,
    Example,
    ExampleId,
    Label,
    Purpose,
    Question,
    SpendKind,
    Verdict,
    content_id,
)


def ask_people(
    context: Context,
    verdicts: Sequence[Verdict],
    examples: Sequence[Example],
    *,
    purpose: Purpose,
) -> list[Question]:
    """Put questions into the inbox with their price set aside; what does not fit is left out."""
    questions = [
        _question(context, verdict, example, purpose=purpose)
        for verdict, example in zip(verdicts, examples, strict=True)
    ]
    # After a crash between the two steps below, the money is set aside already.
    held = {hold.request.call_key for hold in context.ledger.open_holds(kind=SpendKind.HUMAN)}
    known = context.inbox.known([question.id for question in questions])
    news = [
        question for question in questions if question.id not in held and question.id not in known
    ]
    price = context.config.budget.human_label_usd
    holds = context.ledger.reserve(
        [
            Request(CallKey(question.id), price, "people", SpendKind.HUMAN, question.round)
            for question in news
        ]
    )
    refused = {
        question.id
        for question, hold in zip(news, holds, strict=True)
        if isinstance(hold, BudgetExceeded)
    }
    asked = [question for question in questions if question.id not in refused]
    context.inbox.ask(asked, lease=context.lease)
    return asked


def answer_simulated(context: Context) -> int:
    """Let the simulated person answer what is open, wrong as often as configured."""
    if context.config.people.kind != "simulated":
        return 0
    questions = context.inbox.all(status="open")
    examples = context.view.get([question.example for question in questions])
    answers = context.answers.answers
    for question, example in zip(questions, examples, strict=True):
        # Who writes a text for a class would call it that, too.
        truth = example.gold or example.written_as
        if truth is None or truth not in answers:
            context.inbox.skip(question.id, who="simulated")
            continue
        rng = random.Random(f"{context.config.loop.seed}:{question.example}")  # noqa: S311
        if rng.random() < context.config.people.error_rate:
            truth = rng.choice([answer for answer in answers if answer != truth])
        context.inbox.answer(question.id, truth, who="simulated")
    return len(questions)


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
    context.labelling.record([_annotation(question, price, number) for question in answered])
    context.labelling.relabel([_label(question, number) for question in answered])
    context.inbox.folded([question.id for question in closed], lease=context.lease)
    context.emit(AnswersFolded(len(answered), skipped=len(closed) - len(answered)))
    return len(answered)


def seed_examples(inbox: Inbox) -> set[ExampleId]:
    """The random sample that people were asked about first: it measures everything."""
    return inbox.examples("seed")


def _question(
    context: Context, verdict: Verdict, example: Example, *, purpose: Purpose
) -> Question:
    guess = verdict.answer if purpose == "escalation" else None
    return Question(
        id=f"q-{content_id(context.run.id, example.id, size=12)}",
        example=example.id,
        payload=QuestionPayload(
            fields=dict(example.fields),
            options=tuple(Option(label.name, label.description) for label in context.task.labels),
            # A suspected label is not shown to the person at first: it would pull them along
            # (Wang et al., 2024).
            model_says=None if guess is None else name_of(guess),
            p_correct=verdict.p_correct,
            # Who types a label's name is offered these first, of those that fit.
            likely=verdict.likely,
        ),
        answer_schema=dict(context.kind.schema(context.task)),
        reason=verdict.reason,
        value=verdict.signals.get("value_of_asking", 1.0 - verdict.p_correct),
        purpose=purpose,
        round=verdict.round,
    )


def _bill(question: Question, hold: Hold, price: Decimal) -> Bill:
    return Bill(hold, price, {"labels": 1, "by": question.answered_by})


def _annotation(question: Question, price: Decimal, number: int) -> Annotation:
    return Annotation(
        example=question.example,
        who=f"human:{question.answered_by}",
        answer=question.answer,
        round=number,
        confidence=1.0,
        prompt_version="inbox",
        usd=price,
        call_key=question.id,
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
