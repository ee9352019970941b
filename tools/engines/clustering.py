"""Group rows: weighted k-means, and average linkage cut at a distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.accelerator import fetch, products
from querist.tools.compute.arrays import TIE, FloatArray, IntArray
from querist.tools.engines.diversity import draw_far
from querist.tools.engines.geometry import Euclidean, blocks, common_part, is_blurred

_ROUNDS, _TRIAL_ROUNDS = 50, 3
_SETTLED = 1e-4
_MOST_FITTED, _PER_CLUSTER = 20_000, 50
# Distances by products are wrong by up to 2.5e-6 |x||y| (see `geometry`): two of them, doubled.
_WRONG_BY = 1e-5
# Where more centres than these are equally near, one product in doubles is cheaper than pairs.
_MOST_PAIRS = 16
_MOST_TRIED, _TRIED_PER_CLUSTER = 2_000, 20


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """K centres (K, d), each row's cluster (N,), and its squared distance to that centre (N,)."""

    centres: FloatArray
    labels: NDArray[np.intp]
    gaps: FloatArray


def k_means(
    rows: FloatArray,
    clusters: int,
    *,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
    restarts: int = 10,
    settled: float = _SETTLED,
) -> Clusters:
    """Cluster rows (N, d) by Lloyd's algorithm from k-means++ seeds (Arthur & Vassilvitskii, 2007).

    Every restart runs three rounds, on at most 20 drawn rows a cluster (at least 2,000); the one
    with the least weighted sum of squares goes on with all rows until it settles. Above 20,000 rows
    (or 50 a cluster, if that is more) the centres are fitted on as many drawn rows, and all rows
    are assigned to them. It has settled when a round, which is O(N K d), saves no more than the
    share `settled` of the loss. Rows with more `weights` pull centres harder. A cluster that would
    be empty keeps its centre.
    """
    clusters = min(clusters, len(rows))
    weights = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    # Written so that a sum that is NaN counts as no weight, too.
    if not weights.sum() > 0:
        weights = np.ones(len(rows))
    # Means of float32 rows far from the origin lose the digits that tell clusters apart.
    centre = common_part(rows)
    if centre is not None:
        rows = np.subtract(rows, centre)
    limit = max(_MOST_FITTED, _PER_CLUSTER * clusters)
    chosen: NDArray[np.intp] | slice = slice(None)
    if len(rows) > limit:
        chosen = np.sort(rng.choice(len(rows), size=limit, replace=False))
    fitted, heavy = np.ascontiguousarray(rows[chosen], dtype=np.float32), weights[chosen]
    centres = _start(fitted, heavy, clusters, rng=rng, restarts=restarts)
    centres, _ = _lloyd(fitted, heavy, centres, rounds=_ROUNDS, settled=settled)
    labels, gaps = assign(rows, centres)
    if centre is not None:
        centres = (centres + centre).astype(np.float32)
    return Clusters(centres, labels, gaps)


def assign(
    rows: FloatArray | Euclidean, centres: FloatArray
) -> tuple[NDArray[np.intp], FloatArray]:
    """Find each row's nearest centre and the squared distance to it; ties to the lower number."""
    space = rows if isinstance(rows, Euclidean) else Euclidean.of(rows)
    points = space.beside(centres)
    twice = -2 * fetch(points.rows)
    labels = np.empty(len(space), dtype=np.intp)
    gaps = np.empty(len(space), dtype=np.float32)
    for block in blocks(len(space), 4096):
        # The rows' own norms change no comparison, so they are added only for the nearest.
        part = products(space.rows[block], twice)
        part += points.norms
        labels[block], gaps[block] = _lowest(part, space.norms[block])
        _settle(space.take(block), points, part, labels=labels[block], gaps=gaps[block])
    return labels, gaps


def nearest_to_centres(clusters: Clusters) -> NDArray[np.intp]:
    """Choose for each cluster the row nearest to its centre, each row once: min(K, N) positions.

    Clusters choose in order of their number and among their own rows; one without rows of its own
    chooses at the end, the nearest of what is left.
    """
    least = np.full(len(clusters.centres), np.inf)
    np.minimum.at(least, clusters.labels, clusters.gaps)
    # Of rows equally near but for rounding the first counts, on every machine.
    nearest = np.flatnonzero(clusters.gaps <= (1 + TIE) * least[clusters.labels])
    _, first = np.unique(clusters.labels[nearest], return_index=True)
    chosen = nearest[first]
    missing = len(clusters.centres) - len(chosen)
    if missing <= 0:
        return chosen
    rest = np.setdiff1d(np.arange(len(clusters.labels)), chosen)
    by_gap = rest[np.argsort(clusters.gaps[rest], kind="stable")]
    return np.concatenate([chosen, by_gap[:missing]])


def average_linkage(
    rows: FloatArray, *, cut: float, sizes: IntArray | None = None
) -> NDArray[np.intp]:
    """Merge clusters while their mean Euclidean distance is at most `cut`: labels (N,).

    Agglomerative clustering by nearest-neighbour chains (Muellner, 2011): O(N^2) time and N x N
    float32 distances, so a few thousand rows at most. Labels are numbered by first appearance.
    """
    count = len(rows)
    space = Euclidean.of(rows)
    apart = np.empty((count, count), dtype=np.float32)
    for block in blocks(count, 512):
        np.sqrt(space.take(block).gaps(space), out=apart[block])
    # The same both ways to the last digit: else chains of equal distances might never end.
    apart = np.minimum(apart, apart.T)
    np.fill_diagonal(apart, np.inf)
    weights = np.ones(count) if sizes is None else np.asarray(sizes, dtype=np.float64)
    parent = np.arange(count)
    alive = np.ones(count, dtype=bool)
    chain: list[int] = []
    for _ in range(count - 1):
        # Average linkage is reducible, so any start leads to the same tree.
        if not chain:
            chain = [int(alive.argmax())]
        while True:
            last = chain[-1]
            near = int(apart[last].argmin())
            # Going back to where the chain came from settles ties, so chains end.
            if len(chain) > 1 and apart[last, chain[-2]] <= apart[last, near]:
                break
            chain.append(near)
        kept, gone = sorted((chain.pop(), chain.pop()))
        # Pairs above the cut are merged, too, only not noted: the tree is monotone, so no later
        # merge of theirs lies below it.
        if apart[kept, gone] <= cut:
            parent[gone] = kept
        # Lance and Williams: d(i + j, k) = (n_i d(i, k) + n_j d(j, k)) / (n_i + n_j).
        total = weights[kept] + weights[gone]
        merged = (weights[kept] * apart[kept] + weights[gone] * apart[gone]) / total
        merged[[kept, gone]] = np.inf
        apart[kept], apart[:, kept] = merged, merged
        apart[gone], apart[:, gone] = np.inf, np.inf
        weights[kept] = total
        alive[gone] = False
    return _roots(parent)


def _settle(
    space: Euclidean,
    points: Euclidean,
    part: FloatArray,
    *,
    labels: NDArray[np.intp],
    gaps: FloatArray,
) -> None:
    """Measure again, in place, rows near their centre, where products have lost digits.

    `part` (N, K) are the distances less the rows' norms. Only centres that may be the nearest for
    all that products can be wrong by are measured: mostly one or two a row, and not all K.
    """
    doubtful = np.flatnonzero(is_blurred(gaps, space.norms, points.norms[labels]))
    if not len(doubtful):
        return
    norms = space.norms[doubtful]
    slack = _WRONG_BY * np.sqrt(norms) * np.sqrt(points.norms.max()) + TIE * gaps[doubtful]
    bars = gaps[doubtful] - norms + slack
    rows, centres = np.nonzero(part[doubtful] <= bars[:, None])
    if len(rows) > _MOST_PAIRS * len(doubtful):
        near = space.take(doubtful)
        labels[doubtful], gaps[doubtful] = _lowest(near.gaps(points), 0)
        return
    exact = space.pairs(points, doubtful[rows], centres)
    starts = np.searchsorted(rows, np.arange(len(doubtful)))
    least = np.minimum.reduceat(exact, starts)
    is_least = np.flatnonzero(exact <= (1 + TIE) * least[rows])
    _, first = np.unique(rows[is_least], return_index=True)
    labels[doubtful], gaps[doubtful] = centres[is_least[first]], least


def _lowest(part: FloatArray, rest: FloatArray | float) -> tuple[NDArray[np.intp], FloatArray]:
    """Find the column (N,) of each row's lowest value, and that plus `rest`; ties to the first."""
    labels = part.argmin(axis=1)
    least = np.take_along_axis(part, labels[:, None], axis=1)[:, 0]
    gaps = np.maximum(least + rest, 0)
    is_least = part <= (least + TIE * gaps)[:, None]
    if np.count_nonzero(is_least) > len(labels):
        labels = is_least.argmax(axis=1)
    return labels, gaps


def _roots(parent: NDArray[np.intp]) -> NDArray[np.intp]:
    """Follow every row to the cluster it ended in, and number those by first appearance."""
    while True:
        further = parent[parent]
        if (further == parent).all():
            break
        parent = further
    names, first, labels = np.unique(parent, return_index=True, return_inverse=True)
    rank = np.empty(len(names), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(names))
    return rank[labels]


def _start(
    rows: FloatArray, weights: FloatArray, clusters: int, *, rng: np.random.Generator, restarts: int
) -> FloatArray:
    """Find the most promising of several starts; a single one is not tried."""
    limit = max(_MOST_TRIED, _TRIED_PER_CLUSTER * clusters)
    if restarts > 1 and len(rows) > limit:
        chosen = np.sort(rng.choice(len(rows), size=limit, replace=False))
        # Rows without weight say nothing; were only such drawn, all would have to count.
        if weights[chosen].sum() > 0:
            rows, weights = rows[chosen], weights[chosen]
    space = Euclidean.of(rows)
    trials = []
    for _ in range(restarts):
        first = int(rng.choice(len(rows), p=weights / weights.sum()))
        seeds = rows[draw_far(space, count=clusters, rng=rng, first=first)]
        if restarts == 1:
            return seeds
        trials.append(_lloyd(rows, weights, seeds, rounds=_TRIAL_ROUNDS, space=space))
    return min(trials, key=lambda trial: trial[1])[0]


def _lloyd(
    rows: FloatArray,
    weights: FloatArray,
    centres: FloatArray,
    *,
    rounds: int,
    space: Euclidean | None = None,
    settled: float = _SETTLED,
) -> tuple[FloatArray, float]:
    """Move centres to the weighted means of their rows, over and over; also give the loss."""
    from scipy.sparse import csr_matrix

    space = space or Euclidean.of(rows)
    loss = np.inf
    steps = np.arange(len(space) + 1)
    for _ in range(rounds):
        labels, gaps = assign(space, centres)
        before, loss = loss, float(weights @ gaps)
        if before - loss <= settled * loss:
            break
        # Sums by cluster as a sparse product: O(N d), where a dense one-hot would take O(N K d).
        belongs = csr_matrix(
            (weights.astype(np.float32), labels, steps), shape=(len(space), len(centres))
        )
        mass = np.bincount(labels, weights=weights, minlength=len(centres))
        filled = mass > 0
        means = (belongs.T @ rows)[filled] / mass[filled, None]
        centres = centres.copy()
        centres[filled] = means.astype(np.float32)
    return centres, loss
