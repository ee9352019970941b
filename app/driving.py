"""Driving a run from the terminal: quote, progress, pause, summary."""

from __future__ import annotations

import asyncio
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import typer

from querist.app.interrupts import pausing
from querist.app.place import Place, opened_run, user_name
from querist.app.progress import Tally, Watch
from querist.app.quoting import show_quote
from querist.app.screen import Screen
from querist.graph.config import RunConfig
from querist.memory.errors import InvalidInput, QueristError
from querist.memory.records import Event

if TYPE_CHECKING:
    from querist.graph.run import Outcome, Run


def start(config: RunConfig, place: Place) -> None:
    """Make a run and drive it until it ends, pauses or waits."""
    from querist.graph.run import Run

    screen = Screen()
    with place.open(must_exist=False) as store:
        run = Run.create(config, store, tell=screen.line)
        screen.line(f"Run {run.id} in {place.workspace}")
        show_quote(screen, run.quote())
        raise typer.Exit(finish(run, drive(run, screen, place), screen, place))


def go_on(place: Place, name: str | None, *, budget: str | None = None) -> None:
    """Drive a run that exists already."""
    screen = Screen()
    with opened_run(place, name) as run:
        if budget is not None:
            run.post("budget", who=user_name(), usd=str(_amount(budget)))
        screen.line(f"Run {run.id} in {place.workspace}")
        raise typer.Exit(finish(run, drive(run, screen, place), screen, place))


def drive(run: Run, screen: Screen, place: Place) -> tuple[Outcome, int]:
    """Drive a run with its progress on the screen; return the outcome and an exit code."""
    tally = _tally(run)
    watch = Watch(screen, tally)
    with watch, pausing(run.drain, watch.say) as signals:

        def listen(event: Event) -> None:
            watch.note(event)
            if signals.count:  # it may have come before there was anything to drain
                run.drain()

        try:
            outcome = asyncio.run(run.drive(listen))
        except QueristError:
            watch.say(f"Stopped by an error; go on with: {place.command(f'resume {run.id}')}")
            raise
    return outcome, signals.exit_code if outcome.status == "paused" else 0


def finish(run: Run, driven: tuple[Outcome, int], screen: Screen, place: Place) -> int:
    """Write the report and say how it went; return the exit code."""
    from querist.app.report import write_report
    from querist.app.report_data import gather
    from querist.app.summary import show_summary

    outcome, code = driven
    screen.title(f"{outcome.status.capitalize()}: {outcome.reason}".rstrip(": "))
    data = gather(run)
    show_summary(screen, data, place, report=write_report(data, run.view().folder))
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
    tally.open = context.inbox.counts().get("open", 0)
    return tally


def _amount(text: str) -> Decimal:
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal(0)
    if not usd.is_finite() or usd <= 0:
        raise InvalidInput(
            f"--budget {text}: expected an amount of US dollars above 0, as in 2.50."
        )
    return usd
