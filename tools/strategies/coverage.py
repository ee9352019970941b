"""Strategies that want every candidate to have something labelled near it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import TIE, FloatArray, unit_rows
from querist.tools.engines.ball_graph import Balls, reach_of
from querist.tools.engines.clustering import k_means
from querist.tools.engines.diversity import k_center
from querist.tools.engines.geometry import Euclidean, blocks
from querist.tools.engines.greedy_cover import Similarities, Votes, greedy_cover
from querist.tools.engines.lazy_greedy import nearest_gaps
from querist.tools.engines.neighbours import nearest_neighbours, similarities, voters
from querist.tools.registry import Count, Share
from querist.tools.strategies.querying import UNKNOWN, Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy
from querist.tools.strategies.scale import drawn_rows

_MOST_CANDIDATES = 20_000
_PURE, _PURITY_SAMPLE, _MOST_GUESSED = 0.95, 1000, 20


@strategy(
    "facility_location",
    summary="Ask where it raises most how similar everything is to something labelled.",
    section="A",
    needs=[Capability.EMBEDDINGS],
    cost="O(min(N, 3000 or 20 b) min(N, 1500) d)",
    citation="Bhatt et al. 2024; Wei et al. 2015",
    explanation="""
    Takes the candidate that adds most to the sum, over the pool, of the similarity to the nearest
    labelled or picked example: greedy, within 63% of the best batch. Favours dense regions where
    k_center favours outliers, so it suits noisy pools and first batches. It ignores the model.
    Above 1,500 candidates the sum is over as many drawn ones; above 3,000 (or 20 batches) as many
    are eligible.
    """,
)
def facility_location(
    context: QueryContext,
    count: int,
    *,
    most_candidates: Count = 3_000,
    most_items: Count = 1_500,
) -> QueryResult:
    """Cover the pool's similarity greedily."""
    eligible = drawn_rows(context, max(most_candidates, 20 * count))
    rows = unit_rows(context.embeddings(eligible))
    items = rows
    if len(rows) > most_items:
        items = rows[np.sort(context.rng.choice(len(rows), size=most_items, replace=False))]
    known = context.labelled().embeddings
    # What is labelled serves its neighbours already; it is no candidate.
    covered = nearest_neighbours(items, 1, among=known)[1][:, 0] if len(known) else None
    cover = greedy_cover(
        Similarities(similarities(rows, items), covered=covered),
        candidates=np.arange(len(rows)),
        count=count,
        tie=TIE,
    )
    return context.result(eligible[cover.picks], scores=cover.gains / len(items))


@strategy(
    "prob_cover",
    summary="Ask where most candidates lie within a radius of the same likely class.",
    needs=[Capability.EMBEDDINGS],
    cost="O(min(N, 20000)^2 d)",
    citation="Yehuda et al. 2022",
    explanation="""
    Takes the candidate whose ball holds most candidates that no labelled or picked ball holds yet.
    The radius is the largest at which 95% of balls hold one k-means cluster only, with as many
    clusters as classes (before any label: as many as the batch, at most 20). For the cold start
    with few labels. When everything is covered it goes on like k_center. Above 20,000 candidates
    as many are drawn.
    """,
)
def prob_cover(
    context: QueryContext,
    count: int,
    *,
    purity: Share = _PURE,
    most_candidates: Count = _MOST_CANDIDATES,
) -> QueryResult:
    """Cover the pool with balls greedily."""
    eligible = drawn_rows(context, max(most_candidates, 2 * count))
    rows = unit_rows(context.embeddings(eligible))
    known = unit_rows(context.labelled().embeddings)
    classes = _classes(context, count)
    radius = pure_radius(rows, classes, rng=context.rng, purity=purity)
    space = Euclidean.of(rows)
    balls = Balls(space, radius=radius)
    if len(known):
        # The labelled are no candidates, so they have no bits; their balls are covered by distance.
        balls.cover(nearest_gaps(space, space.beside(known)) <= reach_of(radius))
    cover = greedy_cover(balls, candidates=np.arange(len(rows)), count=count, stop_at_nothing=True)
    picks = cover.picks
    if len(picks) < count:
        rest = np.setdiff1d(np.arange(len(rows)), picks)
        # All balls are equal once everything is covered; distances still tell rows apart.
        around = np.concatenate([known, rows[picks]]) if len(known) else rows[picks]
        more = k_center(rows[rest], labelled=around, count=count - len(picks), rng=context.rng)
        picks = np.concatenate([picks, rest[more]])
    return context.result(eligible[picks], radius=radius, uncovered=balls.open_share)


def pure_radius(
    rows: FloatArray, classes: int, *, rng: np.random.Generator, purity: float = _PURE
) -> float:
    """Find the largest radius at which `purity` of balls lie within one of `classes` clusters.

    A ball is pure up to the distance to the nearest row of another cluster, so the radius is the
    1 - `purity` quantile of those distances, over a sample of 1,000 unit rows.
    """
    # Clusters stand in for classes, which nobody knows yet (as in the paper).
    labels = k_means(rows, classes, rng=rng, restarts=1).labels
    some = np.arange(len(rows))
    if len(rows) > _PURITY_SAMPLE:
        some = np.sort(rng.choice(len(rows), size=_PURITY_SAMPLE, replace=False))
    nearest = np.full(len(some), np.inf, dtype=np.float32)
    space = Euclidean.of(rows)
    for block in blocks(len(rows)):
        gaps = space.take(some).gaps(space.take(block))
        gaps[labels[some][:, None] == labels[block]] = np.inf
        np.minimum(nearest, gaps.min(axis=1), out=nearest)
    # With one cluster only every ball is pure, and no radius follows.
    if not np.isfinite(nearest).all():
        return 0.0
    # A distance that occurs, not a mean of two: so squares and roots have the same quantile.
    return float(np.sqrt(np.quantile(nearest, 1 - purity, method="lower")))


@strategy(
    "vote_k",
    summary="Ask about whom most others have among their nearest, and spread out.",
    section="6, C.1",
    needs=[Capability.EMBEDDINGS],
    cost="O(min(N, 20000)^2 d)",
    citation="Su et al. 2023",
    explanation="""
    Every candidate votes for its 15 nearest neighbours; the one with the most votes is taken and
    has no vote any more, and whoever voted for it counts a tenth from then on. Made for choosing
    what to annotate as demonstrations for a language model: representative and spread. It ignores
    the model. Above 20,000 candidates as many are drawn.
    """,
)
def vote_k(
    context: QueryContext,
    count: int,
    *,
    neighbours: Count = 15,
    decay: Share = 0.1,
    most_candidates: Count = _MOST_CANDIDATES,
) -> QueryResult:
    """Take the most voted, with votes discounted by what they have already brought."""
    eligible = drawn_rows(context, max(most_candidates, 2 * count))
    rows = context.embeddings(eligible)
    known = context.labelled().embeddings
    # The labelled are picks of rounds before: what voted for them is worth less, and they are no
    # voters. They stand behind the candidates.
    everyone = np.concatenate([rows, known.astype(rows.dtype)]) if len(known) else rows
    near, _ = nearest_neighbours(everyone, neighbours)
    oracle = Votes(voters(near), items=len(everyone), decay=decay)
    for row in range(len(rows), len(everyone)):
        oracle.add(row)
    cover = greedy_cover(oracle, candidates=np.arange(len(rows)), count=count)
    return context.result(eligible[cover.picks], scores=cover.gains)


def _classes(context: QueryContext, count: int) -> int:
    """Guess how many classes there are, without asking a model."""
    classes: NDArray[np.integer] = context.labelled().classes
    if (classes != UNKNOWN).any():
        return max(2, int(classes.max()) + 1)
    return max(2, min(count, _MOST_GUESSED))
