"""Commands about minds: decisions, decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o

_AGENTS = "selector, generator, annotator, verifier or budget_controller"


def decide(
    run: o.RunName = None,
    *,
    number: Annotated[int, typer.Option("--round", min=0, help="Of which round.")],
    agent: Annotated[str, typer.Option("--agent", metavar="NAME", help=f"Whose: {_AGENTS}.")],
    mind: Annotated[
        str, typer.Option("--mind", metavar="MODEL", help="rules, or llm:MODEL, as llm:local.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say that nothing is to change, which it never does.")
    ] = True,
    base_url: o.BaseUrl = None,
    price: o.Prices = None,
    change: o.Change = None,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Take a run's decision again by another mind.

    What it would have been is shown. It knows what was known then. It has no tools, since they
    would look at the run as it is now. Nothing changes, and what it costs is not the run's.
    """
    del dry_run
    from querist.app.actions.deciding_again import take_again
    from querist.app.terminal.inputs import model_config
    from querist.app.terminal.place import Place

    model = mind.removeprefix("llm:")
    changes = [*(change or ()), f"models.mind={model}"]
    config = model_config(None, None, base_url=base_url, prices=price or (), changes=changes)
    assert config is not None  # it names a model
    place = Place(workspace, database or None)
    take_again(place, run, number=number, agent=agent, config=None if mind == "rules" else config)


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
