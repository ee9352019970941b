"""Information of a whole batch about the model: BatchBALD, exact while small and then sampled."""

from __future__ import annotations

import numpy as np

from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines.geometry import blocks
from querist.tools.engines.information import mean_entropy

_CELLS = 2_000_000


class JointInformation:
    """What a candidate's label adds to what the batch says about the model (Kirsch et al., 2019).

    By the chain rule the gain of x is the mean, over joint outcomes of the batch, of the entropy of
    x's label given the outcome, less its entropy given the model. An outcome is kept as its
    probability and its posterior over the K draws, so nothing underflows however large the batch.
    All outcomes are kept while there are at most `exact`; from then on `samples` of them are drawn,
    in equal numbers from every draw of the model, and followed as the batch grows.
    """

    def __init__(
        self,
        posterior: FloatArray,
        *,
        rng: np.random.Generator,
        exact: int = 10_000,
        samples: int = 2_500,
    ) -> None:
        self._posterior = posterior
        self._rng, self._exact, self._samples = rng, exact, samples
        draws = posterior.shape[1]
        self._chances = np.ones(1)
        self._beliefs = np.full((1, draws), 1 / draws)
        self._told_by: IntArray | None = None
        self._log_likelihoods = np.zeros((1, draws))

    @property
    def left(self) -> float:
        """What is still unknown of the model given the batch, in nats: no gain is above it."""
        beliefs = np.maximum(self._beliefs, np.finfo(np.float64).tiny)
        return float(-self._chances @ (beliefs * np.log(beliefs)).sum(axis=1))

    def gains(self, candidates: IntArray) -> FloatArray:
        """Give what each candidate's label would add, in nats."""
        gains = np.empty(len(candidates))
        classes = self._posterior.shape[2]
        for some in blocks(len(candidates), max(1, _CELLS // (len(self._beliefs) * classes))):
            # In doubles: a near-duplicate's gain is the difference of two nearly equal entropies.
            draws = self._posterior[candidates[some]].astype(np.float64)
            flat = draws.transpose(1, 0, 2).reshape(draws.shape[1], -1)
            told = self._beliefs @ flat
            told *= -np.log(np.maximum(told, np.finfo(np.float64).tiny))
            gains[some] = (self._chances @ told).reshape(len(draws), classes).sum(axis=1)
            gains[some] -= mean_entropy(draws)
        return gains

    def add(self, candidate: int) -> None:
        """Split every outcome by this candidate's label, or draw the label in each."""
        draws = self._posterior[candidate].astype(np.float64)
        logs = np.log(np.maximum(draws, np.finfo(np.float64).tiny))
        if self._told_by is None and len(self._chances) * draws.shape[1] <= self._exact:
            self._split(logs)
            return
        if self._told_by is None:
            self._start_sampling()
        assert self._told_by is not None
        # Each outcome goes on by the draw of the model that it came from. So outcomes are a sample
        # of what the batch's labels may be, and their plain mean needs no importance weights.
        reach = draws.cumsum(axis=1)[self._told_by]
        # By the total, which rounding may leave below 1: beyond it there would be no label.
        luck = self._rng.random(len(reach))[:, None] * reach[:, -1:]
        labels = (reach <= luck).sum(axis=1)
        self._log_likelihoods += logs.T[labels]
        self._beliefs = _normalised(self._log_likelihoods)

    def _split(self, logs: FloatArray) -> None:
        """Keep all outcomes: C times as many as before."""
        both = self._log_likelihoods[:, None, :] + logs.T[None, :, :]
        self._log_likelihoods = both.reshape(-1, logs.shape[0])
        # The highest is taken off before the exponential: long batches would underflow to 0.
        highest = self._log_likelihoods.max(axis=1, keepdims=True)
        spread = np.exp(self._log_likelihoods - highest).mean(axis=1)
        self._chances = np.exp(highest[:, 0]) * spread
        self._beliefs = _normalised(self._log_likelihoods)

    def _start_sampling(self) -> None:
        """Draw outcomes of the batch so far, in equal numbers from every draw of the model."""
        members = self._beliefs.shape[1]
        each = max(1, self._samples // members)
        self._told_by = np.repeat(np.arange(members), each)
        likelihoods = np.exp(self._log_likelihoods)
        # All outcomes are here, so under each draw they sum to 1 but for rounding.
        rows = [
            self._rng.choice(len(likelihoods), size=each, p=column / column.sum())
            for column in likelihoods.T
        ]
        self._log_likelihoods = self._log_likelihoods[np.concatenate(rows)]
        self._chances = np.full(len(self._told_by), 1 / len(self._told_by))
        self._beliefs = _normalised(self._log_likelihoods)


def _normalised(logs: FloatArray) -> FloatArray:
    """Turn log likelihoods (M, K) into beliefs over the K draws."""
    # The draws are equally likely beforehand, so likelihoods alone make the posterior.
    beliefs = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(beliefs / beliefs.sum(axis=1, keepdims=True))
