"""A run as it goes: what its events add up to, said in lines or drawn on a live panel."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from querist.app.terminal.screen import Screen, clean, dollars, duration, percent, plural
from querist.app.views.figures import headline_word, place_words
from querist.memory.records import Event

if TYPE_CHECKING:
    from rich.console import RenderableType

LAST_LINES = 6
KEPT = {"round", "notice", "waiting", "command"}
"""Events whose lines stay on a terminal; the others scroll by on the panel."""
RECENT = 3

PHASES: Mapping[str, str] = {
    "embedding": "embedding texts",
    "initialized": "planning",
    "plan": "planning",
    "selected": "annotating",
    "generated": "annotating",
    "annotated": "annotating",
    "verified": "asking people",
    "asked": "training",
    "trained": "evaluating",
    "round": "planning",
    "waiting": "waiting for people",
    "finished": "finished",
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

    def take(self, event: Event) -> None:
        """Add an event."""
        data: Mapping[str, Any] = event.data
        # A few texts are embedded in between, too; only a longer wait for it is worth a word.
        if event.kind == "embedding" and data["done"] == data["total"]:
            return
        self.phase = PHASES.get(event.kind, self.phase)
        if event.kind in {"embedding", "annotated"}:
            self.done, self.total = data["done"], data["total"]
        if event.kind in {"selected", "generated"}:
            self.done, self.total = 0, data.get("count", data.get("kept", 0))
        if event.kind == "plan" and data["action"] in {"select", "generate"}:
            self.round, self._round_began = data["round"], self.clock()
        if event.kind == "asked":
            self.open = data["open"]
        if event.kind == "waiting":
            self.open = data["asked"] - data["closed"]
        if event.kind == "plan":
            self.rounds = data["rounds"]
        self._take_money(data)
        if event.kind == "round":
            self._close_round(data)

    def _take_money(self, data: Mapping[str, Any]) -> None:
        if "cap" in data:  # a plan names it, and a command may have changed it in mid-round
            self.cap = Decimal(str(data["cap"]))
        if "usd" in data:
            self.spent = Decimal(str(data["usd"]))

    def _close_round(self, data: Mapping[str, Any]) -> None:
        self.labelled, self.people = data["labelled"], data["people"]
        self.metric, self.measured_on = data["metric"], data["measured_on"]
        self.test = data["test"]
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


Data = Mapping[str, Any]
WORDS = {
    "accept": "accepted",
    "reannotate": "sent back",
    "escalate": "for people",
    "drop": "dropped",
}


def describe(event: Event, tally: Tally) -> str | None:
    """Say an event in one line; None for those that are of no interest in a log."""
    if event.kind == "round":
        return _round_line(event.data, tally)
    say = _LINES.get(event.kind)
    return say(event.data) if say else None


def _embedding_line(data: Data) -> str | None:
    if data["done"] == data["total"]:
        return None
    return f"Embedding texts: {data['done']:,} of {data['total']:,}"


def _verified_line(data: Data) -> str:
    said = [f"{data[key]} {word}" for key, word in WORDS.items() if data.get(key)]
    return f"  verified: {', '.join(said) or 'nothing'}"


def _asked_line(data: Data) -> str | None:
    return f"  {plural(data['open'], 'question')} to people open" if data["open"] else None


def _trained_line(data: Data) -> str | None:
    # Said only of a model that learnt from guesses; labels are counted when the round is done.
    if not data.get("pseudo"):
        return None
    return f"  trained on {data['rows']:,} labels and {data['pseudo']:,} pseudo-labels"


def _plan_line(data: Data) -> str | None:
    if data["action"] == "wait":  # which says so itself
        return None
    return f"Round {data['round']}: {data['action']}. {data['reason']}"


_LINES: Mapping[str, Callable[[Data], str | None]] = {
    "embedding": _embedding_line,
    "initialized": lambda d: f"Pool: {plural(d['pool'], 'example')}, test: {d['test']:,}",
    "plan": _plan_line,
    "selected": lambda d: f"  selected {d['count']} by {d['strategy']}",
    "unadvised": lambda d: f"  the language model did not help to select: {d['reason']}",
    "generated": lambda d: f"  wrote {d['kept']} new examples, threw {d['rejected']} away",
    "verified": _verified_line,
    "asked": _asked_line,
    "trained": _trained_line,
    "notice": lambda d: f"  note: {d['text']}",
    "answers": lambda d: f"  {plural(d['folded'], 'answer')} of people taken in",
    "waiting": lambda d: f"Waiting for people: {d['reason']}.",
    "command": lambda d: f"  {d['who']} said {d['name']}: {d['result']} ({d['status']})",
    "out_of_money": lambda d: f"  out of money: {d['reason']}",
}


def _round_line(data: Mapping[str, Any], tally: Tally) -> str:
    test = "" if data["test"] is None else f", test {percent(data['test'])}"
    measured = (
        ""
        if data["metric"] is None
        else (
            f"{headline_word(data['measured_on']).lower()} {percent(data['metric'])} "
            f"({place_words(data['measured_on'])}){test}; "
        )
    )
    left = tally.seconds_left
    ahead = f", at most about {duration(left)} left" if left else ""
    return (
        f"Round {data['round']} done: {measured}{data['labelled']:,} labels, "
        f"{data['people']:,} by people; {dollars(tally.spent)} of {dollars(tally.cap)}{ahead}"
    )


class Watch:
    """Shows a run while it is driven: use it as a `with` block around the drive."""

    def __init__(self, screen: Screen, tally: Tally) -> None:
        """Draw on a terminal, write lines elsewhere."""
        self._screen = screen
        self._tally = tally
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
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
        self._tally.take(event)
        line = describe(event, self._tally)
        if line is not None:
            self.say(line, is_kept=event.kind in KEPT)

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
