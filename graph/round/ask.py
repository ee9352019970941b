"""Questions to people: asked with money set aside, and answered by simulated people."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from querist.graph.workplace.context import Context
from querist.memory.answers import Answer, name_of
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import BudgetExceeded, CapReached
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import (
    CallKey,
    Example,
    ExampleId,
    Purpose,
    Question,
    SpendKind,
    Verdict,
    content_id,
)
from querist.memory.run.ledger import Request

_SIMULATED = "simulated"


def ask_people(
    context: Context,
    verdicts: Sequence[Verdict],
    examples: Sequence[Example],
    *,
    purpose: Purpose,
) -> list[Question]:
    """Put questions into the inbox with their price set aside; what does not fit is left out."""
    return put_questions(
        context,
        [
            _question(context, verdict, example, purpose=purpose)
            for verdict, example in zip(verdicts, examples, strict=True)
        ],
    )


def put_questions(context: Context, questions: Sequence[Question]) -> list[Question]:
    """Set the price of questions aside and ask them; give those that the money paid for."""
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
    hours = context.config.people.due_hours
    due = None if hours is None else context.store.now() + timedelta(hours=hours)
    asked = [replace(question, due=due) for question in questions if question.id not in refused]
    context.inbox.ask(asked, lease=context.lease)
    if capped := [hold for hold in holds if isinstance(hold, CapReached)]:
        raise capped[0]  # the others are asked when the run goes on
    return asked


def answer_simulated(context: Context) -> int:
    """Let simulated people answer what is open to them, wrong as often as configured."""
    if context.config.people.kind != "simulated":
        return 0
    questions = context.inbox.all(status="open")
    examples = context.view.get([question.example for question in questions])
    closed = 0
    for question, example in zip(questions, examples, strict=True):
        who = _simulated(context, question)
        if not who:
            continue  # all of them gave an answer already
        closed += 1
        answer = _answer_of(context, example, who)
        if answer is None:
            context.inbox.skip(question.id, who=who)
        else:
            context.inbox.answer(question.id, answer, who=who)
    return closed


def _simulated(context: Context, question: Question) -> str:
    """Choose who of the simulated people answers; empty if nobody is left who may."""
    count = context.config.people.annotators
    people = [f"{_SIMULATED}-{number}" for number in range(1, count + 1)]
    if count == 1:
        people = [_SIMULATED]
    if question.checks:
        said = {asked.answered_by for asked in context.inbox.about(question.example)}
        people = [who for who in people if who not in said]
    # By the example, since ids of questions are others in each run of one seed.
    seed = f"{context.config.loop.seed}:{question.example}:{question.checks}:who"
    rng = random.Random(seed)  # noqa: S311
    return rng.choice(people) if people else ""


def _answer_of(context: Context, example: Example, who: str) -> Answer | None:
    """Answer as a simulated person does; None where they do not know."""
    # Who writes a text for a class would call it that, too.
    answers, truth = context.answers.answers, example.gold or example.written_as
    if truth is None or truth not in answers:
        return None
    # Each errs on texts of their own.
    own = "" if who == _SIMULATED else f":{who}"
    rng = random.Random(f"{context.config.loop.seed}:{example.id}{own}")  # noqa: S311
    if rng.random() < context.config.people.error_rate:
        return rng.choice([answer for answer in answers if answer != truth])
    return truth


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
