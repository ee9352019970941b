"""The yardstick: what the language-model annotator alone would reach on the test set."""

from __future__ import annotations

from querist.agents.annotator import classify
from querist.agents.mind import Agent
from querist.graph.round.prompts import bias, final_prompt, with_nearest
from querist.graph.run import Run
from querist.memory.records import Choice, Example, Split


async def llm_alone(run: Run, *, most: int | None = None) -> float | None:
    """Label the test texts with the run's own final prompt; give the accuracy.

    None without a gold-labelled test set. `most` bounds the number of texts. The calls are
    metered like any others and replayed when they were made before.
    """
    async with run.borrowed() as context:
        names = context.task.names
        examples = [one for one in context.pool.all(Split.TEST) if one.gold in names][:most]
        if not examples:
            return None
        model = context.model(Agent.ANNOTATOR)
        prompt = final_prompt(context)
        prior = await bias(context, prompt, model=model)
        items = with_nearest(context, examples, prompt)
        outcome = await classify.annotate(
            items, prompt=prompt, model=model, votes=1, number=0, prior=prior
        )
        for error in outcome.errors.values():
            raise error
        said = {one.example: one.answer for one in outcome.annotations}
        return sum(_is_right(said.get(one.id), one) for one in examples) / len(examples)


def _is_right(answer: object, example: Example) -> bool:
    return isinstance(answer, Choice) and answer.value == example.gold
