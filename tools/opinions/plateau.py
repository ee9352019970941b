"""Read a learning curve: whether it has flattened, and what more labels would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray

_POINTS_TO_FIT_DECAY = 5


@dataclass(frozen=True, slots=True)
class Plateau:
    """Whether the curve has flattened, why, and the gain it was judged by (None: too short)."""

    reached: bool
    reason: str
    gain: float | None = None


def plateau(
    curve: Sequence[float],
    *,
    window: int = 3,
    delta: float = 0.01,
    standard_errors: Sequence[float] | None = None,
    hits: FloatArray | None = None,
    confidence: float = 0.8,
) -> Plateau:
    """Tell whether the metric has stopped improving (Settles, 2009).

    With `hits` (2 * window or more rounds, S rows common to them; 1 where a round's model was
    right), or one standard error per round, noise is guarded against: the mean of the last
    `window` rounds minus that of the `window` before must lie below `delta` at the upper end of
    its one-sided interval. Hits give that interval from paired differences; standard errors alone
    take rounds as independent, which rounds on the same rows are not: it is then too wide.
    Without either: the best of the last `window` rounds beats the best before them by at most
    `delta`.
    """
    values = np.asarray(curve, dtype=np.float64)
    if window < 1 or not np.isfinite(values).all():
        raise InvalidInput("A plateau needs a window of at least 1 and a curve of finite numbers.")
    if hits is not None and len(hits) >= 2 * window:
        gain, error = paired_gain(hits, window=window)
        rows = hits.shape[1]
        upper = gain + _t_quantile(confidence, rows - 1) * error
        how = f"paired over {rows:,} rows"
        return _judged(gain, upper, window=window, delta=delta, confidence=confidence, how=how)
    if standard_errors is None:
        return _judge_best(values, window=window, delta=delta)
    errors = np.asarray(standard_errors, dtype=np.float64)
    if errors.shape != values.shape:
        raise InvalidInput(f"{len(values)} rounds came with {len(errors)} standard errors.")
    if len(values) < 2 * window:
        return _too_short(len(values), 2 * window)
    gain = float(values[-window:].mean() - values[-2 * window : -window].mean())
    error = float(np.sqrt(np.square(errors[-2 * window :]).sum())) / window
    upper = gain + _normal_quantile(confidence) * error
    how = "rounds taken as independent, as which rows they got right is not known of all"
    return _judged(gain, upper, window=window, delta=delta, confidence=confidence, how=how)


def paired_gain(hits: FloatArray, *, window: int) -> tuple[float, float]:
    """Compare the last `window` rounds with those before, row by row: the gain, its standard error.

    `hits` (R, S) are of the same S rows, at least two. The error is of the gain over all rows that
    the S are a random sample of, for these rounds' models; what is common to a row (how hard it
    is) cancels in its difference.
    """
    values = np.asarray(hits, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2 * window or values.shape[1] < 2:
        raise InvalidInput(f"Hits of shape {values.shape} do not hold two windows of {window}.")
    change = values[-window:].mean(axis=0) - values[-2 * window : -window].mean(axis=0)
    rows, gain = len(change), float(change.mean())
    # As if two more rows had changed in one round, one for the better and one for the worse: that
    # no row changed says little of rows that were not drawn (after Agresti & Min, 2005).
    squares = float(np.square(change - gain).sum()) + 2 / window**2
    return gain, float(np.sqrt(squares / (rows - 1) / rows))


def _judge_best(values: FloatArray, *, window: int, delta: float) -> Plateau:
    if len(values) <= window:
        return _too_short(len(values), window + 1)
    gain = float(values[-window:].max() - values[:-window].max())
    # A hair of tolerance: 0.822 - 0.82 is 0.0020000000000000018.
    reached = gain <= delta + 1e-9
    verb = "improved by only" if reached else "still improved by"
    return Plateau(
        reached,
        f"the best metric {verb} {gain:.4f} in the last {window} rounds (threshold {delta:g})",
        gain,
    )


def _judged(
    gain: float, upper: float, *, window: int, delta: float, confidence: float, how: str
) -> Plateau:
    reached = upper < delta
    verb = "is surely below" if reached else "may still exceed"
    return Plateau(
        reached,
        f"the gain of the last {window} rounds over the {window} before is {gain:.4f}, at most "
        f"{upper:.4f} with {confidence:.0%} confidence ({how}): it {verb} {delta:g}",
        gain,
    )


def _too_short(rounds: int, needed: int) -> Plateau:
    return Plateau(False, f"{rounds} of the {needed} rounds that a judgement needs")


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """A power law of the error: floor + amplitude * n ** -decay."""

    floor: float
    amplitude: float
    decay: float

    def metric_at(self, count: float) -> float:
        """Predict the metric, in [0, 1], with `count` labels."""
        error = self.floor + self.amplitude * max(count, 1.0) ** -self.decay
        return float(np.clip(1 - error, 0, 1))


def fit_learning_curve(counts: Sequence[float], metrics: Sequence[float]) -> LearningCurve:
    """Fit the power law to label counts and metrics in [0, 1], by least squares.

    Floor and amplitude are not negative, the decay lies in (0, 2]. Fewer than five points fit
    anything, so there the decay is held near 0.5 (as if drawn from a normal of spread 0.2, with
    metrics good to a point); a single point foresees no change.
    """
    labels = np.maximum(np.asarray(counts, dtype=np.float64), 1)
    errors = 1 - np.asarray(metrics, dtype=np.float64)
    if len(labels) == 0 or labels.shape != errors.shape or not np.isfinite(errors).all():
        raise InvalidInput("A learning curve needs as many finite metrics as counts, at least one.")
    decays = np.arange(1, 201) / 100
    # With the decay fixed the fit is linear and exact; a grid needs no start and misses no valley.
    fits = [_fit_line(labels**-decay, errors) for decay in decays]
    losses = np.array([loss for _, _, loss in fits])
    if len(labels) < _POINTS_TO_FIT_DECAY:
        # Minus twice the log prior times the variance of the noise: it adds to squared errors.
        losses += 0.01**2 * np.square((decays - 0.5) / 0.2)
    best = int(losses.argmin())
    floor, amplitude, _ = fits[best]
    return LearningCurve(floor, amplitude, float(decays[best]))


def learning_curve_forecast(
    counts: Sequence[float], metrics: Sequence[float], *, at: float
) -> float:
    """Predict the metric with `at` labels from the curve so far (see `fit_learning_curve`)."""
    return fit_learning_curve(counts, metrics).metric_at(at)


def _fit_line(places: FloatArray, errors: FloatArray) -> tuple[float, float, float]:
    """Fit errors = floor + amplitude * places, neither negative; also the squared loss."""
    spread = places - places.mean()
    variance = float(spread @ spread)
    amplitude = max(0.0, float(spread @ errors) / variance) if variance > 0 else 0.0
    floor = float(errors.mean() - amplitude * places.mean())
    # The loss is convex, so the best with a floor of 0 or more then has a floor of 0.
    if floor < 0:
        floor, amplitude = 0.0, max(0.0, float(places @ errors) / float(places @ places))
    residual = errors - floor - amplitude * places
    return floor, amplitude, float(residual @ residual)


# Without scipy.stats, which takes 0.7 s and 60 MB in every process that imports it.


def _t_quantile(level: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, level))


def _normal_quantile(level: float) -> float:
    return NormalDist().inv_cdf(level)
