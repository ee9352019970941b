"""AL-Principle: four ways of choosing demonstrations (Margatina et al., 2023).

Similarity to the inputs that will be asked about works best there, diversity is promising, and
high perplexity (their "uncertainty") does worst. Random, the fourth, is `random`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.agents.models.port import ChatReply, ChatRequest, Message
from querist.agents.selector.advice.advisor import Advisor, Reply, advisor_of
from querist.agents.selector.advice.candidates import Rows, clip, conclude, highest, sample
from querist.agents.selector.advice.ngram import pool_perplexities
from querist.memory.records import Example
from querist.tools.compute.arrays import FloatArray, unit_rows
from querist.tools.engines.clustering import k_means, nearest_to_centres
from querist.tools.engines.neighbours import nearest_neighbours
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_MOST_READ = 200
_LONGEST_READ = 400


@strategy(
    "al_similarity",
    summary="Ask about what is most like the inputs that the model will be used on.",
    section="3.3, 6, E.3",
    needs=[Capability.EMBEDDINGS, Capability.TARGETS],
    cost="O(N M d) for M targets, no LLM",
    citation="Margatina et al. 2023",
    explanation="""The best of the four ways to choose demonstrations in its paper. Looks at the
    test inputs, never at their labels; a comparison with methods that do not must say so. Takes the
    candidates with the highest mean cosine to all targets, so one common kind of target may get
    everything; see al_similarity_union for a share for each.""",
)
def al_similarity(context: QueryContext, count: int) -> QueryResult:
    """Rank by mean cosine to the targets."""
    vectors, targets = unit_rows(context.embeddings()), unit_rows(context.targets().embeddings)
    # In doubles and rounded, so that equal texts tie, whatever the order of summing.
    scores = (vectors.astype(np.float64) @ targets.mean(axis=0, dtype=np.float64)).round(9)
    return conclude(context, highest(scores), count, scores=scores, uses_targets=True)


@strategy(
    "al_similarity_union",
    summary="Ask about the nearest candidates of each input that the model will be used on.",
    section="3.3, 6, E.3",
    needs=[Capability.EMBEDDINGS, Capability.TARGETS],
    cost="O(N M d) for M targets, no LLM",
    citation="Margatina et al. 2023",
    explanation="""Each target input names its nearest candidate, then each its second nearest, and
    so on: demonstrations for each test input, labelled on demand. The union grows with the number
    of targets, and is cut to the batch; the diagnostics tell how many the targets' own 16 nearest
    would be, which is what the paper's variant costs.""",
)
def al_similarity_union(context: QueryContext, count: int, *, each: Count = 16) -> QueryResult:
    """Go through the targets' neighbour lists rank by rank."""
    targets, vectors = context.targets().embeddings, context.embeddings()
    near, how_near = nearest_neighbours(targets, max(each, count), among=vectors)
    # Within a rank, the closest pair first.
    order = [near[np.argsort(-how_near[:, k], kind="stable"), k] for k in range(near.shape[1])]
    return conclude(
        context,
        np.concatenate(order) if order else [],
        count,
        uses_targets=True,
        union_size=len(np.unique(near[:, :each])),
    )


@strategy(
    "al_diversity",
    summary="Cluster the pool into as many groups as the batch; ask about each centre.",
    section="3.3, 6, E.3",
    needs=[Capability.EMBEDDINGS],
    cost="k-means, O(iterations N b d), no LLM",
    citation="Margatina et al. 2023",
    explanation="""A batch that represents the pool, for choosing demonstrations in one go. Does not
    know what is labelled already; for later rounds k_center or typiclust do.""",
)
def al_diversity(context: QueryContext, count: int) -> QueryResult:
    """Take the candidate nearest to each of `count` centroids."""
    clusters = k_means(unit_rows(context.embeddings()), count, rng=context.rng)
    return conclude(context, nearest_to_centres(clusters), count)


@strategy(
    "al_perplexity",
    summary="Ask about texts that the language model itself finds least likely.",
    section="3.3, 6, E.3",
    needs=[Capability.TEXTS, Capability.LLM],
    cost="reads at most 200 texts by LLM",
    citation="Margatina et al. 2023",
    explanation="""Perplexity of the input alone, under the model that will use the demonstrations:
    what Margatina et al. call uncertainty, and the worst of their four. Finds odd and noisy texts.
    Only the embedded model tells the likelihood of its input; with others an n-gram model of the
    pool stands in, and the diagnostics say so.""",
)
def al_perplexity(context: QueryContext, count: int, *, most: Count = _MOST_READ) -> QueryResult:
    """Take the highest perplexities."""
    return _by_perplexity(context, count, sign=1.0, most=most)


@strategy(
    "al_perplexity_low",
    summary="Ask about texts that the language model finds most likely.",
    section="3.3, 6, E.3",
    needs=[Capability.TEXTS, Capability.LLM],
    cost="reads at most 200 texts by LLM",
    citation="Gonen et al. 2023; Margatina et al. 2023",
    explanation="""The reverse of al_perplexity: plain texts, which often make better demonstrations
    than odd ones. Tends to boilerplate.""",
)
def al_perplexity_low(
    context: QueryContext, count: int, *, most: Count = _MOST_READ
) -> QueryResult:
    """Take the lowest perplexities."""
    return _by_perplexity(context, count, sign=-1.0, most=most)


def perplexity(log_probabilities: NDArray[np.floating] | list[float]) -> float:
    """Give exp(-mean log p) of a text's tokens; not a number without any."""
    values = np.asarray(log_probabilities, dtype=np.float64)
    return float(np.exp(-values.mean())) if len(values) else float("nan")


def _by_perplexity(context: QueryContext, count: int, *, sign: float, most: int) -> QueryResult:
    advisor = advisor_of(context)
    rows = sample(context, max(most, count))
    examples = context.examples(rows)
    is_read = advisor.can_look("input")
    if is_read:
        found = _read(examples, advisor)
    else:
        found = pool_perplexities([example.text for example in examples])
    order = highest(sign * found)
    answered: Rows = order[~np.isnan(found[order])]
    return conclude(
        context,
        rows[answered],
        count,
        advisor=advisor,
        perplexity_from="language model" if is_read else "n-gram model of the pool",
        perplexities={context.ids[rows[place]]: float(found[place]) for place in answered[:count]},
    )


def _read(examples: tuple[Example, ...], advisor: Advisor) -> FloatArray:
    """Ask how likely each token of each text is."""
    requests = [
        ChatRequest((Message("user", clip(example.text, _LONGEST_READ)),), 0, look="input")
        for example in examples
    ]
    return np.array([_perplexity_of(reply) for reply in advisor.ask(requests)])


def _perplexity_of(reply: Reply) -> float:
    if not isinstance(reply, ChatReply) or not reply.input_tokens:
        return float("nan")
    return perplexity(list(reply.input_tokens))
