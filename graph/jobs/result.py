"""What a job delivers: rows with where each is from, in the formats of an export, and a card."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from querist.graph.jobs.card import write_card
from querist.graph.jobs.request import CreateRequest, LabelRequest, read_request
from querist.graph.jobs.workbench import Workbench
from querist.memory.errors import InvalidInput
from querist.memory.files import RunFiles, write_whole
from querist.memory.records import Example, ExampleId, Job, Label, Origin, Task
from querist.memory.run.runs import Runs
from querist.memory.store import Lease, Store
from querist.memory.workspace.creations import CreatedRow, Creations
from querist.tools.data.export import ExportRow, export_rows
from querist.tools.data.places import ExportFormat
from querist.tools.kinds import find_kind

_ROWS, _CARD = "result/rows.jsonl", "result/CARD.md"
"""Keys of the files that a finished job has."""


def request_of(job: Job) -> LabelRequest | CreateRequest:
    """Read what a job asks for."""
    return read_request(job.request, source=f"job {job.id}")


def rows_of(store: Store, job: Job, *, rejected: bool = False) -> list[CreatedRow]:
    """List the accepted rows of a create job; all that were written with `rejected`."""
    found = Creations(store, job.run)
    return found.all() if rejected else found.all("accepted")


def write_result(
    store: Store,
    job: Job,
    path: Path,
    *,
    format: ExportFormat,  # noqa: A002, the word the command line uses
    rejected: bool = False,
    force: bool = False,
) -> int:
    """Write a job's rows, as far as there are any, and its card beside them; tell how many.

    Raises `InvalidInput` where there are none, and what `export_rows` raises.
    """
    request = request_of(job)
    rows, task = result_rows(store, job, request, rejected=rejected)
    if not rows:
        raise InvalidInput(
            f"Job {job.id} has no rows yet ({job.status}{f': {job.reason}' if job.reason else ''})."
        )
    count = export_rows(rows, path, format=format, task=task, force=force)
    card = card_of(store, job)
    if card:
        beside = path / "README.md" if format == "hf" else path.with_name(f"{path.stem}.card.md")
        write_whole(beside, card.encode())
    return count


def card_of(store: Store, job: Job) -> str:
    """Write the data card of a create job as it stands; "" for others."""
    request = request_of(job)
    if isinstance(request, LabelRequest):
        return ""
    bench = Workbench(store, job.run, Lease.to_look(job.run), request=request)
    return write_card(job, bench)


def deliver(store: Store, job: Job, lease: Lease, *, reason: str) -> int:
    """Put rows and card into the run's files; tell how many rows. Raises `LeaseLost`."""
    job = replace(job, reason=reason)
    request = request_of(job)
    files = RunFiles(store, job.run, lease=lease)
    rows, task = result_rows(store, job, request, rejected=False)
    path = files.path(_ROWS)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    export_rows(rows, draft, format="jsonl", task=task)
    files.write(_ROWS, draft.read_bytes())
    draft.unlink()
    if card := card_of(store, job):
        files.write(_CARD, card.encode())
    return len(rows)


def result_rows(
    store: Store, job: Job, request: LabelRequest | CreateRequest, *, rejected: bool = False
) -> tuple[Sequence[ExportRow], Task]:
    """Give what a job made so far as rows of an export, with the task that it is about."""
    if isinstance(request, LabelRequest):
        from querist.graph.workplace.context import Context
        from querist.graph.workplace.exporting import label_rows

        context = Context.to_look(store, Runs(store).get(job.run))
        return label_rows(context, everything=False), context.task
    found, task = rows_of(store, job, rejected=rejected), request.as_task()
    is_free = request.record is not None
    return [_export_row(row, task, is_free=is_free, told=rejected) for row in found], task


def _export_row(row: CreatedRow, task: Task, *, is_free: bool, told: bool) -> ExportRow:
    fields = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in row.record.items()
    }
    example = Example(
        ExampleId(row.id), fields, Origin.GENERATED, parents=tuple(map(ExampleId, row.parents))
    )
    known = (row.scores[name] for name in ("label_check", "classifier") if name in row.scores)
    label = None
    if row.label is not None:
        label = Label(
            example.id,
            find_kind(task.kind).answer_of(row.label),
            "generated",
            f"llm:{row.writer}",
            weight=1.0,
            p_correct=next(known, math.nan),
            round=row.wave,
        )
    more: dict[str, object] = {
        "method": row.method,
        "attributes": dict(row.attributes),
        "evidence": row.evidence,
        "scores": dict(row.scores),
        "prompt_version": row.prompt_version,
        "writer": row.writer,
    }
    if is_free:
        more["record"] = dict(row.record)
    if told:
        more |= {"status": row.status, "gate": row.gate, "reason": row.reason}
    return ExportRow(example, label, usd=Decimal(row.usd), more=more)
