"""Least confidence for free answers: ask about what the language model says without conviction.

The model answers each text in its own words; then the answer is read back to it, and the mean
log-probability of the answer's tokens is how sure it was (normalised sequence probability).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from querist.agents.annotator.prompt import Demonstration
from querist.agents.models.port import ChatReply
from querist.agents.prompts.selection_questions import answer_freely, read_answer
from querist.agents.selector.advice.advisor import Advisor, Reply, advisor_of
from querist.agents.selector.advice.candidates import (
    conclude,
    demonstrations,
    highest,
    rank_of,
    sample,
)
from querist.agents.selector.advice.class_probabilities import classify
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, Task
from querist.tools.compute.arrays import FloatArray
from querist.tools.engines import scoring
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_MOST_ANSWERED = 200
_MOST_SHOWN = 8


@strategy(
    "sequence_least_confidence",
    summary="Ask where the language model finds its own free answer least likely.",
    section="3.1, B",
    needs=[Capability.TEXTS, Capability.LLM],
    cost="at most 200 short answers, each read once more",
    citation="Ueffing & Ney 2007; Tsvigun et al. 2022",
    explanation="""Least confidence for answers that are no list of classes: one minus the geometric
    mean of the probabilities of a greedy answer's tokens, whatever its length. A model is unsure of
    the wording as well as of the matter, so two ways of saying the same count as doubt. One
    labelled example a class (at most 8) shows what an answer looks like, when there are any.
    Only the embedded model tells the likelihood of its input; with others the probabilities of the
    task's classes are scored instead, and the diagnostics say so.""",
)
def sequence_least_confidence(
    context: QueryContext, count: int, *, most: Count = _MOST_ANSWERED
) -> QueryResult:
    """Rank by 1 - exp(mean log p) of the answer's tokens."""
    advisor = advisor_of(context)
    rows = sample(context, max(most, count))
    examples = context.examples(rows)
    instead = "" if advisor.can_look("input") else _instead(advisor)
    if instead:
        scores = scoring.least_confidence(classify(examples, advisor=advisor))
    else:
        shown = _one_of_each(context, advisor.task)
        scores = _read_answers(examples, advisor=advisor, shown=shown)
    order = highest(scores)
    order = order[~np.isnan(scores[order])]
    result = conclude(
        context,
        rows[order],
        count,
        advisor=advisor,
        uncertainty={context.ids[rows[place]]: float(scores[place]) for place in order[:count]},
    )
    trouble = " ".join(reason for reason in (instead, result.diagnostics["fell_back"]) if reason)
    return replace(result, diagnostics={**result.diagnostics, "fell_back": trouble})


def _read_answers(
    examples: Sequence[Example], *, advisor: Advisor, shown: Sequence[Demonstration] = ()
) -> FloatArray:
    """Let the model answer, and score its answers by their tokens: (N,), NaN without an answer."""
    asked = [answer_freely(example, task=advisor.task, shown=shown) for example in examples]
    answers = [_first_line(reply) for reply in advisor.ask(asked)]
    answered = [row for row, answer in enumerate(answers) if answer]
    replies = advisor.ask([read_answer(asked[row], answers[row]) for row in answered])
    tokens = [np.empty(0)] * len(examples)
    for row, reply in zip(answered, replies, strict=True):
        if isinstance(reply, ChatReply) and reply.input_tokens:
            tokens[row] = np.array(reply.input_tokens)
    return scoring.sequence_least_confidence(tokens)


def _one_of_each(context: QueryContext, task: Task) -> list[Demonstration]:
    """Take one labelled example a class, at most `_MOST_SHOWN`: mostly the same in a later round.

    Without any, a base model repeats the text where it should answer.
    """
    known, _ = demonstrations(context, task)
    by_class: dict[str, Demonstration] = {}
    for demonstration in sorted(known, key=lambda shown: rank_of(shown.example.id)):
        by_class.setdefault(name_of(demonstration.answer), demonstration)
    return list(by_class.values())[:_MOST_SHOWN]


def _first_line(reply: Reply) -> str:
    """Take the answer alone: a base model goes on with a text of its own on the next line."""
    said = reply.text.strip() if isinstance(reply, ChatReply) else ""
    return said.splitlines()[0] if said else ""


def _instead(advisor: Advisor) -> str:
    """Say what stands in for a model that does not tell; refuse where nothing can."""
    silent = f"{advisor.name} does not tell how likely the tokens of its input are"
    if not advisor.task.names:
        raise InvalidInput(
            f"{silent}, and the task has no classes to score instead: take the embedded model "
            "(local) for the selector, or another strategy (querist strategies)."
        )
    return f"{silent}; the task's classes were scored instead."
