"""Local density from a hashed sketch, and weighted draws without replacement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray
from querist.tools.engines.geometry import Euclidean, blocks, common_part

_BUCKETS = 20_000
_FEW_HASHES, _MANY_HASHES, _LARGE = 200, 1000, 100_000
_SAMPLE = 1000
_NEAR = 0.1


def density(
    rows: FloatArray,
    *,
    rng: np.random.Generator,
    hashes: int | None = None,
    width: float | None = None,
) -> NDArray[np.float64]:
    """Estimate how many rows lie near each of (N, d), itself included: at least 1 each.

    Two passes over R p-stable hashes floor((a x + u) / width) into 20,000 buckets, as in the
    density sampler of Sachdeva et al. (2024): a row's density is the mean size of its buckets,
    and two rows count as near as often as they collide. R is 200 up to 100,000 rows, then 1000.
    `width` is the bandwidth; by default the distance that a tenth of a sample of pairs lies within.
    """
    count = len(rows)
    hashes = hashes or (_FEW_HASHES if count <= _LARGE else _MANY_HASHES)
    width = width or _bandwidth(rows, rng)
    # Far from the origin the hashes would be large numbers, whose last digits decide.
    centre = common_part(rows)
    total = np.zeros(count)
    # A few hashes at a time: both passes over them, and the codes are gone.
    for some in blocks(hashes, 20):
        many = some.stop - some.start
        # The width is divided out once, here; that leaves u / width, which is uniform on [0, 1).
        axes = (rng.normal(size=(rows.shape[1], many)) / width).astype(np.float32)
        offsets = rng.random(many).astype(np.float32)
        codes = np.empty((many, count), dtype=np.int32)
        for block in blocks(count):
            near = rows[block] if centre is None else rows[block] - centre
            places = np.floor(near @ axes + offsets)
            codes[:, block] = np.mod(places, _BUCKETS).T
        for code in codes:
            total += np.bincount(code, minlength=_BUCKETS)[code]
    return total / hashes


def draw_without_replacement(
    weights: FloatArray, count: int, *, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw positions with chances by weight, one after the other (Efraimidis & Spirakis, 2006).

    Weights of 0 come last. The order is the order of drawing.
    """
    weights = np.asarray(weights, dtype=np.float64)
    luck = rng.exponential(size=len(weights))
    with np.errstate(divide="ignore"):
        # The log of the usual key u^(1/w), turned around; it cannot underflow.
        keys = np.where(weights > 0, luck / np.where(weights > 0, weights, 1), np.inf)
    count = min(count, len(weights))
    if count <= 0:
        return np.empty(0, dtype=np.intp)
    # O(N + k log k): only what is drawn is sorted. Weights of 0 share a key, so places decide.
    first = np.argpartition(keys, count - 1)[:count]
    return first[np.lexsort((first, keys[first]))]


def _bandwidth(rows: FloatArray, rng: np.random.Generator) -> float:
    """Take the distance that a tenth of the pairs of different rows in a sample lie within."""
    size = min(len(rows), _SAMPLE)
    some = Euclidean.of(rows[rng.choice(len(rows), size=size, replace=False)])
    apart = np.sqrt(some.gaps(some)[np.triu_indices(size, 1)])
    # Duplicates have distance 0, and would make the bandwidth of a repetitive pool vanish.
    apart = apart[apart > 0]
    return float(np.quantile(apart, _NEAR)) if len(apart) else 1.0
