"""Ask where the trained model and a language model differ: EAGLE's score with another base.

EAGLE (Bansal & Sharma, 2023) asks where training has changed a model's mind most: |s1 - s0|, both
scores by the same model, after and before its training on another domain. A linear head on frozen
vectors has no s0: before its first label it holds all classes equally likely, so that |s1 - s0|
would be its certainty. Here s0 is the language model's, without demonstrations; that measures where
two models differ, not what training has changed, and the strategy's name says so. For C classes
the difference is the total variation distance, which for two is |p1 - p0|.
"""

from __future__ import annotations

import numpy as np

from querist.agents.selector.advice.advisor import advisor_of
from querist.agents.selector.advice.candidates import conclude, highest, sample
from querist.agents.selector.advice.class_probabilities import classify
from querist.tools.compute.arrays import FloatArray
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_MOST = 300


@strategy(
    "eagle_llm",
    summary="Ask where the trained model and the language model differ most.",
    section="3.3",
    needs=[Capability.PROBS, Capability.TEXTS, Capability.LLM],
    cost="at most 300 LLM calls of one word, once per text (3 each without log-probabilities)",
    citation="after Bansal & Sharma 2023",
    explanation="""Not EAGLE's own measure, though its score: EAGLE compares one model before and
    after its training, and our model has no opinion before its first label. Here what the trained
    model says is compared with what the language model says without any examples. Both may be
    wrong where they differ, so a weak language model adds noise. Looks at 300 candidates in a
    fixed shuffled order.""",
)
def eagle_llm(
    context: QueryContext, count: int, *, standardise: bool = False, most: Count = _MOST
) -> QueryResult:
    """Rank by how far the trained model's probabilities are from the untrained ones'."""
    advisor = advisor_of(context)
    rows = sample(context, max(most, count))
    base = classify(context.examples(rows), advisor=advisor)
    scores = divergence(context.probabilities()[rows], base, standardise=standardise)
    if not np.nanmax(np.append(scores, 0.0)) > 0:
        # Nothing has changed the model's mind: then no candidate is better than another.
        reason = "the two models agree everywhere"
        return conclude(context, [], count, advisor=advisor, no_signal=reason)
    order = highest(scores)
    order = order[~np.isnan(scores[order])]
    return conclude(
        context,
        rows[order],
        count,
        advisor=advisor,
        informativeness={context.ids[rows[place]]: float(scores[place]) for place in order[:count]},
    )


def conditional_informativeness(
    base: FloatArray, tuned: FloatArray, *, standardise: bool = False
) -> FloatArray:
    """Give |s1 - s0| of two scores (N,); `standardise` compares z-values over the pool instead.

    Training shifts and stretches a score, and z-values do not change with that.
    """
    if standardise:
        base, tuned = _z(base), _z(tuned)
    return np.asarray(np.abs(tuned - base))


def divergence(tuned: FloatArray, base: FloatArray, *, standardise: bool = False) -> FloatArray:
    """Compare class probabilities (N, C): half the sum of the classes' informativeness."""
    parts = [
        conditional_informativeness(base[:, c], tuned[:, c], standardise=standardise)
        for c in range(tuned.shape[1])
    ]
    return np.asarray(np.sum(parts, axis=0) / 2)


def _z(scores: FloatArray) -> FloatArray:
    deviation = np.nanstd(scores)
    return np.asarray((scores - np.nanmean(scores)) / (deviation if deviation > 0 else 1.0))
