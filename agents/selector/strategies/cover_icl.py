"""CoverICL (AdaICL): hard texts for this language model that stand for other hard ones.

Mavromatis et al. (2023, 2024). The model classifies the pool with its nearest labelled texts as
demonstrations; the half it is least sure of is hard. Greedy maximum coverage over a graph of
nearest neighbours then picks hard texts that many hard ones have among their neighbours.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from querist.agents.selector.advice.advisor import Advisor, advisor_of
from querist.agents.selector.advice.candidates import (
    Rows,
    conclude,
    demonstrations,
    highest,
    sample,
)
from querist.agents.selector.advice.class_probabilities import classify
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines.clustering import k_means, nearest_to_centres
from querist.tools.engines.greedy_cover import Membership, greedy_cover
from querist.tools.engines.neighbours import Sets, nearest_neighbours, voters
from querist.tools.registry import Count, Entry, Share
from querist.tools.strategies import Strategy, strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

Variant = Literal["cover", "weighted", "base"]

_HARD_SHARE = 0.5
_NEIGHBOURS = 5
_SHOTS = 5
_MOST = 300
_DECAY = 0.1


def cover_icl(
    context: QueryContext,
    count: int,
    *,
    variant: Variant = "cover",
    hard_share: float = _HARD_SHARE,
    neighbours: int = _NEIGHBOURS,
    two_hops: bool = True,
    most: int = _MOST,
) -> QueryResult:
    """Score, find what is hard, and cover it; unanswered texts count as neither hard nor easy.

    In the paper a phase ends when all that is hard is covered, and the pool is scored again with
    the new labels. Labels come after a round here: what is covered starts anew within a round
    (counted in `phases`), and the scoring anew with the next.
    """
    advisor = advisor_of(context)
    rows = sample(context, max(most, 3 * count))
    losses = _losses(context, rows, advisor)
    order = highest(losses)
    order = order[~np.isnan(losses[order])]
    hard = np.sort(order[: max(count, round(hard_share * len(order)))])
    vectors = context.embeddings(rows)
    phases = 1
    if not len(hard):
        picks: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    elif variant == "base":
        picks = hard[nearest_to_centres(k_means(vectors[hard], count, rng=context.rng))]
    else:
        graph, _ = nearest_neighbours(vectors, neighbours)
        nets = ego_nets(graph, hard, two_hops=two_hops)
        decay = _DECAY if variant == "weighted" else 0.0
        picks, phases = cover(nets, hard, count=count, decay=decay)
    return conclude(context, rows[picks], count, advisor=advisor, phases=phases, hard=len(hard))


def uncertainty(probabilities: FloatArray) -> FloatArray:
    """Give the loss of the predicted class, -log max p: (N,)."""
    return np.asarray(-np.log(np.maximum(probabilities.max(axis=1), 1e-12)))


def ego_nets(graph: IntArray, hard: IntArray, *, two_hops: bool) -> Sets:
    """List for each row the hard rows that have it among their neighbours, without itself.

    `graph` (N, m) are neighbours. With `two_hops` also the hard rows that have one of those hard
    rows among theirs.
    """
    is_hard = np.zeros(len(graph), dtype=bool)
    is_hard[hard] = True
    having = voters(graph)
    close = [
        [int(member) for member in having.members[having.starts[row] : having.starts[row + 1]]]
        for row in range(len(graph))
    ]
    close = [[member for member in members if is_hard[member]] for members in close]
    if not two_hops:
        return Sets.of(close)
    return Sets.of(
        [
            sorted({*members, *(far for member in members for far in close[member])} - {row})
            for row, members in enumerate(close)
        ]
    )


def cover(
    nets: Sets, candidates: IntArray, *, count: int, decay: float = 0.0
) -> tuple[NDArray[np.intp], int]:
    """Pick up to `count` candidates by maximum coverage, in as many phases as that takes.

    A phase ends when no candidate covers anything new; one that begins with nothing to cover takes
    the rest in their order. With `decay` a member counts that much less each time it is covered.
    """
    picks = np.empty(0, dtype=np.intp)
    phases = 0
    while len(picks) < min(count, len(candidates)):
        left = np.setdiff1d(candidates, picks)
        oracle = Membership(nets, items=len(nets), decay=decay)
        found = greedy_cover(
            oracle, candidates=left, count=count - len(picks), stop_at_nothing=True
        ).picks
        if not len(found):
            return np.concatenate([picks, left[: count - len(picks)]]), phases
        picks = np.concatenate([picks, found])
        phases += 1
    return picks, phases


def _losses(context: QueryContext, rows: Rows, advisor: Advisor) -> FloatArray:
    """Score rows by the model, each after its nearest labelled texts, the nearest last."""
    shown, bank = demonstrations(context, advisor.task)
    examples = context.examples(rows)
    nearest = []
    if shown:
        near, _ = nearest_neighbours(context.embeddings(rows), _SHOTS, among=bank)
        nearest = [tuple(shown[place] for place in reversed(row)) for row in near]
    return uncertainty(classify(examples, advisor=advisor, nearest=nearest))


def _variant(name: str, variant: Variant, *, summary: str, explanation: str) -> Entry[Strategy]:
    @strategy(
        name,
        summary=summary,
        section="6, C.1",
        needs=[Capability.EMBEDDINGS, Capability.TEXTS, Capability.LLM],
        cost="at most max(300, 3 b) LLM words a round (3 calls each without log-probabilities)",
        citation="Mavromatis et al. 2024",
        explanation=explanation,
    )
    def choose(
        context: QueryContext,
        count: int,
        *,
        hard_share: Share = _HARD_SHARE,
        neighbours: Count = _NEIGHBOURS,
        two_hops: bool = True,
        most: Count = _MOST,
    ) -> QueryResult:
        return cover_icl(
            context,
            count,
            variant=variant,
            hard_share=hard_share,
            neighbours=neighbours,
            two_hops=two_hops,
            most=most,
        )

    return choose


_VARIANTS = (
    _variant(
        "cover_icl",
        "cover",
        summary="Ask about texts that are hard for the language model and near many other "
        "hard ones.",
        explanation="""For filling a bank of demonstrations. The model's own doubt says what is
        hard (the less sure half); coverage over the neighbour graph keeps the batch from being
        all alike. Without labels the model is asked without demonstrations. Large pools are
        looked at 300 texts at a time.""",
    ),
    _variant(
        "cover_icl_weighted",
        "weighted",
        summary="CoverICL in which what is covered still counts a tenth (AdaICL+).",
        explanation="""As cover_icl, but a hard text that was covered once still counts a tenth,
        so dense hard regions get a second example before sparse ones get their first.""",
    ),
    _variant(
        "cover_icl_base",
        "base",
        summary="Cluster what is hard for the language model; ask about each centre (AdaICL-base).",
        explanation="""The simplest of the three: k-means over the hard half, the text nearest to
        each centre.""",
    ),
)
