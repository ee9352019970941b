"""The command line. Only names and help live here; each command loads what it needs."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from querist.app.terminal import options as o
from querist.app.terminal.commands.chat import chat, watch
from querist.app.terminal.commands.choose import choose
from querist.app.terminal.commands.files import doctor, export, predict
from querist.app.terminal.commands.inbox import inbox
from querist.app.terminal.commands.jobs import job, worker
from querist.app.terminal.commands.lessons import lessons
from querist.app.terminal.commands.minds import decide, decisions
from querist.app.terminal.commands.serve import mcp, serve
from querist.app.terminal.commands.strategies import strategies
from querist.app.terminal.commands.workspace import workspace as workspace_commands
from querist.app.terminal.groups import DEBUG, Commands
from querist.tools.tracing import is_wanted, start_tracing

if TYPE_CHECKING:
    from querist.app.terminal.place import Place

_WORKSPACE = Path(".querist")


app = typer.Typer(
    name="querist",
    cls=Commands,
    help="Agentic active learning: a task, a pool and a sum of money in; labelled data, a trained "
    "model and an account of every cent out.",
    no_args_is_help=True,
    # Rich takes 0.2 s to load, for a help that reads as well without it.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; `--debug` may stand anywhere."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in words:
        words = ["--debug", *(word for word in words if word != "--debug")]
    # Some of OpenBLAS' kernels raise floating point flags for finite numbers (numpy issue 24067).
    warnings.filterwarnings("ignore", ".* encountered in matmul", RuntimeWarning)
    app(words)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"querist {version('querist')}")
        raise typer.Exit


@app.callback()
def note_flags(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="And exit.")
    ] = False,
) -> None:
    """Note what holds for every command."""
    del version
    if debug:
        os.environ[DEBUG] = "1"
    if is_wanted():
        start_tracing()


def _place(workspace: Path, database: str | None) -> Place:
    from querist.app.terminal.place import Place

    return Place(workspace, database or None)


@app.command()
def demo(
    what: Annotated[
        Literal["loop", "create"],
        typer.Argument(help="The loop, or a job that writes rows for thin classes."),
    ] = "loop",
    *,
    budget: o.Budget = None,
    seed: o.Seed = None,
    change: o.Change = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Run the loop on an example, models included; or create rows."""
    if what == "create":
        from querist.app.actions.demo_create import show_creation

        show_creation(_place(workspace, database), seed=seed)
        return
    from querist.app.actions.demo import show

    show(_place(workspace, database), budget=budget, seed=seed, changes=change or ())


@app.command()
def run(
    task: o.TaskFile = None,
    *,
    pool: o.PoolFile = None,
    text: o.TextColumn = None,
    labels: o.Labels = None,
    kind: o.Kind = None,
    id_column: o.IdColumn = None,
    gold: o.GoldColumn = None,
    encoding: o.Encoding = None,
    test: o.TestFile = None,
    instructions: o.Instructions = None,
    budget: o.Budget = None,
    human_label_usd: o.HumanLabelUsd = None,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    price: o.Prices = None,
    people: o.People = None,
    change: o.Change = None,
    seed: o.Seed = None,
    stay: o.Stay = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Label a pool.

    Name a task file, or a file of examples with --pool and its classes with --labels.
    """
    from querist.app.actions.driving import start
    from querist.app.terminal.inputs import Inputs

    inputs = Inputs(
        task=task,
        pool=pool,
        text=text,
        labels=labels,
        kind=kind,
        id=id_column,
        gold=gold,
        encoding=encoding,
        test=test,
        instructions=instructions,
        budget=budget,
        human_label_usd=human_label_usd,
        model=model,
        base_url=base_url,
        prices=price or (),
        people=people,
        changes=change or (),
        seed=seed,
    )
    start(inputs.config(), _place(workspace, database), stay=stay)


@app.command()
def quote(
    task: o.TaskFile = None,
    *,
    pool: o.PoolFile = None,
    text: o.TextColumn = None,
    labels: o.Labels = None,
    kind: o.Kind = None,
    id_column: o.IdColumn = None,
    gold: o.GoldColumn = None,
    encoding: o.Encoding = None,
    test: o.TestFile = None,
    instructions: o.Instructions = None,
    budget: o.Budget = None,
    human_label_usd: o.HumanLabelUsd = None,
    model: o.Model = None,
    base_url: o.BaseUrl = None,
    price: o.Prices = None,
    people: o.People = None,
    change: o.Change = None,
    seed: o.Seed = None,
) -> None:
    """Forecast what a run would cost; nothing is spent.

    Shows forecast and ceiling for each agent.
    """
    from querist.app.actions.quoting import forecast
    from querist.app.terminal.inputs import Inputs

    inputs = Inputs(
        task=task,
        pool=pool,
        text=text,
        labels=labels,
        kind=kind,
        id=id_column,
        gold=gold,
        encoding=encoding,
        test=test,
        instructions=instructions,
        budget=budget,
        human_label_usd=human_label_usd,
        model=model,
        base_url=base_url,
        prices=price or (),
        people=people,
        changes=change or (),
        seed=seed,
    )
    forecast(inputs.config())


@app.command()
def resume(
    run: o.RunName = None,
    *,
    budget: o.Budget = None,
    rounds: o.Rounds = None,
    change: o.Change = None,
    stay: o.Stay = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Go on with a run, one that had ended as well.

    It may have been paused, interrupted, out of money or rounds, or waiting for people.
    """
    from querist.app.actions.driving import go_on
    from querist.app.terminal.inputs import read_changes

    changes = read_changes(change or (), rounds=rounds)
    go_on(_place(workspace, database), run, budget=budget, changes=changes, stay=stay)


@app.command()
def proceed(
    run: o.RunName = None,
    *,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Let a run go on without the answers that it waits for.

    Answers that come later are used all the same.
    """
    from querist.app.actions.lifecycle import proceed_run

    proceed_run(_place(workspace, database), run)


@app.command()
def pause(
    run: o.RunName = None,
    *,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Ask a running run to pause at its next step."""
    from querist.app.actions.lifecycle import pause_run

    pause_run(_place(workspace, database), run)


@app.command()
def stop(
    run: o.RunName = None,
    *,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """End a run early.

    It finishes the step that is under way and closes; `resume` can open it again.
    """
    from querist.app.actions.lifecycle import stop_run

    stop_run(_place(workspace, database), run)


@app.command()
def status(
    run: o.RunName = None,
    *,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Show all runs, or one run in detail."""
    from querist.app.views import listing

    place = _place(workspace, database)
    if run is None:
        listing.show_runs(place)
    else:
        listing.show_run(place, run)


@app.command()
def report(
    run: o.RunName = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write it [default: in the run's folder]."),
    ] = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Write a run's report: one HTML file, no network needed."""
    from querist.app.actions.lifecycle import report_run

    report_run(_place(workspace, database), run, output=output)


@app.command()
def reconcile(
    run: o.RunName = None,
    *,
    billed: Annotated[
        bool | None,
        typer.Option("--billed/--not-billed", help="Whether the provider billed these calls."),
    ] = None,
    workspace: o.Workspace = _WORKSPACE,
    database: o.Database = None,
) -> None:
    """Settle reservations that a killed process left behind."""
    from querist.app.actions.lifecycle import reconcile_run

    reconcile_run(_place(workspace, database), run, billed=billed)


for command in (
    watch,
    chat,
    decisions,
    decide,
    export,
    predict,
    doctor,
    choose,
    worker,
    serve,
    mcp,
):
    app.command()(command)


@app.command()
def models() -> None:
    """List language models, their prices, and what is ready."""
    from querist.app.views.listing import show_models

    show_models()


app.add_typer(inbox, name="inbox")
app.add_typer(job, name="job")
app.add_typer(lessons, name="lessons")
app.add_typer(strategies, name="strategies")
app.add_typer(workspace_commands, name="workspace")


if __name__ == "__main__":
    main()
