"""What a report says about a run, gathered from the store; nothing here knows about HTML."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from querist.agents.annotator.guidelines import in_words
from querist.app.terminal.place import status_of
from querist.app.views.figures import Figure, Measured, read_corrected, share_right
from querist.app.views.lessons import used_words
from querist.app.views.people import PeopleFigures, people_figures
from querist.app.views.predictions import Judged, on_people, on_test
from querist.app.views.troubles import LostRow, lost_rows, misfits, notices
from querist.memory.events import Delivered, LessonsUsed
from querist.memory.records import Decision, Label, Question, Round, SpendKind, Split, Task
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.tools.opinions.agreement import Corrected

if TYPE_CHECKING:
    from querist.graph.run import Run
    from querist.graph.workplace.context import Context

_ZERO = Decimal(0)
NOTHING_MISSING = "No answer is waited for any more."
# Runs of earlier versions noted how many questions were open when something was decided.
_STALE = re.compile(r" [\d,]+ questions? to people (?:are|is) still open\.")
_STALE_WAIT = re.compile(
    r"[\d,]+ of [\d,]+ questions? (?:are|is) answered; [\d,]+ more (?:are|is) waited for"
)
_PACKAGES = ("querist", "langgraph", "torch", "numpy", "scikit-learn", "xllamacpp")


@dataclass(frozen=True, slots=True)
class Headline:
    """The numbers to look at first."""

    metric: float | None
    low: float | None
    high: float | None
    measured_on: str
    n: int
    test: float | None
    test_interval: tuple[float, float] | None
    """None in rounds of earlier versions, when every figure was an accuracy."""
    test_n: int
    metric_name: str
    corrected: Corrected | None
    target: Delivered | None
    """The model to take home, where it is not the loop's own head."""
    labels: int
    by_people: int
    pool: int
    cap: Decimal
    spent: Decimal
    reserved: Decimal
    in_doubt: Decimal
    rounds: int
    left_out: Mapping[str, int]
    """Held-out texts that are in the pool too and therefore in no figure, by what they are for."""

    @property
    def measured(self) -> Measured:
        """The two figures of the model, with what they were measured on."""
        own = None if self.metric is None else Figure(self.metric, self.low, self.high, self.n)
        test = None
        if self.test is not None and self.test_interval is not None:
            test = Figure(self.test, *self.test_interval, self.test_n)
        elif self.test is not None:
            test = share_right(self.test, self.test_n)
        return Measured(own, self.measured_on, test, self.metric_name, self.corrected)

    @property
    def target_words(self) -> str:
        """Say how good the model to take home is itself; empty if it is the loop's own head."""
        target = self.target
        if target is None:
            return ""
        if target.test is None:
            return f"{target.trainer}, not measured by itself: there is no test file"
        figure = self.measured.words(Figure(target.test, target.low, target.high, self.test_n))
        return f"{target.trainer}: {figure} on the test texts; the loop's own head only steered"

    @property
    def leaks(self) -> str:
        """Say so in words; empty if there are none."""
        others = {"test": "the pool", "validation": "the pool or the test set"}
        said = [
            f"{count:,} {name} text{' was' if count == 1 else 's were'} in {others[name]} too and "
            f"{'is' if count == 1 else 'are'} left out of the figure"
            for name, count in self.left_out.items()
        ]
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class SpendRow:
    """What an agent spent on one kind of thing."""

    agent: str
    kind: str
    usd: Decimal
    items: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Labels from one source, and how sure the verifier is of them."""

    source: str
    count: int
    share: float
    p_correct: float
    right: float | None
    """How many agree with the file's own labels, where it has any."""
    checked: int


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class and its labels by source."""

    name: str
    description: str
    by_source: Mapping[str, int]

    @property
    def total(self) -> int:
        """All labels of the class."""
        return sum(self.by_source.values())


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """What a person is still asked."""

    text: str
    reason: str
    value: float


@dataclass(frozen=True, slots=True)
class DoubtRow:
    """A reservation that a killed process left behind."""

    agent: str
    call_key: str
    usd: Decimal


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report or a summary shows."""

    run: str
    status: str
    reason: str
    is_driven: bool
    """A process drives the run now: it takes answers in by itself."""
    at: datetime
    task: Task
    headline: Headline
    rounds: Sequence[Round]
    spend: Sequence[SpendRow]
    sources: Sequence[SourceRow]
    skill: float | None
    """Agreement of the language model with people."""
    skill_n: int
    judged: Judged | None
    """What predictions are compared with: the test set, else people's labels."""
    classes: Sequence[ClassRow]
    questions: Sequence[OpenQuestion]
    doubts: Sequence[DoubtRow]
    lost: Sequence[LostRow]
    notices: Sequence[str]
    lessons: Sequence[str]
    """What of the lessons the run used last, and what it left: in words, a line each."""
    decisions: Sequence[Decision]
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    people: PeopleFigures
    people_kind: str
    error_rate: float
    model_folder: str


def gather(run: Run) -> ReportData:
    """Read a run's account; the run may be going on meanwhile."""
    from querist.graph.round.model_files import MODEL
    from querist.tools.training.weights import CONFIG

    context = run.view()
    runs = Runs(run.store)
    row = run.row
    labels = context.labelling.labels()
    status = status_of(row, runs)
    doubts = _doubts(context.ledger, is_dead=status == "interrupted")
    people = on_people(context)
    model = context.files.path(MODEL)
    return ReportData(
        run=row.id,
        status=status,
        reason=_reason(context, status, row.reason),
        is_driven=runs.is_driven(row),
        at=row.at,
        task=context.task,
        headline=_headline(context, labels, doubts),
        rounds=context.journal.rounds(),
        spend=_spend(context.ledger),
        sources=_sources(context, labels),
        skill=people.accuracy if people else None,
        skill_n=people.count if people else 0,
        judged=on_test(context) or people,
        classes=_classes(context.task, labels),
        questions=[_question(question) for question in context.inbox.all(status="open")],
        doubts=doubts,
        lost=lost_rows(context.labelling, {label.example for label in labels}),
        notices=[*misfits(context.inbox), *notices(context.journal)],
        lessons=_lessons(context),
        decisions=_decisions(context.journal),
        config=_config(context),
        versions=_versions(),
        people=people_figures(run.store, row),
        people_kind=context.config.people.kind,
        error_rate=context.config.people.error_rate,
        model_folder=str(model) if (model / CONFIG).is_file() else "",
    )


def _lessons(context: Context) -> list[str]:
    told = context.journal.bodies(LessonsUsed)
    used = [*told[-1].guidelines, *told[-1].facts] if told else []
    held = [f"Used: {used_words(lesson)}" for lesson in used]
    own = context.lessons.all(run=context.run.id)
    return held + [
        f"Learnt: {lesson.reference} ({lesson.kind.value}, {lesson.state}): {in_words(lesson)}"
        for lesson in own
    ]


def _decisions(journal: Journal) -> list[Decision]:
    return [
        replace(decision, reason=_without_counts(decision.reason))
        for decision in journal.decisions()
    ]


def _reason(context: Context, status: str, noted: str) -> str:
    """Say why a run is where it is; of what it waits for, as it is now and not when it stopped."""
    from querist.graph.waiting import pending

    if status != "waiting":
        return _without_counts(noted)
    waiting = pending(context)
    return f"{waiting.words}." if waiting.missing else NOTHING_MISSING


def _without_counts(reason: str) -> str:
    return _STALE_WAIT.sub("Answers of people were waited for", _STALE.sub("", reason))


def _config(context: Context) -> dict[str, Any]:
    """Take the configuration with the budget that the run has now; the file's may be older."""
    body: dict[str, Any] = context.config.model_dump(mode="json", exclude_none=True)
    body["budget"]["usd"] = f"{context.ledger.balance().cap.normalize():f}"
    return body


def _doubts(ledger: Ledger, *, is_dead: bool) -> list[DoubtRow]:
    # Until somebody takes the lease, the ledger cannot know that the run's process died.
    holds = ledger.open_holds() if is_dead else ledger.in_doubt()
    return [
        DoubtRow(hold.request.agent, hold.request.call_key, hold.request.ceiling)
        for hold in holds
        if hold.request.kind is not SpendKind.HUMAN
    ]


def _headline(context: Context, labels: Sequence[Label], doubts: Sequence[DoubtRow]) -> Headline:
    rounds = context.journal.rounds()
    last = next((round_ for round_ in reversed(rounds) if round_.metric is not None), None)
    detail: Mapping[str, Any] = last.detail if last else {}
    balance = context.ledger.balance()
    in_doubt = sum((doubt.usd for doubt in doubts), _ZERO)
    return Headline(
        metric=last.metric if last else None,
        low=last.metric_low if last else None,
        high=last.metric_high if last else None,
        measured_on=str(detail.get("measured_on", "")),
        n=int(detail.get("n", 0)),
        test=detail.get("test"),
        test_interval=detail.get("test_interval"),
        test_n=len(context.view.known(Split.TEST)),
        metric_name=context.kind.metric,
        corrected=read_corrected(detail),
        target=_delivered(context, rounds),
        labels=len(labels),
        by_people=sum(label.source == "human" for label in labels),
        pool=context.pool.count(Split.POOL),
        cap=balance.cap,
        spent=balance.settled,
        reserved=balance.reserved - in_doubt,
        in_doubt=in_doubt,
        rounds=len(rounds),
        left_out=context.config.data.left_out,
    )


def _delivered(context: Context, rounds: Sequence[Round]) -> Delivered | None:
    """Find the target of the newest round: an older one has been replaced since."""
    found = context.journal.bodies(Delivered)
    is_newest = bool(found and rounds) and found[-1].round == rounds[-1].number
    return found[-1] if is_newest else None


def _spend(ledger: Ledger) -> list[SpendRow]:
    sums: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [_ZERO, 0, 0, 0])
    for line in ledger.lines():
        if line.entry != "settle":
            continue
        row = sums[line.agent, line.kind.value]
        row[0] += line.amount
        row[1] += 1
        row[2] += _whole(line.detail.get("input_tokens"))
        row[3] += _whole(line.detail.get("output_tokens"))
    rows = [SpendRow(agent, kind, *row) for (agent, kind), row in sums.items()]
    return sorted(rows, key=lambda row: (-row.usd, row.agent))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _sources(context: Context, labels: Sequence[Label]) -> list[SourceRow]:
    by_source: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_source[label.source].append(label)
    answers = context.answers
    gold = {
        example.id: example.gold
        for example in context.pool.get([label.example for label in labels])
        if answers.place(example.gold) >= 0
    }
    rows = []
    for source, members in by_source.items():
        # What a generated text was written as is no label that somebody knows to be right.
        known = (
            []
            if source == "generated"
            else [member for member in members if member.example in gold]
        )
        hits = sum(label.answer == gold[label.example] for label in known)
        rows.append(
            SourceRow(
                source=source,
                count=len(members),
                share=len(members) / len(labels),
                p_correct=sum(member.p_correct for member in members) / len(members),
                right=hits / len(known) if known else None,
                checked=len(known),
            )
        )
    return sorted(rows, key=lambda row: -row.count)


def _classes(task: Task, labels: Sequence[Label]) -> list[ClassRow]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in task.names}
    for label in labels:
        name = getattr(label.answer, "value", None)
        if name in counts:
            counts[name][label.source] += 1
    return [ClassRow(label.name, label.description, counts[label.name]) for label in task.labels]


def _question(question: Question) -> OpenQuestion:
    return OpenQuestion(question.payload.text, question.reason, question.value)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except ImportError:  # PackageNotFoundError is one
            continue
    return found
