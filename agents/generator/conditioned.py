"""Writing by class: a few examples of it are shown, and more like them are asked for."""

from __future__ import annotations

import json

from pydantic import BaseModel, Field

from querist.agents.generator.port import Wanted, generator
from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import ChatRequest, Message
from querist.agents.models.structured import ask_for
from querist.memory.answers import name_of

_PER_CALL = 4
_HEAT = 0.9


class Written(BaseModel):
    """What the model is asked to return."""

    texts: list[str] = Field(min_length=1, max_length=_PER_CALL)


@generator(
    "conditioned",
    summary="Texts of a class, in the style of labelled ones.",
    cost="a call for four texts",
)
class Conditioned:
    """Shows the class with its description and examples, and asks for others."""

    name = "conditioned"

    async def write(self, wanted: Wanted, /, *, sample: int, model: MeteredModel) -> list[str]:
        """Ask for four texts."""
        turns = conditioned_turns(wanted, count=_PER_CALL)
        request = ChatRequest(turns, max_tokens=400, temperature=_HEAT, sample=sample)
        reply = await ask_for(Written, request, model=model)
        return reply.texts


def conditioned_turns(wanted: Wanted, *, count: int, more: str = "") -> tuple[Message, ...]:
    """Show texts of a class, a few a turn, and ask for `count` others; `more` says what else."""
    label, task = name_of(wanted.answer), wanted.task
    meaning = next((known.description for known in task.labels if known.name == label), "")
    system = (
        f"{task.instructions}\nWrite new, varied texts of the class {label!r}"
        f"{f' ({meaning})' if meaning else ''}, in the style of the ones given, but about "
        'other things. Reply with JSON only: {"texts": [...]}.'
    )
    turns: list[Message] = [Message("system", system)]
    for start in range(0, len(wanted.shown), count):
        texts = [example.text for example in wanted.shown[start : start + count]]
        turns.append(Message("user", f"{len(texts)} texts of the class {label}:"))
        said = json.dumps({"texts": texts}, ensure_ascii=False)
        turns.append(Message("assistant", said))
    turns.append(Message("user", f"{more}{count} new texts of the class {label}:"))
    return tuple(turns)
