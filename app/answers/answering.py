"""The inbox in the terminal: sitting down, and what is said on leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from querist.app.answers.keys import keyboard
from querist.app.answers.kinds import answering_of
from querist.app.answers.sitting import Sitting
from querist.app.terminal.place import Place, opened_run, user_name
from querist.app.terminal.screen import Screen, plural
from querist.app.views.people import people_figures
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput
from querist.memory.run.runs import Runs

if TYPE_CHECKING:
    from querist.graph.run import Run

_LONGEST_NAME = 60


def sit_down(place: Place, name: str | None, *, who: str = "", settles: bool = False) -> None:
    """Answer the questions of a run, or settle disputes, until no more come or they quit."""
    screen = Screen()
    with opened_run(place, name, or_job=True) as run:
        runs = Runs(run.store)
        sitting = Sitting(
            Inbox(run.store, run.id),
            screen,
            who=valid_name(who or user_name()),
            answering=answering_of(run.view().task.kind),
            is_at_work=lambda: runs.is_driven(run.row),
            settles=settles,
        )
        with keyboard() as read_key:
            try:
                sitting.work(read_key)
            except KeyboardInterrupt:
                screen.line()
        _say_goodbye(run, sitting, screen, place)


def valid_name(who: str) -> str:
    """Check the name of somebody who answers."""
    who = who.strip()
    if not who or len(who) > _LONGEST_NAME or not who.isprintable():
        raise InvalidInput(f"--name {who!r}: expected 1 to {_LONGEST_NAME} visible characters.")
    return who


def _say_goodbye(run: Run, sitting: Sitting, screen: Screen, place: Place) -> None:
    left = sitting.inbox.counts().get("open", 0)
    screen.line(
        f"{plural(sitting.answered, 'answer')}, {sitting.skipped} skipped; "
        f"{plural(left, 'question')} of run {run.id} still open."
    )
    figures = people_figures(run.store, run.row)
    for words in (figures.words, figures.of(sitting.who)):
        if words:
            screen.line(words)
    if figures.disputes and not sitting.settles:
        screen.line(f"Settle them with: {place.command(f'inbox settle {run.id}')}")
    if not sitting.answered:
        return
    if run.row.kind == "create":
        screen.line(f"A worker takes them in: {place.command('worker')}")
    elif Runs(run.store).is_driven(run.row):
        screen.line("The run takes them in by itself.")
    else:
        screen.line(f"Let the run use them with: {place.command(f'resume {run.id}')}")
