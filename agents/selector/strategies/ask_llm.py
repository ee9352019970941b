"""Ask-LLM: rank texts by how surely a model says that they are worth training on.

Sachdeva et al. (2024). The score is P("yes"); ranked by its log-odds, because it saturates at 1.
"""

from __future__ import annotations

import numpy as np

from querist.agents.prompts.selection_questions import GOOD_TRAINING_TEXT, worth_training_on
from querist.agents.selector.advice.advisor import advisor_of
from querist.agents.selector.advice.candidates import conclude, highest, sample
from querist.agents.selector.advice.yes_no import ask_yes_no
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_MOST = 1_000


@strategy(
    "ask_llm",
    summary="Take the texts that the language model finds most worth training on.",
    section="3.2",
    needs=[Capability.TEXTS, Capability.LLM],
    cost="at most 1000 LLM calls of one word, once per text (4 each without log-probabilities)",
    citation="Sachdeva et al. 2024",
    explanation="""A quality filter for raw text: weeds out boilerplate, fragments and harmful
    texts. It looks for quality, not for variety: put it behind a sampler that covers the pool, as
    in density@5 > ask_llm, or in front of one. With a provider that lists log-probabilities the
    score is the mass of yes among all words; without, among yes and no.""",
)
def ask_llm(
    context: QueryContext,
    count: int,
    *,
    criterion: str = GOOD_TRAINING_TEXT,
    most: Count = _MOST,
) -> QueryResult:
    """Rank by the log-odds of "yes"; texts without an answer come last, at random."""
    advisor = advisor_of(context)
    rows = sample(context, max(most, count))
    requests = [
        worth_training_on(example, criterion=criterion) for example in context.examples(rows)
    ]
    said = ask_yes_no(requests, advisor=advisor, mode="first_token")
    order = highest(said.log_odds)
    answered = order[~np.isnan(said.probabilities)[order]]
    return conclude(
        context,
        rows[answered],
        count,
        advisor=advisor,
        mode=said.mode,
        truncated=int(said.truncated.sum()),
        yes={
            context.ids[rows[place]]: float(said.probabilities[place]) for place in answered[:count]
        },
    )
