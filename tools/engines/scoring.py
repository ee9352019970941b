"""Uncertainty of predictions: (N, C) probabilities in, (N,) scores out, higher is asked first.

Of a generated text, what its tokens were given: N arrays of different lengths in, (N,) out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray

_FEW_CLASSES = 32


def highest(scores: FloatArray, count: int) -> NDArray[np.intp]:
    """Find the positions of the highest scores, best first; ties go to the lower position."""
    count = min(count, len(scores))
    if count <= 0:
        return np.empty(0, dtype=np.intp)
    bar = np.partition(scores, len(scores) - count)[len(scores) - count]
    # Only what reaches the bar is sorted: the batch is small and the pool is not.
    reaching = np.flatnonzero(scores >= bar)
    return reaching[np.argsort(-scores[reaching], kind="stable")[:count]]


def least_confidence(probabilities: FloatArray) -> FloatArray:
    """Score 1 - max p: how little the best class convinces (Lewis & Gale, 1994)."""
    if probabilities.shape[1] > _FEW_CLASSES:
        return np.asarray(1 - probabilities.max(axis=1))
    # Over whole columns, as below.
    return np.asarray(1 - np.ascontiguousarray(probabilities.T).max(axis=0))


def margin(probabilities: FloatArray) -> FloatArray:
    """Score -(p1 - p2), at most 0: how close the runner-up comes (Scheffer et al., 2001)."""
    first, second = _top_two(probabilities)
    return second - first


def breaking_ties(probabilities: FloatArray) -> FloatArray:
    """Score 1 - (p1 - p2), in [0, 1]: margin by its name in text work (Luo et al., 2005)."""
    return 1 + margin(probabilities)


def entropy(probabilities: FloatArray) -> FloatArray:
    """Score -sum p log p in nats, with 0 log 0 = 0 (Shannon, 1948)."""
    # A zero becomes the smallest normal number, whose p log p vanishes, at no cost of a mask.
    safe = np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)
    return np.asarray(-np.einsum("nc,nc->n", probabilities, np.log(safe)))


def sequence_least_confidence(log_probabilities: Sequence[FloatArray]) -> FloatArray:
    """Score 1 - exp(mean log p) of each sequence, in [0, 1]: normalised sequence probability.

    N arrays (T_i,) of the log-probabilities of a greedy output's tokens in, (N,) out; an empty one
    scores not a number. The mean and not the sum, or long outputs would always look unsure
    (Ueffing & Ney, 2007; for active learning Tsvigun et al., 2022).
    """
    means = [
        np.mean(probability) if len(probability) else np.nan for probability in log_probabilities
    ]
    # By expm1, which keeps its digits where the model is nearly sure.
    return np.asarray(-np.expm1(np.array(means, dtype=np.float64)))


def mean_token_entropy(distributions: Sequence[FloatArray]) -> FloatArray:
    """Score the mean, not the sum, of the entropies at each token of a sequence, in nats.

    N arrays (T_i, V) of probabilities over the whole vocabulary in, (N,) out; an empty one scores
    not a number. No strategy here uses it: the port of chat models tells the probability of single
    tokens, never a whole distribution. For whoever has the logits (Malinin & Gales, 2021).
    """
    means = [
        np.mean(entropy(distribution)) if len(distribution) else np.nan
        for distribution in distributions
    ]
    return np.array(means, dtype=np.float64)


def _top_two(probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find the two largest probabilities of each row; a second class that is not there has 0."""
    classes = probabilities.shape[1]
    if classes > _FEW_CLASSES:
        split = np.partition(probabilities, classes - 2, axis=1)
        return split[:, -1], split[:, -2]
    # With few classes, passing over whole columns beats sorting inside every row.
    first = np.zeros(len(probabilities), dtype=probabilities.dtype)
    second = first.copy()
    for column in np.ascontiguousarray(probabilities.T):
        np.maximum(second, np.minimum(first, column), out=second)
        np.maximum(first, column, out=first)
    return first, second
