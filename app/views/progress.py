"""A run as it goes: what its events add up to, said in lines or drawn on a live panel."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from querist.app.terminal.screen import Screen, clean, dollars, duration, percent, plural
from querist.app.views.figures import headline_word, place_words
from querist.app.views.lessons import lesson_line
from querist.memory.events import (
    Annotated,
    AnswersFolded,
    Asked,
    CommandClosed,
    Consulted,
    Convened,
    Delivered,
    Embedded,
    EventBody,
    Finished,
    Generated,
    Initialized,
    LessonLearnt,
    LessonsUsed,
    Notice,
    OutOfMoney,
    Planned,
    RoundDone,
    Selected,
    TargetTraining,
    TookOver,
    Trained,
    Unadvised,
    Verified,
    WaitingForPeople,
)
from querist.memory.records import Event

if TYPE_CHECKING:
    from rich.console import RenderableType

_LAST_LINES = 6
_KEPT = (RoundDone, Delivered, Notice, WaitingForPeople, CommandClosed, LessonsUsed, LessonLearnt)
"""Events whose lines stay on a terminal; the others scroll by on the panel."""
RECENT = 3

_PHASES: Mapping[type[EventBody], str] = {
    Embedded: "embedding texts",
    Initialized: "planning",
    Planned: "planning",
    Selected: "annotating",
    Generated: "annotating",
    Annotated: "annotating",
    Verified: "asking people",
    Asked: "training",
    Trained: "evaluating",
    RoundDone: "planning",
    TargetTraining: "training the model to take home",
    WaitingForPeople: "waiting for people",
    Finished: "finished",
}


@dataclass(slots=True)
class Tally:
    """What the events so far add up to."""

    rounds: int
    cap: Decimal
    spent: Decimal = Decimal(0)
    round: int = 0
    phase: str = "starting"
    done: int = 0
    total: int = 0
    labelled: int = 0
    people: int = 0
    open: int = 0
    metric: float | None = None
    measured_on: str = ""
    test: float | None = None
    clock: Callable[[], float] = time.monotonic
    _round_began: float | None = None
    _took: list[float] = field(default_factory=list)

    def take(self, body: EventBody) -> None:
        """Add what an event told."""
        # A few texts are embedded in between, too; only a longer wait for it is worth a word.
        if isinstance(body, Embedded) and body.done == body.total:
            return
        self.phase = _PHASES.get(type(body), self.phase)
        match body:
            case Planned():
                self._open_round(body)
            case Selected(count=size) | Generated(kept=size):
                self.done, self.total = 0, size
            case Embedded():
                self.done, self.total = body.done, body.total
            case Annotated():
                self.done, self.total, self.spent = body.done, body.total, body.usd
            case Asked():
                self.open = body.open
            case WaitingForPeople():
                self.open = body.asked - body.closed
            case CommandClosed():
                self.cap = body.cap  # it may have been raised in mid-round
            case RoundDone():
                self._close_round(body)
            case _:
                pass

    def _open_round(self, planned: Planned) -> None:
        self.rounds, self.cap = planned.rounds, planned.cap
        if planned.action in {"select", "generate"}:
            self.round, self._round_began = planned.round, self.clock()

    def _close_round(self, done: RoundDone) -> None:
        self.labelled, self.people, self.spent = done.labelled, done.people, done.usd
        self.metric, self.measured_on, self.test = done.metric, done.measured_on, done.test
        if self._round_began is not None:
            self._took.append(self.clock() - self._round_began)
            self._round_began = None

    @property
    def seconds_left(self) -> float | None:
        """How long the remaining rounds take if they are like the last ones; it may end sooner."""
        recent = self._took[-RECENT:]
        if not recent:
            return None
        began = self._round_began
        under_way = 0.0 if began is None else self.clock() - began
        left = self.rounds - self.round - (began is None)
        return max(0.0, left * sum(recent) / len(recent) - under_way)


_WORDS = {
    "accept": "accepted",
    "reannotate": "sent back",
    "escalate": "for people",
    "drop": "dropped",
}


def describe(body: EventBody, tally: Tally) -> str | None:  # noqa: C901, PLR0912 - one case a kind
    """Say an event in one line; None for those that are of no interest in a log."""
    match body:
        case Embedded(done=done, total=total) if done < total:
            return f"Embedding texts: {done:,} of {total:,}"
        case Initialized():
            return f"Pool: {plural(body.pool, 'example')}, test: {body.test:,}"
        case Planned() if body.action != "wait":  # which says so itself
            return f"Round {body.round}: {body.action}. {body.reason}"
        case Selected():
            return f"  selected {body.count} by {body.strategy}"
        case Unadvised():
            return f"  the language model did not help to select: {body.reason}"
        case Generated():
            return f"  wrote {body.kept} new examples, threw {body.rejected} away"
        case Verified():
            return _verified_line(body)
        case Asked() if body.open:
            return f"  {plural(body.open, 'question')} to people open"
        case Trained() if body.pseudo:
            # Said only of a model that learnt from guesses; labels are counted when the round is
            # done.
            return f"  trained on {body.rows:,} labels and {body.pseudo:,} pseudo-labels"
        case TargetTraining():
            return f"  {body.text}"
        case Delivered() if body.test is not None:
            return f"The model to take home ({body.trainer}): test {percent(body.test)}"
        case Notice() | Consulted() | TookOver() | Convened() | LessonsUsed() | LessonLearnt():
            return _note(body)
        case AnswersFolded():
            return f"  {plural(body.folded, 'answer')} of people taken in"
        case WaitingForPeople():
            return f"Waiting for people: {body.reason}."
        case CommandClosed():
            return f"  {body.who} said {body.name}: {body.result} ({body.status})"
        case OutOfMoney():
            return f"  out of money: {body.reason}"
        case RoundDone():
            return _round_line(body, tally)
    return None


def _note(
    body: Notice | Consulted | TookOver | Convened | LessonsUsed | LessonLearnt,
) -> str:
    if isinstance(body, LessonsUsed | LessonLearnt):
        return lesson_line(body)
    if isinstance(body, Notice):
        return f"  note: {body.text}"
    agent = body.agent.replace("_", " ")
    if isinstance(body, TookOver):
        return f"  the rules decide for the {agent}: {body.reason}"
    if isinstance(body, Convened):
        other = body.other.replace("_", " ")
        return f"  {agent} and {other} speak about it: {body.about}"
    return f"  {body.model} is asked to decide for the {agent}"


def _verified_line(body: Verified) -> str:
    counts = {key: getattr(body, key) for key in _WORDS}
    said = [f"{count} {_WORDS[key]}" for key, count in counts.items() if count]
    return f"  verified: {', '.join(said) or 'nothing'}"


def _round_line(done: RoundDone, tally: Tally) -> str:
    test = "" if done.test is None else f", test {percent(done.test)}"
    measured = (
        ""
        if done.metric is None
        else (
            f"{headline_word(done.measured_on).lower()} {percent(done.metric)} "
            f"({place_words(done.measured_on)}){test}; "
        )
    )
    left = tally.seconds_left
    ahead = f", at most about {duration(left)} left" if left else ""
    return (
        f"Round {done.round} done: {measured}{done.labelled:,} labels, "
        f"{done.people:,} by people; {dollars(tally.spent)} of {dollars(tally.cap)}{ahead}"
    )


class Watch:
    """Shows a run while it is driven: use it as a `with` block around the drive."""

    def __init__(self, screen: Screen, tally: Tally) -> None:
        """Draw on a terminal, write lines elsewhere."""
        self._screen = screen
        self._tally = tally
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start drawing."""
        if self._screen.is_terminal:
            from rich.live import Live

            live = Live(
                get_renderable=self._panel,
                console=self._screen.console,
                transient=True,
                refresh_per_second=4,
            )
            self._stack.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the panel away; its last words stay."""
        self._stack.close()

    def note(self, event: Event) -> None:
        """Take an event in and show it."""
        body = event.body
        self._tally.take(body)
        line = describe(body, self._tally)
        if line is not None:
            self.say(line, is_kept=isinstance(body, _KEPT))

    def say(self, line: str, *, is_kept: bool = True) -> None:
        """Show a line; on a terminal one that is not kept scrolls by on the panel."""
        if is_kept or not self._screen.is_terminal:
            self._screen.line(line)
        else:
            self._lines.append(clean(line))

    def _panel(self) -> RenderableType:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        tally = self._tally
        bars = Table.grid(padding=(0, 1), expand=True)
        bars.add_column(width=9)
        bars.add_column(ratio=1)
        bars.add_column(justify="right")
        spent, cap = float(tally.spent), float(tally.cap)
        for name, bar, words in (
            ("batch", ProgressBar(max(1, tally.total), tally.done), f"{tally.done}/{tally.total}"),
            ("money", ProgressBar(cap, spent), f"{spent:,.2f} of {cap:,.2f} USD"),
            (
                "rounds",
                ProgressBar(max(1, tally.rounds), tally.round),
                f"{tally.round}/{tally.rounds}",
            ),
        ):
            bars.add_row(name, bar, words)
        log = Text("\n".join(self._lines), style="dim", overflow="ellipsis", no_wrap=True)
        title = f"round {tally.round}: {tally.phase}"
        return Panel(Group(bars, Text(self._facts()), log), title=title, title_align="left")

    def _facts(self) -> str:
        tally = self._tally
        facts = [f"{tally.labelled:,} labels", f"{tally.people:,} by people"]
        if tally.metric is not None:
            facts.append(f"{headline_word(tally.measured_on).lower()} {percent(tally.metric)}")
        if tally.test is not None:
            facts.append(f"test {percent(tally.test)}")
        if tally.open:
            facts.append(f"{plural(tally.open, 'question')} open")
        left = tally.seconds_left
        facts.append("time left unknown yet" if left is None else f"about {duration(left)} left")
        return " · ".join(facts)
