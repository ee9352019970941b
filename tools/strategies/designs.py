"""Strategies from the theory of optimal designs: a linear model on embeddings, and no labels."""

from __future__ import annotations

import numpy as np

from querist.tools.compute.arrays import FloatArray, unit_rows
from querist.tools.engines import optimal_design
from querist.tools.registry import Positive
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy


@strategy(
    "d_optimal",
    summary="Ask where a linear model is least determined (log det).",
    section="3.1",
    needs=[Capability.EMBEDDINGS],
    cost="O((b + L) N d)",
    citation="Fedorov 1972; Pukelsheim 2006",
    explanation="""
    Takes, one after the other, the candidate whose prediction by a ridge regression on the
    labelled and taken ones has the largest variance; that adds most to the log determinant of the
    information. Embeddings are scaled to length 1 and the ridge is 1. Like k_center it spreads out
    and ignores the model, but it counts directions rather than distances, so a dense region with a
    direction of its own gets its share.
    """,
)
def d_optimal(context: QueryContext, count: int, *, ridge: Positive = 1.0) -> QueryResult:
    """Pick the largest variance, again and again."""
    rows = unit_rows(context.embeddings())
    covariance = _covariance(context, rows.shape[1], ridge)
    return context.result(optimal_design.d_optimal(rows, covariance, count=count))


@strategy(
    "g_optimal",
    summary="Ask so that the worst prediction of a linear model varies least.",
    section="3.1",
    needs=[Capability.EMBEDDINGS],
    cost="O(N d b + passes N b^2)",
    citation="Kiefer & Wolfowitz 1960; Pukelsheim 2006",
    explanation="""
    Computes how labelling effort should be shared over the pool so that the largest variance of a
    prediction is least (Frank-Wolfe, to within 1% of the bound), rounds the shares to the batch,
    and spends what would be repeated labels on what adds most to log det. Embeddings are projected
    to b dimensions if they have more. Says most with few dimensions and many labels; it plans as
    if nothing were labelled, except in its last step.
    """,
)
def g_optimal(context: QueryContext, count: int) -> QueryResult:
    """Round the G-optimal design of the pool."""
    rows: FloatArray = unit_rows(context.embeddings())
    seen: FloatArray = unit_rows(context.labelled().embeddings)
    # A design in d directions needs d different rows: with fewer labels, fewer directions.
    if count < rows.shape[1]:
        rows, basis = optimal_design.principal_rows(rows, count)
        seen = seen @ basis if len(seen) else seen
    design = optimal_design.approximate_design(rows)
    covariance = optimal_design.prior_covariance(seen, width=rows.shape[1])
    picks = optimal_design.round_design(design, rows, covariance, count=count)
    return context.result(picks, worst_variance=design.worst, rank=design.rank)


@strategy(
    "go",
    summary="Ask for what makes the targets' predictions certain (transductive G-optimal).",
    section="3.3, 6",
    needs=[Capability.EMBEDDINGS, Capability.TARGETS],
    cost="O(b N (d + M))",
    citation="Mukherjee et al. 2024",
    explanation="""
    Takes, one after the other, the candidate after whose label the least certain target is most
    certain, for a ridge regression on embeddings of length 1. Made for choosing the demonstrations
    of a prompt: few labels for given inputs, no call of a language model. It is transductive: it
    sees the targets' inputs, never their labels. Where candidates times targets exceed five
    million, each target keeps its most similar candidates.
    """,
)
def go(context: QueryContext, count: int, *, ridge: Positive = 1.0) -> QueryResult:
    """Minimise the worst target's variance greedily."""
    rows = unit_rows(context.embeddings())
    targets = unit_rows(context.targets().embeddings)
    if not len(targets):
        # No target, no difference: the order of the pool.
        return context.result(np.arange(count))
    kept = optimal_design.shortlist_for_targets(rows, targets)
    # Targets that are alike may keep too few rows between them; the pool's first fill up.
    if len(kept) < count:
        rest = np.setdiff1d(np.arange(len(rows)), kept)[: count - len(kept)]
        kept = np.sort(np.concatenate([kept, rest]))
    near = rows if len(kept) == len(rows) else rows[kept]
    covariance = _covariance(context, rows.shape[1], ridge)
    picks, values = optimal_design.transductive_design(near, targets, covariance, count=count)
    return context.result(kept[picks], scores=-values)


def _covariance(context: QueryContext, width: int, ridge: float) -> FloatArray:
    """Give what the labelled leave unknown."""
    # Of length 1, as the candidates are: beside a ridge, length would count as information.
    known = unit_rows(context.labelled().embeddings)
    return optimal_design.prior_covariance(known, width=width, ridge=ridge)
