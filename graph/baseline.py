"""The yardstick: what the language-model annotator alone would reach on the test set."""

from __future__ import annotations

from querist.agents.annotator.annotate import annotate
from querist.agents.annotator.port import Chunk
from querist.agents.mind import Agent
from querist.graph.round.prompts import bias, final_prompt, with_nearest
from querist.graph.run import Run
from querist.graph.workplace.context import Context
from querist.memory.answers import Answer
from querist.memory.records import Example, Split


async def llm_alone(run: Run, *, most: int | None = None) -> float | None:
    """Label the test texts with the run's own final prompt; measure them.

    None without a gold-labelled test set. `most` bounds the number of texts. The calls are
    metered like any others and replayed when they were made before.
    """
    async with run.borrowed() as context:
        examples = context.view.known(Split.TEST)[:most]
        if not examples:
            return None
        said = await prompt_answers(context, examples)
        truth = [example.gold for example in examples if example.gold is not None]
        found = context.kind.measure(context.task, said, truth)
        return None if found is None else found.value


async def prompt_answers(context: Context, examples: list[Example]) -> list[Answer | None]:
    """Ask the annotator about examples with the prompt that the run would use now."""
    model = context.models.on(Agent.ANNOTATOR)
    prompt = final_prompt(context)
    prior = await bias(context, prompt, model=model)
    items = tuple(with_nearest(context, examples, prompt))
    chunk = Chunk(items, prompt, votes=1, number=0, prior=prior)
    annotated = await annotate(chunk, model=model)
    for error in annotated.errors.values():
        raise error
    said = {annotation.example: annotation.answer for annotation in annotated.annotations}
    return [said.get(example.id) for example in examples]
