"""Labelling examples with a language model: requests out, annotations back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from querist.agents.annotator.port import Annotations, Chunk, Item, annotator
from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.models.metered import MeteredModel, MeteredReply
from querist.agents.models.port import ChatReply, ChatRequest
from querist.memory.errors import QueristError
from querist.memory.records import Annotation, Example, ExampleId, Probabilities

_FloatArray = NDArray[np.floating]
CONTENT_FREE = ("N/A", "", "[MASK]")
_SAMPLING_TEMPERATURE = 0.7


async def annotate(chunk: Chunk, *, model: MeteredModel) -> Annotations:
    """Ask about each text by itself, `votes` times."""
    votes = chunk.votes
    asked = [(item, item.attempt * votes + vote) for item in chunk.items for vote in range(votes)]
    requests = [_request(chunk.prompt, item, sample) for item, sample in asked]
    replies = await model.complete_all(requests)
    annotations: list[Annotation] = []
    errors: dict[ExampleId, QueristError] = {}
    for (item, sample), reply in zip(asked, replies, strict=True):
        if isinstance(reply, QueristError):
            errors[item.example.id] = reply
        else:
            made = _annotation(reply, item=item, sample=sample, chunk=chunk, model=model)
            annotations.append(made)
    # Votes that came count, though another on the same example failed.
    voted = {annotation.example for annotation in annotations}
    failed = {key: error for key, error in errors.items() if key not in voted}
    return Annotations(tuple(annotations), failed)


@annotator("prompted", summary="One call for each text and vote.", cost="a call a text")
class Prompted:
    """Asks the model about each text by itself, with what the prompt shows."""

    name = "prompted"

    async def annotate(self, chunk: Chunk, /, *, model: MeteredModel) -> Annotations:
        """Ask for each item."""
        return await annotate(chunk, model=model)


async def label_bias(
    prompt: Prompt,
    *,
    model: MeteredModel,
    fillers: Sequence[Sequence[Demonstration]] = ((),),
) -> Probabilities | None:
    """Ask about texts without content: what the model says then is bias (Zhao et al., 2021).

    `fillers` are demonstrations that take the place of retrieved ones: the bias depends on them.
    """
    blanks = [
        Example(ExampleId(f"blank-{text}"), dict.fromkeys(prompt.task.fields, text))
        for text in CONTENT_FREE
    ]
    requests = [
        prompt.request(blank, nearest=fillers[i % len(fillers)])
        for i, blank in enumerate(blanks * len(fillers))
    ]
    replies = await model.complete_all(requests)
    said = [
        reply.reply.probabilities
        for reply in replies
        if isinstance(reply, MeteredReply) and reply.reply.probabilities is not None
    ]
    names = dict.fromkeys(name for probabilities in said for name in probabilities)
    return {
        name: float(np.mean([probabilities.get(name, 0.0) for probabilities in said]))
        for name in names
    } or None


def _request(prompt: Prompt, item: Item, sample: int) -> ChatRequest:
    heat = _SAMPLING_TEMPERATURE if sample else 0.0
    return prompt.request(item.example, nearest=item.nearest, temperature=heat, sample=sample)


def _annotation(
    metered: MeteredReply,
    *,
    item: Item,
    sample: int,
    chunk: Chunk,
    model: MeteredModel,
) -> Annotation:
    reply, prompt = metered.reply, chunk.prompt
    said = prompt.asking.read(prompt.task, reply, prior=chunk.prior)
    is_read = said.answer is not None
    return Annotation(
        example=item.example.id,
        who=f"llm:{model.name}",
        answer=said.answer,
        round=chunk.number,
        probabilities=said.probabilities,
        confidence=max(said.probabilities.values()) if said.probabilities else None,
        confidence_from=said.confidence_from,
        prompt_version=prompt.version,
        guideline=prompt.task.version,
        sample=sample,
        usd=metered.usd,
        call_key=metered.key,
        rationale="" if is_read else reply.note or reply.text[:400],
        status="ok" if is_read else _status(reply),
    )


def _status(reply: ChatReply) -> Literal["refused", "truncated", "unparsable"]:
    if reply.finish == "refused":
        return "refused"
    return "truncated" if reply.finish == "length" else "unparsable"
