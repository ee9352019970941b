"""APE, active prompt engineering: a committee of prompts over one language model.

Qian et al. (2024). The same question is put in several wordings and with the demonstrations in
different orders and choices; what the committee disagrees on is asked of people, and their answers
become demonstrations of the next round. Made for matching records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from querist.agents.annotator.kinds import asking_of
from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.models.port import ChatReply, ChatRequest
from querist.agents.selector.advice.advisor import Advisor, advisor_of
from querist.agents.selector.advice.candidates import conclude, demonstrations, highest, sample
from querist.agents.selector.advice.class_probabilities import require_classes
from querist.agents.selector.strategies.active_prompt import final_answer
from querist.memory.records import Example, Task
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.opinions.votes import count_votes, vote_entropy
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_MOST = 100
MOST_SHOWN = 8
_WORDINGS = (
    "{task}",
    "{task}\nLook at what sets the labels apart before you decide.",
    "You are a careful annotator. {task}\nIf in doubt, take the label that fits best overall.",
    "Decide as an expert would who has seen thousands of such cases. {task}",
    "{task}\nIgnore how the text is written; only what it is about counts.",
)
"""Ways to put the same question; `{task}` is the task's own instructions."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One member of the committee: a wording and the demonstrations in its own order."""

    wording: str
    shown: tuple[Demonstration, ...] = ()

    def prompt(self, task: Task) -> Prompt:
        """Put the question to the task this way."""
        base = asking_of(task.kind).opening_of(task)
        # Not `format`: guidelines may hold braces.
        instructions = self.wording.replace("{task}", base)
        return Prompt(replace(task, instructions=instructions), self.shown)


@strategy(
    "ape",
    summary="Ask where differently worded prompts lead the language model to differ.",
    section="3.3, E.5",
    needs=[Capability.TEXTS, Capability.LLM],
    cost="3 LLM calls of one word for each of at most 100 texts, a round",
    citation="Qian et al. 2024",
    explanation="""Query by committee without a trained model: three wordings of the task, each with
    its own choice and order of up to 8 labelled examples, vote on each candidate. Good for matching
    records and other yes-or-no tasks. What people answer joins the demonstrations of the next
    round. A model that follows one wording badly makes the committee look divided.""",
)
def ape(
    context: QueryContext,
    count: int,
    *,
    variants: Count = 3,
    most: Count = _MOST,
    count_invalid: bool = False,
) -> QueryResult:
    """Rank by vote entropy; ties go to the lower mean probability of the winner."""
    advisor = advisor_of(context)
    require_classes(advisor.task)
    rows = sample(context, max(most, count))
    shown, _ = demonstrations(context, advisor.task)
    committee = make_committee(shown, variants, rng=context.rng)
    votes, doubts = _poll(context.examples(rows), committee, advisor=advisor)
    scores = disagreement(votes, classes=len(advisor.task.names), count_invalid=count_invalid)
    unanswered = (votes == _MISSING).all(axis=1)
    order = highest(np.where(unanswered, np.nan, scores), doubts)
    order = order[~unanswered[order]]
    return conclude(
        context,
        rows[order],
        count,
        advisor=advisor,
        variants=len(committee),
        vote_entropy={context.ids[rows[place]]: float(scores[place]) for place in order[:count]},
    )


_INVALID, _MISSING = -1, -2


def make_committee(
    shown: Sequence[Demonstration], variants: int, *, rng: np.random.Generator
) -> list[Variant]:
    """Give each wording its own draw of at most `MOST_SHOWN` demonstrations, each once.

    Drawn from all, so with more labels the subsets differ, with few the orders.
    """
    committee = []
    for number in range(variants):
        order = rng.permutation(len(shown))[:MOST_SHOWN]
        drawn = tuple(shown[place] for place in order)
        committee.append(Variant(_WORDINGS[number % len(_WORDINGS)], drawn))
    return committee


def _poll(
    examples: Sequence[Example], committee: Sequence[Variant], *, advisor: Advisor
) -> tuple[IntArray, FloatArray]:
    """Let the committee vote: (N, V) class numbers, -1 invalid, -2 unanswered; and doubts (N,).

    A doubt is 1 minus the winner's mean probability, 0.5 where none are given.
    """
    names = advisor.task.names
    requests: list[ChatRequest] = [
        variant.prompt(advisor.task).request(example)
        for example in examples
        for variant in committee
    ]
    replies = advisor.ask(requests)
    votes = np.full(len(requests), _MISSING)
    sure = np.full(len(requests), np.nan)
    for place, reply in enumerate(replies):
        if isinstance(reply, ChatReply):
            said = reply.text if reply.text in names else final_answer(reply.text, names)
            votes[place] = names.index(said) if said in names else _INVALID
            if reply.probabilities:
                sure[place] = max(reply.probabilities.values())
    shape = (len(examples), len(committee))
    known = np.isfinite(sure).reshape(shape)
    total = np.where(known, sure.reshape(shape), 0.0).sum(axis=1)
    mean = np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), 0.5)
    return votes.reshape(shape), np.asarray(1 - mean)


def disagreement(votes: IntArray, *, classes: int, count_invalid: bool = False) -> FloatArray:
    """Give the entropy of votes (N, V); invalid ones are a class of their own if they count."""
    votes = np.where(votes == _INVALID, classes if count_invalid else _INVALID, votes)
    return vote_entropy(count_votes(votes, classes=classes + count_invalid))


def best_variant(variants: Sequence[Variant], scores: Sequence[float]) -> Variant:
    """Keep the variant that does best on validation examples; of equals the shortest prompt."""
    places = range(len(variants))
    return variants[min(places, key=lambda place: (-scores[place], _length(variants[place])))]


def _length(variant: Variant) -> int:
    return len(variant.wording) + sum(
        len(demonstration.example.text) for demonstration in variant.shown
    )
