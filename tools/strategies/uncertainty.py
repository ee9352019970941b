"""Strategies that rank by how unsure one model is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines import scoring
from querist.tools.engines.scoring import highest
from querist.tools.strategies.querying import UNKNOWN, Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy


def top(context: QueryContext, count: int, *, scores: FloatArray) -> QueryResult:
    """Take the highest scores; ties, and so re-runs, go to the lower position."""
    best = highest(scores, count)
    return context.result(best, scores=scores[best])


@strategy(
    "least_confidence",
    summary="Ask where the best class convinces least.",
    section="3.1, B",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Lewis & Gale 1994",
    explanation="""
    Ranks by one minus the highest class probability. Cheap and hard to beat once the model is
    sensible; in large batches it takes near-duplicates, and it chases mislabelled and ambiguous
    texts. With two classes it ranks exactly as margin and entropy do.
    """,
)
def least_confidence(context: QueryContext, count: int) -> QueryResult:
    """Rank by 1 - max p."""
    return top(context, count, scores=scoring.least_confidence(context.probabilities()))


@strategy(
    "margin",
    summary="Ask where the runner-up comes closest to the best class.",
    section="3.1, B",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Scheffer et al. 2001",
    explanation="""
    Ranks by the gap between the two most probable classes, the smallest first. The best default
    among single-model scores for many classes: it asks about the boundary that one label can
    settle and ignores how the rest is spread. Needs a model that is better than chance; in large
    batches combine it with diversity, as in 'margin@10 > k_center'.
    """,
)
def margin(context: QueryContext, count: int) -> QueryResult:
    """Rank by -(p1 - p2)."""
    return top(context, count, scores=scoring.margin(context.probabilities()))


@strategy(
    "breaking_ties",
    summary="Margin, with scores in [0, 1].",
    section="3.1",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Luo et al. 2005",
    explanation="""
    The name of margin in text classification, with one minus the gap as score, so that logs show a
    value between 0 and 1. Chooses exactly what margin chooses.
    """,
)
def breaking_ties(context: QueryContext, count: int) -> QueryResult:
    """Rank by 1 - (p1 - p2)."""
    return top(context, count, scores=scoring.breaking_ties(context.probabilities()))


@strategy(
    "entropy",
    summary="Ask where the prediction is spread over most classes.",
    section="3.1, B",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Shannon 1948; Settles 2009",
    explanation="""
    Ranks by the entropy of the class probabilities. Unlike margin it counts the tail: a candidate
    torn between ten classes comes before one torn between two. With many classes that often means
    outliers rather than boundaries.
    """,
)
def entropy(context: QueryContext, count: int) -> QueryResult:
    """Rank by -sum p log p."""
    return top(context, count, scores=scoring.entropy(context.probabilities()))


@strategy(
    "minority",
    summary="Fill up the classes that have fewest labels, the closest calls first.",
    section="4.1",
    needs=[Capability.PROBS],
    cost="N predictions, O(NC)",
    citation="Lyu et al. 2022, as the survey's 4.1 tells it",
    explanation="""
    Shares the batch so that the counts of labels per class become as equal as possible, then takes
    for each class the candidates predicted as that class, the smallest margin first, and after
    those the ones that lean to it most. For imbalanced pools whose rare class matters; the labelled
    set is then no fair sample. The survey reports only that showing people more of the minority
    helps; the quotas and their order are ours.
    """,
)
def minority(context: QueryContext, count: int) -> QueryResult:
    """Fill each class's quota with the candidates that lean to it."""
    probabilities = context.probabilities()
    classes = probabilities.shape[1]
    known = context.labelled().classes
    counts = np.bincount(known[known != UNKNOWN], minlength=classes)[:classes]
    return context.result(quota_picks(probabilities, level(counts, count)))


def level(counts: IntArray, more: int) -> NDArray[np.intp]:
    """Share out `more` so that the least of counts + shares is as high as possible: (C,).

    What does not divide goes to the lower of the lowest counts first, then to the lower class.
    """
    shares = np.zeros(len(counts), dtype=np.intp)
    # Filling from the lowest up: O(C log C), however large the batch.
    order = np.argsort(counts, kind="stable")
    sorted_counts = counts[order]
    # The most classes that can be raised to a common height with what there is.
    needs = sorted_counts * np.arange(1, len(counts) + 1) - sorted_counts.cumsum()
    raised = int((needs <= more).sum())
    height, left = divmod(more + int(sorted_counts[:raised].sum()), raised)
    shares[order[:raised]] = height - sorted_counts[:raised]
    shares[order[:left]] += 1
    return shares


def quota_picks(probabilities: FloatArray, quotas: IntArray) -> NDArray[np.intp]:
    """Choose candidates for each class, the largest quota first, from what is left.

    For class c the candidates predicted as c come first, by smallest margin; then the others, by
    p_c less their best probability, the nearest to being c first.
    """
    best = probabilities.max(axis=1)
    predicted = probabilities.argmax(axis=1)
    margins = scoring.margin(probabilities)
    is_open = np.ones(len(probabilities), dtype=bool)
    picks = []
    for label in np.argsort(-quotas, kind="stable"):
        # Predicted as c: from 1 to 2, the closest call highest. Others: below 1.
        leaning = probabilities[:, label] - best
        scores = np.where(predicted == label, 2 + margins, leaning)
        scores[~is_open] = -np.inf
        chosen = highest(scores, int(quotas[label]))
        is_open[chosen] = False
        picks.append(chosen)
    return np.concatenate(picks)
