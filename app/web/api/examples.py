"""Examples with what stands for them, a page at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from querist.app.views.state.provenance import Provenance, Said, gather_provenance
from querist.app.views.state.run_view import task_of
from querist.app.web.desk import Desk, Row, Shared, Viewer
from querist.app.web.look_alikes import nearest
from querist.memory.answers import name_of
from querist.memory.asking.checks import Checks
from querist.memory.errors import NotFound
from querist.memory.questions import Check
from querist.memory.records import ExampleId, Label, Question
from querist.memory.run.browse import Browse, Seen, Standing, Wanted
from querist.memory.run.runs import RunRow
from querist.memory.workspace.people import Person

router = APIRouter(tags=["examples"])
_MOST = 500
_AMONG = 20_000
"""Examples that are compared with one, in the order of the file."""


class LabelView(BaseModel):
    """What stands for an example."""

    answer: str
    source: str
    who: str
    p_correct: float
    """How likely it is right, as the verifier thinks."""
    round: int


class ExampleView(BaseModel):
    """An example in a list."""

    position: int
    id: str
    fields: dict[str, str]
    origin: str
    label: LabelView | None
    asked: bool
    """It has an open question."""
    is_hidden: bool = False
    """Its label is not told: somebody is asked what they think of it, and is not to be led."""


class Examples(BaseModel):
    """A page; ask with `after` for the next one, if there is any."""

    examples: list[ExampleView]
    next: int | None


class SaidView(BaseModel):
    """What somebody said of an example."""

    who: str
    answer: str
    confidence: float | None
    round: int
    rationale: str
    prompt_version: str
    guidelines: list[str]
    """Those that people had added by then."""
    usd: Decimal
    status: str


class VerdictView(BaseModel):
    """What the verifier made of it."""

    round: int
    action: str
    answer: str
    p_correct: float
    reason: str


class AskedView(BaseModel):
    """A question to people about it."""

    id: str
    status: str
    reason: str
    purpose: str
    checks: Check
    answer: str
    by: str


class ProvenanceView(BaseModel):
    """Where an example's label comes from."""

    id: str
    fields: dict[str, str]
    origin: str
    label: LabelView | None
    is_disputed: bool
    """Two people differ on it, and nobody settled that yet."""
    is_hidden: bool = False
    """What was said of it is not told, as in a list."""
    chosen: list[str]
    """How it got into each batch, in words."""
    rounds: list[int]
    said: list[SaidView]
    verdicts: list[VerdictView]
    questions: list[AskedView]
    aside: list[str]
    usd: Decimal


class LikeView(BaseModel):
    """An example that reads like another one."""

    similarity: float
    """Cosine of their vectors."""
    example: ExampleView


class Count(BaseModel):
    """How many there are."""

    count: int


class Filters(BaseModel):
    """Which examples are looked for, and which page of them."""

    q: str = Field(default="", max_length=500, description="A part of the text.")
    label: list[str] = Field(default=[], max_length=50)
    source: str = ""
    round: int | None = None
    standing: Standing = ""
    most_sure: float = Field(default=1.0, ge=0.0, le=1.0)
    after: int = -1
    skip: int = Field(default=0, ge=0, description="For a place in the middle; `after` is faster.")
    limit: int = Field(default=100, ge=1, le=_MOST)

    def wanted(self, person: Person) -> Wanted:
        """Say it to the store; owners alone find what people are asked about again."""
        return Wanted(
            text=self.q,
            labels=self.label,
            source=self.source,
            round=self.round,
            standing=self.standing,
            most_sure=self.most_sure,
            is_blind=not person.may("owner"),
        )


_Wanted = Annotated[Filters, Query()]


@router.get("/runs/{run}/examples")
def list_examples(desk: Shared, person: Viewer, row: Row, filters: _Wanted) -> Examples:
    """List examples in the order of the file."""
    browse, fields = _browse(desk, row)
    found = browse.page(
        filters.wanted(person),
        fields,
        limit=filters.limit,
        after=filters.after,
        skip=filters.skip,
    )
    hidden = _hidden(desk, person, row, [seen.example for seen in found])
    return Examples(
        examples=[_view(seen, hidden) for seen in found],
        next=found[-1].position if len(found) == filters.limit else None,
    )


@router.get("/runs/{run}/example-count")
def count_examples(desk: Shared, person: Viewer, row: Row, filters: _Wanted) -> Count:
    """Count what a list would show in all."""
    browse, fields = _browse(desk, row)
    return Count(count=browse.count(filters.wanted(person), fields))


@router.get("/runs/{run}/alike")
def list_like(
    desk: Shared,
    person: Viewer,
    row: Row,
    example: Annotated[str, Query(max_length=500)],
    limit: Annotated[int, Query(ge=1, le=50)] = 8,
) -> list[LikeView]:
    """List the examples that read like one, the likest first; none before the pool is embedded."""
    browse = Browse(desk.store, row.id, dataset=row.dataset)
    found = browse.get([ExampleId(example)])
    if not found:
        raise NotFound(f"There is no example {example!r} in the pool of this run.")
    others = [(name, fields) for name, fields in browse.texts(limit=_AMONG) if name != example]
    kind = task_of(row).kind
    near = dict(nearest(desk.store, found[0].fields, others, kind=kind, limit=limit))
    seen = browse.get([ExampleId(name) for name in near])
    hidden = _hidden(desk, person, row, [like.example for like in seen])
    return [LikeView(similarity=near[like.example], example=_view(like, hidden)) for like in seen]


@router.get("/runs/{run}/examples/{example:path}")
def get_example(desk: Shared, person: Viewer, row: Row, example: str) -> ProvenanceView:
    """Tell where an example's label comes from: who chose it, who said what, and for how much.

    What was said is told to owners alone while somebody is asked for an opinion of their own.
    """
    if not Browse(desk.store, row.id, dataset=row.dataset).get([ExampleId(example)]):
        raise NotFound(f"There is no example {example!r} in the pool of this run.")
    found = gather_provenance(desk.store, row.id, ExampleId(example))
    view = _provenance(found)
    if not _hidden(desk, person, row, [ExampleId(example)]):
        return view
    nothing: dict[str, object] = {
        "label": None,
        "said": [],
        "verdicts": [],
        "questions": [],
        "aside": [],
    }
    return view.model_copy(update={**nothing, "is_disputed": False, "is_hidden": True})


def _provenance(found: Provenance) -> ProvenanceView:
    return ProvenanceView(
        id=found.example.id,
        fields=dict(found.example.fields),
        origin=found.example.origin,
        label=_label(found.label),
        chosen=[choice.words for choice in found.chosen],
        rounds=[choice.place.round for choice in found.chosen],
        said=[_said(opinion) for opinion in found.said],
        verdicts=[
            VerdictView(
                round=verdict.round,
                action=verdict.action,
                answer="" if verdict.answer is None else name_of(verdict.answer),
                p_correct=verdict.p_correct,
                reason=verdict.reason,
            )
            for verdict in found.verdicts
        ],
        questions=[_asked(question) for question in found.questions],
        is_disputed=found.is_disputed,
        aside=[
            f"{put.who} put {'it' if put.label is None else name_of(put.label.answer)} aside"
            for put in found.aside
        ],
        usd=found.usd,
    )


def _hidden(desk: Desk, person: Person, row: RunRow, examples: list[ExampleId]) -> set[ExampleId]:
    """Tell which examples' labels a person is not to see now; owners see all."""
    return set() if person.may("owner") else Checks(desk.store, row.id).under_way(examples)


def _said(opinion: Said) -> SaidView:
    said = opinion.annotation
    return SaidView(
        who=said.who,
        answer="" if said.answer is None else name_of(said.answer),
        confidence=said.confidence,
        round=said.round,
        rationale=said.rationale,
        prompt_version=said.prompt_version,
        guidelines=[text for _, text in opinion.guidelines],
        usd=said.usd,
        status=said.status,
    )


def _asked(question: Question) -> AskedView:
    return AskedView(
        id=question.id,
        status=question.status,
        reason=question.reason,
        purpose=question.purpose,
        checks=question.checks,
        answer="" if question.answer is None else name_of(question.answer),
        by=question.answered_by,
    )


def _browse(desk: Shared, row: Row) -> tuple[Browse, tuple[str, ...]]:
    return Browse(desk.store, row.id, dataset=row.dataset), task_of(row).fields


def _view(seen: Seen, hidden: set[ExampleId]) -> ExampleView:
    return ExampleView(
        position=seen.position,
        id=seen.example,
        fields=dict(seen.fields),
        origin=seen.origin,
        label=None if seen.example in hidden else _label(seen.label),
        asked=seen.asked,
        is_hidden=seen.example in hidden,
    )


def _label(label: Label | None) -> LabelView | None:
    if label is None:
        return None
    return LabelView(
        answer=name_of(label.answer),
        source=label.source,
        who=label.who,
        p_correct=label.p_correct,
        round=label.round,
    )
