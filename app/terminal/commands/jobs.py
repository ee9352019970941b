"""Commands about jobs, and the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o
from querist.app.terminal.groups import Commands

_WORKSPACE = Path(".querist")

job = typer.Typer(
    cls=Commands,
    help="Jobs: label a pool, or create rows that pass gates; queued, and done by workers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_File = Annotated[
    Path, typer.Argument(metavar="JOB.TOML", help="A job file, or a task file to label its pool.")
]
_Name = Annotated[str, typer.Argument(metavar="JOB", help="A job, or the beginning of its name.")]
_Newest = Annotated[
    str | None,
    typer.Argument(metavar="JOB", help="A job, or the beginning of its name [default: newest]."),
]


@job.command()
def quote(
    file: _File,
    *,
    change: o.Change = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Forecast what a job would take; nothing is spent.

    The workspace is looked into where the seeds are of a run.
    """
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.quote(Place(workspace, database or None), file, change or ())


@job.command()
def attributes(
    file: _File,
    *,
    sample: Annotated[
        int, typer.Option("--sample", min=5, max=500, help="Seeds that are looked at.")
    ] = 24,
    most: Annotated[int, typer.Option("--most", min=1, max=8, help="Attributes at most.")] = 3,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="USD", help="What it may cost [default: 0.10]."),
    ] = None,
    writes: Annotated[
        bool, typer.Option("--write", help="Add the table to the job file, which has none yet.")
    ] = False,
    change: o.Change = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Let the writer name what the seeds vary in: a table [attributes], with shares counted.

    One call, and one more for each seed that is looked at.
    """
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.find_attributes(
        Place(workspace, database or None),
        file,
        changes=change or (),
        sample=sample,
        most=most,
        budget=budget,
        writes=writes,
    )


@job.command()
def submit(
    file: _File,
    *,
    key: Annotated[
        str | None,
        typer.Option("--key", help="Handed in twice under one key, it is one job."),
    ] = None,
    works: Annotated[
        bool, typer.Option("--work", help="Do it here and now, without a worker.")
    ] = False,
    change: o.Change = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Check a job, import what it needs, and put it into the queue."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    place = Place(workspace, database or None)
    jobs.hand_in(place, file, changes=change or (), key=key, works=works)


@job.command(name="list")
def list_jobs(*, workspace: o.Workspace = _WORKSPACE, database: o.Database = None) -> None:
    """List jobs, newest first."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.show_all(Place(workspace, database or None))


@job.command()
def show(
    name: _Newest = None,
    *,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Show a job: what each gate lets pass, what it costs, what was rejected last."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.show(Place(workspace, database or None), name)


@job.command()
def watch(
    name: _Newest = None,
    *,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Follow a job until it stops, from any terminal."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.watch(Place(workspace, database or None), name)


@job.command()
def pause(name: _Name, *, workspace: o.Workspace = _WORKSPACE, database: o.Database = None) -> None:
    """Pause a job at its next step."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.change(Place(workspace, database or None), name, "pause")


@job.command()
def cancel(
    name: _Name, *, workspace: o.Workspace = _WORKSPACE, database: o.Database = None
) -> None:
    """End a job for good; what it made so far can still be taken."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.change(Place(workspace, database or None), name, "cancel")


@job.command()
def resume(
    name: _Name,
    *,
    budget: o.Budget = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Put a job that stopped back into the queue; with --budget one that was done, too.

    More rows or rounds: querist job extend.
    """
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.go_on(Place(workspace, database or None), name, budget=budget)


@job.command()
def extend(
    name: _Name,
    *,
    rows: Annotated[
        Path | None,
        typer.Option("--rows", metavar="FILE", help="More to label, with the task's columns."),
    ] = None,
    cap: Annotated[
        str | None, typer.Option("--cap", metavar="USD", help="What it may cost in all.")
    ] = None,
    rounds: o.Rounds = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Give a job more rows, money or rounds, and put it back into the queue."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    place = Place(workspace, database or None)
    jobs.give_more(place, name, rows=rows, cap=cap, rounds=rounds)


@job.command()
def result(
    name: _Newest = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file or folder to write.")],
    form: o.Form = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Rejected rows, too, with the reasons.")
    ] = False,
    force: o.Force = False,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Write the rows that there are so far, and the data card beside them."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    place = Place(workspace, database or None)
    jobs.take(place, name, output=output, form=form, rejected=rejected, force=force)


def worker(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End when no job is left to work on.")
    ] = False,
    lease: Annotated[
        float,
        typer.Option("--lease", min=1.0, help="Seconds after which a dead worker's job is taken."),
    ] = 60.0,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Work jobs off: those of highest priority first, then the oldest.

    Several workers share a workspace. Ctrl-C or SIGTERM hands the job back.
    """
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.work(Place(workspace, database or None), once=once, lease=lease)
