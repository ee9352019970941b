"""Strategies that hold candidates against what is labelled, and against each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray, first_highest
from querist.tools.engines.density import density as local_density
from querist.tools.engines.density import draw_without_replacement
from querist.tools.engines.discriminator import Discriminator
from querist.tools.engines.geometry import Predictions
from querist.tools.engines.neighbours import nearest_neighbours
from querist.tools.engines.scoring import highest
from querist.tools.registry import Count, Share
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy
from querist.tools.strategies.scale import drawn_rows
from querist.tools.strategies.uncertainty import top

# Lambda of Tsvigun et al.: two thirds for likeness to the pool.
_IN_DOMAIN = 0.667


@strategy(
    "contrastive",
    summary="Ask where the model answers unlike its nearest labelled neighbours.",
    section="6, C.2",
    needs=[Capability.EMBEDDINGS, Capability.PROBS],
    cost="O(L N d + k N C)",
    citation="Margatina et al. 2021",
    explanation="""
    Ranks by the mean Kullback-Leibler divergence from the predictions of the ten nearest labelled
    examples to the candidate's own (CAL): similar texts, different answers, so the boundary runs
    between them. Needs some dozens of labels to have neighbours at all; with none it draws evenly.
    """,
)
def contrastive(context: QueryContext, count: int, *, neighbours: Count = 10) -> QueryResult:
    """Rank by divergence from the nearest labelled examples' predictions."""
    known = context.labelled()
    if known.probabilities is None or not len(known.embeddings):
        return context.result(context.rng.choice(len(context.ids), size=count, replace=False))
    near, _ = nearest_neighbours(context.embeddings(), neighbours, among=known.embeddings)
    scores = divergence_from(context.probabilities(), known.probabilities, near)
    return top(context, count, scores=scores)


def divergence_from(
    probabilities: FloatArray, known: FloatArray, near: NDArray[np.intp]
) -> FloatArray:
    """Average KL(known[l] || p) over the neighbours l in each row of `near` (N, k): (N,)."""
    own, theirs = Predictions.of(probabilities), Predictions.of(known)
    # The mean over l of sum p_l (log p_l - log p) is the mean of sum p_l log p_l, less the sum of
    # the mean p_l times log p: k passes over (N, C), and no array of (N, k, C).
    mean = np.zeros_like(own.shares)
    for column in near.T:
        mean += theirs.shares[column]
    mean /= near.shape[1]
    negentropy = theirs.negentropies[near].mean(axis=1)
    return np.asarray(np.maximum(negentropy - np.einsum("nc,nc->n", mean, own.logs), 0))


@strategy(
    "discriminative",
    summary="Ask about what a classifier can tell from the labelled.",
    needs=[Capability.EMBEDDINGS],
    cost="10 small fits, O(N d)",
    citation="Gissin & Shalev-Shwartz 2019",
    explanation="""
    In ten sub-batches, trains a classifier of labelled against unlabelled examples, takes those it
    is surest are unlabelled, and counts them as labelled (DAL). The labelled set comes to look like
    the pool. The classifier is a logistic regression on 256 random Fourier features, lighter than
    the paper's network. It ignores classes; of more than 100,000 candidates as many are drawn.
    """,
)
def discriminative(
    context: QueryContext,
    count: int,
    *,
    sub_batches: Count = 10,
    most_candidates: Count = 100_000,
) -> QueryResult:
    """Take what looks least like the labelled, sub-batch by sub-batch."""
    eligible = drawn_rows(context, max(most_candidates, 2 * count))
    judge = Discriminator(
        context.embeddings(eligible), context.labelled().embeddings, rng=context.rng
    )
    picks = np.empty(0, dtype=np.intp)
    for number in range(sub_batches):
        # By running totals, so that shares which do not divide still sum to the batch.
        wanted = count * (number + 1) // sub_batches - len(picks)
        if not wanted:
            continue
        if not judge.has_labelled:
            more = context.rng.choice(len(eligible), size=wanted, replace=False)
        else:
            scores = judge.unlabelled_scores()
            scores[picks] = -np.inf
            more = highest(scores, wanted)
        picks = np.concatenate([picks, more])
        judge.count_as_labelled(more)
    return context.result(eligible[picks])


@strategy(
    "idds",
    summary="Ask about what is like the pool and unlike the labelled.",
    section="E.2",
    needs=[Capability.EMBEDDINGS],
    cost="O(b N d)",
    citation="Tsvigun et al. 2022",
    explanation="""
    Scores two thirds of the mean similarity to the unlabelled minus one third of that to the
    labelled, and counts each pick as labelled (in-domain diversity sampling). Made for text
    generation, where a model's uncertainty misleads. It only knows mean similarities, so on a pool
    of several topics it stays with the largest for long.
    """,
)
def idds(context: QueryContext, count: int, *, share: Share = _IN_DOMAIN) -> QueryResult:
    """Take the highest score, again and again."""
    rows = context.embeddings()
    known = context.labelled().embeddings
    picks, scores = in_domain_picks(rows, known, count=count, share=share)
    return context.result(picks, scores=scores)


def in_domain_picks(
    rows: FloatArray, labelled: FloatArray, *, count: int, share: float = _IN_DOMAIN
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pick by share * mean similarity to U - (1 - share) * mean similarity to L, dot products.

    After each pick the row leaves U and joins L. Scores are those at the time of the pick.
    """
    count = min(count, len(rows))
    norms = np.einsum("nd,nd->n", rows, rows).astype(np.float64)
    # Mean similarities are products with sums: O(N d) a pick instead of O(N^2 d). In doubles, as
    # rows are added and taken off b times.
    pool = rows.sum(axis=0, dtype=np.float64)
    known, members = labelled.sum(axis=0, dtype=np.float64), len(labelled)
    if not members:
        known = np.zeros_like(pool)
    picks, values = np.empty(count, dtype=np.intp), np.empty(count)
    is_open = np.ones(len(rows), dtype=bool)
    for number in range(count):
        others = max(1, len(rows) - number - 1)
        towards = share * pool / others - (1 - share) * known / max(1, members)
        # A row is part of the sum; its product with itself is taken out.
        scores = rows @ towards.astype(rows.dtype) - share * norms / others
        scores[~is_open] = -np.inf
        pick = first_highest(scores)
        picks[number], values[number], is_open[pick] = pick, scores[pick], False
        pool -= rows[pick]
        known += rows[pick]
        members += 1
    return picks, values


@strategy(
    "density",
    summary="Draw evenly over the space of embeddings, not over the pool.",
    section="3.2",
    needs=[Capability.EMBEDDINGS],
    cost="O(N d R), R hashes: 200, or 1000 above 100,000 candidates",
    citation="Sachdeva et al. 2024",
    explanation="""
    Estimates how crowded it is around each candidate and draws with chances one over that, so that
    crowded and empty regions come out alike (inverse propensity). Thins out repetitive pools and
    finds rare kinds without asking a model. It ignores what is labelled; duplicates share one
    chance; outliers and garbage get more than their share.
    """,
)
def density(context: QueryContext, count: int) -> QueryResult:
    """Draw with chances inverse to the local density."""
    crowd = local_density(context.embeddings(), rng=context.rng)
    # Inverse, as the paper's text and theorem have it; its printed pseudo-code draws in proportion
    # to the density.
    picks = draw_without_replacement(1 / crowd, count, rng=context.rng)
    return context.result(picks, scores=1 / crowd[picks])
