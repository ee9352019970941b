"""What every group of commands has in common: errors become one message and an exit code."""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperGroup

from querist.memory.errors import QueristError

DEBUG = "QUERIST_DEBUG"
# Typer ends with these itself: usage, exit codes, a reader of our output that went away.
_TYPERS_OWN = (typer.Exit, typer.Abort, *typer.BadParameter.__mro__[1:3], BrokenPipeError)


class Commands(TyperGroup):
    """Turns errors into one message and an exit code; lists commands in the order written."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except QueristError as error:
            if os.environ.get(DEBUG):
                raise
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("\nInterrupted. What was written is kept.", err=True)
            raise typer.Exit(130) from None
        except Exception as error:
            if os.environ.get(DEBUG) or isinstance(error, _TYPERS_OWN):
                raise
            typer.echo(
                f"Something went wrong that should not: {type(error).__name__}: {error}\n"
                "What was labelled and paid for is kept. Please report this with what the same "
                "command prints after adding --debug.",
                err=True,
            )
            raise typer.Exit(1) from None
