"""LDCAL: from easy to hard texts, and among each what covers the pool best.

Li et al. (2024). The language model rates each document once; quartiles of the ratings are four
levels, and every round takes from one of them, the easiest first. Inside a level certainty gain
maximisation (CGM) chooses: greedy facility location over what no labelled text is close to.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from querist.agents.models.port import ChatReply
from querist.agents.prompts.selection_questions import difficulty
from querist.agents.selector.advice.advisor import Advisor, Reply, advisor_of
from querist.agents.selector.advice.candidates import (
    Rows,
    conclude,
    labelled_examples,
    rank_of,
    sample,
)
from querist.memory.records import Example
from querist.tools.compute.arrays import TIE, FloatArray, IntArray, unit_rows
from querist.tools.engines.greedy_cover import Cover, Similarities, greedy_cover
from querist.tools.engines.neighbours import nearest_neighbours, similarities
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

LEVELS = 4
_MOST_RATED = 400
_MOST_COVERED = 4_000
_MOST_WEIGHED = 10_000
"""Candidates for certainty gain: with all that is covered a 160 MB matrix."""
Coverage = Literal["pool", "level"]


@strategy(
    "cgm",
    summary="Cover the pool with texts close to much that is not covered yet.",
    section="E.2",
    needs=[Capability.EMBEDDINGS],
    cost="O(N min(N, 4000) d), no LLM",
    citation="Li et al. 2024",
    explanation="""Certainty gain maximisation: each pick adds most to the sum, over the pool, of
    the cosine to the nearest labelled or picked text. For summarisation and other tasks where a
    model's probabilities mean little. Favours dense regions; outliers come last. Above 4000
    candidates the coverage of a random 4000 is counted, and of more than 10,000 as many are
    looked at.""",
)
def cgm(
    context: QueryContext, count: int, *, most_candidates: Count = _MOST_WEIGHED
) -> QueryResult:
    """Maximise certainty gain over the whole pool."""
    every = np.arange(len(context.ids))
    some = sample(context, max(most_candidates, 2 * count))
    cover = certainty_gains(context, candidates=some, covered=every, count=count)
    return conclude(context, cover.picks, count, gains=[float(gain) for gain in cover.gains])


@strategy(
    "ldcal",
    summary="Rate difficulty by language model once; from easy to hard, cover each level.",
    section="E.2",
    needs=[Capability.EMBEDDINGS, Capability.TEXTS, Capability.LLM],
    cost="at most 400 LLM calls of one number, once per text; O(N min(N, 4000) d)",
    citation="Li et al. 2024",
    explanation="""A curriculum for summarisation: the first round that it chooses for takes easy
    texts, the next moderate ones, then challenging and hard ones, and then from the start again, so
    that each level gives the same number. Within a level texts are chosen to cover the pool (cgm).
    Larger pools are rated on 400 texts in a fixed shuffled order.""",
)
def ldcal(
    context: QueryContext,
    count: int,
    *,
    coverage: Coverage = "pool",
    most_rated: Count = _MOST_RATED,
) -> QueryResult:
    """Choose from the level of the round, then from those nearest to it if it is too small."""
    advisor = advisor_of(context)
    rows = sample(context, max(most_rated, 2 * count))
    levels = _levels(context, rows, advisor)
    level = _rounds_so_far(context) % LEVELS
    by_distance = sorted(range(LEVELS), key=lambda other: (abs(other - level), other))
    every = np.arange(len(context.ids))
    chosen: list[int] = []
    for other in by_distance:
        inside = np.setdiff1d(rows[levels == other], chosen)
        if len(chosen) < count and len(inside):
            covered = inside if coverage == "level" else every
            cover = certainty_gains(
                context, candidates=inside, covered=covered, count=count - len(chosen), taken=chosen
            )
            chosen += [int(pick) for pick in cover.picks]
    at = dict(zip((int(row) for row in rows), (int(level) for level in levels), strict=True))
    return conclude(
        context,
        chosen,
        count,
        advisor=advisor,
        level=level,
        levels=[at.get(row, -1) for row in chosen],
    )


def _rounds_so_far(context: QueryContext) -> int:
    """Count the rounds since the first that this strategy chose for.

    The loop's own first round is a random sample, and others may have chosen after it: by the
    loop's number the curriculum would begin in the middle.
    """
    first = context.state.setdefault("ldcal.first", np.array([float(context.round)]))
    return max(0, context.round - int(first[0]))


def certainty_gains(
    context: QueryContext,
    *,
    candidates: IntArray,
    covered: IntArray,
    count: int,
    taken: IntArray | list[int] | None = None,
) -> Cover:
    """Pick greedily by average certainty gain; `taken` rows count as labelled.

    ACG(s) = mean over u of max(f(s, u) - max over labelled i of f(u, i), 0), with f the cosine,
    not below 0. The mean is over the first count of `covered`, whatever is picked.
    """
    if len(covered) > _MOST_COVERED:
        order = np.argsort([rank_of(context.ids[row]) for row in covered], kind="stable")
        covered = np.sort(np.asarray(covered)[order[:_MOST_COVERED]])
    vectors = unit_rows(context.embeddings())
    already = vectors[list(taken if taken is not None else ())]
    labelled = unit_rows(context.labelled().embeddings)
    done = np.concatenate([labelled.reshape(-1, vectors.shape[1]), already])
    items = vectors[covered]
    best = nearest_neighbours(items, 1, among=done)[1][:, 0] if len(done) else None
    oracle = Similarities(similarities(vectors[candidates], items), covered=best)
    cover = greedy_cover(oracle, candidates=np.arange(len(candidates)), count=count, tie=TIE)
    places = np.asarray(candidates, dtype=np.intp)
    return Cover(places[cover.picks], cover.gains / max(1, len(items)))


def split_levels(ratings: FloatArray, lengths: FloatArray, *, levels: int = LEVELS) -> IntArray:
    """Rank ratings (N,), ties by length and then by place, and cut the ranks into equal levels."""
    order = np.lexsort((lengths, ratings))
    found = np.empty(len(ratings), dtype=np.intp)
    found[order] = np.arange(len(ratings)) * levels // max(1, len(ratings))
    return found


def expected_rating(reply: Reply) -> float:
    """Read a rating from 1 to 10: the mean under the model's probabilities, else the number."""
    if not isinstance(reply, ChatReply):
        return float("nan")
    if reply.probabilities:
        return sum(float(number) * p for number, p in reply.probabilities.items())
    digits = "".join(character for character in reply.text[:8] if character.isdigit())
    return float(min(10, max(1, int(digits)))) if digits else float("nan")


def _levels(context: QueryContext, rows: Rows, advisor: Advisor) -> IntArray:
    """Rate the rows, and what is labelled already, so that levels do not move as the pool shrinks.

    What was rated before is replayed. A text without a rating counts as a middling one.
    """
    known = context.labelled().ids
    examples: list[Example] = [*context.examples(rows), *labelled_examples(context, known)]
    ratings = np.array(
        [
            expected_rating(reply)
            for reply in advisor.ask([difficulty(example) for example in examples])
        ]
    )
    middle = np.nanmedian(ratings) if not np.isnan(ratings).all() else 5.0
    lengths = np.array([len(example.text) for example in examples], dtype=np.float64)
    return split_levels(np.where(np.isnan(ratings), middle, ratings), lengths)[: len(rows)]
