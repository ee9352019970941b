"""How an example of a kind is asked of a language model, and how its reply is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from querist.agents.models.port import ChatReply, ChatRequest, Message
from querist.memory.answers import Answer
from querist.memory.records import Confidence, Example, Probabilities, Task
from querist.tools.registry import Entry, Registry, declare, make_card

_GROUP = "querist.asking"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reply says: an answer, or none that can be used, and how sure it is."""

    answer: Answer | None
    probabilities: Mapping[str, float] | None = None
    """By the answers' names, where the model tells."""
    confidence_from: Confidence = Confidence.NONE


class Asking(Protocol):
    """The annotator's side of a kind of task."""

    @property
    def template(self) -> str:
        """Name the wording; a prompt's version changes with it."""

    def opening_of(self, task: Task) -> str:
        """Say what is to be done, as the task file says it or else as the kind does."""

    def instructions(self, task: Task) -> str:
        """Say what is to be done, before any example."""

    def show(self, example: Example, *, longest: int) -> str:
        """Show an example, each text cut to `longest` characters, as data and never as orders."""

    def reply(self, answer: Answer) -> str:
        """Write an answer as the model is to give it."""

    def request(
        self, task: Task, messages: Sequence[Message], *, temperature: float, sample: int
    ) -> ChatRequest:
        """Ask so that only an answer can come back, as far as the model can be held to it."""

    def read(self, task: Task, reply: ChatReply, *, prior: Probabilities | None) -> Opinion:
        """Read a reply; `prior` is what the model says of texts without content, to divide out."""


def asking(name: str) -> Callable[[Callable[[], Asking]], Entry[Asking]]:
    """Declare how a kind of task is asked, under the kind's name."""
    card = make_card(f"How a {name} is asked of a language model.")
    return lambda factory: declare(_GROUP, name, factory=factory, card=card)


ASKINGS = Registry[Asking](
    "way of asking a kind of task",
    group=_GROUP,
    modules=tuple(
        f"querist.agents.annotator.kinds.{name}"
        for name in ("classification", "matching", "relation", "preference")
    ),
)
"""The ways of asking there are, each by its kind's name."""
