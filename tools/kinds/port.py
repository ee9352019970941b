"""The port of task kinds: what an answer is, how it is read, compared and measured.

A kind has three facets, found by its name: this one, how it is asked of a language model
(`querist.agents.annotator.kinds`) and how people answer it (`querist.app.answers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from querist.memory.answers import Answer
from querist.memory.records import Example, Task
from querist.tools.compute.arrays import FloatArray
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.registry import Declaration, Registry

_GROUP = "querist.kind"


@dataclass(frozen=True, slots=True)
class Measure:
    """How well answers agree with the truth: a value in [0, 1] with its 90 % interval."""

    name: str
    """In words: accuracy, match F1."""
    value: float
    low: float
    high: float
    n: int
    by_group: Mapping[str, float | None] = field(default_factory=dict)
    """The same for each group alone; None for a group without examples."""


class Kind(Protocol):
    """A kind of task."""

    @property
    def name(self) -> str:
        """What a task file calls it (`task.kind`)."""

    @property
    def metric(self) -> str:
        """What `measure` measures, in words."""

    def complete(self, task: Task) -> Task:
        """Check a task and fill in what the kind knows itself; raises `InvalidInput`."""

    def check_fields(self, fields: Sequence[str]) -> None:
        """Refuse columns that do not make an example of this kind; raises `InvalidInput`."""

    def answers(self, task: Task) -> AnswerSet:
        """Give every answer there is, in a fixed order; none for kinds of open answers."""

    def answer_of(self, name: str) -> Answer:
        """Make the answer that goes by a name; what kind of answer that is, the kind knows."""

    def read(self, task: Task, text: str) -> Answer | None:
        """Read an answer as files and people write it; None if it is none of this task."""

    def schema(self, task: Task) -> Mapping[str, object]:
        """Describe an answer as JSON schema; people and models are held to the same one."""

    def likeness(self, answer: Answer, other: Answer) -> float:
        """Tell how much two answers are alike: 1 for the same, 0 for nothing in common."""

    def chance(self, task: Task) -> float:
        """Tell how often a guess would be right."""

    def groups(self, task: Task) -> tuple[str, ...]:
        """Name the groups that labels should be spread over."""

    def group(self, answer: Answer) -> str:
        """Name the group of an answer."""

    def measure(
        self, task: Task, said: Sequence[Answer | None], truth: Sequence[Answer]
    ) -> Measure | None:
        """Compare N answers with what is right; None without any."""

    def parts(self, example: Example) -> tuple[str, ...]:
        """Cut an example into the texts that are embedded; always as many."""

    def join(self, vectors: Sequence[FloatArray]) -> FloatArray:
        """Make vectors of examples (N, D) from those of their parts, each (N, d)."""


kind = Declaration[Kind](_GROUP)
"""Declare what makes a kind of task."""

KINDS = Registry[Kind](
    "kind of task",
    group=_GROUP,
    modules=tuple(
        f"querist.tools.kinds.{name}"
        for name in ("classification", "matching", "relation", "preference")
    ),
)
"""The kinds of task there are."""
