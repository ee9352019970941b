"""Replies that must be JSON of a given shape, with one repair attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import ChatRequest, Message
from querist.agents.models.reading import read_object
from querist.memory.errors import ModelError

Shape = TypeVar("Shape", bound=BaseModel)


async def ask_for(shape: type[Shape], request: ChatRequest, *, model: MeteredModel) -> Shape:
    """Ask for a reply that validates as `shape`; show the model its mistake once.

    Raises `ModelError` if the repaired reply is no better. Both calls are metered.
    """
    request = replace(request, schema=shape.model_json_schema())
    metered = await model.complete(request)
    try:
        return parse(shape, metered.reply.text)
    except ValueError as error:
        repair = (
            *request.messages,
            Message("assistant", metered.reply.text[:2_000]),
            Message("user", f"That was not valid: {str(error)[:500]}\nReply with JSON only."),
        )
    metered = await model.complete(replace(request, messages=repair))
    try:
        return parse(shape, metered.reply.text)
    except ValueError as error:
        raise ModelError(
            f"{model.name} did not give a valid {shape.__name__} in two attempts: {error}"
        ) from error


def parse(shape: type[Shape], text: str) -> Shape:
    """Find and validate the JSON object in a reply; raises `ValueError`."""
    body = read_object(text)
    if body is None:
        raise ValueError("there is no JSON object in the reply")
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from error
