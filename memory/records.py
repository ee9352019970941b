"""The nouns of Querist: frozen values that every layer speaks in.

Money is `Decimal` US dollars, time is aware UTC, ids are plain strings that are derived from
content where the thing has content. Nothing here knows about storage, models or the graph.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, NewType

from querist.memory.answers import Answer
from querist.memory.events import EventBody, body_from_json
from querist.memory.questions import Check, QuestionPayload

ExampleId = NewType("ExampleId", str)
RunId = NewType("RunId", str)
CallKey = NewType("CallKey", str)

Probabilities = Mapping[str, float]


def utc_now() -> datetime:
    """Tell the time; the one clock that is handed down where a clock is needed."""
    return datetime.now(UTC)


def slug(name: str, *, empty: str) -> str:
    """Make a part of an id of a name: small letters, digits and dashes, 24 at most."""
    kept = "".join(c if c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:24].strip("-") or empty


def content_id(*parts: object, size: int = 16) -> str:
    """Derive a stable id from JSON-able content: equal content, equal id, on every machine."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:size]


class Origin(StrEnum):
    """Where an example came from."""

    POOL = "pool"
    GENERATED = "generated"
    IMPORTED = "imported"


class Split(StrEnum):
    """What an example is for. Test examples are never shown to an agent."""

    POOL = "pool"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class of a task: its name and what belongs to it, in words."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learnt. `version` counts changes of the guidelines."""

    name: str
    kind: str
    """The name of a kind in `querist.tools.kinds`."""
    labels: tuple[LabelClass, ...]
    instructions: str = ""
    fields: tuple[str, ...] = ("text",)
    version: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The class names in their fixed order; column c of a probability matrix is names[c]."""
        return tuple(label.name for label in self.labels)


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to label. `fields` maps a field's name to its text (a pair has two)."""

    id: ExampleId
    fields: Mapping[str, str]
    origin: Origin = Origin.POOL
    split: Split = Split.POOL
    parents: tuple[ExampleId, ...] = ()
    gold: Answer | None = None
    """The file's own answer, read only by evaluation and by simulated people, never by agents."""
    written_as: Answer | None = None
    """What a generated example was written to be; the verifier compares it with what it reads like.
    """

    @property
    def text(self) -> str:
        """The fields as one text, in their order, for embedding and prompts."""
        values = tuple(self.fields.values())
        return values[0] if len(values) == 1 else "\n".join(values)

    @property
    def words(self) -> str:
        """The text in lower case with single blanks: equal where a reader would say the same."""
        return " ".join(self.text.split()).casefold()


# ---------------------------------------------------------------- labelling


class Confidence(StrEnum):
    """How a confidence was obtained; numbers of different kinds are not compared unadjusted."""

    LOGPROBS = "logprobs"
    CALIBRATED_LOGPROBS = "calibrated_logprobs"
    SAMPLING = "sampling"
    VERBALISED = "verbalised"
    MODEL = "model"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One opinion on one example, by a person, a language model or a trained model. Append-only."""

    example: ExampleId
    who: str
    """`human:NAME`, `llm:MODEL` or `model:NAME`."""
    answer: Answer | None
    """None when the reply could not be used; the cost is real all the same."""
    round: int
    probabilities: Probabilities | None = None
    confidence: float | None = None
    confidence_from: Confidence = Confidence.NONE
    rationale: str = ""
    prompt_version: str = ""
    sample: int = 0
    usd: Decimal = Decimal(0)
    call_key: str = ""
    status: Literal["ok", "unparsable", "refused", "truncated", "failed"] = "ok"
    guideline: int = 0
    """Version of the guidelines that it was made under; 0 where none was noted."""


class Action(StrEnum):
    """What the verifier wants done with an annotation."""

    ACCEPT = "accept"
    REANNOTATE = "reannotate"
    ESCALATE = "escalate"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verifier's view of what the annotators said about one example."""

    example: ExampleId
    round: int
    attempt: int
    answer: Answer | None
    p_correct: float
    action: Action
    reason: str
    signals: Mapping[str, float] = field(default_factory=dict)
    likely: tuple[str, ...] = ()
    """Of what goes to people: the labels that it may be, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Label:
    """What currently stands for an example, with where it came from and how much it weighs."""

    example: ExampleId
    answer: Answer
    source: Literal["human", "llm", "model", "generated", "gold", "prediction"]
    """A prediction is no label: it stands for nothing, and is only handed out."""
    who: str
    weight: float
    p_correct: float
    round: int
    probabilities: Probabilities | None = None


Purpose = Literal["escalation", "seed", "audit"]
"""Why a person is asked: because of doubt, to learn and to try annotators, or to measure."""


@dataclass(frozen=True, slots=True)
class Question:
    """An escalation to a person: what is asked, why, and what an answer must look like."""

    id: str
    example: ExampleId
    payload: QuestionPayload
    answer_schema: Mapping[str, object]
    reason: str
    value: float
    """Value of asking; the inbox is served in falling order of it."""
    purpose: Purpose
    round: int
    status: Literal["open", "answered", "skipped"] = "open"
    assignee: str = ""
    lease_until: datetime | None = None
    answer: Answer | None = None
    answered_by: str = ""
    rationale: str = ""
    """Why, in the words of who answered."""
    is_unfit: bool = False
    """It was put aside because no label fits."""
    is_flagged: bool = False
    """Who answered wants somebody to look at it once more."""
    checks: Check = ""
    """What of people's answers it checks, if so."""
    due: datetime | None = None
    """When an answer is wanted at the latest; who answers is served overdue questions first."""


# ---------------------------------------------------------------- running


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a language model looked up on the way to a decision, and what it was told."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    result: str = ""
    """In words, cut: what a tool reads is in the store anyway."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said in a deliberation: by us, by the model, or by a tool."""

    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """How it was settled that another agent wanted something else."""

    other: str
    about: str
    wishes: Mapping[str, str]
    """By agent, in words."""
    outcome: str
    """Whose wish held, or `rules`."""
    why: str
    turns: tuple[Turn, ...] = ()
    usd: Decimal = Decimal(0)
    """A part of the decision's."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an agent decided, on what evidence, why, by which mind and at what cost."""

    agent: str
    round: int
    mind: Literal["rules", "llm"]
    action: Mapping[str, object]
    reason: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    tool_calls: tuple[ToolCall, ...] = ()
    usd: Decimal = Decimal(0)
    """What deliberating cost, also where the rules took over in the end."""
    fell_back: str = ""
    """Why the rules took over from a language model's deliberation, if they did."""
    step: str = ""
    turn: int = 0
    """Which visit of `control` it belongs to: a round that is decided on again is another turn."""
    asked: str = ""
    """Why a language model was asked, or why not."""
    model: str = ""
    """Which one was."""
    turns: tuple[Turn, ...] = ()
    rules_say: Mapping[str, object] = field(default_factory=dict)
    """What the rules would have ruled, where a model was asked."""
    settled: Settlement | None = None
    """Where another agent wanted something else."""


class SpendKind(StrEnum):
    """What money was spent on."""

    LLM = "llm"
    HUMAN = "human"
    COMPUTE = "compute"


@dataclass(frozen=True, slots=True)
class Spend:
    """A ledger line. `amount` is positive for reserve and settle; a release frees a reservation."""

    entry: Literal["reserve", "settle", "release"]
    kind: SpendKind
    agent: str
    call_key: CallKey
    amount: Decimal
    round: int = 0
    detail: Mapping[str, object] = field(default_factory=dict)
    """Quantities and unit prices: input_tokens, output_tokens, usd_per_million_input, ..."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one turn of the loop achieved."""

    number: int
    labelled: int
    human_labels: int
    usd: Decimal
    metric: float | None
    metric_low: float | None = None
    metric_high: float | None = None
    """A 90 % interval of the metric on the validation set."""
    detail: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Command:
    """What a person wants of a running loop. Applied once, at the next chunk boundary."""

    id: int
    name: str
    arguments: Mapping[str, object]
    who: str
    status: Literal["queued", "done", "refused"] = "queued"
    result: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as it is kept. `id` rises by one and never repeats."""

    id: int
    kind: str
    data: Mapping[str, object]
    at: datetime

    @property
    def body(self) -> EventBody:
        """What happened, typed; `Unread` if another version noted it in its own way."""
        return body_from_json(self.kind, self.data)


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """For people's answers."""
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


JobKind = Literal["label", "create"]


@dataclass(frozen=True, slots=True)
class Job:
    """A request for labelled or created data, run by a worker under a lease."""

    id: str
    kind: JobKind
    name: str
    request: Mapping[str, object]
    run: RunId
    """Whose ledger, journal and files it uses."""
    status: JobStatus
    reason: str
    priority: int
    key: str | None
    deadline: datetime | None
    wish: Literal["", "pause", "cancel"]
    """What a person wants of it while it runs."""
    result: Mapping[str, object] | None
    worker: str
    """Who has it now: a random name, never a host's."""
    lease_until: datetime | None
    at: datetime
    changed: datetime
