"""Commands about jobs, and the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o
from querist.app.terminal.commands import Commands

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
def quote(file: _File, *, change: o.Change = None) -> None:
    """Forecast what a job would take; nothing is spent."""
    from querist.app.actions import jobs

    jobs.quote(file, change or ())


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
    """Put a job that stopped back into the queue; with --budget one that was done, too."""
    from querist.app.actions import jobs
    from querist.app.terminal.place import Place

    jobs.go_on(Place(workspace, database or None), name, budget=budget)


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
