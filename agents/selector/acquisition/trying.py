"""Trying out arms that label: the same examples by other prompts, contexts, models or settings.

Gold labels stay outside: what comes back is what was answered. Calls go through the metered model,
so an arm is never paid twice for the same example, and a search that was killed replays them.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from querist.agents.annotator.annotate import annotate, label_bias
from querist.agents.annotator.port import Chunk, Item
from querist.agents.annotator.prompt import Prompt
from querist.agents.models.metered import MeteredModel
from querist.memory.answers import Answer
from querist.memory.records import Annotation, Example, ExampleId
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds import answers_of
from querist.tools.opinions.beliefs import pool_votes


@dataclass(frozen=True, slots=True)
class Labeller:
    """Somebody who labels: a model with a prompt, and how its answers are pooled."""

    model: MeteredModel
    prompt: Prompt
    votes: int = 1
    is_calibrated: bool = False
    """Whether the bias of its answers is divided out."""

    def ceiling(self, example: Example) -> Decimal:
        """Tell the most that labelling an example can cost."""
        return self.model.ceiling(self.prompt.request(example)) * self.votes


class Work(NamedTuple):
    """Examples for a labeller."""

    labeller: Labeller
    examples: Sequence[Example]


class Said(NamedTuple):
    """What a labeller said of an example: the likeliest answer, chances (C,), the cost."""

    given: Answer | None
    probabilities: FloatArray | None
    usd: Decimal


async def label_all(work: Sequence[Work]) -> list[list[Said]]:
    """Let everybody label what they got, all at once as far as their models bear it.

    Two pieces of work with the same prompt and model come one after the other, those with more
    votes first, so that the second finds the first one's answers. A model that fails raises.
    """
    order = sorted(range(len(work)), key=lambda i: -work[i].labeller.votes)
    seen: Counter[tuple[str, str]] = Counter()
    waves: defaultdict[int, list[int]] = defaultdict(list)
    for i in order:
        labeller = work[i].labeller
        key = (labeller.model.name, labeller.prompt.version)
        waves[seen[key]].append(i)
        seen[key] += 1
    answers: dict[int, list[Said]] = {}
    for number in sorted(waves):
        # Where one fails, the others go on to their end: what they were sent is paid for.
        pieces = (_label(work[i]) for i in waves[number])
        for i, found in zip(
            waves[number], await asyncio.gather(*pieces, return_exceptions=True), strict=True
        ):
            if isinstance(found, BaseException):
                raise found
            answers[i] = found
    return [answers[i] for i in range(len(work))]


async def _label(work: Work) -> list[Said]:
    """Label examples; raises what kept the model from answering."""
    labeller, prior = work.labeller, None
    if labeller.is_calibrated:
        prior = await label_bias(labeller.prompt, model=labeller.model)
    items = tuple(Item(example) for example in work.examples)
    asked = Chunk(items, labeller.prompt, votes=labeller.votes, number=0, prior=prior)
    annotated = await annotate(asked, model=labeller.model)
    for error in annotated.errors.values():
        raise error
    by_example: defaultdict[ExampleId, list[Annotation]] = defaultdict(list)
    for annotation in annotated.annotations:
        by_example[annotation.example].append(annotation)
    return [_pooled(by_example[example.id], labeller) for example in work.examples]


def _pooled(annotations: Sequence[Annotation], labeller: Labeller) -> Said:
    """Pool votes; where nobody gave a usable answer there is none."""
    answers = answers_of(labeller.prompt.task)
    usd = sum((annotation.usd for annotation in annotations), Decimal(0))
    vector = pool_votes(annotations, answers)
    if vector is None:
        return Said(None, None, usd)
    return Said(answers.answers[int(vector.argmax())], vector, usd)
