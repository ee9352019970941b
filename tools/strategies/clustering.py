"""Strategies that group the pool and choose from the groups."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray, IntArray, first_highest, unit_rows
from querist.tools.engines import scoring
from querist.tools.engines.clustering import assign, average_linkage, k_means, nearest_to_centres
from querist.tools.engines.geometry import Euclidean
from querist.tools.engines.neighbours import nearest_neighbours
from querist.tools.registry import Count, Share
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy

_EPSILON_SAMPLE, _NEIGHBOURS, _MOST_MEMBERS = 2000, 20, 2048
_COARSE = 1e-3


@strategy(
    "k_means",
    summary="Ask about the candidate nearest to the centre of each of b clusters.",
    section="B",
    needs=[Capability.EMBEDDINGS],
    cost="O(rounds N b d)",
    citation="Lloyd 1982; Xu et al. 2003",
    explanation="""
    Clusters the candidates into as many groups as the batch has places and takes the most central
    candidate of each. A good first batch: typical examples of every region, no outliers. It
    ignores the model and what is labelled, so it wastes labels in later rounds. Ten restarts run
    three rounds each, on a sample, and the best goes on; above 20,000 candidates it, too, sees a
    sample.
    """,
)
def k_means_centres(context: QueryContext, count: int) -> QueryResult:
    """Take the candidate nearest to each centre."""
    clusters = k_means(context.embeddings(), count, rng=context.rng)
    return context.result(nearest_to_centres(clusters))


@strategy(
    "weighted_k_means",
    summary="Cluster the most uncertain candidates, the more uncertain the heavier.",
    needs=[Capability.EMBEDDINGS, Capability.PROBS],
    cost="O(NC + rounds b^2 d)",
    citation="Zhdanov 2019",
    explanation="""
    Keeps the ten times b candidates of smallest margin, clusters them into b groups with one minus
    the margin as weight, and takes the candidate nearest to each centre. Uncertain and diverse at
    the cost of a ranking and a small clustering: a sound default for batches of hundreds.
    """,
)
def weighted_k_means(context: QueryContext, count: int, *, oversampling: Count = 10) -> QueryResult:
    """Take the candidate nearest to each weighted centre among the most uncertain."""
    scores = scoring.breaking_ties(context.probabilities())
    # In pool order, so that ties still go to the lower position.
    kept = np.sort(scoring.highest(scores, oversampling * count))
    rows = context.embeddings(kept)
    clusters = k_means(rows, count, rng=context.rng, weights=scores[kept])
    return context.result(kept[nearest_to_centres(clusters)])


@strategy(
    "cluster_margin",
    summary="Take turns among clusters of the smallest margins, small clusters first.",
    section="3, 3.1, B",
    needs=[Capability.EMBEDDINGS, Capability.PROBS],
    cost="linkage once, then O(N (C + log N))",
    citation="Citovsky et al. 2021",
    explanation="""
    Once, the whole pool is clustered by average linkage, cut at half the median distance. Each
    round keeps the ten times b candidates of smallest margin and visits their clusters in turn,
    the smallest first, drawing one from each until the batch is full. Made for very large batches,
    where margin alone repeats itself. Above 5,000 examples a sample is linked and the rest join
    the nearest cluster. Where the embeddings form no groups it draws evenly from the smallest
    margins.
    """,
)
def cluster_margin(
    context: QueryContext,
    count: int,
    *,
    oversampling: Count = 10,
    cut: Share = 0.5,
    most_linked: Count = 5000,
) -> QueryResult:
    """Visit the clusters of the least certain candidates in turn; `cut` is of the median gap."""
    clusters = _clusters_of_pool(context, cut=cut, most=most_linked)
    scores = scoring.margin(context.probabilities())
    unsure = np.sort(scoring.highest(scores, oversampling * count))
    # Sizes are counted among the unsure candidates, not in the pool: turns order what is asked.
    picks = unsure[take_turns(clusters[unsure], count, rng=context.rng)]
    return context.result(picks, scores=scores[picks], clusters=len(np.unique(clusters)))


def take_turns(groups: IntArray, count: int, *, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw one member (positions in `groups`) of each group in turn, small groups first.

    Groups (M,) are numbers; equally small ones go by number. Members are drawn evenly.
    """
    _, labels, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    # A stable sort of a shuffle has the members of each group in random order: O(M log M), and no
    # loop over groups.
    shuffled = rng.permutation(len(groups))
    by_group = shuffled[np.argsort(labels[shuffled], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    turn = np.empty(len(groups), dtype=np.intp)
    turn[by_group] = np.arange(len(groups)) - np.repeat(starts, sizes)
    rank = np.empty(len(sizes), dtype=np.intp)
    rank[np.argsort(sizes, kind="stable")] = np.arange(len(sizes))
    return np.lexsort((rank[labels], turn))[:count]


@strategy(
    "typiclust",
    summary="Ask about the most typical candidate of each large cluster without a label.",
    needs=[Capability.EMBEDDINGS],
    cost="O(rounds N (L + b) d)",
    citation="Hacohen et al. 2022",
    explanation="""
    Clusters candidates and labelled examples into L + b groups (at most 500) and takes, from the
    largest groups without a label, the candidate with the smallest mean distance to its 20 nearest
    in the group. For the cold start, when the model's uncertainty means nothing and typical
    examples teach most; with hundreds of labels uncertainty overtakes it. A group of more than
    2,048 is represented by as many drawn members; groups under five come last.
    """,
)
def typiclust(
    context: QueryContext,
    count: int,
    *,
    neighbours: Count = _NEIGHBOURS,
    smallest: Count = 5,
    most_clusters: Count = 500,
) -> QueryResult:
    """Take the most typical candidate of the largest uncovered clusters."""
    known = context.labelled().embeddings
    pool = unit_rows(context.embeddings())
    rows = np.concatenate([pool, unit_rows(known)]) if len(known) else pool
    wanted = min(len(known) + count, most_clusters)
    # One start: with L + b clusters even one is O(N (L + b) d) a round. Half as many rounds leave
    # 0.3 % more of the loss on ag_news, and the authors' mini-batches leave more.
    labels = k_means(rows, wanted, rng=context.rng, restarts=1, settled=_COARSE).labels
    own = labels[: len(pool)]
    sizes = np.bincount(own, minlength=wanted)
    labelled = np.bincount(labels[len(pool) :], minlength=wanted)
    # The paper takes the largest clusters without a label; with at most 500 clusters all may have
    # one, so those with fewest go first.
    order = np.lexsort((np.arange(wanted), -sizes, labelled))
    by_cluster = np.split(np.argsort(own, kind="stable"), sizes.cumsum()[:-1])
    picks: list[int] = []
    # In a group under five nothing is typical. The paper leaves such out; here they come last, as
    # the batch could not be filled otherwise.
    for is_small in (False, True):
        visited = [
            by_cluster[cluster] for cluster in order if (sizes[cluster] < smallest) == is_small
        ]
        picks += _most_typical_in_turn(
            pool, visited, count - len(picks), neighbours=neighbours, rng=context.rng
        )
    return context.result(np.array(picks, dtype=np.intp))


def typicality(rows: FloatArray, *, neighbours: int = _NEIGHBOURS) -> FloatArray:
    """Score 1 / mean distance to the nearest of the same cluster: unit rows (n, d) to (n,)."""
    # At most half of a small cluster, as in the authors' code.
    nearest = max(1, min(neighbours, len(rows) // 2))
    _, similar = nearest_neighbours(rows, nearest)
    if similar.shape[1] == 0:
        return np.zeros(len(rows))
    # |x - y|^2 = 2 - 2 cos for rows of length 1. The 1e-5 keeps duplicates finite.
    apart = np.sqrt(np.maximum(2 - 2 * similar, 0)).mean(axis=1)
    return np.asarray(1 / (apart + 1e-5))


def _most_typical_in_turn(
    pool: FloatArray,
    members: list[NDArray[np.intp]],
    count: int,
    *,
    neighbours: int,
    rng: np.random.Generator,
) -> list[int]:
    """Take the most typical member of each cluster in turn, until enough or nothing is left."""
    picks: list[int] = []
    left = [rows for rows in members if len(rows)]
    while left and len(picks) < count:
        remaining = []
        for rows in left[: count - len(picks)]:
            seen = rows
            # Neighbours within a cluster cost O(n^2 d).
            if len(rows) > _MOST_MEMBERS:
                seen = np.sort(rng.choice(rows, size=_MOST_MEMBERS, replace=False))
            pick = seen[first_highest(typicality(pool[seen], neighbours=neighbours))]
            picks.append(int(pick))
            remaining.append(rows[rows != pick])
        left = [rows for rows in remaining if len(rows)]
    return picks


def _clusters_of_pool(context: QueryContext, *, cut: float, most: int) -> NDArray[np.intp]:
    """Look up the candidates' clusters, or make them: once for candidates and labelled together.

    Both together stay the same from round to round, and the draws below depend on nothing else. So
    the clusters do not change when they are lost and made again.
    """
    known = context.labelled()
    ids = list(context.ids)
    extra = list(known.ids) if len(known.ids) == len(known.embeddings) else []
    everyone = [*ids, *extra]
    order = sorted(range(len(everyone)), key=everyone.__getitem__)
    joined = "\n".join(everyone[place] for place in order)
    print_of_pool = hashlib.blake2b(joined.encode(), digest_size=8).hexdigest()
    key = f"cluster_margin:{cut:g}:{most}:{print_of_pool}"
    places = np.array(order, dtype=np.intp)
    if key not in context.state:
        # Another pool than before: what was kept of that one only takes up room.
        for old in [stored for stored in context.state if stored.startswith("cluster_margin:")]:
            del context.state[old]
        rows = [unit_rows(context.embeddings())]
        if extra:
            rows.append(unit_rows(known.embeddings))
        rng = np.random.default_rng(int(print_of_pool, 16))
        # As doubles, because the state holds float arrays; cluster numbers are exact in them.
        context.state[key] = _link(rows, places, rng=rng, share=cut, most=most)[places].astype(
            np.float64
        )
    clusters = np.empty(len(everyone), dtype=np.intp)
    clusters[places] = context.state[key].astype(np.intp)
    return clusters[: len(ids)]


def _link(
    parts: list[NDArray[np.float32]],
    order: IntArray,
    *,
    rng: np.random.Generator,
    share: float,
    most: int,
) -> NDArray[np.intp]:
    """Cluster unit rows by average linkage; those beyond a sample join the nearest cluster.

    The rows are `parts` in a chain, and are drawn by their places in `order`: the labels are the
    same however the rows are split and arranged.
    """
    count = len(order)
    sample = Euclidean.of(_rows(parts, order[np.sort(rng.permutation(count)[:_EPSILON_SAMPLE])]))
    # The median of two million pairs of a sample: the pool may have 10,000 times as many.
    apart = np.sqrt(sample.gaps(sample)[np.triu_indices(len(sample), 1)])
    cut = share * float(np.median(apart)) if len(apart) else 0.0
    linked = order[np.sort(rng.permutation(count)[:most])]
    rows = _rows(parts, linked)
    labels = average_linkage(rows, cut=cut)
    if count <= most:
        joined = np.empty(count, dtype=np.intp)
    else:
        sums = np.zeros((int(labels.max()) + 1, rows.shape[1]), dtype=np.float32)
        np.add.at(sums, labels, rows)
        centres = np.asarray(sums / np.bincount(labels).astype(np.float32)[:, None])
        joined = np.concatenate([assign(part, centres)[0] for part in parts])
    joined[linked] = labels
    return joined


def _rows(parts: list[NDArray[np.float32]], places: IntArray) -> NDArray[np.float32]:
    """Read rows of a chain of matrices without making the chain."""
    rows = np.empty((len(places), parts[0].shape[1]), dtype=np.float32)
    start = 0
    for part in parts:
        here = (places >= start) & (places < start + len(part))
        rows[here] = part[places[here] - start]
        start += len(part)
    return rows
