"""Driving a run from the terminal: quote, progress, pause, summary."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from querist.app.actions.quoting import show_quote
from querist.app.terminal.inputs import read_amount
from querist.app.terminal.interrupts import pausing
from querist.app.terminal.place import Place, opened_run, user_name
from querist.app.terminal.screen import Screen
from querist.app.views.progress import Tally, Watch
from querist.graph.config import RunConfig, make_config, put
from querist.memory.errors import ModelError, QueristError, RunBusy
from querist.memory.events import WaitingForPeople
from querist.memory.records import Event
from querist.memory.run.runs import Runs

if TYPE_CHECKING:
    from querist.graph.run import Outcome, Run


def start(config: RunConfig, place: Place, *, stay: bool | None = None) -> None:
    """Make a run and drive it until it ends, pauses or waits."""
    from querist.graph.run import Run
    from querist.graph.workplace.embedding import check_embedder

    screen = Screen()
    check_embedder(config)
    with place.open(must_exist=False) as store:
        run = Run.create(config, store, tell=screen.line)
        screen.line(f"Run {run.id} in {place.workspace}")
        asyncio.run(run.time_a_call())
        show_quote(screen, run.quote())
        raise typer.Exit(finish(run, drive(run, screen, place, stay=stay), screen, place))


def go_on(
    place: Place,
    name: str | None,
    *,
    changes: Mapping[str, object],
    budget: str | None = None,
    stay: bool | None = None,
) -> None:
    """Drive a run that exists already, with what may change changed first."""
    screen = Screen()
    with opened_run(place, name) as run:
        _check_changes(run, changes)
        if budget is not None:
            run.post("budget", who=user_name(), usd=str(read_amount(budget)))
        for key, value in changes.items():
            run.post("set", who=user_name(), key=key, value=value)
        if Runs(run.store).is_driven(run.row):
            _say_driven(run, screen, place, is_changed=bool(changes or budget))
            return
        screen.line(f"Run {run.id} in {place.workspace}")
        raise typer.Exit(finish(run, drive(run, screen, place, stay=stay), screen, place))


def _check_changes(run: Run, changes: Mapping[str, object]) -> None:
    """Refuse what the run could not take, before anything is written."""
    from querist.graph.commands import refuse_fixed

    body = run.view().config.model_dump(mode="json")
    for key, value in changes.items():
        refuse_fixed(key)
        put(body, key, value)
    make_config(body, source="the command line")


def _say_driven(run: Run, screen: Screen, place: Place, *, is_changed: bool) -> None:
    words = (
        f"Run {run.id} goes on already: another process drives it ({run.row.driver}). Look with: "
        f"{place.command(f'status {run.id}')}; pause it with: {place.command(f'pause {run.id}')}"
    )
    if not is_changed:
        raise RunBusy(words)
    screen.line(f"{words}\nWhat you changed was handed to it.")


def drive(
    run: Run, screen: Screen, place: Place, *, stay: bool | None = None
) -> tuple[Outcome, int]:
    """Drive a run with its progress on the screen; return the outcome and an exit code.

    `stay` while it waits for people; None: where a person is at the terminal.
    """
    tally = _tally(run)
    watch = Watch(screen, tally)
    with watch, pausing(run.drain, watch.say) as signals:
        told = False

        def listen(event: Event) -> None:
            nonlocal told
            watch.note(event)
            if isinstance(event.body, WaitingForPeople) and not told:
                told = True
                watch.say(
                    f"  answer with: {place.command(f'inbox {run.id}')}\n"
                    f"  or go on without: {place.command(f'proceed {run.id}')}"
                )
            if signals.count:  # it may have come before there was anything to drain
                run.drain()

        try:
            attend = screen.is_terminal if stay is None else stay
            outcome = asyncio.run(run.drive(listen, attend=attend))
        except QueristError:
            watch.say(f"Stopped by an error; go on with: {place.command(f'resume {run.id}')}")
            raise
    if outcome.is_trouble:
        return outcome, ModelError.exit_code
    return outcome, signals.exit_code if outcome.status in {"paused", "waiting"} else 0


def finish(run: Run, driven: tuple[Outcome, int], screen: Screen, place: Place) -> int:
    """Write the report and say how it went; return the exit code."""
    from querist.app.views.report import REPORT, write_report
    from querist.app.views.report_data import gather
    from querist.app.views.summary import show_summary

    outcome, code = driven
    data = gather(run)
    # What a run waits for is said as it is now: somebody may have answered meanwhile.
    reason = data.reason if outcome.status == "waiting" else outcome.reason
    screen.title(f"{outcome.status.capitalize()}: {reason}".rstrip(": "))
    report = write_report(data, run.view().files.path(REPORT))
    show_summary(screen, data, place, report=report)
    return code


def _tally(run: Run) -> Tally:
    """Start from what the store knows, so that a resumed run does not begin at nought."""
    context = run.view()
    balance = context.ledger.balance()
    tally = Tally(rounds=context.config.loop.rounds, cap=balance.cap, spent=balance.settled)
    done = context.journal.rounds()
    if done:
        last = done[-1]
        tally.round, tally.labelled, tally.people = last.number, last.labelled, last.human_labels
        tally.metric = last.metric
        tally.measured_on = str(last.detail.get("measured_on", ""))
    tally.open = context.inbox.counts().get("open", 0)
    return tally
