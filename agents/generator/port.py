"""The port of generators: ways to write new examples of an answer.

    @generator("questions", summary="Asks the model for questions only.")
    class Questions:
        name = "questions"

        async def write(self, wanted: Wanted, /, *, sample: int, model: MeteredModel) -> list[str]:
            ...

A plug-in names it under the entry point group `querist.generator`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from querist.agents.models.metered import MeteredModel
from querist.memory.answers import Answer
from querist.memory.records import Example, Task
from querist.tools.registry import Declaration, Registry

__all__ = ["GENERATORS", "Generator", "Wanted", "generator"]

_GROUP = "querist.generator"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written."""

    answer: Answer
    task: Task
    shown: tuple[Example, ...]
    """Labelled examples of the answer; they become the parents of what is written."""
    rival: Answer | None = None
    """The answer that the model mixes it up with, for generators that declare the need `rival`."""
    rivals: tuple[Example, ...] = ()
    """Labelled examples of that one; parents too, of what is written from them."""


class Generator(Protocol):
    """Writes texts that an answer fits."""

    @property
    def name(self) -> str:
        """What task files call it."""

    async def write(self, wanted: Wanted, /, *, sample: int, model: MeteredModel) -> list[str]:
        """Write some texts with one or a few calls of the model.

        `sample` counts the tries: the same number is the same call, which is paid once. Lengths,
        copies and labels are looked at afterwards, by others. Raises `ModelError` when a reply
        cannot be used and `BudgetExceeded` when the money is at an end.
        """


generator = Declaration[Generator](_GROUP)
"""Declare what makes a generator."""

GENERATORS = Registry[Generator](
    "generator",
    group=_GROUP,
    modules=tuple(f"querist.agents.generator.{name}" for name in ("conditioned", "from_seeds")),
)
"""The generators there are."""
