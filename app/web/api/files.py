"""Files to take away: labels, a job's rows, the report."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Query
from fastapi.responses import FileResponse

from querist.app.web.aside import ask_aside
from querist.app.web.desk import Desk, Row, Shared, Viewer
from querist.memory.workspace.jobs import Jobs
from querist.memory.workspace.people import Person

router = APIRouter(tags=["files"])
_ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "label-studio": ".json"}
_Form = Annotated[Literal["csv", "jsonl", "parquet", "label-studio"], Query(alias="format")]
_SECONDS = 300
_LEFT_OUT = "Querist-Left-Out"
"""The header that tells how many rows a file lacks, since people are asked about them unseen."""
_ACTIVE = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that spreadsheets take for a formula."""


@router.get("/runs/{run}/export", response_class=FileResponse)
def export_labels(
    desk: Shared, person: Viewer, row: Row, after: BackgroundTasks, form: _Form = "csv"
) -> FileResponse:
    """Give the labels as a file. In CSV a cell that a spreadsheet would run gets a `'` in front.

    Only an owner's holds what somebody is asked about again: `Querist-Left-Out` tells how many
    examples that is. `querist export` writes all, and the cells as they are.
    """
    return _made(desk, person, after, name=row.id, form=form, run=row.id)


@router.get("/jobs/{job}/result", response_class=FileResponse)
def take_rows(
    desk: Shared, person: Viewer, job: str, after: BackgroundTasks, form: _Form = "jsonl"
) -> FileResponse:
    """Give a job's rows as a file, as far as there are any; less those as of a run's labels.

    Rows that a job's sample asks people about are left out likewise.
    """
    found = Jobs(desk.store).get(job)
    return _made(desk, person, after, name=found.id, form=form, job=found.id)


def _made(
    desk: Desk, person: Person, after: BackgroundTasks, *, name: str, form: str, **of: str
) -> FileResponse:
    """Have a file written, and give it out; it is deleted when it was sent."""
    folder = tempfile.TemporaryDirectory(prefix="querist-file-")
    after.add_task(folder.cleanup)
    path = Path(folder.name) / f"{name}{_ENDINGS[form]}"
    place = {"workspace": str(desk.place.workspace), "database": desk.place.database}
    asked = {"path": str(path), "form": form, "is_owner": person.may("owner"), **of, **place}
    try:
        done = ask_aside("take", seconds=_SECONDS, **asked)
        if form == "csv":
            _disarm(path)
    except BaseException:
        folder.cleanup()
        raise
    headers = {_LEFT_OUT: str(done["left_out"])}
    return FileResponse(path, filename=path.name, background=after, headers=headers)


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
