"""ActivePrune: shrink a pool before a dear strategy looks at it (Azeemi et al., 2024).

Half of what is kept has the most usual wording, by an n-gram model; half is what a language model
finds most suitable among the rest. It is a filter: write `active_prune@10 > margin`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from querist.agents.prompts.selection_questions import suits_task
from querist.agents.selector.advice.advisor import Advisor, advisor_of
from querist.agents.selector.advice.candidates import (
    Recall,
    Rows,
    conclude,
    highest,
    labelled_examples,
    rank_of,
)
from querist.agents.selector.advice.ngram import pool_perplexities
from querist.agents.selector.advice.yes_no import ask_yes_no
from querist.memory.records import Example
from querist.tools.compute.arrays import FloatArray
from querist.tools.registry import Count, Positive, Share
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_BETA = 0.1
"""How far wording like what is labelled is moved down; not verified against the paper."""
_LLM_CANDIDATES = 300


@strategy(
    "active_prune",
    summary="Keep texts of usual wording, and those the language model finds suitable.",
    section="3.2, 4.1, E.8",
    needs=[Capability.TEXTS, Capability.LLM],
    cost="one n-gram pass once, at most 300 LLM words (4 calls each without log-probabilities)",
    citation="Azeemi et al. 2024",
    explanation="""A filter in front of a dear strategy, as in active_prune@10 > margin. The n-gram
    model is trained on the pool and scores each text without its own counts. After each round the
    perplexities move by how far they are from what was labelled, so later rounds keep other
    wordings. Boilerplate has the lowest perplexity: look at the first batch.""",
)
def active_prune(
    context: QueryContext,
    count: int,
    *,
    usual_share: Share = 0.5,
    beta: Positive = _BETA,
    llm_candidates: Count = _LLM_CANDIDATES,
) -> QueryResult:
    """Keep `usual_share` of `count` by low perplexity, the rest by the model's yes."""
    advisor = advisor_of(context)
    examples = context.examples(np.arange(len(context.ids)))
    perplexities = _current_perplexities(context, examples, beta=beta)
    usual = highest(-perplexities)[: round(usual_share * count)]
    rest = np.setdiff1d(np.arange(len(context.ids)), usual)
    if len(rest) > llm_candidates:
        # The same ones in a later round, so that their answers are replayed.
        ranks = np.array([rank_of(context.ids[row]) for row in rest])
        rest = np.sort(rest[np.argsort(ranks, kind="stable")[:llm_candidates]])
    suitable, is_truncated = _suitable(rest, examples, count - len(usual), advisor)
    return conclude(
        context,
        [*usual, *suitable],
        count,
        advisor=advisor,
        scores=-perplexities,
        kept_usual=len(usual),
        kept_suitable=len(suitable),
        truncated=is_truncated,
    )


def _current_perplexities(
    context: QueryContext, examples: Sequence[Example], *, beta: float
) -> FloatArray:
    """Take perplexities from the last round, moved by what was labelled since; else the first.

    A rank key rather than a perplexity: it may go below 0.
    """
    memory = Recall(context.state, "active_prune")
    ids = list(context.ids)
    values, known = memory.get(ids, np.zeros(len(ids)))
    if not known.all():
        labelled = labelled_examples(context, context.labelled().ids)
        fresh = pool_perplexities([example.text for example in (*examples, *labelled)])
        values = np.where(known, values, fresh[: len(ids)])
    else:
        told, was_candidate = memory.get(
            context.labelled().ids, np.zeros(len(context.labelled().ids))
        )
        values = reweight(values, told[was_candidate], beta=beta)
    # Labelled ones are forgotten, so each counts in the one round after it was labelled.
    memory.put(ids, values)
    return values


def reweight(perplexities: FloatArray, labelled: FloatArray, *, beta: float) -> FloatArray:
    """Lower each perplexity (N,) by beta times its mean distance to the labelled ones' (L,)."""
    if not len(labelled):
        return perplexities
    ordered = np.sort(labelled)
    sums = np.concatenate([[0.0], ordered.cumsum()])
    below = np.searchsorted(ordered, perplexities, side="right")
    total = perplexities * (2 * below - len(ordered)) + sums[-1] - 2 * sums[below]
    return np.asarray(perplexities - beta * total / len(ordered))


def _suitable(
    rows: Rows, examples: Sequence[Example], count: int, advisor: Advisor
) -> tuple[Rows, int]:
    """Take the rows that the model most surely calls suitable; unanswered ones are left out."""
    if count <= 0 or not len(rows):
        return np.empty(0, dtype=np.intp), 0
    requests = [suits_task(examples[row], task=advisor.task) for row in rows]
    said = ask_yes_no(requests, advisor=advisor, mode="first_token")
    order = highest(said.log_odds)
    answered = order[~np.isnan(said.probabilities[order])]
    return rows[answered[:count]], int(said.truncated.sum())
