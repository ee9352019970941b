"""How large the run's prompts and answers are, and what one costs, before any was sent."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from querist.agents.annotator.prompt import Demonstration, Guideline, Prompt
from querist.agents.annotator.rules import NEAREST
from querist.agents.mind import Agent
from querist.agents.models.port import ChatRequest
from querist.agents.models.thinking import BY_NAME, thinks_by_name
from querist.graph.lessons.recalling import expected_guidelines
from querist.graph.workplace.context import Context
from querist.memory.records import Example, ExampleId
from querist.tools.money.tokens import TokenCounter, count_messages, counter_for

_THOUGHTS = BY_NAME // 2
"""Tokens that a model which thinks is taken to think."""


class Shown(NamedTuple):
    """The demonstrations of a prompt."""

    shared: int
    nearest: int
    bank: int
    """The power of two that shared ones were chosen from: when it doubles, they change."""


class Sizes:
    """What is expected of a run's annotation calls; upper bounds are another matter."""

    def __init__(self, context: Context) -> None:
        """Read the task, the prices and a few texts of the pool."""
        self._context = context
        self._section = context.config.annotator

    @cached_property
    def text(self) -> str:
        """A text of the pool of mean length."""
        texts = [example.text for example in self._context.pool.first(200)]
        mean = sum(map(len, texts)) / max(1, len(texts))
        return min(texts, key=lambda text: abs(len(text) - mean), default="")

    def shown(self, bank: int) -> Shown:
        """Tell what a prompt shows when people have labelled `bank` examples."""
        section, given = self._section, len(self._section.demonstrations)
        shared = min(max(0, section.shared - given), bank)
        is_local = self._context.models.on(Agent.ANNOTATOR).model.in_flight == 1
        usual = 0 if is_local else NEAREST
        nearest = min(usual if section.nearest is None else section.nearest, bank - shared)
        return Shown(shared, nearest, (1 << bank.bit_length()) >> 1 if shared else 0)

    def input_tokens(self, shown: Shown) -> int:
        """Count the tokens of a prompt."""
        count = len(self._section.demonstrations) + shown.shared + shown.nearest
        return self._bare + count * self._demonstration

    @cached_property
    def output_tokens(self) -> int:
        """Count the tokens of an answer, thoughts included."""
        config = self._context.config
        names = sorted(self._context.answers.names, key=len)
        answer = f'{{"answer": "{names[len(names) // 2]}"}}'
        room = config.models.thinking
        thinks = thinks_by_name(config.models.annotator) if room is None else room > 0
        thoughts = _THOUGHTS if room is None else room // 2
        return self._counter.count(answer).count + thinks * thoughts

    def usd(self, shown: Shown) -> Decimal:
        """Price an example's label, with all its votes."""
        if not self._section.enabled:
            return Decimal(0)
        return self.usd_of(self._context.config.models.annotator, shown) * self._section.votes

    def usd_of(self, model: str, shown: Shown) -> Decimal:
        """Price one vote of a model, of as many tokens as the annotator's would be."""
        price = self._context.models.price(model)
        return price.cost(self.input_tokens(shown), self.output_tokens)

    def request(self, *, text: str = "", demonstrations: int = 0) -> ChatRequest:
        """Make a prompt of usual length."""
        task = self._context.task
        example = Example(ExampleId("usual"), dict.fromkeys(task.fields, text or self.text))
        shown = (Demonstration(example, self._context.answers.answers[0]),) * demonstrations
        return Prompt(task, shown, guidelines=self._guidelines).request(example)

    @cached_property
    def _guidelines(self) -> tuple[Guideline, ...]:
        return expected_guidelines(self._context)

    @cached_property
    def _counter(self) -> TokenCounter:
        name = self._context.config.models.annotator
        return counter_for(name, cache=self._context.store.folder / "models" / "tiktoken")

    @cached_property
    def _bare(self) -> int:
        return self._count(self.request())

    @cached_property
    def _demonstration(self) -> int:
        return self._count(self.request(demonstrations=1)) - self._bare

    def _count(self, request: ChatRequest) -> int:
        messages = [{"content": turn.content} for turn in request.messages]
        return count_messages(messages, counter=self._counter).count
