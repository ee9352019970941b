"""What is kept for later rounds and runs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel

from querist.app.web.desk import Owner, Shared, Viewer
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput, NotFound
from querist.memory.workspace.lessons import Lesson, LessonKind, Lessons, State

router = APIRouter(tags=["lessons"])


class GainView(BaseModel):
    """What a guideline changed on held-out answers of people; 0.01 is a point."""

    points: float
    low: float
    high: float
    texts: int


class MadeOfView(BaseModel):
    """A text that a guideline was made of, as the prompt showed it."""

    example: str
    fields: dict[str, str]
    said: str
    """By the annotator."""
    answer: str
    """By people."""


class LessonView(BaseModel):
    """The newest version of a lesson; its text may be a model's."""

    id: str
    version: int
    kind: LessonKind
    state: State
    text: str
    task: str
    labels: list[str]
    run: str
    round: int
    author: str
    by: str
    """Who made this version, as who approved it."""
    why: str
    examples: list[str]
    """Of the texts that it was made of."""
    made_of: list[MadeOfView]
    gain: GainView | None
    usd: Decimal
    at: datetime | None


class Judgement(BaseModel):
    """What an owner says of a lesson that they have read."""

    verdict: Literal["approve", "reject", "retire"]
    version: int
    """The one that was read: a newer one is not judged by it."""


@router.get("/lessons")
def list_lessons(
    desk: Shared,
    _: Viewer,
    kind: LessonKind | None = None,
    state: State | None = None,
    run: str | None = None,
) -> list[LessonView]:
    """List the newest version of every lesson of the workspace, or of those that a run learnt."""
    found = Lessons(desk.store).all(kind=kind, state=state, run=run)
    return [_view(lesson) for lesson in found]


@router.post("/lessons/{lesson}/decision")
def judge_lesson(
    desk: Shared,
    owner: Owner,
    lesson: Annotated[str, Path(max_length=200)],
    judgement: Judgement,
) -> LessonView:
    """Take a lesson into use, put a proposed one aside, or take one out of use."""
    lessons, by = Lessons(desk.store), f"human:{owner.name}"
    found = lessons.find(lesson)
    if found is None:
        raise NotFound(f"There is no lesson {lesson!r} here.")
    if found.version != judgement.version:
        raise InvalidInput(f"{lesson} was changed by {found.by} meanwhile. Read it again.")
    match judgement.verdict:
        case "approve":
            return _view(lessons.approve(lesson, by=by))
        case "reject":
            return _view(lessons.reject(lesson, by=by))
        case "retire":
            return _view(lessons.retire(lesson, by=by))


def _view(lesson: Lesson) -> LessonView:
    gain = lesson.gain
    return LessonView(
        id=lesson.id,
        version=lesson.version,
        kind=lesson.kind,
        state=lesson.state,
        text=lesson.text,
        task=lesson.task.name,
        labels=list(lesson.task.names),
        run=lesson.run,
        round=lesson.round,
        author=lesson.author,
        by=lesson.by,
        why=lesson.why,
        examples=[made.example for made in lesson.corrections],
        made_of=[
            MadeOfView(
                example=made.example,
                fields=dict(made.fields),
                said=made.said,
                answer=name_of(made.answer),
            )
            for made in lesson.corrections
        ],
        gain=None
        if gain is None
        else GainView(points=gain.points, low=gain.low, high=gain.high, texts=gain.texts),
        usd=lesson.usd,
        at=lesson.at,
    )
