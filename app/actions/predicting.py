"""`querist predict`: what a trained model says about a file of texts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from querist.app.terminal.place import Place, opened_run
from querist.app.terminal.screen import Screen, plural
from querist.memory.errors import InvalidInput
from querist.tools.data.encoding import AUTO
from querist.tools.data.places import ExportFormat, format_of
from querist.tools.training.model_folder import Model
from querist.tools.training.weights import CONFIG

if TYPE_CHECKING:
    from querist.graph.run import Run

_ASKED = 200
"""Rows that a prompt is asked about between two signs of life."""


def predict(
    place: Place,
    model: str,
    source: str,
    *,
    output: Path,
    form: ExportFormat | None,
    fields: Sequence[str],
    encoding: str | None,
    header: bool,
    force: bool,
) -> None:
    """Predict a file with the model of a run, or of a folder."""
    from querist.tools.data.predictions import predict_file

    screen = Screen()
    form = format_of(output, form)
    told = 0

    def progress(rows: int) -> None:
        nonlocal told
        # A language model takes minutes for what a head does in a second.
        if rows - told >= (10_000 if trained.prompt is None else _ASKED):
            told = rows
            screen.line(f"{rows:,} rows predicted")

    with _ready(place, model) as trained:
        done = predict_file(
            trained,
            source,
            output,
            format=form,
            fields=fields,
            encoding=encoding or AUTO,
            header=header,
            force=force,
            progress=progress,
        )
    for note in done.notes:
        screen.line(note)
    lost = f"; {plural(done.empty, 'row')} without a text got none" if done.empty else ""
    read = ", ".join(map(repr, done.fields))
    screen.line(f"Predicted {plural(done.rows, 'row')} from {read}{lost}. Wrote {output}")
    for line in trained.facts.get("quality", ()):
        screen.line(f"The model: {line}")


@contextmanager
def _ready(place: Place, name: str) -> Iterator[Model]:
    """Load a model; where vectors or a prompt cost money, hold the run that made it, which pays."""
    trained = _model(place, name).opened()
    if not trained.is_served and trained.prompt is None:
        yield trained
        return
    with (
        opened_run(place, str(trained.facts.get("run", name))) as run,
        paid_by(run, trained) as ready,
    ):
        yield ready


@contextmanager
def paid_by(run: Run, trained: Model) -> Iterator[Model]:
    """Hold a run that pays for what its model embeds or asks."""
    from querist.graph.target.prompted import ask_by

    with asyncio.Runner() as runner:
        held = run.borrowed()
        context = runner.run(held.__aenter__())
        try:
            if trained.prompt is None:
                yield trained.connected(context.meter)
            else:
                yield trained.asking(ask_by(context, trained.prompt.body, runner.run))
        finally:
            runner.run(held.__aexit__(None, None, None))


def _model(place: Place, name: str) -> Model:
    """Load a model folder, or the model of a run."""
    from querist.graph.round.model_files import MODEL

    if (Path(name).expanduser() / CONFIG).is_file():
        return Model.load(Path(name).expanduser())
    if Path(name).is_dir():
        return Model.load(name)  # which says what it lacks
    with opened_run(place, name) as run:
        folder = run.view().files.fetch(MODEL)
        if not (folder / CONFIG).is_file():
            raise InvalidInput(
                f"Run {run.id} has no model yet: it needs labels of two classes at least. Let it "
                f"go on with: {place.command(f'resume {run.id}')}"
            )
        return Model.load(folder)
