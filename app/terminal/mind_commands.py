"""Commands about minds: decisions, decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o

_AGENTS = "selector, generator, annotator, verifier or budget_controller"


def decisions(
    run: o.RunName = None,
    *,
    number: Annotated[
        int | None, typer.Option("--round", min=0, help="In full, those of this round.")
    ] = None,
    agent: Annotated[
        str, typer.Option("--agent", metavar="NAME", help=f"In full, those of this one: {_AGENTS}.")
    ] = "",
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Show what the agents decided and why.

    In full: what was known, looked up and ruled, what it cost, what the rules would have ruled.
    """
    from querist.app.terminal.place import Place
    from querist.app.views.decisions import show_decisions

    show_decisions(Place(workspace, database or None), run, number=number, agent=agent)
