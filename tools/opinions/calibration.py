"""Make probabilities mean what they say: temperature, content-free priors, human-taught maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray, IntArray, log_softmax, one_hot

_TINY = 1e-12
_COLDEST, _HOTTEST = 1 / 50, 50.0


def expected_calibration_error(
    probabilities: FloatArray,
    targets: IntArray | FloatArray,
    *,
    weights: FloatArray | None = None,
    bins: int = 10,
) -> float:
    """Measure how far confidence and accuracy lie apart, in [0, 1] (Naeini et al., 2015).

    `probabilities` is (N, C); `targets` are class numbers (N,) or soft labels (N, C). Bins are of
    equal width. No rows, or rows without weight, have no error: 0.
    """
    soft = _as_soft(targets, probabilities.shape[1])
    weights = np.ones(len(soft)) if weights is None else weights
    total = float(weights.sum())
    if total <= 0:
        return 0.0
    confidence = probabilities.max(axis=1)
    right = np.take_along_axis(soft, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
    # Right-closed bins, so that a confidence of exactly 0.6 sits with those just below it.
    places = np.clip(np.ceil(confidence * bins - 1e-9).astype(int) - 1, 0, bins - 1)
    # |sum of (right - confidence)| over a bin is n_b |acc_b - conf_b|, so one sum a bin will do.
    gaps = np.bincount(places, weights=weights * (right - confidence), minlength=bins)
    return float(np.abs(gaps).sum() / total)


def contextual_calibration(probabilities: FloatArray, prior: FloatArray) -> FloatArray:
    """Divide (N, C) by what a content-free input gets (C,), and renormalise (Zhao et al., 2021).

    Raises InvalidInput when the shapes disagree or the prior is not positive somewhere.
    """
    if prior.shape != probabilities.shape[1:]:
        msg = f"The prior has shape {prior.shape}, the probabilities {probabilities.shape}."
        raise InvalidInput(msg)
    if not (np.isfinite(prior).all() and prior.max() > 0 and prior.min() >= 0):
        msg = "The content-free prior must be finite, not negative, and positive somewhere."
        raise InvalidInput(msg)
    # A class that the content-free input never gets would win every row by division by zero.
    lifted = probabilities / np.maximum(prior, 1e-3 * prior.max())
    totals = lifted.sum(axis=1, keepdims=True)
    uniform = 1 / probabilities.shape[1]
    return np.asarray(np.where(totals > 0, lifted / np.maximum(totals, _TINY), uniform))


def fit_temperature(
    logits: FloatArray,
    targets: IntArray | FloatArray,
    *,
    weights: FloatArray | None = None,
    prior_rows: float = 0.0,
) -> float:
    """Find the T whose softmax(logits / T) loses least on the targets (Guo et al., 2017).

    `logits` (N, C) may be log-probabilities; `targets` are class numbers (N,) or soft labels
    (N, C). `prior_rows` pulls 1/T towards 1 as strongly as about that many rows would, which a
    small sample needs: all-correct rows alone would drive T to its lower bound of 1/50.
    """
    if len(logits) == 0:
        return 1.0
    soft = _as_soft(targets, logits.shape[1])
    weights = np.ones(len(soft)) if weights is None else weights
    # In s = 1 / T the loss is convex: its slope is the mean logit under the model less that of the
    # targets, its curvature the variance of the logits under the model.
    wanted = (soft * logits).sum(axis=1)
    low, high, sharpness = 1 / _HOTTEST, 1 / _COLDEST, 1.0
    for _ in range(50):
        chances = np.exp(log_softmax(sharpness * logits))
        mean = (chances * logits).sum(axis=1)
        spread = (chances * np.square(logits - mean[:, None])).sum(axis=1)
        slope = float(weights @ (mean - wanted)) + prior_rows * (sharpness - 1)
        low, high = (sharpness, high) if slope < 0 else (low, sharpness)
        step = sharpness - slope / max(float(weights @ spread) + prior_rows, _TINY)
        # The loss is convex in 1/T: Newton where it stays in the bracket, else bisection.
        # Bisection on a log scale, as the bounds lie a factor of 2,500 apart.
        following = step if low < step < high else float(np.sqrt(low * high))
        if abs(following - sharpness) < 1e-7 * sharpness:
            break
        sharpness = following
    return 1 / sharpness


@dataclass(frozen=True, slots=True, eq=False)
class LabelModel:
    """What an annotator's log-probabilities are worth, learnt from rows that people labelled.

    Vector scaling (Guo et al., 2017): `slopes` (C,) and `offsets` (C,) act on log-probabilities.
    A fresh model is the identity.
    """

    slopes: FloatArray
    offsets: FloatArray

    @classmethod
    def identity(cls, classes: int) -> LabelModel:
        """Trust the annotator as it is."""
        return cls(slopes=np.ones(classes), offsets=np.zeros(classes))

    @classmethod
    def fit(
        cls,
        log_probabilities: FloatArray,
        labels: IntArray | FloatArray,
        *,
        weights: FloatArray | None = None,
    ) -> LabelModel:
        """Learn from N rows labelled by people; with no row it is the identity, with few, nearly.

        `log_probabilities` is (N, C), `labels` class numbers (N,) or soft (N, C). One slope is
        shared by all classes and free to move; how far single classes may leave it is bound more
        tightly, so the map has about C + 1 effective parameters at most.
        """
        classes = log_probabilities.shape[1]
        if len(log_probabilities) == 0:
            return cls.identity(classes)
        logs = np.maximum(log_probabilities, np.log(_TINY)).astype(np.float64)
        soft = _as_soft(labels, classes)
        weights = np.ones(len(logs)) if weights is None else weights.astype(np.float64)
        slopes, offsets = _fit_vector_scaling(logs, soft, weights)
        return cls(slopes=slopes, offsets=offsets)

    def predict(self, log_probabilities: FloatArray) -> FloatArray:
        """Turn an annotator's log-probabilities (N, C) into label probabilities (N, C)."""
        logs = np.maximum(log_probabilities, np.log(_TINY))
        return np.exp(log_softmax(logs * self.slopes + self.offsets))

    def p_correct(self, log_probabilities: FloatArray) -> FloatArray:
        """Tell how likely the best label of each row is right: (N,)."""
        return np.asarray(self.predict(log_probabilities).max(axis=1))


def _fit_vector_scaling(
    logs: FloatArray, soft: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Minimise the penalised loss by damped Newton steps; return slopes (C,) and offsets (C,).

    Prior standard deviations: 0.6 around 1 for the slope that all classes share, 0.05 for what a
    class adds to it, 0.5 for an offset. On simulated annotators (honest, timid, bold and slanted)
    this costs an honest one about 0.05 nats at most at 5 to 100 labels; small language models are
    so timid (slopes of 3 to 5 fit Gemma 3 270M on sst2 and ag_news) that a tighter prior costs
    more.
    """
    classes = logs.shape[1]
    middle = np.concatenate([[1.0], np.zeros(2 * classes)])
    tightness = np.concatenate([[0.6], np.full(classes, 0.05), np.full(classes, 0.5)]) ** -2
    # One slope for all plus a deviation for each class is one parameter too many; the priors settle
    # which of them moves.
    spread = np.zeros((2 * classes, 2 * classes + 1))
    spread[:classes, 0] = 1
    spread[:, 1:] = np.eye(2 * classes)

    def loss(parameters: FloatArray) -> float:
        slopes, offsets = np.split(spread @ parameters, 2)
        fit = (weights @ (soft * log_softmax(logs * slopes + offsets))).sum()
        return float(tightness @ np.square(parameters - middle) / 2 - fit)

    parameters, best = middle, loss(middle)
    for _ in range(50):
        slope, curvature = _derivatives(logs, soft, weights, at=spread @ parameters)
        slope = spread.T @ slope + tightness * (parameters - middle)
        step = np.linalg.solve(spread.T @ curvature @ spread + np.diag(tightness), slope)
        # The loss is convex, so steps that are short enough go down; a full one may overshoot.
        while (following := loss(parameters - step)) > best + 1e-9:
            step = step / 2
        parameters, best = parameters - step, following
        if np.abs(step).max() < 1e-6:
            break
    slopes, offsets = np.split(spread @ parameters, 2)
    return slopes, offsets


def _derivatives(
    logs: FloatArray, soft: FloatArray, weights: FloatArray, *, at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Take first (2C,) and second (2C, 2C) derivatives of the loss by slopes and offsets."""
    slopes, offsets = np.split(at, 2)
    chances = np.exp(log_softmax(logs * slopes + offsets))
    first = weights[:, None] * (chances - soft)
    # Each row's curvature by its logits is diag(p) - p p'; a logit is slope times log-probability
    # plus offset, so the chain rule multiplies by (log-probability, 1).
    moved = np.hstack([chances * logs, chances])
    curvature = -(moved * weights[:, None]).T @ moved
    squares = [weights @ (chances * logs**power) for power in (2, 1, 0)]
    curvature += np.block(
        [[np.diag(squares[0]), np.diag(squares[1])], [np.diag(squares[1]), np.diag(squares[2])]]
    )
    return np.concatenate([(first * logs).sum(axis=0), first.sum(axis=0)]), curvature


def _as_soft(targets: IntArray | FloatArray, classes: int) -> FloatArray:
    """Read class numbers (N,) or soft labels (N, C) as soft labels."""
    soft = targets if targets.ndim == 2 else one_hot(targets.astype(np.intp), classes)
    return soft.astype(np.float64)
