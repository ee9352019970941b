"""`querist workspace`: what holds over all runs and jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o
from querist.app.terminal.groups import Commands

workspace = typer.Typer(
    cls=Commands, no_args_is_help=True, help="What holds over all runs and jobs of a workspace."
)
_Usd = "US dollars, or none for no cap."


@workspace.command()
def cap(
    *,
    usd: Annotated[
        str | None,
        typer.Option("--usd", metavar="USD", help=f"What all may cost together: {_Usd}"),
    ] = None,
    day_usd: Annotated[
        str | None,
        typer.Option("--day-usd", metavar="USD", help=f"What all may cost a day of UTC: {_Usd}"),
    ] = None,
    folder: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Set what all runs and jobs may spend together, or a day; without options, say what is left.

    A run that meets such a cap pauses, and goes on when it allows.
    """
    from querist.app.terminal.inputs import read_amount
    from querist.app.terminal.place import Place, user_name
    from querist.app.terminal.screen import Screen
    from querist.app.views.state.workspace import caps_line
    from querist.memory.workspace.caps import CapName, Caps

    options: dict[CapName, tuple[str | None, str]] = {
        "workspace": (usd, "--usd"),
        "day": (day_usd, "--day-usd"),
    }
    wanted = {
        name: None if text == "none" else read_amount(text, option=option)
        for name, (text, option) in options.items()
        if text is not None
    }
    with Place(folder, database or None).open(must_exist=not wanted) as store:
        for name, amount in wanted.items():
            Caps(store).put(name, amount, who=f"human:{user_name()}")
        words = caps_line(store)
    Screen().line(words or "No cap holds over all runs and jobs. Set one: --usd, --day-usd.")


@workspace.command()
def files(
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="Such as s3://bucket/querist, or none for the folder."),
    ] = None,
    *,
    folder: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Keep the runs' files under an address of fsspec, for machines that share no disk.

    It is said once, before the first run; without a URL it tells where they are.
    """
    from querist.app.terminal.place import Place, user_name
    from querist.app.terminal.screen import Screen
    from querist.memory.files import place_of, put_place

    with Place(folder, database or None).open(must_exist=url is None) as store:
        if url is not None:
            put_place(store, "" if url == "none" else url, who=f"human:{user_name()}")
        here = place_of(store) or f"{store.folder}/runs"
    Screen().line(f"The runs' files are in {here}.")
