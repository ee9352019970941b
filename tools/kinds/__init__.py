"""What kinds of task there are, and what an answer to one is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from querist.memory.errors import InvalidInput
from querist.memory.records import Task
from querist.tools.kinds import classification, matching, preference, relation
from querist.tools.kinds.closed import AnswerSet, SingleChoice
from querist.tools.kinds.port import Kind, Measure
from querist.tools.wording import listed, suggest

__all__ = [
    "DEFAULT",
    "AnswerSet",
    "Kind",
    "Measure",
    "SingleChoice",
    "answers_of",
    "available_kinds",
    "find_kind",
    "kind_of",
]

DEFAULT = classification.KIND
"""The kind of a task that names none."""
_SHIPPED: tuple[Kind, ...] = (
    classification.KIND,
    matching.KIND,
    relation.KIND,
    preference.KIND,
)
_GROUP = "querist.kind"


@cache
def available_kinds() -> dict[str, Kind]:
    """Give all kinds by name, those of plug-ins included."""
    found = {kind.name: kind for kind in _SHIPPED}
    for entry in entry_points(group=_GROUP):
        found.setdefault(entry.name, entry.load())
    return found


def find_kind(name: str) -> Kind:
    """Find a kind by its name; raises `InvalidInput` with those that there are."""
    kinds = available_kinds()
    if name not in kinds:
        raise InvalidInput(
            f"there is no kind of task {name!r} that runs.{suggest(name, kinds)} There is: "
            f"{listed(sorted(kinds))}"
        )
    return kinds[name]


def kind_of(task: Task) -> Kind:
    """Find the kind of a task."""
    return find_kind(task.kind)


def answers_of(task: Task) -> AnswerSet:
    """Give the answers of a task in their order; empty for kinds of open answers."""
    return AnswerSet(kind_of(task).answers(task))
