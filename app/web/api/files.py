"""Files to take away: labels, a job's rows, the report."""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Query
from fastapi.responses import FileResponse

from querist.app.web.aside import run_aside
from querist.app.web.desk import Desk, Row, Shared, Viewer
from querist.memory.errors import InvalidInput

router = APIRouter(tags=["files"])
_ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "label-studio": ".json"}
_Form = Annotated[Literal["csv", "jsonl", "parquet", "label-studio"], Query(alias="format")]
_SECONDS = 300
_ACTIVE = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that spreadsheets take for a formula."""


@router.get("/runs/{run}/export", response_class=FileResponse)
def export_labels(
    desk: Shared, _: Viewer, row: Row, after: BackgroundTasks, form: _Form = "csv"
) -> FileResponse:
    """Give the labels as a file. In CSV a cell that a spreadsheet would run gets a `'` in front.

    `querist export` writes the cells as they are.
    """
    return _made(desk, after, ["export", row.id, "--format", form], name=row.id, form=form)


@router.get("/jobs/{job}/result", response_class=FileResponse)
def take_rows(
    desk: Shared, _: Viewer, job: str, after: BackgroundTasks, form: _Form = "jsonl"
) -> FileResponse:
    """Give a job's rows as a file, as far as there are any."""
    from querist.memory.workspace.jobs import Jobs

    found = Jobs(desk.store).get(job)
    words = ["job", "result", found.id, "--format", form]
    return _made(desk, after, words, name=found.id, form=form)


def _made(
    desk: Desk, after: BackgroundTasks, words: Sequence[str], *, name: str, form: str
) -> FileResponse:
    """Have a command write a file, and give it out; it is deleted when it was sent."""
    folder = tempfile.TemporaryDirectory(prefix="querist-file-")
    after.add_task(folder.cleanup)
    path = Path(folder.name) / f"{name}{_ENDINGS[form]}"
    command = [sys.executable, "-m", "querist.app.terminal.cli", *words, "--output", str(path)]
    done = run_aside(command, env=desk.place.environment(), seconds=_SECONDS)
    if done.returncode or not path.is_file():
        folder.cleanup()
        raise InvalidInput(done.stderr.strip().removeprefix("Error: ") or "Nothing was written.")
    if form == "csv":
        _disarm(path)
    return FileResponse(path, filename=path.name, background=after)


def _disarm(path: Path) -> None:
    """Put an apostrophe before cells that a spreadsheet would run."""
    armed = path.with_suffix(".raw")
    path.rename(armed)
    with (
        armed.open(encoding="utf-8", newline="") as source,
        path.open("w", encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target)
        for cells in csv.reader(source):
            writer.writerow([_disarmed(cell) for cell in cells])


def _disarmed(cell: str) -> str:
    if not cell.startswith(_ACTIVE):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
