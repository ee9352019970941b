"""The target model on disk: one file a round, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from querist.graph.context import Context
from querist.graph.knowledge import TrainingSet
from querist.graph.pseudo_labels import PseudoRows, self_train
from querist.tools.training import LinearHead, LinearModel


def model_path(context: Context, number: int) -> Path:
    """Name the file of a round's model."""
    folder = context.folder / "model"
    folder.mkdir(exist_ok=True)
    return folder / f"round-{number:04d}.npz"


def current_model(context: Context) -> LinearModel | None:
    """Load the newest model, if there is one."""
    files = sorted((context.folder / "model").glob("round-*.npz"))
    return LinearModel.load(files[-1]) if files else None


def save_model(
    context: Context, rows: TrainingSet, *, number: int, pseudo: PseudoRows | None = None
) -> LinearModel | None:
    """Train on the rows and keep the model; None when there is nothing to train on.

    `pseudo` are rows that a strategy predicted, to be learnt from beside the labels.
    """
    if not rows.can_train:
        return None
    seed = context.config.loop.seed
    if pseudo is None:
        model = LinearHead().fit(rows.inputs, rows.targets, weights=rows.weights, seed=seed)
    else:
        model = self_train(rows, pseudo, seed=seed)
    model.save(model_path(context, number))
    return model
