"""How each kind of task is shown to people, and what their keys and words mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from querist.memory.answers import Answer
from querist.memory.questions import QuestionPayload
from querist.tools.kinds import DEFAULT, find_kind
from querist.tools.registry import Entry, Registry, declare, make_card

__all__ = ["ANSWERINGS", "USUAL", "Answering", "OptionAnswering", "answering", "answering_of"]

_GROUP = "querist.answering"


class Answering(Protocol):
    """People's side of a kind of task."""

    @property
    def beside(self) -> int:
        """How many of the last parts are compared, and shown side by side by a page; often 0."""

    def lines(self, payload: QuestionPayload) -> list[str]:
        """Write what is asked about in lines."""

    def parts(self, payload: QuestionPayload) -> list[tuple[str, str]]:
        """Give the texts that are asked about, each under its name; a single one needs none."""

    def answer(self, name: str) -> Answer:
        """Make the answer of an option that was chosen."""


@dataclass(frozen=True, slots=True)
class OptionAnswering:
    """One of several options, each with a key or found by its name."""

    kind: str
    headings: tuple[str, ...] = ()
    """What the last fields are called on the screen, where their columns' names say less."""
    beside: int = 0

    def lines(self, payload: QuestionPayload) -> list[str]:
        """Write the fields, each under its name where there are several."""
        return [f"{name}: {text}" if name else text for name, text in self.parts(payload)]

    def parts(self, payload: QuestionPayload) -> list[tuple[str, str]]:
        """Give the fields, each under its name where there are several."""
        names = list(payload.fields)
        if len(names) == 1:
            return [("", text) for text in payload.fields.values()]
        called = dict(zip(names[::-1], self.headings[::-1], strict=False))
        return [(called.get(name, name), text) for name, text in payload.fields.items()]

    def answer(self, name: str) -> Answer:
        """Make the answer of a label."""
        return find_kind(self.kind).answer_of(name)


def answering(name: str) -> Callable[[Callable[[], Answering]], Entry[Answering]]:
    """Declare how people answer a kind of task, under the kind's name."""
    card = make_card(f"How people answer a {name}.")
    return lambda factory: declare(_GROUP, name, factory=factory, card=card)


ANSWERINGS = Registry[Answering](
    "way of answering a kind of task", group=_GROUP, modules=("querist.app.answers.kinds",)
)
"""The ways of answering there are, each by its kind's name."""


@answering("classification")
def classification() -> Answering:
    """Choose a class."""
    return OptionAnswering("classification")


@answering("matching")
def matching() -> Answering:
    """See both records, each under its column's name."""
    return OptionAnswering("matching")


@answering("relation")
def relation() -> Answering:
    """Choose a relation."""
    return OptionAnswering("relation")


@answering("preference")
def preference() -> Answering:
    """Choose a response by its letter, whatever its column is called."""
    return OptionAnswering("preference", headings=("a", "b"), beside=2)


@cache
def answering_of(kind: str) -> Answering:
    """Find how people answer a kind; raises `InvalidInput` where nobody wrote it."""
    return ANSWERINGS.make(kind)


USUAL = answering_of(DEFAULT.name)
"""How a question is answered whose kind nobody names."""
