"""Strategies that ask which labels would move the last layer."""

from __future__ import annotations

import numpy as np

from querist.tools.compute.arrays import FloatArray, first_highest, unit_rows
from querist.tools.engines.diversity import draw_far
from querist.tools.engines.fisher import FisherTrace, label_factors, mean_fisher
from querist.tools.engines.fisher import bait as choose_by_fisher
from querist.tools.engines.geometry import OuterProducts
from querist.tools.engines.optimal_design import principal_rows
from querist.tools.registry import Count
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy
from querist.tools.strategies.scale import drawn_rows

# Candidates times C^3: bringing the C x C tables of a candidate up to date is O(C^3) a pick.
_MOST_WORK = 4_000_000


@strategy(
    "badge",
    summary="Draw labels that would move the model far and in different directions.",
    section="3.1, B",
    needs=[Capability.GRADIENTS],
    cost="O(b N (C + d))",
    citation="Ash et al. 2020",
    explanation="""
    Every candidate stands for the gradient of the last layer if the model's own guess were the
    label: long where the model is unsure. k-means++ seeding draws a batch of long and mutually
    distant gradients, the longest first. Uncertain and diverse without a number to tune, and the
    safest choice when it is unknown which matters more. It needs a model that is fitted.
    """,
)
def badge(context: QueryContext, count: int) -> QueryResult:
    """Draw gradients by squared distance, from the longest on."""
    factors = context.gradients()
    space = OuterProducts.of(factors.errors, factors.features)
    # As the authors' code does; k-means++ proper would draw the first evenly.
    first = first_highest(space.norms)
    return context.result(draw_far(space, count=count, rng=context.rng, first=first))


@strategy(
    "bait",
    summary="Ask for the batch that leaves the pool's predictions least uncertain.",
    section="3.1, B",
    needs=[Capability.EMBEDDINGS, Capability.PROBS],
    cost="O((Cd)^3 + b n C (d + C^2)), Cd at most 1000, n at most 10000",
    citation="Ash et al. 2021",
    explanation="""
    Chooses the batch that minimises the trace of the inverse Fisher information of what is
    labelled, times that of the whole pool: twice b candidates join greedily, then b leave. The
    most principled use of last-layer gradients, and the dearest: embeddings are projected so that
    classes times width stay within 1,000, and of more than 10,000 candidates (fewer from eight
    classes on, 4,000 with ten) as many are drawn. Prefer badge on large pools.
    """,
)
def bait(
    context: QueryContext,
    count: int,
    *,
    most_parameters: Count = 1000,
    most_candidates: Count = 10_000,
) -> QueryResult:
    """Minimise tr(M^-1 F) greedily, forwards and then backwards."""
    probabilities = context.probabilities()
    classes = probabilities.shape[1]
    limit = min(most_candidates, _MOST_WORK // classes**3)
    # Two batches join before one leaves; among four there is still a choice.
    chosen = drawn_rows(context, max(limit, 4 * count))
    shares = probabilities[chosen]
    rows: FloatArray = unit_rows(context.embeddings(chosen))
    # Inverting M is O((Cd)^3).
    width = min(rows.shape[1], max(1, most_parameters // classes))
    known = context.labelled()
    seen: FloatArray = unit_rows(known.embeddings)
    if width < rows.shape[1]:
        rows, basis = principal_rows(rows, width)
        seen = seen @ basis if len(seen) else seen
    labels = 0 if known.probabilities is None else len(known.probabilities)
    # M = I + L / (L + b) mean Fisher of the labelled + the sum of b / (L + b) times that of picks,
    # as in the authors' code. The picks' share is a root, because factors enter squared.
    start = np.eye(classes * width)
    if labels and known.probabilities is not None:
        start += labels / (labels + count) * mean_fisher(known.probabilities, seen)
    objective = FisherTrace(
        label_factors(shares) * np.sqrt(count / (labels + count)),
        rows,
        start=start,
        fisher=mean_fisher(shares, rows),
    )
    picks = choose_by_fisher(objective, count=count, candidates=len(rows))
    return context.result(chosen[picks], objective=objective.value)
