"""What the commands about jobs do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import typer

from querist.app.actions.quoting import show_quote
from querist.app.terminal.inputs import read_amount, read_change, read_changes
from querist.app.terminal.interrupts import pausing
from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, dollars, duration, plural, sparkline
from querist.app.terminal.toml_text import to_toml
from querist.app.views.job_progress import (
    JobView,
    decision_lines,
    facts,
    gate_rows,
    line,
    look,
    panel,
)
from querist.app.views.state.workspace import caps_line
from querist.graph.jobs import (
    CreateRequest,
    JobQuote,
    LabelRequest,
    Worker,
    extend,
    load_request,
    quote_create,
    submit,
    write_result,
)
from querist.graph.jobs import find_attributes as find
from querist.graph.jobs.result import card_of
from querist.memory.errors import InvalidInput
from querist.memory.files import write_whole
from querist.memory.records import Job, JobStatus
from querist.memory.store import Store, open_store
from querist.memory.workspace.creations import Creations
from querist.memory.workspace.jobs import Jobs
from querist.memory.workspace.outbox import Outbox
from querist.tools.data.places import ExportFormat, format_of

_POLL = 0.5


def _read(path: Path, changes: Sequence[str]) -> LabelRequest | CreateRequest:
    """Read a job file with what was changed by --set."""
    # The request itself says which keys there are.
    return load_request(path, changes=dict(read_change(text) for text in changes))


def quote(place: Place, path: Path, changes: Sequence[str]) -> None:
    """Say what a job will take; nothing is spent."""
    import tempfile

    from querist.graph.run import Run

    screen, request = Screen(), _read(path, changes)
    if isinstance(request, LabelRequest):
        with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
            show_quote(screen, Run.create(request.config, store, tell=screen.line).quote())
        return
    if request.seeds.run is None:
        _show_create_quote(screen, request, quote_create(request))
        return
    with place.open() as store:
        _show_create_quote(screen, request, quote_create(request, store=store, tell=screen.line))


def _show_create_quote(screen: Screen, request: CreateRequest, found: JobQuote) -> None:
    screen.title(
        f"{request.name}: {plural(found.rows, 'row')} that pass {len(request.gates)} gates"
    )
    screen.line(
        f"About {found.writer_calls:,} calls of {request.models.writer}"
        + (f" and {found.checker_calls:,} that check" if found.checker_calls else "")
        + f", {found.tokens:,} tokens, if {found.acceptance:.0%} of the rows are accepted "
        "(nobody knows before some were written)."
    )
    time_words = f"about {duration(found.seconds)}"
    screen.line(
        f"Forecast: {dollars(found.forecast)} of a cap of {dollars(found.cap)}, {time_words}."
    )
    if found.people:
        words = f"{dollars(found.people)} of it for people, who label {request.people.sample} rows"
        screen.line(f"{words}; that is set aside first.")
    if found.minds:
        screen.line(f"Decisions by a language model may cost up to {dollars(found.minds)} more.")
    if found.cells > 1:
        screen.line(f"Spread over {found.cells:,} combinations of labels and attributes.")
    if found.affordable < found.rows:
        screen.line(
            f"The cap pays for about {plural(found.affordable, 'row')}. For all of them raise it "
            f"to about {dollars(found.forecast)} (budget.usd), or ask for fewer.",
            style="yellow",
        )


def find_attributes(
    place: Place,
    path: Path,
    *,
    changes: Sequence[str],
    sample: int,
    most: int,
    budget: str | None,
    writes: bool,
) -> None:
    """Print a table `[attributes]` found in a job's seeds; with `writes` add it to the job file."""
    screen, request = Screen(), _read(path, changes)
    if isinstance(request, LabelRequest):
        raise InvalidInput(f"{path} labels a pool, and only jobs that create rows have attributes.")
    if writes and request.attributes:
        names = ", ".join(request.attributes)
        raise InvalidInput(f"{path} has attributes already ({names}). Do without --write.")
    usd = Decimal("0.10") if budget is None else read_amount(budget, option="--budget")
    with place.open(must_exist=False) as store:
        found = asyncio.run(
            find(request, store, sample=sample, most=most, usd=usd, tell=screen.line)
        )
    table = to_toml({"attributes": found.attributes})
    screen.line()
    screen.line(table)
    screen.line()
    for name, count in found.placed.items():
        screen.line(f"{name}: {count} of {plural(found.sample, 'seed')} have one of the values.")
    screen.line(f"That cost {dollars(found.usd)}. Read it before you use it: a model named it.")
    if writes:
        # A table may stand at the end of any TOML file.
        write_whole(path, f"{path.read_text('utf-8').rstrip()}\n\n{table}\n".encode())
        _read(path, changes)
        screen.line(f"Written into {path}.")


def hand_in(
    place: Place, path: Path, *, changes: Sequence[str], key: str | None, works: bool
) -> None:
    """Put a job into the queue; with `works` do it here and now."""
    screen, request = Screen(), _read(path, changes)
    with place.open(must_exist=False) as store:
        job = submit(request, store, key=key, tell=screen.line)
        screen.line(f"Job {job.id} is {job.status}.")
        if not works:
            screen.line(f"Work it off with: {place.command('worker')}")
            screen.line(f"Watch it with: {place.command(f'job watch {job.id}')}")
            return
        code = work_here(store, job, screen)
        screen.line(f"Take the rows with: {place.command(f'job result {job.id} -o rows.jsonl')}")
    if code:
        raise typer.Exit(code)


def work_here(
    store: Store, job: Job, screen: Screen, *, models: Mapping[str, Any] | None = None
) -> int:
    """Work one job off in this process, with its progress on the screen."""
    is_live = screen.is_terminal
    worker = Worker(
        store, only=job.id, models=models, tell=(lambda _: None) if is_live else screen.line
    )
    with pausing(worker.stop, screen.line) as signals:
        if is_live:
            from rich.live import Live

            def draw() -> Any:
                return panel(look(store, Jobs(store).get(job.id)))

            with Live(get_renderable=draw, console=screen.console, refresh_per_second=2):
                asyncio.run(worker.work_off())
        else:
            asyncio.run(worker.work_off())
        code = signals.exit_code
    ended = Jobs(store).get(job.id)
    screen.line(f"{ended.status.capitalize()}: {ended.reason}".rstrip(": "))
    if ended.status is JobStatus.FAILED:
        return 1
    return code


def show_all(place: Place) -> None:
    """List jobs, newest first."""
    with place.open() as store:
        views = [look(store, job) for job in Jobs(store).all()]
        caps = caps_line(store)
    screen = Screen()
    if not views:
        screen.line(f"There are no jobs here yet. Hand one in: {place.command('job submit FILE')}")
        return
    rows = [
        (v.job.id, v.job.kind, v.status, v.job.priority, ", ".join(facts(v)[:2]), v.job.reason)
        for v in views
    ]
    screen.table(("job", "kind", "status", "priority>", "so far", ""), rows)
    if caps:
        screen.line(caps)


def show(place: Place, name: str | None) -> None:
    """Show one job in detail."""
    screen = Screen()
    with place.open() as store:
        job = Jobs(store).get(name)
        view = look(store, job)
        messages = Outbox(store).of(job.id)
        rejected = Creations(store, job.run).all("rejected")[-5:]
        caps = caps_line(store)
    screen.title(f"{job.id}: {view.status}")
    if job.reason:
        screen.line(job.reason)
    screen.line(", ".join(facts(view)))
    if caps:
        screen.line(caps)
    screen.line(f"Handed in {job.at:%Y-%m-%d %H:%M} UTC; run {job.run}")
    if job.deadline is not None:
        screen.line(f"Ends by {job.deadline:%Y-%m-%d %H:%M} UTC")
    show_gates(screen, view)
    if view.decisions:
        screen.line()
        screen.line("Decided last:")
        for said in decision_lines(view):
            screen.line(f"  {said}")
        screen.line(f"All decisions: {place.command(f'decisions {job.run}')}")
    if rejected:
        screen.line()
        screen.line("Rejected last:")
        for row in rejected:
            screen.line(f"  {row.gate}: {row.reason} ({row.text[:60]!r})")
    for message in messages:
        trouble = f" ({message.trouble})" if message.trouble else ""
        screen.line(f"Webhook {message.token}: {message.status}{trouble}")


def show_gates(screen: Screen, view: JobView) -> None:
    """Show what each gate let pass, and how new the rows were."""
    if not view.gates:
        return
    screen.line()
    screen.table(("gate", "looked at>", "let pass>", ">"), gate_rows(view))
    if len(view.novelty) > 1:
        screen.line(f"New rows, wave by wave: {sparkline(view.novelty)}")


def watch(place: Place, name: str | None) -> None:
    """Follow a job until it stops."""
    screen = Screen()
    with place.open() as store:
        jobs = Jobs(store)
        job = jobs.get(name)
        if screen.is_terminal:
            from rich.live import Live

            with Live(console=screen.console, refresh_per_second=2) as live:
                while not (view := look(store, jobs.get(job.id))).has_ended:
                    live.update(panel(view))
                    time.sleep(_POLL)
                live.update(panel(view))
        else:
            said: list[str] = []
            while True:
                view = look(store, jobs.get(job.id))
                lines = [line(view), *(f"  {words}" for words in decision_lines(view))]
                for words in lines:
                    if words not in said:
                        screen.line(words)
                said = lines
                if view.has_ended:
                    break
                time.sleep(_POLL)
        screen.line(view.job.reason)


def change(place: Place, name: str, what: str) -> None:
    """Pause or cancel a job."""
    with place.open() as store:
        jobs = Jobs(store)
        job = jobs.pause(name) if what == "pause" else jobs.cancel(name)
    if job.status is JobStatus.RUNNING:
        Screen().line(f"Job {job.id} is told to {what} at its next step.")
    else:
        Screen().line(f"Job {job.id} is {job.status}.")


def give_more(
    place: Place,
    name: str,
    *,
    rows: Path | None = None,
    cap: str | None = None,
    rounds: str | None = None,
) -> None:
    """Extend a job, and put it back into the queue."""
    screen = Screen()
    usd = None if cap is None else read_amount(cap, option="--cap")
    most = read_changes((), rounds=rounds).get("loop.rounds")
    with place.open() as store:
        job = Jobs(store).get(name)
        job = extend(store, job, rows=rows, usd=usd, rounds=most, tell=screen.line)
    screen.line(f"Job {job.id} is {job.status}. Work it off with: {place.command('worker')}")


def go_on(place: Place, name: str, *, budget: str | None) -> None:
    """Put a job that stopped back into the queue, with more money if it is given."""
    screen = Screen()
    with place.open() as store:
        jobs = Jobs(store)
        job = jobs.get(name)
        if budget is not None:
            job = extend(store, job, usd=read_amount(budget))
        elif job.status is JobStatus.DONE:
            raise InvalidInput(
                f"Job {job.id} is done. Let it go on with more money, rounds or rows (querist job "
                "extend), or hand in another."
            )
        else:
            job = jobs.resume(job.id)
    screen.line(f"Job {job.id} is {job.status}. Work it off with: {place.command('worker')}")


def take(
    place: Place,
    name: str | None,
    *,
    output: Path,
    form: ExportFormat | None,
    rejected: bool,
    force: bool,
) -> None:
    """Write a job's rows and its data card."""
    form = format_of(output, form)
    with place.open() as store:
        job = Jobs(store).get(name)
        count = write_result(store, job, output, format=form, rejected=rejected, force=force)
        has_card = bool(card_of(store, job))
    beside = " and its data card" if has_card else ""
    Screen().line(f"Wrote {plural(count, 'row')}{beside} to {output}")


def work(place: Place, *, once: bool, lease: float) -> None:
    """Work jobs off until told to stop, or until none is left."""
    from datetime import timedelta

    screen = Screen()
    with place.open(must_exist=False) as store:
        worker = Worker(store, tell=screen.line, lease=timedelta(seconds=lease))
        screen.line(f"{worker.jobs.worker} works in {place.workspace}. Stop it with Ctrl-C.")
        with pausing(worker.stop, screen.line):
            asyncio.run(worker.work_off() if once else worker.work())
        held = worker.jobs.all([JobStatus.RUNNING]) if once else []
    for job in held:
        if job.lease_until is not None:
            screen.line(
                f"Job {job.id} is with {job.worker}. If that one is dead, the job is free at "
                f"{job.lease_until:%H:%M:%S} UTC; then run this again."
            )
    screen.line("Stopped.")
