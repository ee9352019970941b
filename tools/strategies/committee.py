"""Strategies that ask where models that the labels allow disagree."""

from __future__ import annotations

import numpy as np

from querist.tools.engines import information
from querist.tools.engines.greedy_cover import greedy_cover
from querist.tools.engines.joint_entropy import JointInformation
from querist.tools.engines.scoring import highest
from querist.tools.opinions.votes import count_votes, vote_entropy
from querist.tools.registry import Count
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy
from querist.tools.strategies.uncertainty import top

_NOTHING = 1e-3


@strategy(
    "bald",
    summary="Ask where a label would tell most about the model.",
    section="3.1, B",
    needs=[Capability.POSTERIOR],
    cost="K N predictions, O(NKC)",
    citation="Houlsby et al. 2011; Gal et al. 2017",
    explanation="""
    Ranks by the entropy of the committee's mean prediction minus the mean entropy of its members:
    high where members are sure and disagree, zero where all are equally torn. So it leaves
    ambiguous texts alone, which entropy does not. In a batch it takes near-duplicates; batch_bald
    does not.
    """,
)
def bald(context: QueryContext, count: int) -> QueryResult:
    """Rank by the mutual information of label and model."""
    return top(context, count, scores=information.bald(context.posterior()))


@strategy(
    "batch_bald",
    summary="Ask for the batch whose labels together tell most about the model.",
    section="3.1, B",
    needs=[Capability.POSTERIOR],
    cost="O(NKC + b n K C min(C^b, 10000)), n at most 1000 or 10 b",
    citation="Kirsch et al. 2019",
    explanation="""
    Takes, one after the other, the candidate whose label adds most information about the model to
    the labels of those taken. Exact while the batch has at most 10,000 joint outcomes, then by
    2,500 drawn outcomes. For batches of up to about 40: with K committee members there are at most
    ln K nats to learn; once less than a thousandth is left, bald fills up the batch. Of more than
    1,000 candidates (or ten times b), the highest by bald are eligible.
    """,
)
def batch_bald(
    context: QueryContext, count: int, *, oversampling: Count = 10, most_candidates: Count = 1000
) -> QueryResult:
    """Add the label that tells most beyond the batch so far."""
    posterior = context.posterior()
    # The joint gain is submodular: none is above a candidate's own score, so the lowest may go.
    alone = information.bald(posterior)
    # In pool order, so that ties still go to the lower position.
    eligible = np.sort(highest(alone, max(most_candidates, oversampling * count)))
    joint = JointInformation(posterior, rng=context.rng)
    batch = greedy_cover(
        joint, candidates=eligible, count=count, is_done=lambda: joint.left < _NOTHING
    )
    # When the batch tells all that the committee could be told, nothing sets the rest apart but
    # what each would have told alone.
    alone[batch.picks] = -np.inf
    more = highest(alone, count - len(batch.picks))
    return context.result(
        np.concatenate([batch.picks, more]),
        scores=np.concatenate([batch.gains, np.zeros(len(more))]),
        informative=len(batch.picks),
    )


@strategy(
    "qbc",
    summary="Ask where the committee's votes are most divided.",
    section="3.1",
    needs=[Capability.POSTERIOR],
    cost="K N predictions, O(NKC)",
    citation="Dagan & Engelson 1995",
    explanation="""
    Every member votes for its best class; ranks by the entropy of the votes. Robust against
    members whose probabilities are off, but coarse: with ten members there are few different
    values, and ties go to the older candidate. qbc_kl uses the probabilities.
    """,
)
def qbc(context: QueryContext, count: int) -> QueryResult:
    """Rank by vote entropy."""
    posterior = context.posterior()
    counts = count_votes(posterior.argmax(axis=2), classes=posterior.shape[2])
    return top(context, count, scores=vote_entropy(counts))


@strategy(
    "qbc_kl",
    summary="Ask where the committee's members differ most from their consensus.",
    section="3.1",
    needs=[Capability.POSTERIOR],
    cost="K N predictions, O(NKC)",
    citation="McCallum & Nigam 1998",
    explanation="""
    Ranks by the mean Kullback-Leibler divergence of the members' predictions from their mean. That
    is the same number as bald's, reached from the other side, so both choose alike; it is here
    under the name that query-by-committee knows it by.
    """,
)
def qbc_kl(context: QueryContext, count: int) -> QueryResult:
    """Rank by mean divergence from the consensus."""
    return top(context, count, scores=information.bald(context.posterior()))


@strategy(
    "epig",
    summary="Ask where a label would tell most about the targets' labels.",
    section="E.9.2",
    needs=[Capability.POSTERIOR, Capability.TARGET_POSTERIOR],
    cost="O(N M K C^2), M at most 200",
    citation="Smith et al. 2023",
    explanation="""
    Ranks by the mean information that the candidate's label gives about the labels of the inputs
    the model will be used on. Unlike bald it does not care about corners of the model that no
    target needs, so it suits pools that are wider than the task. It is transductive: it sees the
    targets' inputs, never their labels. Of more than 200 targets as many are drawn.
    """,
)
def epig(context: QueryContext, count: int, *, most_targets: Count = 200) -> QueryResult:
    """Rank by the expected predictive information gain."""
    targets = context.target_posterior()
    if len(targets) > most_targets:
        # O(N M K C^2): fewer targets cost accuracy only, fewer candidates would cost choice.
        chosen = context.rng.choice(len(targets), size=most_targets, replace=False)
        targets = targets[np.sort(chosen)]
    return top(context, count, scores=information.epig(context.posterior(), targets))
