"""The annotator's prompt as the target: made of a run, and asked on its ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np

from querist.agents.annotator.annotate import annotate
from querist.agents.annotator.port import Chunk, Item
from querist.agents.annotator.prompt import Demonstration, Guideline, Prompt
from querist.agents.mind import Agent
from querist.graph.config import RunConfig
from querist.graph.round.prompts import bias, final_prompt
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId
from querist.tools.compute.arrays import FloatArray
from querist.tools.training.prompted import PROMPT, Ask, PromptedPredictor

_Run = Callable[[Coroutine[Any, Any, FloatArray]], FloatArray]
"""Runs a coroutine to its end from where `Ask` is called."""
_LEAST = 1e-6
"""A chance that a model gives as 0 is not one."""


async def prompted(context: Context) -> PromptedPredictor:
    """Make the target of the prompt that the run would use now, with nothing that is looked up.

    Demonstrations that are chosen for each text need the run's pool, so they are left out.
    """
    prompt = final_prompt(context)
    prompt = Prompt(prompt.task, prompt.shared, guidelines=prompt.guidelines)
    model, prior = context.models.on(Agent.ANNOTATOR), None
    if context.config.annotator.calibrate:
        prior = await bias(context, prompt, model=model)
    body = {
        "model": context.config.models.annotator,
        "shared": [_written(demo) for demo in prompt.shared],
        "guidelines": [
            {
                "reference": guideline.reference,
                "text": guideline.text,
                "shown": [_written(demo) for demo in guideline.shown],
            }
            for guideline in prompt.guidelines
        ],
        "prior": prior,
    }
    loop = asyncio.get_running_loop()
    # Predictors are asked in a thread, and the models belong to this loop.
    ask = ask_by(context, body, lambda task: asyncio.run_coroutine_threadsafe(task, loop).result())
    return PromptedPredictor(body, ask)


def check_target(config: RunConfig) -> None:
    """Refuse a prompt as the target where there can be none, before anything is spent."""
    fields = config.as_task().fields
    if config.training.target != PROMPT:
        return
    if not config.annotator.enabled:
        raise InvalidInput(
            'training.target = "prompt" needs a language model that labels, and '
            "annotator.enabled is false. Enable it, or take another target."
        )
    if len(fields) != 1:
        raise InvalidInput(
            'training.target = "prompt" is for tasks of one text field; this one has '
            f"{', '.join(fields)}. Take another target."
        )


def ask_by(context: Context, body: Any, run: _Run) -> Ask:
    """Give what asks a run's language model about texts, metered on the run's ledger."""
    (field,) = context.task.fields
    prompt = Prompt(
        context.task,
        _shown(context, body["shared"]),
        guidelines=tuple(
            Guideline(each["reference"], each["text"], _shown(context, each["shown"]))
            for each in body["guidelines"]
        ),
    )

    async def chances(texts: Sequence[str]) -> FloatArray:
        model = context.models.named(body["model"], agent=Agent.ANNOTATOR)
        asked = [Example(ExampleId(str(place)), {field: text}) for place, text in enumerate(texts)]
        items = tuple(Item(example, (), 0) for example in asked)
        done = await annotate(
            Chunk(items, prompt, votes=1, number=0, prior=body["prior"]), model=model
        )
        for error in done.errors.values():
            raise error
        said = {annotation.example: annotation for annotation in done.annotations}
        return np.stack([_row(context, said[example.id]) for example in asked])

    return lambda texts: run(chances(texts))


def _row(context: Context, annotation: Any) -> FloatArray:
    """Chances of the classes; a reply that could not be read says nothing."""
    names = context.answers.names
    row = np.full(len(names), _LEAST)
    if annotation.probabilities:
        row += [annotation.probabilities.get(name, 0.0) for name in names]
    elif annotation.answer is not None:
        row[names.index(name_of(annotation.answer))] += 1.0
    return np.asarray(row / row.sum(), dtype=np.float32)


def _written(demo: Demonstration) -> dict[str, Any]:
    return {
        "id": demo.example.id,
        "fields": dict(demo.example.fields),
        "answer": name_of(demo.answer),
    }


def _shown(context: Context, written: Sequence[Any]) -> tuple[Demonstration, ...]:
    return tuple(
        Demonstration(
            Example(ExampleId(each["id"]), each["fields"]), context.kind.answer_of(each["answer"])
        )
        for each in written
    )
