"""Labelling texts with a language model: requests out, annotations back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from querist.agents.models.metered import Answered, MeteredModel
from querist.agents.models.port import ChatReply, ChatRequest
from querist.agents.prompts.classification import ClassificationPrompt, Demonstration
from querist.memory.errors import QueristError
from querist.memory.records import (
    Annotation,
    Choice,
    Confidence,
    Example,
    ExampleId,
    Probabilities,
    Task,
)
from querist.tools.opinions.calibration import contextual_calibration

FloatArray = NDArray[np.floating]
CONTENT_FREE = ("N/A", "", "[MASK]")
SAMPLING_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class Item:
    """An example to label, with the demonstrations retrieved for it."""

    example: Example
    nearest: tuple[Demonstration, ...] = ()
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a chunk: annotations, and errors for the examples that have none."""

    annotations: tuple[Annotation, ...]
    errors: Mapping[ExampleId, QueristError]


async def annotate(
    items: Sequence[Item],
    *,
    prompt: ClassificationPrompt,
    model: MeteredModel,
    votes: int,
    number: int,
    prior: Probabilities | None = None,
) -> Outcome:
    """Ask for `votes` opinions on each item; `prior` is the model's label bias to divide out."""
    asked = [(item, item.attempt * votes + vote) for item in items for vote in range(votes)]
    requests = [_request(prompt, item, sample) for item, sample in asked]
    replies = await model.complete_all(requests)
    annotations: list[Annotation] = []
    errors: dict[ExampleId, QueristError] = {}
    for (item, sample), reply in zip(asked, replies, strict=True):
        if isinstance(reply, QueristError):
            errors[item.example.id] = reply
            continue
        annotations.append(
            _annotation(
                reply,
                item=item,
                sample=sample,
                prompt=prompt,
                model=model,
                number=number,
                prior=prior,
            )
        )
    # Votes that came count, though another on the same example failed.
    voted = {one.example for one in annotations}
    return Outcome(tuple(annotations), {key: e for key, e in errors.items() if key not in voted})


async def label_bias(
    prompt: ClassificationPrompt,
    *,
    model: MeteredModel,
    fillers: Sequence[Sequence[Demonstration]] = ((),),
) -> Probabilities | None:
    """Ask about texts without content: what the model says then is bias (Zhao et al., 2021).

    `fillers` are demonstrations that take the place of retrieved ones: the bias depends on them.
    """
    field = prompt.task.fields[0]
    blanks = [Example(ExampleId(f"blank-{text}"), {field: text}) for text in CONTENT_FREE]
    requests = [
        prompt.request(blank, nearest=fillers[i % len(fillers)])
        for i, blank in enumerate(blanks * len(fillers))
    ]
    replies = await model.complete_all(requests)
    found = [
        _vector(reply.reply.probabilities, prompt.task)
        for reply in replies
        if isinstance(reply, Answered) and reply.reply.probabilities is not None
    ]
    if not found:
        return None
    mean = np.mean(found, axis=0)
    return dict(zip(prompt.task.names, (float(value) for value in mean), strict=True))


def opinion(annotations: Sequence[Annotation], task: Task) -> FloatArray | None:
    """Pool the votes of one annotator on one example into probabilities (C,).

    Log-probabilities are averaged; votes without them are counted with Laplace smoothing.
    """
    usable = [one for one in annotations if isinstance(one.answer, Choice)]
    if not usable:
        return None
    vectors = [_vector(one.probabilities, task) for one in usable if one.probabilities]
    if vectors:
        logs = np.mean([np.log(np.maximum(vector, 1e-9)) for vector in vectors], axis=0)
        raw = np.exp(logs - logs.max())
        return np.asarray(raw / raw.sum())
    counts = np.ones(len(task.names))
    for one in usable:
        assert isinstance(one.answer, Choice)
        counts[task.names.index(one.answer.value)] += 1
    return np.asarray(counts / counts.sum())


def _request(prompt: ClassificationPrompt, item: Item, sample: int) -> ChatRequest:
    heat = SAMPLING_TEMPERATURE if sample else 0.0
    return prompt.request(item.example, nearest=item.nearest, temperature=heat, sample=sample)


def _annotation(
    answered: Answered,
    *,
    item: Item,
    sample: int,
    prompt: ClassificationPrompt,
    model: MeteredModel,
    number: int,
    prior: Probabilities | None,
) -> Annotation:
    reply = answered.reply
    probabilities, source = _calibrated(reply, prompt.task, prior)
    answer = _answer(reply, prompt.task, probabilities)
    return Annotation(
        example=item.example.id,
        who=f"llm:{model.name}",
        answer=answer,
        round=number,
        probabilities=probabilities if answer is not None else None,
        confidence=max(probabilities.values()) if probabilities and answer else None,
        confidence_from=source if answer is not None else Confidence.NONE,
        prompt_version=prompt.version,
        sample=sample,
        usd=answered.usd,
        call_key=answered.key,
        rationale="" if answer is not None else reply.note or reply.text[:400],
        status="ok" if answer is not None else _status(reply),
    )


def _calibrated(
    reply: ChatReply, task: Task, prior: Probabilities | None
) -> tuple[dict[str, float] | None, Confidence]:
    if reply.probabilities is None:
        return None, Confidence.NONE
    vector = _vector(reply.probabilities, task)
    source = reply.confidence_from
    if prior is not None:
        vector = contextual_calibration(vector[None], _vector(prior, task))[0]
        source = Confidence.CALIBRATED_LOGPROBS
    rounded = (math.floor(float(value) * 1e9) / 1e9 for value in vector)
    return dict(zip(task.names, rounded, strict=True)), source


def _answer(
    reply: ChatReply, task: Task, probabilities: Mapping[str, float] | None
) -> Choice | None:
    if reply.finish == "refused":
        return None
    if probabilities is not None and reply.text in task.names:
        return Choice(max(task.names, key=lambda name: probabilities[name]))
    return Choice(reply.text) if reply.text in task.names else None


def _status(reply: ChatReply) -> Literal["refused", "truncated", "unparsable"]:
    if reply.finish == "refused":
        return "refused"
    return "truncated" if reply.finish == "length" else "unparsable"


def _vector(probabilities: Probabilities | None, task: Task) -> FloatArray:
    assert probabilities is not None
    return np.array([probabilities.get(name, 0.0) for name in task.names])
