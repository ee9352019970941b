"""Commands that write files or look at models: export, predict, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o


def export(
    run: o.RunName = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file or folder to write.")],
    form: o.Form = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Examples of the pool without a label, too.")
    ] = False,
    predict: Annotated[
        bool,
        typer.Option("--predict", help="With --all: what the model says where no label is."),
    ] = False,
    force: o.Force = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Write the labelled data with where each label came from."""
    from querist.app.actions.exporting import write_labels
    from querist.app.terminal.place import Place

    place = Place(workspace, database or None)
    write_labels(
        place,
        run,
        output=output,
        form=form,
        everything=everything or predict,
        predicts=predict,
        force=force,
    )


def predict(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A run, or the folder of a model.")],
    texts: Annotated[str, typer.Argument(metavar="FILE", help="Texts, in any format of --pool.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file or folder to write.")],
    form: o.Form = None,
    text: o.TextColumn = None,
    encoding: o.Encoding = None,
    header: Annotated[
        bool, typer.Option("--header/--no-header", help="Whether a CSV's first line names columns.")
    ] = True,
    force: o.Force = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Let a trained model label a file.

    Every row comes back with its class, its probability, and those of all classes.
    """
    from querist.app.actions.predicting import predict as predict_texts
    from querist.app.terminal.place import Place

    fields = [name.strip() for name in (text or "").split(",") if name.strip()]
    predict_texts(
        Place(workspace, database or None),
        model,
        texts,
        output=output,
        form=form,
        fields=fields,
        encoding=encoding,
        header=header,
        force=force,
    )


def doctor(
    task: o.TaskFile = None,
    *,
    model: o.Model = None,
    mind: Annotated[
        str | None,
        typer.Option(
            "--mind", metavar="MODEL", help="Let this model sit the exams of the agents instead."
        ),
    ] = None,
    base_url: o.BaseUrl = None,
    price: o.Prices = None,
    change: o.Change = None,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Look at machine, workspace and model, and say what will be used.

    Asks the model of a task file, or --model, a few questions for a fraction of a cent.
    """
    from querist.app.actions.doctor import look
    from querist.app.terminal.inputs import model_config
    from querist.app.terminal.place import Place

    changes = [*(change or ()), *([f"models.mind={mind}"] if mind else [])]
    config = model_config(task, model, base_url=base_url, prices=price or (), changes=changes)
    place = Place(workspace, database or None)
    if mind and config is not None:
        from querist.app.actions.mind_exam import sit_exams

        sit_exams(config, place)
        return
    look(config, place)
