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
        from scipy.optimize import minimize

        begin = np.asarray(start, dtype=np.float64)
        if len(labels) == 0:
            return cls(begin)
        logs = np.stack([np.log(np.maximum(opinion, _TINY)) for opinion in opinions]).astype(
            np.float64
        )
        rows = np.arange(len(labels))
        counts = np.ones(len(labels)) if weights is None else weights.astype(np.float64)

        def loss(trial: FloatArray) -> tuple[float, FloatArray]:
            # Convex in the weights, so the start decides nothing but where the prior lies.
            pooled = log_softmax(np.tensordot(trial, logs, axes=1))
            error = np.exp(pooled)
            error[rows, labels] -= 1
            error *= counts[:, None]
            slope = np.einsum("snc,nc->s", logs, error) + (trial - begin) / SPREAD**2
            penalty = np.square((trial - begin) / SPREAD).sum() / 2
            return float(penalty - counts @ pooled[rows, labels]), slope

        # Not below 0: whoever is mostly wrong is ignored, never believed in reverse.
        bounds = [(0.0, 3.0)] * len(begin)
        found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(np.asarray(found.x))

    def pool(self, opinions: Sequence[FloatArray]) -> FloatArray:
        """Pool S opinions (N, C) into one (N, C)."""
        logs = np.stack([np.log(np.maximum(opinion, _TINY)) for opinion in opinions])
        return np.exp(log_softmax(np.tensordot(self.weights, logs, axes=1)))
