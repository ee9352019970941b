"""Several opinions about the same rows, pooled into one: a weighted product of experts.

Logarithmic opinion pool (Genest and Zidek, 1986): log p = sum of w_s log p_s, normalised. The
weights are learnt from rows that people labelled, and stay near their start where these are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from querist.tools.compute.arrays import FloatArray, IntArray, log_softmax

# A source that says 0 would veto an answer; so it costs 14 nats at most.
_TINY = 1e-6
SPREAD = 0.5
"""Prior standard deviation of a weight around its start."""
# Not below 0: whoever is mostly wrong is ignored, never believed in reverse.
_BOUNDS = (0.0, 3.0)
_MOST_STEPS, _SETTLED, _SAME = 50, 1e-7, 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class OpinionPool:
    """How much each of S sources counts: weights (S,)."""

    weights: FloatArray

    @classmethod
    def fit(
        cls,
        opinions: Sequence[FloatArray],
        labels: IntArray,
        *,
        start: Sequence[float],
        weights: FloatArray | None = None,
    ) -> OpinionPool:
        """Learn from N labelled rows: S opinions of shape (N, C), labels (N,); N may be 0.

        `weights` (N,) says how much each row counts, 1 each by default.
        """
        begin = np.asarray(start, dtype=np.float64)
        if len(labels) == 0:
            return cls(begin)
        logs = np.stack([np.log(np.maximum(opinion, _TINY)) for opinion in opinions]).astype(
            np.float64
        )
        counts = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        return cls(_least_loss(logs, labels, counts, begin=begin))

    def pool(self, opinions: Sequence[FloatArray]) -> FloatArray:
        """Pool S opinions (N, C) into one (N, C)."""
        logs = np.stack([np.log(np.maximum(opinion, _TINY)) for opinion in opinions])
        return np.exp(log_softmax(np.tensordot(self.weights, logs, axes=1)))


def _least_loss(
    logs: FloatArray, labels: IntArray, counts: FloatArray, *, begin: FloatArray
) -> FloatArray:
    """Find the weights (S,) that lose least on `logs` (S, N, C): projected Newton steps.

    Convex in the weights, so where they begin decides nothing but where the prior lies (Bertsekas,
    1982, for the bounds). SciPy's L-BFGS-B finds the same; a round waits for this twice, and a few
    steps of S by S take it a small part of the time (`evals/bench/scale.py`).
    """
    rows = np.arange(len(labels))
    told = logs[:, rows, labels]

    def loss(trial: FloatArray) -> tuple[float, FloatArray]:
        pooled = log_softmax(np.tensordot(trial, logs, axes=1))
        penalty = np.square((trial - begin) / SPREAD).sum() / 2
        return float(penalty - counts @ pooled[rows, labels]), np.exp(pooled)

    trial = np.clip(begin, *_BOUNDS)
    best, chances = loss(trial)
    for _ in range(_MOST_STEPS):
        means = np.einsum("snc,nc->sn", logs, chances)
        slope = (means - told) @ counts + (trial - begin) / SPREAD**2
        curvature = np.einsum("snc,tnc,nc,n->st", logs, logs, chances, counts, optimize=True)
        curvature += np.eye(len(trial)) / SPREAD**2 - (means * counts) @ means.T
        # A weight at a bound that it would only leave the allowed range by stays there.
        is_free = ~(((trial <= _BOUNDS[0]) & (slope > 0)) | ((trial >= _BOUNDS[1]) & (slope < 0)))
        step = np.zeros_like(trial)
        step[is_free] = np.linalg.solve(curvature[np.ix_(is_free, is_free)], slope[is_free])
        # Short enough steps go down; a full one may overshoot.
        while True:
            following = np.clip(trial - step, *_BOUNDS)
            lost, chances = loss(following)
            if lost <= best + _SAME:
                break
            step = step / 2
        moved, trial, best = np.abs(following - trial).max(), following, lost
        if moved < _SETTLED:
            break
    return trial
