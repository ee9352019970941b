"""`querist inbox`: answer here, or hand the questions out and bring the answers back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from querist.app.terminal import options as o
from querist.app.terminal.groups import Commands


class _AnswerByDefault(Commands):
    """`querist inbox RUN` answers; only the names of the other commands mean something else."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `answer` in front where no command is named."""
        if not args or (args[0] not in self.commands and args[0] not in {"-h", "--help"}):
            args = ["answer", *args]
        return super().parse_args(ctx, args)


inbox = typer.Typer(
    cls=_AnswerByDefault,
    help="Answer the questions of a run, one key each.\n\n"
    "`querist inbox RUN` answers here; export and import serve people who label in another tool.",
)

_Name = Annotated[str, typer.Option("--name", help="Who answers [default: your login name].")]


@inbox.command()
def answer(
    run: o.RunName = None,
    *,
    name: _Name = "",
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Answer questions in this terminal; what `querist inbox` does by itself."""
    from querist.app.answers.answering import sit_down
    from querist.app.terminal.place import Place

    sit_down(Place(workspace, database or None), run, who=name)


@inbox.command()
def settle(
    run: o.RunName = None,
    *,
    name: _Name = "",
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Settle what two people answered differently (people.second_opinions)."""
    from querist.app.answers.answering import sit_down
    from querist.app.terminal.place import Place

    sit_down(Place(workspace, database or None), run, who=name, settles=True)


@inbox.command("export")
def hand_out(
    run: o.RunName = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    form: Annotated[
        Literal["csv", "label-studio"] | None,
        typer.Option("--format", "-f", help="[default: label-studio for .json, else csv]"),
    ] = None,
    force: o.Force = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Write the open questions to a file, to be answered in another tool."""
    from querist.app.answers import inbox_files
    from querist.app.terminal.place import Place

    place = Place(workspace, database or None)
    inbox_files.hand_out(place, run, output=output, form=form, force=force)


@inbox.command("import")
def take_in(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or the beginning of its name.")],
    answers: Annotated[str, typer.Argument(metavar="FILE", help="CSV, JSON lines, Label Studio.")],
    *,
    name: _Name = "",
    column: Annotated[
        str | None,
        typer.Option("--column", metavar="COLUMN", help="Which column holds the answers."),
    ] = None,
    encoding: o.Encoding = None,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Bring answers back that were given in another tool."""
    from querist.app.answers import inbox_files
    from querist.app.terminal.place import Place

    place = Place(workspace, database or None)
    inbox_files.take_in(place, run, answers, who=name, column=column, encoding=encoding)
