"""How what was written differs from what is real: told, and nothing is rejected for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from querist.tools.arms.protocol import wilson
from querist.tools.training.proxy import cross_fit

_WORD = re.compile(r"\w+")
_LEAST = 20
"""Texts on a side without which a test says nothing."""
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Drift:
    """The figures; `None` where there is too little to tell."""

    two_sample: float | None
    """How often a linear classifier tells written from real, held out; 0.5 is chance."""
    low: float | None
    high: float | None
    """Its 90 % interval (Wilson)."""
    compared: int
    """Texts on each side."""
    distinct_written: tuple[float, float]
    """Different words, and pairs of words, per word, in equally many words of both."""
    distinct_real: tuple[float, float]
    spread_written: float | None
    """Mean cosine distance of two of them; near 0 all are alike."""
    spread_real: float | None


def drift(
    real: Sequence[str],
    written: Sequence[str],
    *,
    real_vectors: NDArray[np.float32],
    written_vectors: NDArray[np.float32],
    seed: int = 0,
) -> Drift:
    """Compare texts and their vectors (N, d).

    The classifier two-sample test is that of Lopez-Paz and Oquab (2017), with cross-fitting in
    place of one split: texts on both sides are equally many, so chance is one half.
    """
    rng = np.random.default_rng(seed)
    size = min(len(real), len(written), _MOST)
    accuracy = low = high = None
    if size >= _LEAST:
        left = real_vectors[np.sort(rng.permutation(len(real))[:size])]
        right = written_vectors[np.sort(rng.permutation(len(written))[:size])]
        accuracy = _told_apart(left, right, seed=seed)
        low, high = wilson(accuracy, 2 * size)
    words = min(_count(real), _count(written))
    return Drift(
        accuracy,
        low,
        high,
        compared=size,
        distinct_written=_distinct(written, words),
        distinct_real=_distinct(real, words),
        spread_written=_spread(written_vectors),
        spread_real=_spread(real_vectors),
    )


def _told_apart(left: NDArray[np.float32], right: NDArray[np.float32], *, seed: int) -> float:
    inputs = np.concatenate([left, right])
    sides = np.repeat([0, 1], [len(left), len(right)])
    targets = np.eye(2, dtype=np.float32)[sides]
    # A fixed penalty: one chosen on all rows would have seen those that are scored.
    chances = cross_fit(inputs, targets, seed=seed, strength=0.01)
    return float((chances.argmax(axis=1) == sides).mean())


def _spread(vectors: NDArray[np.float32]) -> float | None:
    n = len(vectors)
    if n < 2:
        return None
    # The mean over pairs from the length of the sum: |sum|^2 = n + the sum over ordered pairs.
    total = float(np.square(vectors.sum(axis=0, dtype=np.float64)).sum())
    return 1.0 - (total - n) / (n * (n - 1))


def _words(texts: Sequence[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text.casefold())]


def _count(texts: Sequence[str]) -> int:
    return len(_words(texts))


def _distinct(texts: Sequence[str], most: int) -> tuple[float, float]:
    # More words repeat more words, so both sides are cut to equally many.
    words = _words(texts)[:most]
    pairs = list(pairwise(words))
    distinct_words = len(set(words)) / len(words) if words else 0.0
    return distinct_words, len(set(pairs)) / len(pairs) if pairs else 0.0
