"""People check people: second opinions, disputes that they bring, and gold checks.

A share of people's answers gets another person's, blind; where the two differ a third one settles
it, and until then the first answer stands. A gold check asks what is known already, to see how
often somebody is right. None of them holds a round up: with one person at the inbox they stay open.

What is asked follows from the store alone, so that a fold which a crash cut short, and which is
done again, asks nothing twice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from querist.graph.round.ask import put_questions
from querist.graph.round.audit import reserved
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.asking.checks import Checks, FirstAnswer, Opinions
from querist.memory.questions import Check
from querist.memory.records import Example, ExampleId, Purpose, Question, content_id
from querist.tools.opinions.agreement import standing

_BLIND: tuple[Purpose, ...] = ("audit", "seed")
"""Random samples, which quality is measured on; and no guess is ever shown beside them."""
_LOOKED_AT = 200
"""Rows of the pool that are looked at for known answers."""
_DISPUTE = "two people differ"


def ask_checks(context: Context, *, number: int) -> list[Question]:
    """Ask for second opinions, adjudications and gold checks, as far as they are due and paid."""
    people = context.config.people
    if not people.second_opinions and not people.gold_checks:
        return []
    if context.mailbox.stop_command():
        return []
    checks = Checks(context.store, context.run.id)
    first, said = checks.first_answers(), checks.opinions()
    wanted = _disputes(context, said, number=number)
    due = math.floor(people.second_opinions * len(first)) - len(checks.asked("second"))
    wanted += _second_opinions(context, first, said, count=due, number=number)
    due = math.floor(people.gold_checks * len(first)) - len(checks.asked("gold"))
    wanted += _gold_checks(context, first, said, count=due, number=number)
    return put_questions(context, wanted)


def _disputes(context: Context, opinions: Sequence[Opinions], *, number: int) -> list[Question]:
    """Put to a third person what two answered differently."""
    stands = {label.example: label.who for label in context.labelling.labels()}
    asked = []
    for said in opinions:
        if said.pair is None or said.adjudication or standing(context.kind, said) != "disputed":
            continue
        first = said.pair[0]
        # Somebody corrected it by hand meanwhile: there is nothing left to settle.
        if stands.get(first.example) != f"human:{first.answered_by}":
            continue
        # In an order that tells nobody who said which.
        answers = sorted(name_of(asked.answer) for asked in said.pair if asked.answer is not None)
        words = f"{_DISPUTE}: {' or '.join(answers)}"
        asked.append(replace(_again(context, first, "adjudication", number=number), reason=words))
    return asked


def _second_opinions(
    context: Context,
    first: Sequence[FirstAnswer],
    opinions: Sequence[Opinions],
    *,
    count: int,
    number: int,
) -> list[Question]:
    """Choose answers at random, those of the random samples before all others."""
    doubled = {said.example for said in opinions if said.second is not None}
    free = [answer for answer in first if answer.example not in doubled]
    free.sort(key=lambda answer: (answer.purpose not in _BLIND, _draw(context, answer.example)))
    found = context.inbox.some([answer.question for answer in free[: max(0, count)]])
    return [_again(context, question, "second", number=number) for question in found.values()]


def _gold_checks(
    context: Context,
    first: Sequence[FirstAnswer],
    opinions: Sequence[Opinions],
    *,
    count: int,
    number: int,
) -> list[Question]:
    """Put what is known among the others: rows that came with an answer, else what is settled."""
    blind = [answer for purpose in _BLIND for answer in first if answer.purpose == purpose]
    if count <= 0 or not blind:
        return []
    # Like those that measure the model in all that a page shows of a question.
    like = context.inbox.get(blind[0].question)
    given = [
        replace(
            _again(context, like, "gold", number=number, example=example.id),
            payload=replace(like.payload, fields=dict(example.fields)),
        )
        for example in _known_rows(context, count)
    ]
    settled = [
        _again(context, said.first, "gold", number=number)
        for said in opinions
        if said.first is not None and said.first.purpose in _BLIND and said.gold is None
        if standing(context.kind, said) in ("agreed", "settled")
    ]
    settled.sort(key=lambda question: question.value)
    return [*given, *settled][:count]


def _known_rows(context: Context, count: int) -> list[Example]:
    """Draw rows of the pool that came with an answer and that nobody was ever asked about."""
    order = np.random.default_rng([context.config.loop.seed, 2]).permutation(context.view.imported)
    kept = {context.view.ids[row] for row in reserved(context)} | context.touched()
    names = [context.view.ids[row] for row in order[:_LOOKED_AT]]
    free = [name for name in names if name not in kept]
    known = [row for row in context.view.get(free) if row.gold in context.answers.answers]
    return known[:count]


def _again(
    context: Context,
    question: Question,
    checks: Check,
    *,
    number: int,
    example: ExampleId | None = None,
) -> Question:
    """Ask a question again, with nothing of what was thought or answered."""
    name = example or question.example
    return replace(
        question,
        id=f"q-{content_id(context.run.id, name, checks, size=12)}",
        example=name,
        payload=replace(question.payload, model_says=None, p_correct=None, likely=()),
        # Anywhere in the queue, so that nobody can tell it by its place.
        value=_draw(context, f"{checks}:{name}"),
        round=number,
        checks=checks,
        status="open",
        assignee="",
        lease_until=None,
        answer=None,
        answered_by="",
        rationale="",
        is_unfit=False,
        is_flagged=False,
    )


def _draw(context: Context, name: str) -> float:
    """Draw a number in [0, 1) for a name, the same in each run of one seed."""
    return random.Random(f"{context.config.loop.seed}:{name}").random()  # noqa: S311
