"""People check people: how each does, how far they agree, and disputes to settle."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from querist.app.answers.kinds import answering_of
from querist.app.views.people import open_disputes, people_figures, two_answers
from querist.app.views.state.run_view import Interval, task_of
from querist.app.web.desk import Annotator, Row, Shared, Viewer
from querist.app.web.inbox_view import Lists, OptionView, QuestionView, question_view
from querist.memory.asking.checks import Checks, Opinions
from querist.memory.workspace.people import Person
from querist.tools.opinions.agreement import Share

router = APIRouter(tags=["inbox"], prefix="/runs/{run}/inbox")


class PersonDone(BaseModel):
    """What somebody did, and how it compares."""

    who: str
    answered: int
    skipped: int
    seconds: float
    """For an answer on average; 0 where it is not known."""
    agreement: Interval | None
    """With others, where two people answered the same question unseen."""
    gold: Interval | None
    """Right answers to gold checks."""


class Agreement(BaseModel):
    """How far people agree. Owners see everybody's figures, others only their own."""

    people: list[PersonDone]
    agreement: Interval | None
    """Of pairs of answers, how many are the same."""
    alpha: float | None
    """Krippendorff's, nominal."""
    low: float | None
    high: float | None
    disputes: int
    words: str


class GivenAnswer(BaseModel):
    """One of two answers that differ; who gave it is not told."""

    answer: str
    rationale: str


class DisputeView(BaseModel):
    """A question that two people answered differently; an answer to it is the label."""

    question: QuestionView
    answers: list[GivenAnswer]


class DisputePage(BaseModel):
    """Disputes that one may settle."""

    disputes: list[DisputeView]
    option_lists: list[list[OptionView]]
    not_yours: int
    """Others, in which one of the two answers is your own."""


@router.get("/people")
def people(desk: Shared, person: Viewer, row: Row) -> Agreement:
    """Tell what people did and how far they agree; of others only to an owner."""
    found = people_figures(desk.store, row)
    low, high = found.interval or (None, None)
    return Agreement(
        people=[
            PersonDone(
                who=done.who,
                answered=done.answered,
                skipped=done.skipped,
                seconds=done.seconds,
                agreement=_interval(done.agreement),
                gold=_interval(done.gold),
            )
            for done in found.people
            if person.may("owner") or done.who == person.name
        ],
        agreement=_interval(found.agreement),
        alpha=found.alpha,
        low=low,
        high=high,
        disputes=found.disputes,
        words=found.words,
    )


@router.get("/disputes")
def disputes(
    desk: Shared, person: Annotator, row: Row, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> DisputePage:
    """List what two people answered differently, as far as one may settle it.

    Settle one by answering its question (`POST answers`); skipping it leaves the first answer.
    """
    answering, lists = answering_of(task_of(row).kind), Lists()
    every = open_disputes(Checks(desk.store, row.id).opinions())
    mine = [said for said in every if _may_settle(person, said)]
    shown = [
        (said.adjudication, two_answers(said)) for said in mine if said.adjudication is not None
    ]
    return DisputePage(
        disputes=[
            DisputeView(
                question=question_view(question, answering, lists, guesses=False),
                answers=[GivenAnswer(answer=name, rationale=why) for name, why in answers],
            )
            for question, answers in shown[:limit]
        ],
        option_lists=lists.views(),
        not_yours=len(every) - len(mine),
    )


def _may_settle(person: Person, said: Opinions) -> bool:
    return person.may("owner") or all(
        question.answered_by != person.name for question in said.answered
    )


def _interval(share: Share | None) -> Interval | None:
    if share is None:
        return None
    return Interval(value=share.value, low=share.low, high=share.high, n=share.n)
