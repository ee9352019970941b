"""The inbox: questions for people, leased to who is at them, and their answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from querist.app.answers.keys import KEYS
from querist.app.answers.kinds import Answering, answering_of
from querist.app.terminal.place import status_of
from querist.app.web.desk import Annotator, Desk, Row, Shared, Viewer
from querist.app.web.inbox_view import (
    AskedView,
    Holder,
    InboxView,
    Lists,
    Name,
    OptionView,
    PaceView,
    QuestionView,
    ReasonCount,
    ReceiptView,
    ReplyBody,
    due,
    question_view,
    read_reply,
)
from querist.app.web.intake import Batch, Claim, Claimed, Intake
from querist.app.web.look_alikes import look_alikes
from querist.memory.answers import name_of
from querist.memory.asking.checks import Checks
from querist.memory.asking.inbox import Inbox
from querist.memory.asking.replies import Replies
from querist.memory.errors import InvalidInput
from querist.memory.records import ExampleId, Question
from querist.memory.run.runs import RunRow, Runs

router = APIRouter(tags=["inbox"], prefix="/runs/{run}/inbox")
_DAY = timedelta(days=1)


async def _intake_of(request: Request) -> Intake:
    # Async, so that no thread is started for it.
    intake: Intake = request.app.state.intake
    return intake


_Writer = Annotated[Intake, Depends(_intake_of)]


class Wanted(BaseModel):
    """Which questions somebody wants."""

    count: int = Field(default=50, ge=0, le=200)
    """None, only to keep those on hand."""
    reason: Annotated[str, Field(max_length=200)] | None = None
    have: list[Name] = Field(default=[], max_length=5000)
    """Those on hand, which are kept for them."""
    guesses: bool = False


class Served(BaseModel):
    """Questions for somebody, in falling order of what an answer is worth."""

    questions: list[QuestionView]
    option_lists: list[list[OptionView]]
    lost: list[str]
    """Those on hand that somebody else answered, or has now."""


class AskedPage(BaseModel):
    """Some of all questions; ask with `after` for those behind."""

    questions: list[AskedView]
    option_lists: list[list[OptionView]]
    next: str | None


class AlikeView(BaseModel):
    """A question that reads like another one."""

    question: QuestionView
    similarity: float


class AlikePage(BaseModel):
    """Questions that read like another one, the likest first."""

    alike: list[AlikeView]
    option_lists: list[list[OptionView]]


class Handed(BaseModel):
    """Questions that somebody hands back."""

    questions: list[Name] = Field(max_length=5000)


@router.get("")
def get_inbox(
    desk: Shared,
    person: Viewer,
    row: Row,
    writer: _Writer,
    since: AwareDatetime | None = None,
) -> InboxView:
    """Count the questions, and tell who is at them; `since` is when today began for you."""
    counts, runs = writer.counts(row), Runs(desk.store)
    begun = since or desk.store.now() - _DAY
    not_yours = Inbox(desk.store, row.id).not_for(person.name)
    others = counts.disputes + not_yours
    others += sum(count for who, (count, _) in counts.holders.items() if who != person.name)
    return InboxView(
        open=counts.by_status.get("open", 0),
        free=max(0, counts.by_status.get("open", 0) - others),
        answered=counts.by_status.get("answered", 0),
        skipped=counts.by_status.get("skipped", 0),
        unfit=counts.unfit,
        today=Replies(desk.store, row.id).answered(person.name, since=begun),
        holders=[
            Holder(who=who, count=count, until=until)
            for who, (count, until) in counts.holders.items()
        ],
        reasons=[
            ReasonCount(reason=reason, count=count)
            for reason, count in sorted(counts.by_reason.items(), key=lambda item: -item[1])
        ],
        people=[
            PaceView(
                who=who,
                answered=done.get("answered", 0),
                skipped=done.get("skipped", 0),
                seconds=round(counts.seconds.get(who, 0.0), 1),
            )
            for who, done in sorted(counts.by_person.items())
        ],
        agreement=counts.alpha,
        disputes=counts.disputes,
        not_yours=not_yours,
        due=due(desk.store, row),
        status=status_of(row, runs),
        is_driven=runs.is_driven(row),
        keys=KEYS,
    )


@router.post("/claim", response_model=Served)
async def claim(
    request: Request, person: Annotator, row: Row, writer: _Writer, wanted: Wanted
) -> Response:
    """Take questions on hand for ten minutes; nobody else gets them meanwhile.

    What a caller does not wait for is free again at once.
    """
    claimed = await writer.claim(
        Claim(row.id, person.name, wanted.count, wanted.reason, tuple(wanted.have))
    )
    if claimed.new and await request.is_disconnected():
        inbox = Inbox(writer.store, row.id)
        await asyncio.to_thread(inbox.release, *claimed.new, who=person.name)
    served = await asyncio.to_thread(_served, claimed, writer.kind(row), guesses=wanted.guesses)
    # Written here: FastAPI would check two hundred questions once more.
    return Response(served.model_dump_json(), media_type="application/json")


@router.post("/release", status_code=204)
def release(desk: Shared, person: Annotator, row: Row, handed: Handed) -> None:
    """Hand questions back, so that others get them at once."""
    Inbox(desk.store, row.id).release(*handed.questions, who=person.name)


@router.post("/answers")
async def answer(
    desk: Shared,
    person: Annotator,
    row: Row,
    writer: _Writer,
    replies: Annotated[list[ReplyBody], Field(min_length=1, max_length=500)],
) -> list[ReceiptView]:
    """Take answers in, in their order: each is told by itself whether it counts.

    A run that waits for people goes on if nobody drives it.
    """
    answering = answering_of(writer.kind(row))
    settles = person.may("owner")
    read = tuple(
        read_reply(reply, answering, who=person.name, settles=settles) for reply in replies
    )
    receipts = await writer.take_in(Batch(row.id, read))
    if row.status == "waiting" and any(said.outcome == "accepted" for said in receipts):
        await asyncio.to_thread(_go_on, desk, row)
    return [
        ReceiptView(
            client_id=said.client, question=said.question, outcome=said.outcome, words=said.words
        )
        for said in receipts
    ]


@router.get("/questions")
def list_questions(
    desk: Shared,
    person: Viewer,
    row: Row,
    writer: _Writer,
    *,
    status: Literal["open", "answered", "skipped"] | None = None,
    reason: Annotated[str | None, Query(max_length=200)] = None,
    after: Annotated[str, Query(max_length=300)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AskedPage:
    """List questions, the most valuable first."""
    answering, lists = answering_of(writer.kind(row)), Lists()
    found = Inbox(desk.store, row.id).page(
        status=status, reason=reason, after=_place(after), limit=limit
    )
    last = found[-1] if len(found) == limit else None
    hidden: set[ExampleId] = set()
    if not person.may("owner"):
        hidden = Checks(desk.store, row.id).under_way([question.example for question in found])
    return AskedPage(
        questions=[
            _asked(question, answering, lists, is_hidden=question.example in hidden)
            for question in found
        ],
        option_lists=lists.views(),
        next=None if last is None else f"{last.value!r}:{last.id}",
    )


@router.get("/{question}/alike")
def list_alike(
    desk: Shared,
    person: Annotator,
    row: Row,
    writer: _Writer,
    *,
    question: Annotated[str, Path(max_length=200)],
    limit: Annotated[int, Query(ge=1, le=100)] = 24,
) -> AlikePage:
    """List open questions that read like one, as far as the run has embedded them."""
    kind = writer.kind(row)
    answering, lists, inbox = answering_of(kind), Lists(), Inbox(desk.store, row.id)
    found = look_alikes(desk.store, row.id, question, kind=kind, who=person.name, limit=limit)
    asked = inbox.some([alike.question for alike in found])
    return AlikePage(
        alike=[
            AlikeView(
                question=question_view(asked[alike.question], answering, lists, guesses=False),
                similarity=alike.similarity,
            )
            for alike in found
            if alike.question in asked
        ],
        option_lists=lists.views(),
    )


def _served(claimed: Claimed, kind: str, *, guesses: bool) -> Served:
    """Show what was claimed."""
    answering, lists = answering_of(kind), Lists()
    questions = [
        question_view(question, answering, lists, guesses=guesses) for question in claimed.questions
    ]
    return Served(questions=questions, option_lists=lists.views(), lost=list(claimed.lost))


def _go_on(desk: Desk, row: RunRow) -> None:
    """Drive a run that waited, unless somebody does; a job's is for the worker."""
    if row.kind == "loop" and not Runs(desk.store).is_driven(row):
        desk.drive(row.id)


def _asked(question: Question, answering: Answering, lists: Lists, *, is_hidden: bool) -> AskedView:
    view = question_view(question, answering, lists, guesses=False)
    answer = None if is_hidden else question.answer
    return AskedView(
        **view.model_dump(),
        status=question.status,
        assignee=question.assignee,
        answer=None if answer is None else name_of(answer),
        rationale="" if is_hidden else question.rationale,
        is_unfit=question.is_unfit and not is_hidden,
        is_flagged=question.is_flagged and not is_hidden,
        is_hidden=is_hidden,
    )


def _place(after: str) -> tuple[float, str] | None:
    if not after:
        return None
    value, _, name = after.partition(":")
    try:
        return float(value), name
    except ValueError:
        raise InvalidInput(f"after={after!r} is not what a page named as its next.") from None
