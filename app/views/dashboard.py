"""`querist watch`: look on while another process drives a run. Nothing is written or held.

It draws one screen: sentence, curve, money, labels, questions, decisions, events; or writes lines.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from querist.app.terminal.place import Place, find_run
from querist.app.terminal.screen import (
    BARS,
    Screen,
    clean,
    dollars,
    percent,
    plural,
    source_words,
    sparkline,
)
from querist.app.views.facts import mind_of
from querist.app.views.progress import Tally, describe
from querist.app.views.state.run_view import ClassCount, Interval, RunView, run_view
from querist.memory.events import Annotated, Embedded
from querist.memory.records import Decision
from querist.memory.run.journal import Journal
from querist.memory.run.runs import Runs
from querist.memory.store import Store

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_MOST_CLASSES = 8
_BAR = 24
"""Characters of the bar of the class with most labels."""
_POLL = 0.5
_REST = 5.0
"""Seconds after which is looked again, though nothing was noted: money, questions, the lease."""
_LINES = 6
_PAGE = 500
_GOES_ON = ("paused", "interrupted")
_ENDS = frozenset({"finished", "paused", "failed", "interrupted"})
"""Where nothing more happens by itself. A run that waits goes on with people's answers."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as the store has it now."""

    view: RunView
    curve: tuple[float | None, ...]
    """The metric round by round."""
    decisions: tuple[Decision, ...]
    """The last one of each agent, the newest first."""
    ended: str
    """How it ended, in a sentence; empty while more happens by itself."""


def take_snapshot(store: Store, run: str) -> Snapshot:
    """Read a run."""
    journal, row = Journal(store, run), Runs(store).get(run)
    view = run_view(store, row)
    last = {made.agent: made for made in journal.decisions()}
    # Who drove it may have more to do with it: `querist demo` compares before it lets go.
    status = row.status if row.status == "finished" else view.status
    return Snapshot(
        view,
        tuple(done.metric for done in journal.rounds()),
        tuple(sorted(last.values(), key=lambda made: (made.round, made.turn), reverse=True)),
        f"{status.capitalize()}. {row.reason}".strip() if status in _ENDS else "",
    )


def watch_run(
    place: Place, name: str | None, *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Show a run until it ends; Ctrl-C ends the looking, not the run."""
    screen = Screen()
    with place.open() as store:
        run = find_run(store, name)
        looking = _Looking(store, run, pause)
        with suppress(KeyboardInterrupt):
            _show(screen, looking) if screen.is_terminal else _tell(screen, looking)
            screen.line(looking.snapshot.ended)
            if looking.snapshot.view.status in _GOES_ON:
                screen.line(f"It goes on with: {place.command(f'resume {run}')}")
            return
    screen.line(f"{run} goes on without you.")


class _Looking:
    """What was seen of a run so far."""

    def __init__(self, store: Store, run: str, pause: Callable[[float], None]) -> None:
        self.snapshot = take_snapshot(store, run)
        self.recent: deque[str] = deque(maxlen=_LINES)
        self._store, self._run, self._pause = store, run, pause
        self._journal, self._seen = Journal(store, run), 0
        self._tally = Tally(self.snapshot.view.rounds, self.snapshot.view.cap)
        self._tally.spent = self.snapshot.view.spent
        self.news()

    def news(self) -> list[str]:
        """Read what happened since, as lines."""
        lines: list[str] = []
        while found := self._journal.page(after=self._seen, limit=_PAGE):
            for event in found:
                body = event.body
                self._tally.take(body)
                line = describe(body, self._tally)
                # A line every few texts is for who drives; here the sentence above says it.
                if line is not None and not isinstance(body, Annotated | Embedded):
                    lines.append(line)
            self._seen = found[-1].id
        self.recent.extend(lines)
        return lines

    def looks(self) -> Iterator[list[str]]:
        """Give what is new, again and again, until the run has ended."""
        while not self.snapshot.ended:
            waited = 0.0
            before = self._seen
            while not (lines := self.news()) and before == self._seen and waited < _REST:
                self._pause(_POLL)
                waited += _POLL
            self.snapshot = take_snapshot(self._store, self._run)
            yield lines
        yield self.news()  # the last words come with the end


def _show(screen: Screen, looking: _Looking) -> None:
    from rich.live import Live

    with Live(
        console=screen.console,
        refresh_per_second=2,
        get_renderable=lambda: draw(looking.snapshot, looking.recent),
    ):
        for _ in looking.looks():
            pass


def _tell(screen: Screen, looking: _Looking) -> None:
    if not looking.snapshot.ended:
        screen.line(looking.snapshot.view.now)
    for line in [*looking.recent]:
        screen.line(line)
    for lines in looking.looks():
        for line in lines:
            screen.line(line)


def draw(snapshot: Snapshot, lines: Sequence[str]) -> RenderableType:
    """Draw it for a terminal, with the last `lines` of what happened."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    view = snapshot.view
    parts: list[RenderableType] = [
        Text(clean(snapshot.ended or view.now), style="bold"),
        _bars(snapshot),
        _curve(snapshot),
        *(Text(clean(words)) for words in _words(view)),
    ]
    if any(counted.by_source for counted in view.classes):
        parts += [_classes(view.classes)]
    if snapshot.decisions:
        parts += [_decisions(snapshot.decisions)]
    if lines:
        text = Text("\n".join(map(clean, lines)), style="dim", overflow="ellipsis", no_wrap=True)
        parts.append(text)
    title = f"{view.id}, {view.task}: {view.status}"
    return Panel(Group(*parts), title=Text(clean(title)), title_align="left")


def _bars(snapshot: Snapshot) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    bars = Table.grid(padding=(0, 1), expand=True)
    bars.add_column(width=9)
    bars.add_column(ratio=1)
    bars.add_column(justify="right")
    view, done = snapshot.view, len(snapshot.curve)
    rounds, spent, cap = max(1, view.rounds), float(view.spent), float(view.cap)
    ahead = ""
    if view.forecast is not None and not snapshot.ended:
        ahead = f", about {dollars(view.forecast)} in the end"
    bars.add_row("rounds", ProgressBar(rounds, min(done, rounds)), f"{done} of {view.rounds}")
    bars.add_row(
        "money",
        ProgressBar(cap or 1.0, min(spent, cap)),
        f"{dollars(view.spent)} of {dollars(view.cap)}{ahead}",
    )
    return bars


def _curve(snapshot: Snapshot) -> RenderableType:
    from rich.text import Text

    view, drawn = snapshot.view, sparkline(snapshot.curve)
    figure = f"{view.own_name} {_figure(view.own)} {view.own_words}" if view.own else "No round yet"
    test = f"; test {_figure(view.test)}" if view.test else ""
    text = Text(f"{drawn}  " if drawn else "", style="cyan")
    return text.append(clean(f"{figure}{test}"), style="default")


def _figure(figure: Interval | None) -> str:
    if figure is None:
        return "-"
    if figure.low is None or figure.high is None:
        return percent(figure.value)
    return f"{percent(figure.value)} [{percent(figure.low)}, {percent(figure.high)}]"


def _words(view: RunView) -> Iterator[str]:
    """Say where labels come from, and what people are asked."""
    sources = sorted(view.sources.items(), key=lambda pair: -pair[1])
    of = ", ".join(f"{source_words(name)} {count:,}" for name, count in sources)
    yield f"{plural(view.labels, 'label')}{f': {of}' if of else ''}"
    asked = [f"{count:,} {status}" for status, count in sorted(view.questions.items()) if count]
    if asked:
        yield f"questions: {', '.join(asked)}"
    if view.in_doubt:
        yield f"{dollars(view.in_doubt)} in doubt: see querist reconcile"


def _classes(classes: Sequence[ClassCount]) -> Table:
    """Draw how many labels each class has; those with most first."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    counts = sorted(
        ((sum(counted.by_source.values()), counted.name) for counted in classes),
        key=lambda pair: -pair[0],
    )
    most = max(1, counts[0][0])
    for count, name in counts[:_MOST_CLASSES]:
        bar = BARS[-1] * round(_BAR * count / most)
        table.add_row(Text(clean(name)), Text(bar, style="cyan"), f"{count:,}")
    if len(counts) > _MOST_CLASSES:
        left = counts[_MOST_CLASSES:]
        table.add_row(f"{len(left)} more", "", f"{sum(count for count, _ in left):,}")
    return table


def _decisions(decisions: Sequence[Decision]) -> Table:
    """List the last decision of each agent."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for made in decisions:
        who = f"{made.agent.replace('_', ' ')}, round {made.round}"
        table.add_row(who, Text(clean(mind_of(made)), style="dim"), Text(clean(made.reason)))
    return table
