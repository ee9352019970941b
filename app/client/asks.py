"""What is asked of a server, apart from how it is sent: requests, and courses of several."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter, ValidationError

from querist.app.web.errors import Refusal
from querist.memory.errors import QueristError

T = TypeVar("T")


class ApiError(QueristError):
    """An answer that is no success, in the server's own words; or no answer at all."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        """`code` is for programs (see docs/client.md); `status` is HTTP's, None without answer."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, object] = field(default_factory=dict)
    body: object = None
    """Sent as JSON; models and plain values."""
    key: str | None = None
    """Under one key it is one request, however often it is sent."""
    file: Path | None = None
    """Sent as the body, a part at a time."""
    to: Path | None = None
    """Where the answer is written, a part at a time; `read` is then given nothing."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers beside those of every request."""
        headers = {} if self.key is None else {"Idempotency-Key": self.key}
        return headers if self.body is None else {**headers, "Content-Type": "application/json"}

    @property
    def params(self) -> list[tuple[str, str | int | float | bool | None]]:
        """The query as HTTP has it: what is None is left out, lists are repeated."""
        pairs: list[tuple[str, str | int | float | bool | None]] = []
        for name, value in self.query.items():
            values = value if isinstance(value, list | tuple) else [value]
            pairs += [(name, _word(item)) for item in values if item is not None]
        return pairs

    @property
    def content(self) -> bytes | None:
        """The body as bytes, if it is no file."""
        return None if self.body is None else _ANY.dump_json(self.body, serialize_as_any=True)


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of a course: time to pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Give(Generic[T]):
    """A step of a course: a value for who called."""

    value: T


Course = Generator[Ask[Any] | Pause | Give[T], Any, None]
"""Requests that depend on each other: answers are sent in, values are given out."""
_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def path_of(*parts: object) -> str:
    """Write a path of the API; names of people, runs and examples may hold anything."""
    return "/api/" + "/".join(quote(str(part), safe="") for part in parts)


def get(of: type[T], *parts: object, **query: object) -> Ask[T]:
    """Ask for something."""
    return Ask("GET", path_of(*parts), reader(of), query=query)


def post(of: type[T], *parts: object, body: object = None, key: str | None = None) -> Ask[T]:
    """Hand something in."""
    return Ask("POST", path_of(*parts), reader(of), body=body, key=key)


def reader(of: type[T]) -> Callable[[bytes], T]:
    """Read a model, or a list of models, from JSON."""
    adapter = TypeAdapter(of)

    def read(body: bytes) -> T:
        try:
            return adapter.validate_json(body)
        except ValidationError as error:
            raise ApiError(
                "unreadable",
                "The server's answer is not what this client knows; is it of another version of "
                f"Querist? ({error.errors()[0]['msg']} at {error.errors()[0]['loc']})",
            ) from error

    return read


def refusal(status: int, body: bytes) -> ApiError:
    """Read an answer that is no success."""
    try:
        problem = Refusal.model_validate_json(body).error
    except ValidationError:
        return ApiError("refused", f"The server answered with status {status}.", status)
    return ApiError(problem.code, problem.message, status)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, BaseModel):
        raise TypeError("a model is no value of a query")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def nothing(_: bytes) -> None:
    """Read an answer that says nothing."""
    return
