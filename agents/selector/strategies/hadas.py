"""HADAS: correct the summaries that hallucinate most, and in different ways (Xia et al., 2024).

Three measures of faithfulness give how much a summary hallucinates and, normalised, a profile of
how. The score trades the degree against how far the profile is from those labelled already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from querist.agents.models.port import ChatReply
from querist.agents.prompts.selection_questions import summarise
from querist.agents.selector.advice.advisor import Advisor, advisor_of
from querist.agents.selector.advice.candidates import conclude, highest, labelled_examples, sample
from querist.agents.selector.advice.faithfulness import MEASURES, Measure
from querist.memory.records import Example
from querist.tools.compute.arrays import FloatArray
from querist.tools.registry import Count, Share
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

Orientation = Literal["hallucination", "faithfulness"]

_DIVERSITY = 0.33
_MOST = 60
_MOST_LABELLED = 30


@strategy(
    "hadas",
    summary="Summarise candidates; ask about summaries that hallucinate, each in another way.",
    section="6, C.2",
    needs=[Capability.TEXTS, Capability.LLM],
    cost="one LLM summary of each of at most 60 texts, once, and of 30 labelled ones",
    citation="Xia et al. 2024",
    explanation="""For collecting corrections of generated summaries. Three measures (what is
    claimed, how it reads, whether its words are the document's) say how unfaithful a summary is and
    in which way; the batch is the most unfaithful, and unlike what was corrected before. A loop
    labels the texts and does not show the summaries; programs find them in the result
    (docs/beyond-labels.md). The measures here go by words alone; in Python `rank_summaries` takes
    trained ones.""",
)
def hadas(
    context: QueryContext,
    count: int,
    *,
    diversity: Share = _DIVERSITY,
    orientation: Orientation = "hallucination",
    most: Count = _MOST,
) -> QueryResult:
    """Rank summaries by the measures that come with Querist: they go by words alone."""
    return rank_summaries(
        context, count, measures=MEASURES, diversity=diversity, orientation=orientation, most=most
    )


def rank_summaries(
    context: QueryContext,
    count: int,
    *,
    measures: Sequence[Measure],
    diversity: float = _DIVERSITY,
    orientation: Orientation = "hallucination",
    most: int = _MOST,
) -> QueryResult:
    """Rank summaries by degree and difference; texts without a summary come last, at random."""
    advisor = advisor_of(context)
    rows = sample(context, max(most, count))
    examples = context.examples(rows)
    known = labelled_examples(context, context.labelled().ids[-_MOST_LABELLED:])
    written = _write_summaries([*examples, *known], advisor)
    done = np.array([bool(summary) for summary in written], dtype=bool)
    found = np.full((len(written), len(measures)), np.nan)
    if done.any():
        texts = [
            example.text
            for example, is_done in zip((*examples, *known), done, strict=True)
            if is_done
        ]
        summaries = [summary for summary in written if summary]
        found[done] = np.stack([measure(texts, summaries) for measure in measures], axis=1)
    candidates, labelled = found[: len(rows)], found[len(rows) :]
    labelled = labelled[done[len(rows) :]]
    scores = score(candidates, labelled, diversity=diversity, orientation=orientation)
    order = highest(scores)
    order = order[~np.isnan(scores[order])]
    return conclude(
        context,
        rows[order],
        count,
        advisor=advisor,
        summaries={context.ids[rows[place]]: written[place] for place in order[:count]},
        measures={context.ids[rows[place]]: candidates[place].tolist() for place in order[:count]},
    )


def score(
    measures: FloatArray,
    labelled: FloatArray,
    *,
    diversity: float = _DIVERSITY,
    weights: FloatArray | None = None,
    orientation: Orientation = "hallucination",
) -> FloatArray:
    """Give diversity * mean JSD to the labelled profiles + (1 - diversity) * degree: (N,).

    `measures` (N, 3) and `labelled` (L, 3) are faithfulness in [0, 1]. Profiles are normalised, so
    (.9, .9, .9) and (.1, .1, .1) have the same: the level counts in the degree alone. A third-party
    implementation maximises faithfulness instead; `orientation` has both.
    """
    weights = np.full(measures.shape[1], 1 / measures.shape[1]) if weights is None else weights
    unfaithful = (1 - measures) @ weights
    degree = unfaithful if orientation == "hallucination" else weights.sum() - unfaithful
    differs = np.zeros(len(measures))
    if len(labelled):
        mine, theirs = profile(measures), profile(labelled)
        differs = jensen_shannon(mine[:, None, :], theirs[None, :, :]).mean(axis=1)
    return np.asarray(diversity * differs + (1 - diversity) * degree)


def profile(measures: FloatArray) -> FloatArray:
    """Normalise measures (N, 3) to sum 1; all zeros are an even profile."""
    total = measures.sum(axis=-1, keepdims=True)
    even = 1 / measures.shape[-1]
    return np.asarray(np.where(total > 0, measures / np.where(total > 0, total, 1), even))


def jensen_shannon(p: FloatArray, q: FloatArray) -> FloatArray:
    """Give the Jensen-Shannon divergence along the last axis, in nats (not its root)."""
    middle = (p + q) / 2
    return np.asarray((_divergence(p, middle) + _divergence(q, middle)) / 2)


def _write_summaries(examples: Sequence[Example], advisor: Advisor) -> list[str]:
    """Summarise each text with the language model; empty where that failed."""
    replies = advisor.ask([summarise(example) for example in examples])
    return [reply.text.strip() if isinstance(reply, ChatReply) else "" for reply in replies]


def _divergence(p: FloatArray, q: FloatArray) -> FloatArray:
    safe = np.where(p > 0, p, 1.0)
    ratio = np.log(safe / np.where(q > 0, q, 1.0))
    return np.asarray(np.where(p > 0, p * ratio, 0.0).sum(axis=-1))
