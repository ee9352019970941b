"""Frozen values to JSON and back, by their type hints; a missing field is an error."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(record: object) -> Any:
    """Turn a record into plain JSON values."""
    kind: Any = type(record)
    return _adapter(kind).dump_python(record, mode="json")


def from_json(kind: type[T], body: object) -> T:
    """Turn plain JSON values back into a record of the given type; fields it lacks are ignored."""
    key: Any = kind
    result: T = _adapter(key).validate_python(body)
    return result
