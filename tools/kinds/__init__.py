"""What kinds of task there are, and what an answer to one is."""

from __future__ import annotations

from functools import cache

from querist.memory.records import Task
from querist.tools.kinds import classification
from querist.tools.kinds.answer_set import AnswerSet
from querist.tools.kinds.closed import SingleChoice
from querist.tools.kinds.port import KINDS, Kind, Measure, kind

__all__ = [
    "DEFAULT",
    "KINDS",
    "AnswerSet",
    "Kind",
    "Measure",
    "SingleChoice",
    "answers_of",
    "find_kind",
    "kind",
    "kind_of",
]

DEFAULT = classification.KIND
"""The kind of a task that names none."""


@cache
def find_kind(name: str) -> Kind:
    """Find a kind by its name; raises `InvalidInput` with those that there are."""
    return KINDS.make(name)


def kind_of(task: Task) -> Kind:
    """Find the kind of a task."""
    return find_kind(task.kind)


def answers_of(task: Task) -> AnswerSet:
    """Give the answers of a task in their order; empty for kinds of open answers."""
    return kind_of(task).answers(task)
