"""The prompt that asks for the answer to an example.

Order: instructions with guidelines, the guidelines' examples, shared demonstrations, nearest
demonstrations, the example. What does not change from call to call comes first, because providers
and llama.cpp keep that prefix computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from querist.agents.annotator.kinds import Asking, asking_of
from querist.agents.models.port import ChatRequest, Message
from querist.memory.answers import Answer
from querist.memory.records import Example, Task, content_id

_LONGEST = 1_500
LONGEST_DEMONSTRATION = 240


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A labelled example to show."""

    example: Example
    answer: Answer


@dataclass(frozen=True, slots=True)
class Guideline:
    """What earlier corrections taught, in one sentence, with examples of it."""

    reference: str
    """The lesson with its version."""
    text: str
    """It goes into the system role, so it holds no text of a pool; `shown` do not go there."""
    shown: tuple[Demonstration, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """Everything about a prompt but the example: equal prompts have equal versions."""

    task: Task
    shared: tuple[Demonstration, ...] = ()
    nearest: int = 0
    """How many of the closest labelled examples are added for each example."""
    guidelines: tuple[Guideline, ...] = ()

    @property
    def asking(self) -> Asking:
        """How tasks of this kind are asked."""
        return asking_of(self.task.kind)

    @cached_property
    def version(self) -> str:
        """Name the prompt by its content; the guidelines that it holds are named in full."""
        labels = [(label.name, label.description) for label in self.task.labels]
        asking = self.asking
        shown = [(demo.example.id, asking.reply(demo.answer)) for demo in self.shared]
        bare = content_id(
            asking.template, self.task.instructions, labels, shown, self.nearest, size=12
        )
        return "+".join([bare, *(guideline.reference for guideline in self.guidelines)])

    @cached_property
    def instructions(self) -> str:
        """What stands in the system role."""
        said = self.asking.instructions(self.task)
        if not self.guidelines:
            return said
        lines = [f"- {guideline.text}" for guideline in self.guidelines]
        return "\n".join([said, "Guidelines:", *lines])

    def request(
        self,
        example: Example,
        *,
        nearest: Sequence[Demonstration] = (),
        temperature: float = 0.0,
        sample: int = 0,
    ) -> ChatRequest:
        """Ask for the answer to one example."""
        asking = self.asking
        turns = [Message("system", self.instructions)]
        # A guideline's own text is not shown with its answer where it is the one that is asked.
        taught = [
            demo
            for guideline in self.guidelines
            for demo in guideline.shown
            if demo.example.words != example.words
        ]
        turns += [*self._turns(taught), *self._shared, *self._turns(nearest)]
        turns.append(Message("user", asking.show(example, longest=_LONGEST)))
        return asking.request(self.task, turns, temperature=temperature, sample=sample)

    @cached_property
    def _shared(self) -> list[Message]:
        return self._turns(self.shared)

    def _turns(self, shown: Sequence[Demonstration]) -> list[Message]:
        """Show each with its answer, as if they had been asked and answered."""
        turns = []
        for demo in shown:
            text = self.asking.show(demo.example, longest=LONGEST_DEMONSTRATION)
            turns += [
                Message("user", text),
                Message("assistant", self.asking.reply(demo.answer)),
            ]
        return turns
