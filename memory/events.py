"""What happens in a run, for whoever watches: one type for each kind of event.

A body is kept in the journal as JSON under its `kind`, which is a storage format: do not rename
it. What an earlier or later version wrote, and this one cannot read, is an `Unread` body, never an
error: a watcher passes it over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import ValidationError

from querist.memory.codec import from_json, to_json
from querist.memory.event_parts import ArmRow, PullNote, UsedLesson


@dataclass(frozen=True, slots=True)
class EventBody:
    """What is told by an event; each kind is a subclass that says what it tells."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Unread(EventBody):
    """An event of a kind, or with fields, that this version does not know."""

    data: Mapping[str, object]


# ---------------------------------------------------------------- a round, in its order


@dataclass(frozen=True, slots=True)
class Embedded(EventBody):
    """How many of the texts at hand have their vectors by now."""

    kind: ClassVar[str] = "embedding"
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Initialized(EventBody):
    """The pool is in memory; `test` counts the held-out examples."""

    kind: ClassVar[str] = "initialized"
    pool: int
    test: int


@dataclass(frozen=True, slots=True)
class Planned(EventBody):
    """The budget controller decided on the next step; `cap` and `rounds` hold from now on."""

    kind: ClassVar[str] = "plan"
    round: int
    action: str
    reason: str
    batch: int
    questions: int
    cap: Decimal
    rounds: int


@dataclass(frozen=True, slots=True)
class Selected(EventBody):
    """A batch was chosen from the pool, and what a strategy that asks a model spent on it."""

    kind: ClassVar[str] = "selected"
    round: int
    count: int
    strategy: str
    fell_back: str | None = None
    llm_calls: int | None = None
    llm_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Unadvised(EventBody):
    """A language model was asked to help to select, and did not."""

    kind: ClassVar[str] = "unadvised"
    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class Consulted(EventBody):
    """A language model is asked for an agent's decision: what it is told, and what it may use."""

    kind: ClassVar[str] = "consulted"
    round: int
    turn: int
    agent: str
    step: str
    model: str
    speech: str
    why: str
    page: str
    usd: Decimal
    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class TookOver(EventBody):
    """The rules took a decision that a language model came to no sound ruling on."""

    kind: ClassVar[str] = "took_over"
    round: int
    agent: str
    reason: str


@dataclass(frozen=True, slots=True)
class Convened(EventBody):
    """Two agents want different things, and speak about it: what they are told, and may use."""

    kind: ClassVar[str] = "convened"
    round: int
    turn: int
    agent: str
    step: str
    other: str
    about: str
    page: str
    usd: Decimal
    calls: int
    tokens: int


@dataclass(frozen=True, slots=True)
class LookedUp(EventBody):
    """A tool told a language model something, which it is told again after a crash."""

    kind: ClassVar[str] = "looked_up"
    round: int
    turn: int
    agent: str
    step: str
    tool: str
    arguments: Mapping[str, object]
    result: str
    usd: Decimal
    """What the tool spent."""


@dataclass(frozen=True, slots=True)
class LessonsUsed(EventBody):
    """What is used of the lessons from here on; the last such event holds."""

    kind: ClassVar[str] = "lessons"
    round: int
    guidelines: tuple[UsedLesson, ...]
    facts: tuple[UsedLesson, ...]
    """What minds are told."""


@dataclass(frozen=True, slots=True)
class LessonLearnt(EventBody):
    """A guideline was proposed, or measured."""

    kind: ClassVar[str] = "lesson"
    round: int
    id: str
    state: str
    words: str
    why: str


@dataclass(frozen=True, slots=True)
class Generated(EventBody):
    """A batch was written."""

    kind: ClassVar[str] = "generated"
    round: int
    kept: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Annotated(EventBody):
    """A chunk of the batch was labelled; `usd` is what the run has cost so far."""

    kind: ClassVar[str] = "annotated"
    round: int
    done: int
    total: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class OutOfMoney(EventBody):
    """The rest of the batch was given up, because the next call did not fit into the budget."""

    kind: ClassVar[str] = "out_of_money"
    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verified(EventBody):
    """What was annotated was judged: how many items met with which action."""

    kind: ClassVar[str] = "verified"
    round: int
    accept: int = 0
    reannotate: int = 0
    escalate: int = 0
    drop: int = 0


@dataclass(frozen=True, slots=True)
class Asked(EventBody):
    """Questions of the round went to people; `open` counts those of all rounds."""

    kind: ClassVar[str] = "asked"
    round: int
    questions: int
    open: int


@dataclass(frozen=True, slots=True)
class AnswersFolded(EventBody):
    """Answers of people were taken in; what they skipped is free again."""

    kind: ClassVar[str] = "answers"
    folded: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Trained(EventBody):
    """A model was fitted; `trust` is what a machine's label weighs on average beside a person's."""

    kind: ClassVar[str] = "trained"
    round: int
    rows: int
    people: int
    trust: float | None
    seconds: float
    pseudo: int | None = None
    """Guesses that it learnt from beside the labels, where the strategy makes some."""


@dataclass(frozen=True, slots=True)
class RoundDone(EventBody):
    """A round is over and measured; `usd` is what the run has cost so far."""

    kind: ClassVar[str] = "round"
    round: int
    metric: float | None
    measured_on: str
    test: float | None
    labelled: int
    people: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Finished(EventBody):
    """The run is over."""

    kind: ClassVar[str] = "finished"
    stop: str
    reason: str


# ---------------------------------------------------------------- people and endpoints


@dataclass(frozen=True, slots=True)
class WaitingForPeople(EventBody):
    """The run waits for answers; the first of a round says since when."""

    kind: ClassVar[str] = "waiting"
    round: int
    at_end: bool
    asked: int
    closed: int
    missing: int
    reason: str


@dataclass(frozen=True, slots=True)
class Proceeded(EventBody):
    """Somebody said to go on without the answers that round `round` waits for."""

    kind: ClassVar[str] = "proceed"
    round: int
    who: str


@dataclass(frozen=True, slots=True)
class CommandClosed(EventBody):
    """A command was carried out or refused; `cap` is the budget after it."""

    kind: ClassVar[str] = "command"
    name: str
    who: str
    status: str
    result: str
    cap: Decimal
    command: int | None = None
    """Its number."""
    round: int | None = None
    """The last round that was begun when it was closed."""


@dataclass(frozen=True, slots=True)
class TargetTraining(EventBody):
    """How far the training of the model to take home is, in words."""

    kind: ClassVar[str] = "target_training"
    text: str


@dataclass(frozen=True, slots=True)
class Delivered(EventBody):
    """A model to take home was made that is not the loop's own head; `test` is its own measure."""

    kind: ClassVar[str] = "delivered"
    round: int
    trainer: str
    test: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Notice(EventBody):
    """Something was learnt about an endpoint, in words."""

    kind: ClassVar[str] = "notice"
    text: str


# ---------------------------------------------------------------- choices


@dataclass(frozen=True, slots=True)
class ArmsTried(EventBody):
    """Arms of a choice were tried by a plan; from these notes a choice that was killed goes on."""

    kind: ClassVar[str] = "tried"
    plan: str
    pulls: tuple[PullNote, ...]
    done: int
    total: int
    best: str
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Chosen(EventBody):
    """What was chosen, from what, and the keys of a task file that say so."""

    kind: ClassVar[str] = "chosen"
    what: str
    rows: tuple[ArmRow, ...]
    """The best first."""
    winners: tuple[str, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    status: str = "finished"
    """Or paused, or out of money."""
    records: tuple[Mapping[str, object], ...] = ()
    """Rows for a file, where examples were chosen."""


# ---------------------------------------------------------------- JSON

_TYPES: tuple[type[EventBody], ...] = (
    Embedded, Initialized, Planned, Selected, Unadvised, Consulted, TookOver, Convened,
    LookedUp, LessonsUsed, LessonLearnt, Generated, Annotated, OutOfMoney, Verified, Asked,
    AnswersFolded, Trained, RoundDone, Finished, WaitingForPeople, Proceeded, CommandClosed,
    TargetTraining, Delivered, Notice, ArmsTried, Chosen,
)  # fmt: skip
EVENT_TYPES: Mapping[str, type[EventBody]] = {body.kind: body for body in _TYPES}


def body_to_json(body: EventBody) -> dict[str, Any]:
    """Turn a body into what the journal keeps; what is None by default is left out."""
    data: dict[str, Any] = to_json(body)
    silent = {part.name for part in fields(body) if part.default is None}
    return {key: value for key, value in data.items() if value is not None or key not in silent}


def body_from_json(kind: str, data: Mapping[str, object]) -> EventBody:
    """Read what the journal keeps; `Unread` where it is of another version."""
    known = EVENT_TYPES.get(kind)
    try:
        return Unread(data) if known is None else from_json(known, data)
    except ValidationError:
        return Unread(data)
