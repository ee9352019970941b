"""AcTune: query the most uncertain regions, and learn from the most certain predictions.

Yu et al. (2022). Regions are clusters weighted by uncertainty; a region in which the model predicts
many classes counts as more uncertain. A memory smooths predictions over rounds; those that stay
certain become pseudo-labels, in `diagnostics["pseudo"]`, and the loop trains on them as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.agents.selector.advice.candidates import Recall, conclude, highest
from querist.memory.records import ExampleId
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.engines.clustering import k_means
from querist.tools.engines.scoring import entropy
from querist.tools.registry import Count, Share
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_AUTHORS_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """The authors' choices for AG News, with shares of the pool where they give counts."""

    regions: int = 25
    per_region: int = 10
    spread_weight: float = 0.5
    """Beta: what a region's mix of predicted classes adds to its mean uncertainty."""
    largest_share: float = 1 / 20
    """Of a region's members, what may be queried at once; at least one."""
    compat: bool = False
    """Divide the class counts by their maximum, as the authors' code does: no entropy."""
    momentum: tuple[float, float] = (0.9, 1.0)
    """Gamma at the first and the last round: the share of the newest prediction."""
    rounds: int | None = None
    """Rounds from the first values to the last; None for those of the run (unknown: 10)."""
    pseudo_share: tuple[float, float] = (0.05, 0.5)
    """Share of the pool that is self-trained on at the first and the last round."""
    least_confidence: float = 0.7
    """Eps: pseudo-labels below it are left out."""


_USUAL = Settings()


@dataclass(frozen=True, slots=True, eq=False)
class Pseudo:
    """Predictions to train on as if they were labels."""

    ids: tuple[ExampleId, ...]
    probabilities: FloatArray
    """(n, C), sharpened and balanced over classes."""


@strategy(
    "ac_tune",
    summary="Ask about the most uncertain regions; train on steady predictions as pseudo-labels.",
    section="6, C.2",
    needs=[Capability.EMBEDDINGS, Capability.PROBS],
    cost="weighted k-means, O(iterations N 25 d), no LLM",
    citation="Yu et al. 2022",
    explanation="""Uncertainty that does not put the whole batch into one corner: 25 regions, ranked
    by mean entropy plus the mix of predicted classes in them. The same selection offers
    pseudo-labels, predictions that stayed certain over rounds, and the model of that round learns
    from them beside the labels, half of the loss each; estimates of quality and trust never see
    them. In a pipeline that works as the last stage only, among what the stages before left; in a
    mixture the pseudo-labels are lost. Their share grows over the rounds of the run. They helped on
    news (ag_news, three to five points), little elsewhere, and did harm with 77 classes
    (docs/strategies.md).""",
)
def ac_tune(
    context: QueryContext,
    count: int,
    *,
    regions: Count = _USUAL.regions,
    per_region: Count = _USUAL.per_region,
    spread_weight: float = _USUAL.spread_weight,
    largest_share: Share = _USUAL.largest_share,
    compat: bool = _USUAL.compat,
    first_momentum: Share = _USUAL.momentum[0],
    last_momentum: Share = _USUAL.momentum[1],
    rounds: Count | None = _USUAL.rounds,
    first_pseudo_share: Share = _USUAL.pseudo_share[0],
    last_pseudo_share: Share = _USUAL.pseudo_share[1],
    least_confidence: Share = _USUAL.least_confidence,
) -> QueryResult:
    """Query by region, and put pseudo-labels for the rest beside it."""
    settings = Settings(
        regions=regions,
        per_region=per_region,
        spread_weight=spread_weight,
        largest_share=largest_share,
        compat=compat,
        momentum=(first_momentum, last_momentum),
        rounds=rounds,
        pseudo_share=(first_pseudo_share, last_pseudo_share),
        least_confidence=least_confidence,
    )
    return query_by_region(context, count, settings)


def query_by_region(context: QueryContext, count: int, settings: Settings) -> QueryResult:
    """Take the most doubtful of the most doubtful regions, and offer pseudo-labels."""
    probabilities = np.asarray(context.probabilities(), dtype=np.float64)
    doubts = entropy(probabilities)
    rows = context.embeddings()
    regions = k_means(rows, settings.regions, rng=context.rng, weights=doubts).labels
    ranked = rank_regions(
        regions,
        doubts,
        probabilities.argmax(axis=1),
        weight=settings.spread_weight,
        compat=settings.compat,
    )
    picks = take_by_region(ranked, regions, doubts, count=count, settings=settings)
    smooth = _remember(context, probabilities, settings)
    pseudo = _pseudo(context, smooth, picks, settings)
    return conclude(context, picks, count, scores=doubts, pseudo=pseudo, regions=ranked.tolist())


def rank_regions(
    regions: IntArray,
    doubts: FloatArray,
    predicted: IntArray,
    *,
    weight: float,
    compat: bool = False,
) -> NDArray[np.intp]:
    """Order regions by mean uncertainty plus `weight` times the entropy of predicted classes."""
    worth = np.full(int(regions.max()) + 1, -np.inf)
    for region in np.unique(regions):
        inside = regions == region
        counts = np.unique(predicted[inside], return_counts=True)[1].astype(np.float64)
        shares = counts / (counts.max() if compat else counts.sum())
        worth[region] = doubts[inside].mean() - weight * float((shares * np.log(shares)).sum())
    return highest(worth)[: len(np.unique(regions))]


def take_by_region(
    ranked: IntArray,
    regions: IntArray,
    doubts: FloatArray,
    *,
    count: int,
    settings: Settings,
) -> NDArray[np.intp]:
    """Take each region's most uncertain members, the best region first, until there are enough.

    A region gives min(what is missing, `per_region`, its share), at least one; when all have given,
    they give again.
    """
    order = highest(doubts)
    queues = {
        int(region): [int(row) for row in order[regions[order] == region]] for region in ranked
    }
    limits = {
        region: min(settings.per_region, max(1, int(len(queue) * settings.largest_share)))
        for region, queue in queues.items()
    }
    picks: list[int] = []
    while len(picks) < count and any(queues.values()):
        for region in map(int, ranked):
            size = min(count - len(picks), limits[region])
            picks += queues[region][:size]
            del queues[region][:size]
    return np.array(picks, dtype=np.intp)


def _remember(context: QueryContext, probabilities: FloatArray, settings: Settings) -> FloatArray:
    """Mix the newest predictions into the memory: (1 - gamma) m + gamma p."""
    memory = Recall(context.state, "ac_tune")
    before, known = memory.get(context.ids, probabilities)
    gamma = schedule(settings.momentum, context.round, _rounds(context, settings))
    smooth = np.where(known[:, None], mix(before, probabilities, gamma), np.asarray(probabilities))
    memory.put(context.ids, smooth)
    return np.asarray(smooth)


def mix(memory: FloatArray, newest: FloatArray, gamma: float) -> FloatArray:
    """Let a memory take in what is new; with gamma 1 it is the newest alone."""
    return np.asarray((1 - gamma) * memory + gamma * newest)


def schedule(ends: tuple[float, float], number: int, rounds: int) -> float:
    """Go in equal steps from the first round's value to the last round's, and stay there."""
    share = min(1.0, number / max(1, rounds - 1))
    return ends[0] + (ends[1] - ends[0]) * share


def _rounds(context: QueryContext, settings: Settings) -> int:
    return settings.rounds or context.rounds or _AUTHORS_ROUNDS


def sharpen(probabilities: FloatArray) -> FloatArray:
    """Square probabilities, divide by each class's frequency, and normalise (Xie et al., 2016)."""
    weights = np.square(probabilities) / np.maximum(probabilities.sum(axis=0), 1e-12)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _pseudo(
    context: QueryContext, smooth: FloatArray, queried: IntArray, settings: Settings
) -> Pseudo:
    share = schedule(settings.pseudo_share, context.round, _rounds(context, settings))
    size = round(share * len(context.ids))
    steady = highest(-entropy(smooth))[:size]
    steady = steady[~np.isin(steady, queried)]
    sure = steady[smooth[steady].max(axis=1, initial=0.0) > settings.least_confidence]
    ids = tuple(context.ids[row] for row in sure)
    return Pseudo(ids, sharpen(smooth[sure]) if len(sure) else smooth[sure])
