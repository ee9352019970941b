"""Tools of a mind: they look, try and compute; they change nothing and tell at most a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

_PAGE = 2_400
"""Characters of a tool's result that a mind reads."""


class Arguments(BaseModel):
    """What a tool is asked with; unknown arguments are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Nothing(Arguments):
    """No arguments."""


class CannotTellError(ValueError):
    """There is no answer to what was asked; the message says what to ask instead."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as a mind is offered it."""

    name: str
    description: str
    """What it tells, in one sentence with units."""
    arguments: type[Arguments]
    run: Callable[[Any], Awaitable[str]]
    """Takes an instance of `arguments`; raises `CannotTellError` with what to do instead."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool told, and what it spent on that."""

    result: str
    usd: Decimal = Decimal(0)


class Memo(Protocol):
    """Remembers what tools told: after a crash a mind is told the same again."""

    def recall(self, name: str, arguments: Mapping[str, object]) -> Told | None:
        """Give what the tool told when it was asked this before, if it was."""

    def keep(self, name: str, arguments: Mapping[str, object], told: Told) -> None:
        """Write down what it told."""


class Forgetful:
    """Remembers nothing: for exams and dry runs."""

    def recall(self, name: str, arguments: Mapping[str, object]) -> Told | None:  # noqa: ARG002
        """Know of nothing."""
        return None

    def keep(self, name: str, arguments: Mapping[str, object], told: Told) -> None:
        """Let it go."""


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table as lines; a page's worth, and how many rows were left out."""
    lines = [" | ".join(columns)]
    size = len(lines[0])
    for done, row in enumerate(rows):
        line = " | ".join(map(str, row))
        size += len(line) + 1
        if size > _PAGE - 60:
            lines.append(f"({len(rows) - done} more rows are left out)")
            break
        lines.append(line)
    return "\n".join(lines)


def page_of(text: str) -> str:
    """Cut a result to a page, and say so."""
    return text if len(text) <= _PAGE else f"{text[: _PAGE - 20]}... (cut to a page)"
