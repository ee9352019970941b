"""What a guideline gains: the annotator with and without it, on the same held-out answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from querist.agents.annotator.annotate import CONTENT_FREE
from querist.agents.annotator.guidelines import as_guideline
from querist.agents.annotator.port import ANNOTATORS, Chunk, Item
from querist.agents.annotator.prompt import Prompt
from querist.agents.mind import Agent
from querist.agents.models.metered import MeteredModel
from querist.graph.round.prompts import FILLERS, bias, final_prompt, with_nearest
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.errors import QueristError
from querist.memory.records import ExampleId, Label, SpendKind
from querist.memory.workspace.lessons import Lesson, MeasuredGain
from querist.tools.opinions.paired import paired_difference

_FEWEST = 30
"""Answers of people below which no gain could be told from chance."""
_MOST = 100
_LEVEL = 0.9
LESSONS = "lessons"
"""Under this name the ledger has what writing and measuring guidelines cost."""


def money_left(context: Context) -> Decimal:
    """Tell what of the allowance for lessons is left, also after a crash: the ledger knows."""
    spent = context.ledger.by_agent().get((LESSONS, SpendKind.LLM.value), Decimal(0))
    return max(Decimal(0), context.config.lessons.usd - spent)


def most_for_lessons(context: Context) -> Decimal:
    """Give what writing and measuring guidelines may cost in a whole run, for its quote."""
    section, config = context.config.lessons, context.config
    if section.adopt == "off" or not config.annotator.enabled:
        return Decimal(0)
    names = [
        *([config.models.annotator] if section.adopt == "measured" else []),
        *([config.mind_model] if section.writer == "llm" else []),
    ]
    try:
        costs = any(context.models.price(name).ceiling(1_000, 1_000) > 0 for name in names)
    except QueristError:
        return section.usd  # one without a price may get one before it is asked
    return section.usd if costs else Decimal(0)


async def measure_gain(
    context: Context, lesson: Lesson, held_out: Sequence[Label], *, number: int, tried: int
) -> tuple[MeasuredGain | None, str]:
    """Measure a guideline on answers that it was not made of; else say why it was not, if it costs.

    Every further guideline of a run meets the same answers, so its interval is wider: of `tried`
    before it, the level's error is shared out (Bonferroni). The interval is `paired_difference`'s.
    """
    without = final_prompt(context)
    shown = {demonstration.example.id for demonstration in without.shared}
    labels = [label for label in held_out if label.example not in shown][-_MOST:]
    if len(labels) < _FEWEST:
        return None, ""  # there may be more after the next round
    prompts = (without, replace(without, guidelines=(*without.guidelines, as_guideline(lesson))))
    model = context.models.named(context.config.models.annotator, agent=LESSONS, number=number)
    ids = [label.example for label in labels]
    left, most = money_left(context), _ceiling(context, prompts, ids, model)
    if most > left:
        return None, f"not measured: that may cost {most:f} USD, and {left:f} USD are left for it"
    answers = [
        await _answers(context, prompt, ids, model=model, number=number) for prompt in prompts
    ]
    told = [label for label in labels if all(label.example in said for said in answers)]
    if len(told) < _FEWEST:
        return None, f"not measured: only {len(told)} texts got an answer both times"
    right = [
        np.array([said[label.example] == name_of(label.answer) for label in told])
        for said in answers
    ]
    found = paired_difference(*right, level=1 - (1 - _LEVEL) / (tried + 1))
    spent = left - money_left(context)
    points, low, high = (round(value, 6) for value in found)
    return MeasuredGain(points, low, high, texts=len(told), usd=spent), ""


def _items(context: Context, prompt: Prompt, ids: Sequence[ExampleId]) -> tuple[Item, ...]:
    return tuple(with_nearest(context, context.view.get(list(ids)), prompt))


def _ceiling(
    context: Context, prompts: Sequence[Prompt], ids: Sequence[ExampleId], model: MeteredModel
) -> Decimal:
    """The most that it can cost, the questions without content included."""
    if model.is_free:
        return Decimal(0)
    total = Decimal(0)
    for prompt in prompts:
        costs = [
            model.ceiling(prompt.request(item.example, nearest=item.nearest))
            for item in _items(context, prompt, ids)
        ]
        blanks = len(CONTENT_FREE) * (FILLERS if prompt.nearest else 1)
        total += sum(costs, Decimal(0)) + blanks * max(costs)
    return total


async def _answers(
    context: Context,
    prompt: Prompt,
    ids: Sequence[ExampleId],
    *,
    model: MeteredModel,
    number: int,
) -> dict[ExampleId, str]:
    """Ask once about each text; those without an answer are left out."""
    decided = context.journal.decisions(agent=Agent.ANNOTATOR)
    calibrates = bool(decided and decided[-1].action.get("calibrate"))
    prior = await bias(context, prompt, model=model) if calibrates else None
    method = ANNOTATORS.read(context.config.annotator.method)
    chunk = Chunk(_items(context, prompt, ids), prompt, votes=1, number=number, prior=prior)
    annotated = await method.annotate(chunk, model=model)
    return {
        said.example: name_of(said.answer)
        for said in annotated.annotations
        if said.answer is not None
    }
