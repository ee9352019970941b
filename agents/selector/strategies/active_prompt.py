"""Active-Prompt: ask about what the language model answers differently each time.

Diao et al. (2023). Several answers are sampled to each question; the spread is the uncertainty, and
people write the reasoning for the most uncertain ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from querist.agents.annotator.prompt import Prompt
from querist.agents.models.port import ChatReply, ChatRequest
from querist.agents.prompts.selection_questions import SURENESS, grade_own_answer, reason
from querist.agents.selector.advice.advisor import Advisor, Reply, advisor_of
from querist.agents.selector.advice.candidates import conclude, highest, sample
from querist.memory.records import Example
from querist.tools.compute.arrays import FloatArray
from querist.tools.opinions.votes import count_votes, disagreement, vote_entropy, vote_variance
from querist.tools.registry import Count, Entry
from querist.tools.strategies import Strategy, strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

Metric = Literal["disagreement", "entropy", "variance", "confidence"]

NO_SOLUTION = "no solution"
_HEAT = 0.7
_MOST = 200
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_ANNOUNCED = re.compile(r"(?:answer(?:\s+is)?|label)\s*[:=]?\s*(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """How many answers to how many questions; `reasons` asks for a chain of thought first."""

    answers: int = 5
    most: int = _MOST
    reasons: bool = False
    """Off, and one word each, for a task with classes; tasks without always reason."""


def active_prompt(
    context: QueryContext, count: int, *, metric: Metric, settings: Settings | None = None
) -> QueryResult:
    """Rank by the spread of sampled answers; ties go to the higher entropy, then by place."""
    settings = settings or Settings()
    advisor = advisor_of(context)
    rows = sample(context, max(settings.most, count))
    examples = context.examples(rows)
    answers = _sample_answers(examples, advisor=advisor, settings=settings)
    answered = np.array([bool(answer) for answer in answers], dtype=bool)
    names = advisor.task.names
    if metric == "confidence":
        scores = _doubts(examples, answers, advisor)
    else:
        scores = spread(answers, metric, is_binary=len(names) == 2)
    order = highest(np.where(answered, scores, np.nan), spread(answers, "entropy"))
    order = order[answered[order]]
    return conclude(
        context,
        rows[order],
        count,
        advisor=advisor,
        metric=metric,
        no_solution=sum(answer.count(NO_SOLUTION) for answer in answers),
        uncertainty={context.ids[rows[place]]: float(scores[place]) for place in order[:count]},
    )


def spread(
    answers: Sequence[Sequence[str]], metric: Metric, *, is_binary: bool = False
) -> FloatArray:
    """Measure how far the answers to each question differ: (N,), higher is more uncertain.

    `variance` is of the numeric answers alone; "no solution" counts as an answer otherwise. With
    `is_binary`, disagreement has two values only, so it is how evenly the two answers are given:
    minus the difference of their counts, in which "no solution" is neither (as in the authors'
    code).
    """
    if metric == "variance":
        longest = max((len(answer) for answer in answers), default=0)
        numbers = np.full((len(answers), longest), np.nan)
        for row, said in enumerate(answers):
            numbers[row, : len(said)] = [_as_number(answer) for answer in said]
        return vote_variance(numbers)
    kinds = {
        answer: code for code, answer in enumerate(sorted({a for said in answers for a in said}))
    }
    longest = max((len(answer) for answer in answers), default=0)
    votes = np.full((len(answers), longest), -1)
    for row, said in enumerate(answers):
        votes[row, : len(said)] = [kinds[answer] for answer in said]
    counts = count_votes(votes, classes=len(kinds))
    if metric == "entropy":
        return vote_entropy(counts)
    if is_binary:
        solutions = [code for answer, code in kinds.items() if answer != NO_SOLUTION]
        # No more than two, and a class that nobody named has none.
        both = np.pad(counts[:, solutions], ((0, 0), (0, 2 - len(solutions))))
        return np.asarray(-np.abs(both[:, 0] - both[:, 1]).astype(np.float64))
    return disagreement(counts)


def _sample_answers(
    examples: Sequence[Example], *, advisor: Advisor, settings: Settings
) -> list[list[str]]:
    """Draw answers to each example; a question with an unanswered call has fewer, or none."""
    names = advisor.task.names
    reasons = settings.reasons or not names
    requests = [
        _request(example, advisor, reasons=reasons, number=number)
        for example in examples
        for number in range(settings.answers)
    ]
    replies = advisor.ask(requests)
    return [
        [
            _read(reply, names, reasons=reasons)
            for reply in replies[row * settings.answers : (row + 1) * settings.answers]
            if isinstance(reply, ChatReply)
        ]
        for row in range(len(examples))
    ]


def final_answer(text: str, names: Sequence[str] = ()) -> str:
    """Find the answer at the end of a reasoning; "no solution" if there is none.

    With `names`, the one that is named last after the announcement (else in the whole text).
    Otherwise the last number, written one way ("3.0" is "3"), else the announced words.
    """
    announced = _ANNOUNCED.findall(text)
    tail = announced[-1] if announced else text
    if names:
        for part in (tail, text):
            places = {name: _last_word(part, name) for name in names}
            best = max(names, key=lambda name: (places[name], len(name)))
            if places[best] >= 0:
                return best
        return NO_SOLUTION
    numbers = _NUMBER.findall(tail)
    if numbers:
        return _plain_number(numbers[-1])
    words = tail.strip().strip(".\"'").casefold() if announced else ""
    return words or NO_SOLUTION


def _plain_number(text: str) -> str:
    """Write equal numbers the same way."""
    value = float(text.replace(",", ""))
    return str(int(value)) if value.is_integer() else repr(value)


def _request(example: Example, advisor: Advisor, *, reasons: bool, number: int) -> ChatRequest:
    if reasons:
        return reason(example, task=advisor.task, heat=_HEAT, sample=number)
    prompt = Prompt(advisor.task)
    return prompt.request(example, temperature=_HEAT, sample=number)


def _read(reply: ChatReply, names: Sequence[str], *, reasons: bool) -> str:
    if reasons:
        return final_answer(reply.text, names)
    return reply.text if reply.text in names else NO_SOLUTION


def _last_word(text: str, word: str) -> int:
    found = list(re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE))
    return found[-1].start() if found else -1


def _as_number(answer: str) -> float:
    try:
        return float(answer)
    except ValueError:
        return float("nan")


def _doubts(
    examples: Sequence[Example], answers: Sequence[Sequence[str]], advisor: Advisor
) -> FloatArray:
    """Ask the model to grade its own most frequent answer: 0 (certain) to 1 (guessing)."""
    asked = [row for row, said in enumerate(answers) if said]
    requests = [
        grade_own_answer(
            examples[row], max(answers[row], key=answers[row].count), task=advisor.task
        )
        for row in asked
    ]
    doubts = np.full(len(examples), np.nan)
    for row, reply in zip(asked, advisor.ask(requests), strict=True):
        doubts[row] = _doubt(reply)
    return doubts


def _doubt(reply: Reply) -> float:
    steps = {word: place / (len(SURENESS) - 1) for place, word in enumerate(SURENESS)}
    if not isinstance(reply, ChatReply):
        return float("nan")
    if reply.probabilities:
        return sum(steps.get(word, 0.0) * p for word, p in reply.probabilities.items())
    return steps.get(reply.text.strip().casefold(), float("nan"))


def _variant(
    name: str, metric: Metric, *, summary: str, cost: str, explanation: str
) -> Entry[Strategy]:
    @strategy(
        name,
        summary=summary,
        section="3.3, E.4",
        needs=[Capability.TEXTS, Capability.LLM],
        cost=cost,
        citation="Diao et al. 2023",
        explanation=explanation,
    )
    def choose(
        context: QueryContext,
        count: int,
        *,
        answers: Count = 5,
        most: Count = _MOST,
        reasons: bool = False,
    ) -> QueryResult:
        settings = Settings(answers, most, reasons)
        return active_prompt(context, count, metric=metric, settings=settings)

    return choose


_CALLS = "5 LLM calls for each of at most 200 texts, once"
_VARIANTS = (
    _variant(
        "active_prompt",
        "disagreement",
        summary="Ask where the language model gives the most different answers.",
        cost=_CALLS,
        explanation="""For choosing which examples people should explain. Five answers are drawn
        to each of up to 200 candidates; the share of different ones is the score. With two
        classes it is how evenly the answers are split. Draws at temperature 0.7, so a confident
        model shows no spread.""",
    ),
    _variant(
        "active_prompt_entropy",
        "entropy",
        summary="Ask where the language model's answers are spread most evenly.",
        cost=_CALLS,
        explanation="""As active_prompt, with the entropy of the answers: tells 3 against 2 from 4
        against 1.""",
    ),
    _variant(
        "active_prompt_variance",
        "variance",
        summary="Ask where the language model's numeric answers lie farthest apart.",
        cost=_CALLS,
        explanation="""As active_prompt, for tasks whose answers are numbers. Other answers are
        left out.""",
    ),
    _variant(
        "active_prompt_confidence",
        "confidence",
        summary="Ask where the language model says that it doubts its answer.",
        cost="6 LLM calls for each of at most 200 texts, once",
        explanation="""As active_prompt, with the model grading its own answer in words. Models
        are sure of nearly everything they say: the weakest of the four, for comparison.""",
    ),
)
