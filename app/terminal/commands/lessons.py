"""`querist lessons`: what runs learnt for later ones, and what of it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from querist.app.terminal import options as o
from querist.app.terminal.groups import Commands

lessons = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="What runs learnt for later ones: guidelines, confusions, what strategies led to.\n\n"
    "A guideline is used once it is approved, for like tasks with the same labels.",
)

_Name = Annotated[
    str, typer.Argument(metavar="LESSON", help="A lesson, or the beginning of its name.")
]
_Json = Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")]


@lessons.command("list")
def list_all(
    *,
    state: Annotated[
        Literal["proposed", "active", "retired"] | None,
        typer.Option("--state", help="Only those that are proposed, active or retired."),
    ] = None,
    as_json: _Json = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """List all lessons of the workspace."""
    from querist.app.terminal.place import Place
    from querist.app.views.lessons import list_lessons

    list_lessons(Place(workspace, database or None), state=state, as_json=as_json)


@lessons.command()
def show(
    lesson: _Name,
    *,
    as_json: _Json = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Show a lesson with the texts that it was made of, and all its versions."""
    from querist.app.terminal.place import Place
    from querist.app.views.lessons import show_lesson

    show_lesson(Place(workspace, database or None), lesson, as_json=as_json)


@lessons.command()
def diff(
    lesson: _Name,
    *,
    before: Annotated[
        int | None, typer.Option("--from", min=1, help="Which version [default: the last but one].")
    ] = None,
    after: Annotated[
        int | None, typer.Option("--to", min=1, help="With which [default: the last].")
    ] = None,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Compare two versions of a lesson."""
    from querist.app.terminal.place import Place
    from querist.app.views.lessons import show_difference

    place = Place(workspace, database or None)
    show_difference(place, lesson, before=before, after=after)


@lessons.command()
def approve(
    lesson: _Name,
    *,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Say it in these words instead.")
    ] = None,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Use a lesson that is proposed, or one that was put aside."""
    from querist.app.actions.lessons import change_lesson
    from querist.app.terminal.place import Place

    change_lesson(Place(workspace, database or None), lesson, "approve", text=text)


@lessons.command()
def reject(
    lesson: _Name,
    *,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Put a proposed lesson aside."""
    from querist.app.actions.lessons import change_lesson
    from querist.app.terminal.place import Place

    change_lesson(Place(workspace, database or None), lesson, "reject")


@lessons.command()
def retire(
    lesson: _Name,
    *,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Take a lesson out of use; what was labelled with it stays as it is."""
    from querist.app.actions.lessons import change_lesson
    from querist.app.terminal.place import Place

    change_lesson(Place(workspace, database or None), lesson, "retire")
