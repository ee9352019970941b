"""The trained model on disk: a head a round for the loop, and the folder that people take home."""

from __future__ import annotations

from typing import Any

import numpy as np

from querist.graph.round.audit import selectable
from querist.graph.round.pseudo_labels import PseudoRows, self_train
from querist.graph.workplace.context import Context
from querist.memory.errors import InvalidInput
from querist.memory.files import RunFiles
from querist.memory.records import Round
from querist.tools.compute.arrays import FloatArray
from querist.tools.opinions.training_set import TrainingSet
from querist.tools.training.proxy import LinearHead, LinearModel
from querist.tools.training.self_training import SelfTraining

_SOURCES = {
    "human": "by people",
    "llm": "by the language model",
    "model": "by the trained model",
    "generated": "written for the task",
}
_HEADS, MODEL = "heads", "model"
"""Folders of a run: the loop's head of each round, and the deliverable."""
_WHAT = "The loop's newest model"
_MOST_UNLABELLED = 2_000
"""That the model learns from its own predictions of: a second's work, however large the pool."""


def current_model(files: RunFiles) -> LinearModel | None:
    """Load the newest model, if there is one."""
    return next(iter(latest_models(files, 1)), None)


def latest_models(files: RunFiles, count: int) -> list[LinearModel]:
    """Load the models of the last rounds, the oldest first; fewer where there are not as many."""
    # Earlier versions kept them in the folder that is the deliverable now.
    keys = [key for name in (MODEL, _HEADS) for key in files.keys(f"{name}/round-")]
    newest = sorted(keys, key=lambda key: key.partition("/")[2])[-count:]
    return [model for key in newest if (model := _load(files, key)) is not None]


def forget_models(files: RunFiles) -> None:
    """Delete the loop's heads: they know nothing of the labels that there are now."""
    for key in [key for name in (MODEL, _HEADS) for key in files.keys(f"{name}/round-")]:
        files.delete(key)


def _load(files: RunFiles, key: str) -> LinearModel | None:
    without = "go on with the one before it"
    arrays = files.read_arrays(key, what=_WHAT, without=without)
    try:
        return None if arrays is None else LinearModel.of(arrays)
    except InvalidInput as error:
        raise files.damaged(key, error, what=_WHAT, without=without) from error


def facts_of(context: Context, measured: Round) -> dict[str, Any]:
    """Gather what the model card tells: of the run, its labels, and how good the model is."""
    detail, counts = measured.detail, context.labelling.counts()
    by_source = ", ".join(
        f"{count:,} {_SOURCES.get(name, name)}" for name, count in sorted(counts.items())
    )
    training = [f"{measured.labelled:,} labels of run `{context.run.id}`: {by_source}."]
    if context.config.annotator.enabled:
        training.append(f"Language model: `{context.config.models.annotator}`.")
    return {
        "run": context.run.id,
        "round": measured.number,
        "labels": counts,
        "metrics": {
            "quality": measured.metric,
            "low": measured.metric_low,
            "high": measured.metric_high,
            "measured_on": detail.get("measured_on"),
            "n": detail.get("n"),
            "test": detail.get("test"),
        },
        "quality": quality_in_words(measured, context.kind.metric),
        "training": training,
    }


def quality_in_words(measured: Round, metric: str) -> list[str]:
    """Say how good the model is and on what that was measured."""
    lines = []
    # Readers take a share for an accuracy; anything else says what it is.
    named = "" if metric == "accuracy" else f" {metric}"
    if measured.metric is not None:
        spread = ""
        if measured.metric_low is not None and measured.metric_high is not None:
            spread = f" (90 % interval {measured.metric_low:.1%} to {measured.metric_high:.1%})"
        lines.append(f"{measured.metric:.1%}{named}{spread}, {measured.detail.get('measured_on')}.")
    if measured.detail.get("test") is not None:
        lines.append(
            f"{measured.detail['test']:.1%}{named} on labelled texts that neither the agents nor "
            "the model saw."
        )
    return lines or ["Not measured: there were too few labels."]


def save_model(
    context: Context, rows: TrainingSet, *, number: int, pseudo: PseudoRows | None = None
) -> LinearModel | None:
    """Train on the rows and keep the model; None when there is nothing to train on.

    `pseudo` are rows that a strategy predicted, to be learnt from beside the labels; without any,
    the model's own surest predictions are.
    """
    if not rows.can_train:
        return None
    model = fit_head(context, rows, pseudo, number=number)
    key = f"{_HEADS}/round-{number:04d}.npz"
    context.files.write_arrays(key, model.arrays(), what=_WHAT)
    return model


def fit_head(
    context: Context, rows: TrainingSet, pseudo: PseudoRows | None, *, number: int
) -> LinearModel:
    """Train the loop's head on labels, and on what a strategy or the head itself predicts."""
    seed = context.config.loop.seed
    if pseudo is not None:
        return self_train(rows, pseudo, seed=seed)
    if not context.config.training.self_training:
        return LinearHead().fit(rows.inputs, rows.targets, weights=rows.weights, seed=seed)
    return SelfTraining().fit(
        rows.inputs,
        rows.targets,
        _unlabelled(context, number),
        weights=rows.weights,
        judges=rows.human if len(rows.human) else None,
        seed=seed,
    )


def _unlabelled(context: Context, number: int) -> FloatArray:
    """Draw vectors (M, d) of the pool's rows that nobody looked at, and nobody is measured on."""
    rows = selectable(context)
    if len(rows) > _MOST_UNLABELLED:
        rng = np.random.default_rng([context.config.loop.seed, number, 1])
        rows = np.sort(rng.choice(rows, _MOST_UNLABELLED, replace=False))
    return context.view.vectors[rows]
