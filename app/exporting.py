"""Labelled data out of the store."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from querist.app.place import Place, opened_run
from querist.app.screen import Screen, plural
from querist.memory.errors import InvalidInput
from querist.memory.records import Annotation, ExampleId, Split
from querist.tools.data.export import ExportFormat, ExportRow, export_rows

if TYPE_CHECKING:
    from querist.graph.context import Context


def write_labels(
    place: Place, name: str | None, *, output: Path, form: ExportFormat, everything: bool
) -> None:
    """Write the labels of a run; with `everything` the pool's unlabelled examples, too."""
    with opened_run(place, name) as run:
        context = run.view()
        rows = _rows(context, everything=everything)
        if not rows:
            raise InvalidInput(
                f"Run {run.id} has no labels yet. Export the unlabelled examples with --all, or "
                f"let it run: {place.command(f'resume {run.id}')}"
            )
        count = export_rows(rows, output, format=form, task=context.task)
    Screen().line(f"Wrote {plural(count, 'example')} to {output}")


def _rows(context: Context, *, everything: bool) -> list[ExportRow]:
    labels = {one.example: one for one in context.labelling.labels()}
    said: dict[ExampleId, list[Annotation]] = defaultdict(list)
    for one in context.labelling.annotations():
        said[one.example].append(one)
    wanted = context.pool.ids(Split.POOL) if everything else []
    # In the pool's order, whatever order labels came in: two exports of one run are alike.
    ids = wanted or [one for one in context.pool.ids(Split.POOL) if one in labels]
    return [
        ExportRow(
            example,
            labels.get(example.id),
            usd=sum((one.usd for one in said[example.id]), Decimal(0)),
            annotators=tuple(dict.fromkeys(one.who for one in said[example.id])),
            rationale=next((one.rationale for one in said[example.id] if one.rationale), ""),
        )
        for example in context.examples(ids)
    ]
