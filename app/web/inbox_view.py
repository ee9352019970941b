"""Questions as the pages show them, and what they send back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from querist.app.answers.kinds import Answering
from querist.graph.config import make_config
from querist.memory.asking.replies import Deed, Outcome, Reply
from querist.memory.errors import InvalidInput
from querist.memory.events import WaitingForPeople
from querist.memory.questions import Option
from querist.memory.records import Purpose, Question
from querist.memory.run.journal import Journal
from querist.memory.run.runs import RunRow
from querist.memory.store import Store

_SHOWS_GUESSES: frozenset[Purpose] = frozenset({"escalation"})
"""What questions measure with would be bent by a guess."""


def _storable(text: str) -> str:
    """Refuse what a database cannot keep."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("holds characters that cannot be kept")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_storable)]


class TextView(BaseModel):
    """One of the texts of a question; a single one has no name."""

    name: str
    text: str


class OptionView(BaseModel):
    """A label to choose, in the order of the keys."""

    name: str
    description: str


class QuestionView(BaseModel):
    """A question to somebody."""

    id: str
    example: str
    fields: list[TextView]
    beside: int
    """How many of the last fields are compared, and shown side by side."""
    options: int
    """Which list of `option_lists` it offers."""
    reason: str
    purpose: Purpose
    lease_until: datetime | None
    due: datetime | None
    """When an answer is wanted at the latest."""
    guess: str | None = None
    sure: float | None = None
    # Not `[]`, which pydantic would copy at some length for each of two hundred questions.
    likely: list[str] = Field(default_factory=list)


class AskedView(QuestionView):
    """A question with what became of it."""

    status: str
    assignee: str
    answer: str | None
    rationale: str
    is_unfit: bool
    is_flagged: bool
    is_hidden: bool = False
    """Somebody is asked about its example again, so that only owners are told the answer."""


class Marked(BaseModel):
    """An answer with more than a label's name."""

    label: Name | None = None
    skip: bool = False
    does_not_fit: bool = False
    """None of the labels fits: it is put aside, and counted as such."""
    undo: bool = False
    """Takes back what was said of it before."""
    flag: bool = False
    """Somebody should look at it once more."""
    rationale: Annotated[str, Field(max_length=4000), AfterValidator(_storable)] = ""

    @property
    def deed(self) -> Deed:
        """What is done with the question."""
        if self.undo:
            return "undo"
        if self.does_not_fit:
            return "unfit"
        return "skip" if self.skip else "answer"


class ReplyBody(BaseModel):
    """What somebody says of a question; sent again under one `client_id` it counts once."""

    client_id: Name
    question: Name
    answer: Name | Marked
    shown_at_ms: int = Field(default=0, ge=0, le=2**53)
    took_ms: int = Field(default=0, ge=0, le=86_400_000)


class ReceiptView(BaseModel):
    """What became of a reply."""

    client_id: str
    question: str
    outcome: Outcome
    words: str


class PaceView(BaseModel):
    """What somebody did, and how fast."""

    who: str
    answered: int
    skipped: int
    seconds: float
    """For an answer on average; 0 where it is not known."""


class Holder(BaseModel):
    """Who has questions on hand."""

    who: str
    count: int
    until: datetime


class ReasonCount(BaseModel):
    """How many open questions have a reason."""

    reason: str
    count: int


class InboxView(BaseModel):
    """An inbox in figures."""

    open: int
    free: int
    """Open ones that nobody else has on hand."""
    answered: int
    skipped: int
    unfit: int
    """Put aside because no label fits."""
    today: int
    """What you answered since the time that you asked about, or since a day."""
    holders: list[Holder]
    reasons: list[ReasonCount]
    people: list[PaceView]
    agreement: float | None
    """Krippendorff's alpha; nothing while nobody gives second opinions."""
    disputes: int
    """What two people answered differently, and nobody settled yet."""
    not_yours: int
    """Open ones that ask for a second opinion on your answers."""
    due: datetime | None
    """When the run goes on without the answers that it waits for."""
    status: str
    is_driven: bool
    keys: str
    """The keys of labels in their order."""


class Lists:
    """Lists of options, each sent once however many questions offer it."""

    def __init__(self) -> None:
        """None yet."""
        self._places: dict[tuple[Option, ...], int] = {}

    def place(self, options: Sequence[Option]) -> int:
        """Tell where a list stands."""
        return self._places.setdefault(tuple(options), len(self._places))

    def views(self) -> list[list[OptionView]]:
        """Write all lists."""
        return [
            [OptionView(name=option.name, description=option.description) for option in options]
            for options in self._places
        ]


def question_view(
    question: Question, answering: Answering, lists: Lists, *, guesses: bool
) -> QuestionView:
    """Show a question; what we think of it only if asked, and never where it is measured with."""
    payload = question.payload
    view = QuestionView(
        id=question.id,
        example=question.example,
        fields=[TextView(name=name, text=text) for name, text in answering.parts(payload)],
        beside=answering.beside,
        options=lists.place(payload.options),
        reason=question.reason,
        purpose=question.purpose,
        lease_until=question.lease_until,
        due=question.due,
    )
    if not guesses or question.purpose not in _SHOWS_GUESSES:
        return view
    said = {"guess": payload.model_says, "sure": payload.p_correct, "likely": list(payload.likely)}
    return view.model_copy(update=said)


def read_reply(body: ReplyBody, answering: Answering, *, who: str, settles: bool = False) -> Reply:
    """Read what was sent; what cannot be read is told to its sender, and costs no other."""
    said = Marked(label=body.answer) if isinstance(body.answer, str) else body.answer
    answer, trouble = None, ""
    if said.deed == "answer" and said.label is not None:
        try:
            answer = answering.answer(said.label)
        except InvalidInput as error:
            trouble = str(error)
    return Reply(
        who=who,
        client=body.client_id,
        question=body.question,
        deed=said.deed,
        answer=answer,
        rationale=said.rationale.strip(),
        is_flagged=said.flag,
        ms=body.took_ms,
        shown_at=body.shown_at_ms,
        trouble=trouble,
        settles=settles,
    )


def due(store: Store, row: RunRow) -> datetime | None:
    """Tell until when a run waits for its people, if it does and there is an end to it."""
    if row.status != "waiting":
        return None
    minutes = make_config(row.config, source=f"run {row.id}").people.patience.minutes
    waits = [
        (event.at, event.body)
        for event in Journal(store, row.id).events(kind=WaitingForPeople.kind)
        if isinstance(event.body, WaitingForPeople)
    ]
    # The first round's answers measure everything, and are waited for without an end.
    if not waits or not minutes or (waits[-1][1].round == 0 and not waits[-1][1].at_end):
        return None
    last = (waits[-1][1].round, waits[-1][1].at_end)
    since = next(at for at, body in waits if (body.round, body.at_end) == last)
    return since + timedelta(minutes=minutes)
