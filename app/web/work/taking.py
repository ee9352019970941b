"""What people take away over the web: a run's labels or a job's rows, in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from querist.app.terminal.place import find_run
from querist.memory.asking.checks import Checks
from querist.memory.errors import InvalidInput
from querist.memory.records import ExampleId, Task
from querist.memory.run.runs import Runs
from querist.memory.store import Store
from querist.memory.workspace.jobs import Jobs
from querist.tools.data.export import ExportRow, export_rows


def write_file(store: Store, asked: Mapping[str, Any]) -> int:
    """Write what a run or a job made to `path`; tell how many rows were left out.

    Whoever is no owner may be the next to be asked: what people are to label unseen, for a second
    opinion or as a job's sample, is not in their file.
    """
    rows, task, hidden = (_of_job if "job" in asked else _of_run)(store, asked)
    if not rows:
        raise InvalidInput("There is nothing to take yet: nothing was labelled or accepted.")
    told = rows if asked["is_owner"] else [row for row in rows if row.example.id not in hidden]
    if not told:
        raise InvalidInput(
            "People are asked about all that there is, without being told its labels. Ask again "
            "when they have answered, or have an owner take it."
        )
    export_rows(told, Path(asked["path"]), format=asked["form"], task=task)
    return len(rows) - len(told)


def _of_run(
    store: Store, asked: Mapping[str, Any]
) -> tuple[Sequence[ExportRow], Task, set[ExampleId]]:
    # Not by a run, whose state machine takes seconds to import and reads no labels.
    from querist.graph.workplace.context import Context
    from querist.graph.workplace.exporting import label_rows

    run = find_run(store, asked["run"])
    context = Context.to_look(store, Runs(store).get(run))
    rows = label_rows(context, everything=False)
    return rows, context.task, Checks(store, run).under_way(_ids(rows))


def _of_job(
    store: Store, asked: Mapping[str, Any]
) -> tuple[Sequence[ExportRow], Task, set[ExampleId]]:
    from querist.graph.jobs.result import request_of, result_rows

    job = Jobs(store).get(asked["job"])
    rows, task = result_rows(store, job, request_of(job))
    checks = Checks(store, job.run)
    look = checks.under_way if job.kind == "label" else checks.sampled
    return rows, task, look(_ids(rows))


def _ids(rows: Sequence[ExportRow]) -> list[ExampleId]:
    return [row.example.id for row in rows]
