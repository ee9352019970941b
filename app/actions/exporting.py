"""Labelled data out of the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from querist.app.actions.predicting import paid_by
from querist.app.terminal.place import Place, opened_run
from querist.app.terminal.screen import Screen, plural
from querist.memory.errors import InvalidInput
from querist.memory.records import Label
from querist.tools.data.export import ExportRow, export_rows
from querist.tools.data.places import ExportFormat, format_of
from querist.tools.kinds import kind_of
from querist.tools.training.model_folder import Model


def write_labels(
    place: Place,
    name: str | None,
    *,
    output: Path,
    form: ExportFormat | None,
    everything: bool,
    predicts: bool = False,
    force: bool = False,
) -> None:
    """Write the labels of a run; with `everything` the pool's unlabelled examples, too.

    With `predicts` these get what the trained model says, marked as `prediction`.
    """
    from querist.graph.round.model_files import MODEL
    from querist.graph.workplace.exporting import label_rows

    form = format_of(output, form)
    with opened_run(place, name) as run:
        context = run.view()
        rows = label_rows(context, everything=everything)
        if not rows:
            raise InvalidInput(
                f"Run {run.id} has no labels yet. Export the unlabelled examples with --all, or "
                f"let it run: {place.command(f'resume {run.id}')}"
            )
        if predicts:
            model = Model.load(context.files.fetch(MODEL))
            if model.prompt is None:
                # The run has bought the pool's vectors already, if they cost anything.
                rows = _with_predictions(rows, model.connected(context.meter))
            else:
                with paid_by(run, model) as asking:
                    rows = _with_predictions(rows, asking)
        count = export_rows(rows, output, format=form, task=context.task, force=force)
    predicted = sum(row.label is not None and row.label.source == "prediction" for row in rows)
    words = f", {predicted:,} of them predicted by the model" if predicts else ""
    Screen().line(f"Wrote {plural(count, 'example')}{words} to {output}")


def _with_predictions(rows: list[ExportRow], model: Model) -> list[ExportRow]:
    """Fill in what the model says where there is no label."""
    bare = [row for row in rows if row.label is None]
    answer_of = kind_of(model.task).answer_of
    said = model.predict([row.example.fields for row in bare])
    labels = {
        row.example.id: Label(
            example=row.example.id,
            answer=answer_of(said.labels[place]),
            source="prediction",
            who=f"model:{model.trainer}",
            weight=0.0,
            p_correct=round(float(said.confidences[place]), 4),
            round=-1,
            probabilities={
                name: round(float(chance), 4)
                for name, chance in zip(said.classes, said.probabilities[place], strict=True)
            },
        )
        for place, row in enumerate(bare)
    }
    return [
        row if row.label is not None else replace(row, label=labels[row.example.id]) for row in rows
    ]
