"""How sure a difference between two arms is: a bootstrap over seeds and, within them, test rows.

Both arms of a seed learnt from one pool and are measured on one test sample, so a resample takes
the same seeds and the same rows for both: what is hard for both cancels. Rows alone would say how
sure the difference between two given models is; seeds alone, of which there are few, too little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[np.integer], NDArray[np.integer]], float]
"""Scores guesses (N,) by the truth (N,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What two arms of one seed said of the same test rows: truth, one, other (N,)."""

    truth: NDArray[np.integer]
    one: NDArray[np.integer]
    other: NDArray[np.integer]


def difference(
    pairs: Sequence[Pair], score: Score, *, draws: int = 1_000, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Give the mean over seeds of score(one) - score(other), and its percentile interval.

    With a single seed the interval covers the test rows alone.
    """
    rng = np.random.default_rng(seed)
    found = np.empty(draws)
    for draw in range(draws):
        gains = []
        for place in rng.integers(len(pairs), size=len(pairs)):
            pair = pairs[place]
            rows = rng.integers(len(pair.truth), size=len(pair.truth))
            gains.append(_gain(pair.truth[rows], pair.one[rows], pair.other[rows], score))
        found[draw] = np.mean(gains)
    mean = float(np.mean([_gain(pair.truth, pair.one, pair.other, score) for pair in pairs]))
    # A resample of S seeds varies by (S - 1) / S of what S seeds do.
    wider = np.sqrt(len(pairs) / (len(pairs) - 1)) if len(pairs) > 1 else 1.0
    low, high = mean + wider * (np.quantile(found, [(1 - level) / 2, (1 + level) / 2]) - mean)
    return mean, float(low), float(high)


def _gain(
    truth: NDArray[np.integer],
    one: NDArray[np.integer],
    other: NDArray[np.integer],
    score: Score,
) -> float:
    return score(one, truth) - score(other, truth)


def accuracy(guess: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    """Give the share that is right."""
    return float((guess == truth).mean())


def macro_f1(guess: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    """Give the mean F1 over the classes that occur in the truth."""
    classes = np.unique(truth)
    right = truth == guess
    size = int(max(truth.max(), guess.max())) + 2
    # -1 is no answer, which is wrong and of no class.
    hits = np.bincount(truth[right] + 1, minlength=size)
    total = np.bincount(truth + 1, minlength=size) + np.bincount(guess + 1, minlength=size)
    return float((2 * hits[classes + 1] / total[classes + 1]).mean())
