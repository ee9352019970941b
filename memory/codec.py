"""Records to JSON and back, by their type hints; unknown or missing fields are errors."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter

from querist.memory import records

T = TypeVar("T")

Answer = Annotated[records.Answer, Field(discriminator="kind")]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(record: object) -> Any:
    """Turn a record into plain JSON values."""
    kind: Any = type(record)
    return _adapter(kind).dump_python(record, mode="json")


def from_json(kind: type[T], body: object) -> T:
    """Turn plain JSON values back into a record of the given type."""
    key: Any = kind
    result: T = _adapter(key).validate_python(body)
    return result


def answer_from_json(body: object) -> records.Answer:
    """Read any of the answers by its `kind` tag."""
    answer: records.Answer = _adapter(Answer).validate_python(body)
    return answer
