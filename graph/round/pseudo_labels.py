"""Pseudo-labels: predictions that a strategy offers to train on, in one file a round.

Only the model of the same round learns from them: they were made by the model before it, and the
next selection makes better ones. The file is written before the batch is opened, so a round that is
repeated after a crash finds it, or makes it again from what the first time started from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from querist.agents.selector.strategies.ac_tune import Pseudo
from querist.graph.workplace.context import Context
from querist.memory.files import RunFiles
from querist.memory.records import ExampleId
from querist.tools.compute.arrays import FloatArray
from querist.tools.opinions.training_set import TrainingSet
from querist.tools.training.proxy import LinearHead, LinearModel

_WHAT = "Pseudo-labels"
_SHARE = 0.5
"""Of the loss, what pseudo-labels make up: w in (1 - w) CE + w ST (Yu et al., 2022)."""

MOST = 20_000
"""Pseudo-labels that a model is trained on, drawn from those that are offered: some 4 s a fit."""


@dataclass(frozen=True, slots=True, eq=False)
class PseudoRows:
    """Rows to train on beside the labelled ones: inputs (n, d), targets (n, C), weights (n,)."""

    inputs: FloatArray
    targets: FloatArray
    weights: FloatArray


def save_pseudo(files: RunFiles, offered: object, *, number: int) -> None:
    """Keep what the selection of round `number` offers; what is no `Pseudo` counts as nothing."""
    if not isinstance(offered, Pseudo) or not offered.ids:
        # A crash may have left what another strategy offered in this round.
        files.delete(_key(number))
        return
    kept = {"ids": np.array(offered.ids), "probabilities": np.asarray(offered.probabilities)}
    files.write_arrays(_key(number), kept, what=_WHAT)


def forget_pseudo(files: RunFiles) -> None:
    """Delete what was offered: it is of other labels than there are now."""
    for key in files.keys("pseudo/round-"):
        files.delete(key)


def load_pseudo(files: RunFiles, *, number: int) -> Pseudo | None:
    """Read what the selection of round `number` offered, if it did."""
    key, without = _key(number), "train this round without them"
    kept = files.read_arrays(key, what=_WHAT, without=without)
    if kept is None:
        return None
    try:
        ids = tuple(ExampleId(str(text)) for text in kept["ids"])
        return Pseudo(ids, np.asarray(kept["probabilities"], dtype=np.float64))
    except (KeyError, TypeError, ValueError) as error:
        raise files.damaged(key, error, what=_WHAT, without=without) from error


def pseudo_rows(context: Context, rows: TrainingSet, *, number: int) -> PseudoRows | None:
    """Give the round's pseudo-labelled rows, less those that have a label by now; None without."""
    offered = load_pseudo(context.files, number=number)
    if offered is None or not rows.can_train:
        return None
    labelled = set(rows.ids)
    kept = [row for row, example_id in enumerate(offered.ids) if example_id not in labelled]
    if not kept:
        return None
    if len(kept) > MOST:
        rng = np.random.default_rng([context.config.loop.seed, number])
        kept = [kept[place] for place in np.sort(rng.choice(len(kept), MOST, replace=False))]
    inputs = context.view.of([offered.ids[row] for row in kept])
    return PseudoRows(inputs, offered.probabilities[kept], weigh(len(kept), rows.weights))


def weigh(count: int, labelled: FloatArray, *, share: float = _SHARE) -> FloatArray:
    """Weigh `count` pseudo-labels alike, so that they make up `share` of all weight: (count,)."""
    total = share / (1 - share) * float(labelled.sum())
    return np.full(count, total / count)


def self_train(rows: TrainingSet, pseudo: PseudoRows, *, seed: int) -> LinearModel:
    """Train on labels and pseudo-labels together.

    The held-out rows that choose the penalty and the temperature are of both kinds. Pseudo-labels
    make them look easier than the pool is, but labels alone are of doubtful rows: what suits those
    makes the next pseudo-labels soft; on subj (evals) the model lost six points that way.
    """
    return LinearHead().fit(
        np.concatenate([rows.inputs, pseudo.inputs]),
        np.concatenate([rows.targets, pseudo.targets]),
        weights=np.concatenate([rows.weights, pseudo.weights]),
        seed=seed,
    )


def _key(number: int) -> str:
    return f"pseudo/round-{number:04d}.npz"
