"""Group rows: weighted k-means, and average linkage cut at a distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.tools.accelerator import products
from querist.tools.arrays import FloatArray, IntArray
from querist.tools.diversity import draw_far
from querist.tools.geometry import Euclidean, blocks

_ROUNDS, _TRIAL_ROUNDS = 50, 3
_SETTLED = 1e-4
_MOST_FITTED, _PER_CLUSTER = 20_000, 50
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
) -> Clusters:
    """Cluster rows (N, d) by Lloyd's algorithm from k-means++ seeds (Arthur & Vassilvitskii, 2007).

    Every restart runs three rounds, on at most 20 drawn rows a cluster (at least 2,000); the one
    with the least weighted sum of squares goes on with all rows until it settles. Above 20,000 rows
    (or 50 a cluster, if that is more) the centres are fitted on as many drawn rows, and all rows
    are assigned to them. Rows with more `weights` pull centres harder. A cluster that would be
    empty keeps its centre.
    """
    clusters = min(clusters, len(rows))
    weights = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not weights.sum() > 0:
        weights = np.ones(len(rows))
    limit = max(_MOST_FITTED, _PER_CLUSTER * clusters)
    chosen: NDArray[np.intp] | slice = slice(None)
    if len(rows) > limit:
        chosen = np.sort(rng.choice(len(rows), size=limit, replace=False))
    fitted, heavy = np.ascontiguousarray(rows[chosen], dtype=np.float32), weights[chosen]
    centres = _start(fitted, heavy, clusters, rng=rng, restarts=restarts)
    centres, _ = _lloyd(fitted, heavy, centres, _ROUNDS)
    labels, gaps = assign(rows, centres)
    return Clusters(centres, labels, gaps)


def assign(
    rows: FloatArray | Euclidean, centres: FloatArray
) -> tuple[NDArray[np.intp], FloatArray]:
    """Find each row's nearest centre and the squared distance to it; ties to the lower number."""
    space = rows if isinstance(rows, Euclidean) else Euclidean.of(rows)
    centres = np.asarray(centres, dtype=np.float32)
    lengths, twice = np.einsum("kd,kd->k", centres, centres), -2 * centres
    labels = np.empty(len(space), dtype=np.intp)
    gaps = np.empty(len(space), dtype=np.float32)
    for block in blocks(len(space), 4096):
        # The rows' own norms change no comparison, so they are added only for the nearest.
        part = products(space.rows[block], twice)
        part += lengths
        labels[block] = part.argmin(axis=1)
        gaps[block] = np.take_along_axis(part, labels[block][:, None], axis=1)[:, 0]
    gaps += space.norms
    return labels, np.maximum(gaps, 0)


def nearest_to_centres(clusters: Clusters) -> NDArray[np.intp]:
    """Choose for each cluster the row nearest to its centre, each row once: min(K, N) positions.

    Clusters choose in order of their number and among their own rows; one without rows of its own
    chooses at the end, the nearest of what is left.
    """
    order = np.lexsort((clusters.gaps, clusters.labels))
    _, first = np.unique(clusters.labels[order], return_index=True)
    chosen = order[first]
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
    apart = np.sqrt(np.maximum(space.gaps(space), 0))
    np.fill_diagonal(apart, np.inf)
    weights = np.ones(count) if sizes is None else np.asarray(sizes, dtype=np.float64)
    parent = np.arange(count)
    alive = np.ones(count, dtype=bool)
    chain: list[int] = []
    for _ in range(count - 1):
        if not chain:
            chain = [int(alive.argmax())]
        while True:
            last = chain[-1]
            near = int(apart[last].argmin())
            # Going back to where the chain came from settles ties, so chains end.
            if len(chain) > 1 and apart[last, chain[-2]] <= apart[last, near]:
                break
            chain.append(near)
        one, other = sorted((chain.pop(), chain.pop()))
        if apart[one, other] <= cut:
            parent[other] = one
        total = weights[one] + weights[other]
        merged = (weights[one] * apart[one] + weights[other] * apart[other]) / total
        merged[[one, other]] = np.inf
        apart[one], apart[:, one] = merged, merged
        apart[other], apart[:, other] = np.inf, np.inf
        weights[one] = total
        alive[other] = False
    return _roots(parent)


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
        trials.append(_lloyd(rows, weights, seeds, _TRIAL_ROUNDS))
    return min(trials, key=lambda trial: trial[1])[0]


def _lloyd(
    rows: FloatArray, weights: FloatArray, centres: FloatArray, rounds: int
) -> tuple[FloatArray, float]:
    """Move centres to the weighted means of their rows, over and over; also give the loss."""
    from scipy.sparse import csr_matrix

    space = Euclidean.of(rows)
    loss = np.inf
    steps = np.arange(len(space) + 1)
    for _ in range(rounds):
        labels, gaps = assign(space, centres)
        before, loss = loss, float(weights @ gaps)
        if before - loss <= _SETTLED * loss:
            break
        belongs = csr_matrix(
            (weights.astype(np.float32), labels, steps), shape=(len(space), len(centres))
        )
        mass = np.bincount(labels, weights=weights, minlength=len(centres))
        filled = mass > 0
        means = (belongs.T @ rows)[filled] / mass[filled, None]
        centres = centres.copy()
        centres[filled] = means.astype(np.float32)
    return centres, loss
