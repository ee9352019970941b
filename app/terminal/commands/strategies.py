"""`querist strategies`: what there is to select with."""

from __future__ import annotations

import typer

from querist.app.terminal.groups import Commands

strategies = typer.Typer(
    cls=Commands, invoke_without_command=True, help="The ways to select what to label next."
)


@strategies.callback()
def list_strategies(context: typer.Context) -> None:
    """List the ways to select what to label next; `show NAME` explains one."""
    if context.invoked_subcommand is None:
        from querist.app.views.listing import show_strategies

        show_strategies()


@strategies.command()
def show(name: str) -> None:
    """Explain one strategy: what it computes, when to use it, what it needs and costs."""
    from querist.app.views.listing import show_strategy

    show_strategy(name)
