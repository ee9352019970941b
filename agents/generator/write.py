"""Writing new texts of a class, and throwing copies away."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import ChatRequest, Message
from querist.agents.models.structured import ask_for
from querist.memory.answers import Answer, name_of
from querist.memory.errors import BudgetExceeded, ModelError
from querist.memory.records import Example, ExampleId, Origin, Task, content_id

_FloatArray = NDArray[np.floating]
_PER_CALL = 4
_TRIES = 3
_SHORTEST, _LONGEST = 8, 1_000
_HEAT = 0.9


class Written(BaseModel):
    """What the model is asked to return."""

    texts: list[str] = Field(min_length=1, max_length=_PER_CALL)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A text that was written and not kept."""

    text: str
    reason: str


async def write(
    answer: Answer,
    count: int,
    *,
    task: Task,
    shown: Sequence[Example],
    number: int,
    model: MeteredModel,
    is_copy: Callable[[str], bool],
) -> tuple[list[Example], list[Rejected]]:
    """Write up to `count` new examples of an answer like the ones `shown`.

    `is_copy` says whether a text is too close to a known one, and remembers those it let pass.
    Fewer come back when the model repeats itself or the money is at an end.
    """
    kept: list[Example] = []
    rejected: list[Rejected] = []
    for sample in range(_TRIES * -(-count // _PER_CALL)):
        if len(kept) >= count:
            break
        try:
            texts = await _ask(name_of(answer), task=task, shown=shown, sample=sample, model=model)
        except BudgetExceeded:
            break
        except ModelError as error:
            rejected.append(Rejected("", str(error)))
            continue
        for text in texts:
            reason = _fault(text, is_copy)
            if reason or len(kept) >= count:
                rejected.append(Rejected(text, reason or "enough"))
            else:
                kept.append(_example(text, answer, task=task, shown=shown, number=number))
    return kept, rejected


def _fault(text: str, is_copy: Callable[[str], bool]) -> str:
    if not _SHORTEST <= len(text) <= _LONGEST:
        return "too short or too long"
    return "a copy of a known text" if is_copy(text) else ""


def _example(
    text: str, answer: Answer, *, task: Task, shown: Sequence[Example], number: int
) -> Example:
    return Example(
        id=ExampleId(f"gen-{number}-{content_id(text)}"),
        fields={task.fields[0]: text},
        origin=Origin.GENERATED,
        parents=tuple(example.id for example in shown),
        written_as=answer,
    )


async def _ask(
    label: str, *, task: Task, shown: Sequence[Example], sample: int, model: MeteredModel
) -> list[str]:
    meaning = next((known.description for known in task.labels if known.name == label), "")
    system = (
        f"{task.instructions}\nWrite new, varied texts of the class {label!r}"
        f"{f' ({meaning})' if meaning else ''}, in the style of the ones given, but about other "
        'things. Reply with JSON only: {"texts": [...]}.'
    )
    turns: list[Message] = [Message("system", system)]
    for start in range(0, len(shown), _PER_CALL):
        texts = [example.text for example in shown[start : start + _PER_CALL]]
        turns.append(Message("user", f"{len(texts)} texts of the class {label}:"))
        turns.append(Message("assistant", json.dumps({"texts": texts}, ensure_ascii=False)))
    turns.append(Message("user", f"{_PER_CALL} new texts of the class {label}:"))
    request = ChatRequest(tuple(turns), max_tokens=400, temperature=_HEAT, sample=sample)
    reply = await ask_for(Written, request, model=model)
    return [" ".join(text.split()) for text in reply.texts]
