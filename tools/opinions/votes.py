"""The vote table: several opinions on each row, counted, and how far they disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray, IntArray


def count_votes(choices: IntArray, *, classes: int) -> NDArray[np.intp]:
    """Count the votes (N, V) for each class: (N, classes). A negative vote is no vote."""
    rows, voters = choices.shape
    counts = np.zeros((rows, classes), dtype=np.intp)
    places = np.arange(rows)
    # Voter by voter: adding at an index counts each cell once, and a voter has one vote a row.
    for voter in range(voters):
        cast = choices[:, voter]
        valid = cast >= 0
        counts[places[valid], cast[valid]] += 1
    return counts


def disagreement(counts: IntArray) -> FloatArray:
    """Share of different answers among the votes, h / k (Diao et al., 2023); 0 without votes."""
    total = counts.sum(axis=1)
    return np.asarray((counts > 0).sum(axis=1) / np.maximum(total, 1))


def vote_entropy(counts: IntArray) -> FloatArray:
    """Entropy of the vote shares in nats (Dagan & Engelson, 1995); 0 without votes."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1))


def vote_variance(answers: FloatArray) -> FloatArray:
    """Population variance of numeric answers (N, V); NaN marks an answer that is no number.

    A row with no number at all has variance 0.
    """
    given = np.isfinite(answers)
    numbers = np.maximum(given.sum(axis=1), 1)
    values = np.where(given, answers, 0)
    # Centred before squaring: mean square less squared mean cancels where numbers are large.
    centred = np.where(given, values - (values.sum(axis=1) / numbers)[:, None], 0)
    return np.asarray(np.square(centred).sum(axis=1) / numbers)
