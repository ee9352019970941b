"""`querist choose`: run a search with its progress on the screen, and say what came of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import typer

from querist.app.terminal.interrupts import pausing
from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, dollars
from querist.app.terminal.search_inputs import (
    Wanted,
    read_answers,
    read_pieces,
    read_prompts,
    write_records,
)
from querist.app.terminal.toml_text import to_toml
from querist.graph.choosing import labellers, rising, searches, subsets
from querist.graph.choosing.heads import Proposer
from querist.graph.choosing.session import Session, last_result, opened
from querist.graph.config import RunConfig, put
from querist.memory.errors import BudgetExceeded
from querist.memory.event_parts import ArmRow
from querist.memory.events import ArmsTried, Chosen, Embedded
from querist.memory.records import Event
from querist.memory.run.ledger import Ledger
from querist.tools.money.prices import PriceList
from querist.tools.wording import listed

if TYPE_CHECKING:
    from querist.memory.run.runs import RunRow
    from querist.memory.store import Store

_MOST_ROWS = 30
_MOST_LINES = 20
"""Of progress, where there is no terminal."""
_FIRST_COLUMN = {
    "examples": "example",
    "evaluation": "estimate",
    "features": "column",
    "hyperparameters": "settings",
}
_MEAN = {"features": "score>"}
Say = Callable[[Event], None]


def decide(wanted: Wanted, place: Place) -> None:
    """Choose, show the result, and exit with its code."""
    wanted.check()
    screen = Screen()
    config = wanted.config()
    spec, arms = _arms(wanted, config)
    with (
        place.open(must_exist=False) as store,
        _progress(screen) as listen,
        pausing(lambda: None, screen.line) as signals,
    ):

        async def run() -> tuple[str, Chosen, Decimal]:
            async with opened(
                store,
                config,
                what=wanted.what,
                spec=spec,
                tell=screen.line,
                listener=listen,
                should_stop=lambda: signals.count > 0,
                has_pool=wanted.what != "features",
            ) as session:
                screen.line(f"{session.context.run.id} in {place.workspace}")
                return session.context.run.id, await _choose(wanted, session, arms), session.usd

        name, chosen, spent = asyncio.run(run())
        balance = Ledger(store, name).balance()
    show_result(screen, chosen, spent=spent, cap=balance.cap)
    _show_doubts(screen, place, name, balance.in_doubt)
    if wanted.output is not None and chosen.records:
        write_records(wanted.output, chosen.records)
        screen.line(f"Wrote {wanted.output}")
    if chosen.status != "finished":
        screen.line(f"Go on with the same command; see: {place.command(f'status {name}')}")
    codes = {"paused": signals.exit_code, "out of money": BudgetExceeded.exit_code}
    raise typer.Exit(codes.get(chosen.status, 0))


def show_search(screen: Screen, place: Place, store: Store, row: RunRow) -> None:
    """Show where a search stands, from the store."""
    balance = Ledger(store, row.id).balance()
    screen.title(f"{row.id}: {row.status}")
    if row.reason:
        screen.line(row.reason)
    chosen = last_result(store, row.id)
    if chosen is None:
        screen.line(f"Nothing is chosen yet; {dollars(balance.settled)} spent so far.")
    else:
        show_result(screen, chosen, spent=balance.settled, cap=balance.cap)
    _show_doubts(screen, place, row.id, balance.in_doubt)


def show_result(screen: Screen, chosen: Chosen, *, spent: Decimal, cap: Decimal) -> None:
    """Print the arms, the winner, and what to write into the task file."""
    screen.line()
    columns = [_FIRST_COLUMN.get(chosen.what, chosen.what), "tries>"]
    columns += [_MEAN.get(chosen.what, "accuracy>"), "90 % interval"]
    columns += ["cost>", "rejected", "levelled off"]
    rows = [_cells(row) for row in chosen.rows[:_MOST_ROWS]]
    kept = [i for i, name in enumerate(columns) if i == 0 or any(row[i] != "-" for row in rows)]
    screen.table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])
    if len(chosen.rows) > _MOST_ROWS:
        screen.line(f"... and {len(chosen.rows) - _MOST_ROWS} more")
    screen.line()
    if chosen.status != "finished":
        screen.line(f"Not finished: {chosen.status}. This is the state so far.", style="yellow")
    if chosen.what not in {"examples", "evaluation"} and chosen.winners:
        screen.line(f"Chosen    {listed(chosen.winners)}", style="bold")
    for note in chosen.notes:
        screen.line(f"Note      {note}")
    screen.line(f"Money     {dollars(spent)} of {dollars(cap)}")
    if chosen.settings:
        body: dict[str, Any] = {}
        for key, value in chosen.settings.items():
            put(body, key, value)
        screen.line("Write into the task file:")
        screen.code(to_toml(body))


def _show_doubts(screen: Screen, place: Place, name: str, usd: Decimal) -> None:
    """Tell of money that a killed process left reserved: it counts as spent until settled."""
    if usd > 0:
        command = place.command(f"reconcile {name} --not-billed")
        screen.line(
            f"In doubt  {dollars(usd)} of calls of a killed process; look at your provider's bill, "
            f"then: {command} (or --billed)",
            style="yellow",
        )


def _cells(row: ArmRow) -> list[str]:
    interval = "-"
    if row.low is not None and row.high is not None:
        interval = f"{row.low:.3f} to {row.high:.3f}"
    return [
        row.name,
        str(row.pulls) if row.pulls else "-",
        "-" if row.mean is None else f"{row.mean:.3f}",
        interval,
        dollars(row.usd) if row.usd else "-",
        "-" if row.rejected_after is None else f"after {row.rejected_after}",
        "-" if row.levelled_after is None else f"after {row.levelled_after}",
    ]


def _arms(wanted: Wanted, config: RunConfig) -> tuple[dict[str, object], Any]:
    """Read what there is to choose from, and all that the result of one try depends on."""
    model = config.models.annotator
    if wanted.what == "prompt":
        prompts = read_prompts(wanted)
        return {"model": model, "prompts": prompts}, prompts
    if wanted.what == "context":
        pieces = read_pieces(wanted, config)
        shown = [(piece.name, piece.passage, dict(piece.record)) for piece in pieces]
        return {"model": model, "contexts": shown, "top": wanted.top}, pieces
    if wanted.what == "model":
        return {"models": list(wanted.arms), "url": config.models.base_url}, wanted.arms
    if wanted.what == "features":
        assert wanted.subject is not None
        data = config.data
        # Read now, so that a table that is no good is refused before anything is opened.
        subsets.read_features(
            wanted.subject, wanted.target or "", encoding=data.encoding, header=data.header
        )
        PriceList.load(config.prices).price_of(model)
        return {"model": model, "table": str(wanted.subject), "target": wanted.target}, None
    if wanted.what == "evaluation":
        return {"model": model}, read_answers(wanted.answers, config)
    return {"model": model, "of": wanted.of, "propose": wanted.propose}, None


async def _choose(wanted: Wanted, session: Session, arms: Any) -> Chosen:
    terms = labellers.Terms(wanted.method or "", wanted.evaluations, wanted.top or 4)
    if wanted.what == "prompt":
        return await labellers.choose_prompt(session, cast("Mapping[str, str]", arms), terms)
    if wanted.what == "model":
        return await labellers.choose_model(session, cast("Sequence[str]", arms), terms)
    if wanted.what == "context":
        return await labellers.choose_context(session, arms, terms)
    if wanted.what == "examples":
        return await asyncio.to_thread(
            subsets.choose_examples, session, count=wanted.labels, by_length=wanted.by_length
        )
    if wanted.what == "evaluation":
        return await subsets.choose_evaluation(
            session, labels=wanted.labels or 0, method=wanted.method or "lure", answers=arms
        )
    if wanted.what == "features":
        assert wanted.subject is not None
        return await subsets.choose_features(
            session,
            wanted.subject,
            target=wanted.target or "",
            way=cast("Any", wanted.method or "score"),
            count=wanted.top,
        )
    is_rising = wanted.method == "ti-ucb"
    default = "mutation" if wanted.what == "architecture" and not is_rising else "random"
    proposer = cast("Proposer", wanted.propose or default)
    if is_rising:
        return await rising.choose_rising_head(
            session, evaluations=wanted.evaluations, proposer=proposer
        )
    if wanted.what == "hyperparameters" and wanted.of == "annotator":
        return await searches.choose_annotator_settings(
            session, evaluations=wanted.evaluations, proposer=proposer
        )
    return await searches.choose_head(session, what=cast("Any", wanted.what), proposer=proposer)


@contextmanager
def _progress(screen: Screen) -> Iterator[Say]:
    """Show how far it is: a bar on a terminal, lines elsewhere."""
    if not screen.is_terminal:
        said = -math.inf

        def say(event: Event) -> None:
            nonlocal said
            step = event.body
            if not isinstance(step, ArmsTried | Embedded):
                return
            done, total = step.done, step.total
            # A log of one line a try would be long: TI-UCB tries one at a time, in milliseconds.
            if done == total or not 0 <= done - said < total / _MOST_LINES:
                said = done
                screen.line(f"  {done} of {total}: {_words(step)}")

        yield say
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left())
    with Progress(*columns, console=screen.console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(event: Event) -> None:
            step = event.body
            if isinstance(step, ArmsTried | Embedded):
                words = _words(step)
                bar.update(task, description=words, completed=step.done, total=step.total)

        yield show


def _words(step: ArmsTried | Embedded) -> str:
    if isinstance(step, Embedded):
        return "embedding texts"
    # Only text without markup goes to a column that reads some.
    best = step.best.replace("[", "(")[:60]
    return f"best so far {best}; {dollars(step.usd)}"
