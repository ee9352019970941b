"""Class-balanced self-training: the head learns from its own surest predictions as well.

The surest predictions of a head that saw few labels are nearly all of its favourite classes, and
teach it to favour them more. In equal parts of each class they teach it what the classes it knows
less look like instead (Zou et al., 2018). Rows that no fold saw set the temperature, which would
come out far too sure otherwise, and decide whether any of this is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from querist.tools.compute.arrays import FloatArray, IntArray, log_softmax
from querist.tools.opinions.calibration import expected_calibration_error, fit_temperature
from querist.tools.training.linear_solver import fold_rows
from querist.tools.training.proxy import LinearHead, LinearModel

_FEWEST_JUDGES = 30
"""With fewer, folds of six rows would decide."""
_FOLDS = 5
_PRIOR_ROWS = 4.0
"""Rows' worth of belief in a temperature of 1."""


@dataclass(frozen=True, slots=True)
class SelfTraining:
    """What is taken: the `surest` share of the unlabelled rows, with `weight` of the whole loss."""

    surest: float = 0.2
    weight: float = 0.5

    def fit(
        self,
        inputs: FloatArray,
        targets: FloatArray,
        unlabelled: FloatArray,
        *,
        weights: FloatArray | None = None,
        judges: IntArray | None = None,
        seed: int = 0,
    ) -> LinearModel:
        """Train on inputs (N, d) with targets (N, C) and on unlabelled rows (M, d), 2,000 or so.

        `judges` are the positions of rows whose targets nobody worked out from other rows' (all of
        them by default). The plain head is returned where they are few, or where held-out ones are
        not likelier by the self-trained head.
        """
        counts = np.ones(len(inputs)) if weights is None else np.asarray(weights)
        plain = LinearHead().fit(inputs, targets, weights=counts, seed=seed)
        judging = np.arange(len(inputs)) if judges is None else np.asarray(judges, dtype=np.intp)
        judging = judging[counts[judging] > 0]
        few = len(judging) < _FEWEST_JUDGES or len(unlabelled) == 0
        if few or len(np.unique(targets[judging].argmax(axis=1))) < 2:
            return plain
        # The penalty of the labels alone: chosen anew, it would be chosen by rows that the head
        # labelled itself.
        strength = plain.strength
        found = self._teach(plain, inputs, targets, counts, unlabelled)
        judged = inputs[judging], targets[judging], counts[judging]

        def taught(x: FloatArray, y: FloatArray, w: FloatArray) -> LinearModel:
            return self._teach(_fit(x, y, w, strength), x, y, w, unlabelled)

        before = _held_out(*judged, lambda x, y, w: _fit(x, y, w, strength), seed=seed)
        after = _held_out(*judged, taught, seed=seed)
        # By likelihood, not by accuracy: with 30 judges most changes leave the accuracy as it is.
        if after.likelihood < before.likelihood:
            return plain
        return replace(found, temperature=after.temperature, calibration_error=after.error)

    def _teach(
        self,
        teacher: LinearModel,
        inputs: FloatArray,
        targets: FloatArray,
        weights: FloatArray,
        unlabelled: FloatArray,
    ) -> LinearModel:
        """Train on the labels and on what the teacher is surest of."""
        chances = teacher.predict_proba(unlabelled)
        rows = surest_rows(chances, share=self.surest)
        named = np.eye(chances.shape[1])[chances[rows].argmax(axis=1)]
        # So that all of them together weigh `weight` of the whole, however many there are.
        each = self.weight / (1 - self.weight) * float(weights.sum()) / len(rows)
        return _fit(
            np.concatenate([inputs, unlabelled[rows]]),
            np.concatenate([targets, named]),
            np.concatenate([weights, np.full(len(rows), each)]),
            teacher.strength,
        )


def surest_rows(chances: FloatArray, *, share: float) -> IntArray:
    """Pick the rows (of N) that are surest, at most `share` N / C of each class, in order."""
    named, sure = chances.argmax(axis=1), chances.max(axis=1)
    each = int(np.ceil(share * chances.shape[0] / chances.shape[1]))
    # By class and then by sureness, so that a row's rank in its class is its distance to the start.
    order = np.lexsort((-sure, named))
    starts = np.searchsorted(named[order], np.arange(chances.shape[1]))
    rank = np.arange(len(order)) - starts[named[order]]
    return np.sort(order[rank < each])


@dataclass(frozen=True, slots=True)
class _Judgement:
    likelihood: float
    temperature: float
    error: float


def _held_out(
    inputs: FloatArray,
    targets: FloatArray,
    weights: FloatArray,
    fit: Callable[[FloatArray, FloatArray, FloatArray], LinearModel],
    *,
    seed: int,
) -> _Judgement:
    """Judge a way of training by rows that it did not see."""
    folds = fold_rows(targets.argmax(axis=1), folds=_FOLDS, seed=seed)
    logits = np.zeros(targets.shape)
    for fold in range(_FOLDS):
        taught, held = folds != fold, folds == fold
        model = fit(inputs[taught], targets[taught], weights[taught])
        # Without the temperature, which is to be found from all folds together.
        logits[held] = inputs[held] @ model.coefficients + model.intercepts
    temperature = fit_temperature(logits, targets, weights=weights, prior_rows=_PRIOR_ROWS)
    logs = log_softmax(logits / temperature)
    error = expected_calibration_error(np.exp(logs), targets, weights=weights)
    return _Judgement(float(weights @ (targets * logs).sum(axis=1)), temperature, error)


def _fit(
    inputs: FloatArray, targets: FloatArray, weights: FloatArray, strength: float
) -> LinearModel:
    return LinearHead(strength).fit_once(inputs, targets, weights)
