"""A run as the pages show it, read from the store alone: neither the loop nor a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from querist.app.terminal.place import status_of
from querist.app.terminal.screen import plural
from querist.app.views.figures import Figure, Measured, read_corrected, share_right
from querist.graph.config import stored_task
from querist.memory import events as e
from querist.memory.asking.inbox import Inbox
from querist.memory.records import Event, Round, Split, Task
from querist.memory.run.journal import Journal
from querist.memory.run.labelling import Labelling
from querist.memory.run.ledger import Ledger
from querist.memory.run.pool import Pool
from querist.memory.run.runs import RunRow, Runs
from querist.memory.store import Store
from querist.tools.kinds import find_kind

_BESIDE = ("command", "notice", "lessons", "lesson", "looked_up", "consulted", "took_over",
           "convened", "proceed", "target_training", "delivered", "unadvised")  # fmt: skip
"""Kinds of event that do not tell which step of the loop is under way."""
_RECENT = 3
"""Rounds that a forecast of spending goes by."""


class RunLine(BaseModel):
    """A run in a list."""

    id: str
    task: str
    kind: str
    """loop, choice (a search) or create (a job's)."""
    status: str
    reason: str
    at: datetime
    labels: int
    open_questions: int
    cap: Decimal
    spent: Decimal
    metric: float | None
    metric_name: str


class Interval(BaseModel):
    """A figure with its 90 % interval, and on how many texts it was measured."""

    value: float
    low: float | None
    high: float | None
    n: int


class ClassCount(BaseModel):
    """A class, and its labels by source."""

    name: str
    description: str
    by_source: dict[str, int]


class Spent(BaseModel):
    """What an agent spent on one kind of thing."""

    agent: str
    kind: str
    usd: Decimal


class RunView(RunLine):
    """A run in full."""

    task_kind: str
    instructions: str
    labels_offered: list[str]
    now: str
    """What is happening, and why, in a sentence."""
    node: str
    """The step of the loop that is under way; empty while nobody drives."""
    is_driven: bool
    round: int
    rounds: int
    """How many rounds were planned."""
    own: Interval | None
    own_name: str
    """Quality, or Agreement where it is no accuracy."""
    own_words: str
    corrected: Interval | None
    """`own` without people's mistakes, where enough texts were answered by two of them."""
    corrected_words: str
    test: Interval | None
    test_words: str
    verdict: str
    """Which of the figures to believe."""
    sources: dict[str, int]
    classes: list[ClassCount]
    reserved: Decimal
    in_doubt: Decimal
    forecast: Decimal | None
    """What the planned rounds will have cost, going by the newest."""
    spend: list[Spent]
    questions: dict[str, int]
    strategy: str
    last_event: int = 0
    """The id of the newest event before this was read."""


class RoundView(BaseModel):
    """A round of the loop."""

    number: int
    labelled: int
    by_people: int
    usd: Decimal
    """What the run had cost by then."""
    own: Interval | None
    test: Interval | None
    measured_on: str
    seconds: float


def task_of(row: RunRow) -> Task:
    """Read a run's task as its configuration has it now: commands change it."""
    return stored_task(row.config)


def run_line(store: Store, row: RunRow, runs: Runs) -> RunLine:
    """Read what a list shows of a run."""
    balance = Ledger(store, row.id).balance()
    rounds = Journal(store, row.id).rounds() if row.kind == "loop" else []
    last = _measured_round(rounds)
    task = task_of(row)
    return RunLine(
        id=row.id,
        task=task.name,
        kind=row.kind,
        status=status_of(row, runs),
        reason=row.reason,
        at=row.at,
        labels=sum(Labelling(store, row.id).counts().values()),
        open_questions=Inbox(store, row.id).counts().get("open", 0),
        cap=balance.cap,
        spent=balance.settled,
        metric=None if last is None else last.metric,
        metric_name=_metric(task.kind),
    )


def run_view(store: Store, row: RunRow) -> RunView:
    """Read everything that the loop's page shows but rounds and decisions."""
    runs, journal, ledger = Runs(store), Journal(store, row.id), Ledger(store, row.id)
    last = journal.newest()  # before all else, so that nothing is missed after it
    line, task, rounds = run_line(store, row, runs), task_of(row), journal.rounds()
    balance, measured = ledger.balance(), _measured(rounds, _metric(task.kind))
    if measured.test is not None and not measured.test.n:  # noted by an earlier version
        count = Pool(store, dataset=row.dataset, run=row.id).count(Split.TEST)
        measured = replace(measured, test=replace(measured.test, n=count))
    loop: Mapping[str, Any] = row.config.get("loop", {})
    newest = journal.newest(but=_BESIDE)
    is_driven = runs.is_driven(row)
    return RunView(
        **line.model_dump(),
        task_kind=task.kind,
        instructions=task.instructions,
        labels_offered=list(task.names),
        now=_now(newest, line.status, line.reason),
        node=_node(newest) if is_driven else "",
        is_driven=is_driven,
        round=_round_of(newest, rounds),
        rounds=int(loop.get("rounds", 0)),
        own=_interval(measured.own),
        own_name=measured.name,
        own_words=measured.own_words,
        corrected=_corrected(measured),
        corrected_words=measured.corrected_words,
        test=_interval(measured.test),
        test_words=measured.test_words if measured.test else "",
        verdict=measured.verdict,
        sources=Labelling(store, row.id).counts(),
        classes=_classes(task, Labelling(store, row.id).by_answer()),
        reserved=balance.reserved - balance.in_doubt,
        in_doubt=balance.in_doubt,
        forecast=forecast_of(rounds, balance.settled, int(loop.get("rounds", 0))),
        spend=spent_by_agent(ledger),
        questions=Inbox(store, row.id).counts(),
        strategy=str(loop.get("strategy", "")),
        last_event=last.id if last is not None else 0,
    )


def _classes(task: Task, counts: Mapping[tuple[str, str], int]) -> list[ClassCount]:
    return [
        ClassCount(
            name=label.name,
            description=label.description,
            by_source={source: n for (name, source), n in counts.items() if name == label.name},
        )
        for label in task.labels
    ]


def spent_by_agent(ledger: Ledger) -> list[Spent]:
    """List what each agent spent on what, the most first."""
    found = sorted(ledger.by_agent().items(), key=lambda pair: -pair[1])
    return [Spent(agent=agent, kind=kind, usd=usd) for (agent, kind), usd in found]


def round_view(done: Round) -> RoundView:
    """Turn a round into what the pages show."""
    test = _tested(done)
    return RoundView(
        number=done.number,
        labelled=done.labelled,
        by_people=done.human_labels,
        usd=done.usd,
        own=_interval(_own(done)),
        test=_interval(test),
        measured_on=str(done.detail.get("measured_on", "")),
        seconds=done.seconds,
    )


def _metric(kind: str) -> str:
    return find_kind(kind).metric


def _measured_round(rounds: list[Round]) -> Round | None:
    return next((done for done in reversed(rounds) if done.metric is not None), None)


def _own(done: Round) -> Figure | None:
    if done.metric is None:
        return None
    return Figure(done.metric, done.metric_low, done.metric_high, _count(done, "n"))


def _count(done: Round, key: str) -> int:
    value = done.detail.get(key)
    return value if isinstance(value, int) else 0


def _tested(done: Round) -> Figure | None:
    value, interval = done.detail.get("test"), done.detail.get("test_interval")
    if not isinstance(value, float | int):
        return None
    n = _count(done, "test_n")  # rounds of earlier versions did not note it
    if isinstance(interval, list | tuple) and len(interval) == 2:
        low, high = interval
        return Figure(float(value), low, high, n)
    return share_right(float(value), n)


def _measured(rounds: list[Round], metric: str) -> Measured:
    last = _measured_round(rounds)
    if last is None:
        return Measured(None, "", None, metric)
    where, corrected = str(last.detail.get("measured_on", "")), read_corrected(last.detail)
    return Measured(_own(last), where, _tested(last), metric, corrected)


def _corrected(measured: Measured) -> Interval | None:
    if measured.corrected is None:
        return None
    share = measured.corrected.accuracy
    return Interval(value=share.value, low=share.low, high=share.high, n=share.n)


def _interval(figure: Figure | None) -> Interval | None:
    if figure is None:
        return None
    return Interval(value=figure.value, low=figure.low, high=figure.high, n=figure.n)


def forecast_of(rounds: list[Round], spent: Decimal, planned: int) -> Decimal | None:
    """Forecast what the planned rounds will have cost, going by the newest rounds."""
    left = planned - len(rounds)
    if len(rounds) < 2 or left < 0:
        return None
    recent = rounds[-1 - _RECENT :]
    return spent + left * (recent[-1].usd - recent[0].usd) / (len(recent) - 1)


def _round_of(newest: Event | None, rounds: list[Round]) -> int:
    told = getattr(newest.body, "round", None) if newest else None
    return int(told) if told is not None else (rounds[-1].number if rounds else 0)


def _node(newest: Event | None) -> str:
    """Tell which step is under way from what was told last."""
    body = newest.body if newest else None
    match body:
        case e.Planned():
            return body.action if body.action in _WORDS else "select"
        case e.Annotated():
            return "annotate" if body.done < body.total else "verify"
        case e.Selected() | e.Generated():
            return "annotate"
        case e.Verified():
            return "annotate" if body.reannotate else "escalate"
        case e.Asked() | e.AnswersFolded():
            return "train"
        case e.Trained():
            return "evaluate"
        case e.WaitingForPeople():
            return "wait"
        case e.Finished():
            return "finish"
        case e.Initialized() | e.RoundDone():
            return "control"
    return "initialize"


_WORDS = {
    "initialize": "the data is read and embedded",
    "control": "the budget controller decides what comes next",
    "select": "the selector chooses texts",
    "annotate": "texts are being labelled",
    "verify": "labels are being checked",
    "escalate": "doubtful texts go to people",
    "generate": "new texts are written",
    "train": "the model is trained",
    "evaluate": "the model is measured",
    "wait": "the loop waits for people",
    "finish": "the model to take home is made",
}


def _now(newest: Event | None, status: str, reason: str) -> str:
    body = newest.body if newest else None
    if status == "waiting":
        told = body.reason if isinstance(body, e.WaitingForPeople) else reason
        return f"The loop waits for people: {told}".rstrip(": ")
    if status != "running":
        return f"{status.capitalize()}. {reason}".strip()
    if body is None:
        return "The run is starting."
    number = getattr(body, "round", None)
    where = "" if number is None else f"Round {number}: "
    words = _WORDS.get(_node(newest), "the loop is at work")
    if isinstance(body, e.Annotated) and body.done < body.total:
        words = f"{body.done:,} of {plural(body.total, 'text')} are labelled"
    if isinstance(body, e.Planned):
        words = f"{words}. {body.reason}"
    said = f"{where}{words}" if where else f"{words[0].upper()}{words[1:]}"
    return said if said.endswith(".") else f"{said}."
