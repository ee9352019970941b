"""Spread over the pool: choose rows that lie far apart, under whatever distance."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray
from querist.tools.engines.geometry import Euclidean, Space
from querist.tools.engines.lazy_greedy import ToNearest, draw_by_value, nearest_gaps, take_highest

AnySpace = TypeVar("AnySpace", bound=Space)


def k_center(
    embeddings: FloatArray,
    *,
    labelled: FloatArray | None = None,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Pick, again and again, the row farthest from all picked and labelled ones.

    The greedy 2-approximation of the covering radius (CoreSet; Sener & Savarese, 2018).
    `embeddings` is (N, d), `labelled` (L, d); returns min(count, N) positions in the order picked.
    With nothing labelled the first is drawn from `rng`; ties go to the lower position.
    """
    space = Euclidean.of(embeddings)
    around = None if labelled is None else space.beside(labelled)
    return pick_farthest(space, labelled=around, count=count, rng=rng)


def k_means_pp(
    embeddings: FloatArray,
    *,
    labelled: FloatArray | None = None,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Draw rows with chances proportional to squared distance from those taken before.

    The seeding of k-means++ (Arthur & Vassilvitskii, 2007) used as a sampler; arguments and
    result as in `k_center`. Rows at distance 0 come last, in equal chances.
    """
    space = Euclidean.of(embeddings)
    around = None if labelled is None else space.beside(labelled)
    return draw_far(space, labelled=around, count=count, rng=rng)


def pick_farthest(
    space: AnySpace,
    *,
    labelled: AnySpace | None = None,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Do what `k_center` does in any space: the one k-center engine."""
    count = min(count, len(space))
    values = _reach(space, labelled)
    # With nothing labelled every row is infinitely far. As a tie, that would go to the lowest
    # position: the first row of the pool would begin every run, whatever the seed.
    first = None
    if count and not np.isfinite(values[0]):
        first = int(rng.integers(len(space)))
    return take_highest(values, ToNearest(space), count=count, first=first)


def draw_far(
    space: AnySpace,
    *,
    labelled: AnySpace | None = None,
    count: int,
    rng: np.random.Generator,
    first: int | None = None,
) -> NDArray[np.intp]:
    """Do what `k_means_pp` does in any space: the one D^2 sampler. `first` is taken undrawn."""
    count = min(count, len(space))
    values = _reach(space, labelled)
    return draw_by_value(values, ToNearest(space), count=count, rng=rng, first=first)


def _reach(space: AnySpace, labelled: AnySpace | None) -> FloatArray:
    """Measure to what is labelled; everything is infinitely far from nothing."""
    if labelled is None or not len(labelled):
        return np.full(len(space), np.inf, dtype=np.float32)
    return nearest_gaps(space, labelled)
