"""`querist chat` and `querist watch`: a run that another process drives, from the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o


def chat(
    run: o.RunName = None,
    *,
    once: Annotated[
        str | None, typer.Option("--once", metavar="TEXT", help="Say this, and end.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --once: approve what is proposed.")
    ] = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Ask a run about itself, and tell it what to do."""
    from querist.app.actions.chatting import chat_about
    from querist.app.terminal.place import Place

    chat_about(Place(workspace, database or None), run, once=once, yes=yes)


def watch(
    run: o.RunName = None,
    *,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Watch a run that any process drives, until it ends.

    Ctrl-C leaves the run alone. In a pipe it writes lines.
    """
    from querist.app.terminal.place import Place
    from querist.app.views.dashboard import watch_run

    watch_run(Place(workspace, database or None), run)
