"""Answers: what somebody says of an example, in the shape that its task's kind asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Choice:
    """One class (classification, matching, relation)."""

    value: str
    aspects: Mapping[str, float] | None = None
    kind: Literal["choice"] = "choice"


@dataclass(frozen=True, slots=True)
class Choices:
    """Several classes, or none (multilabel)."""

    values: tuple[str, ...]
    aspects: Mapping[str, float] | None = None
    kind: Literal["choices"] = "choices"


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` (included) to `end` (excluded) of the first field."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Spans:
    """Labelled stretches of text (NER)."""

    values: tuple[Span, ...]
    aspects: Mapping[str, float] | None = None
    kind: Literal["spans"] = "spans"


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two responses is better, and by how much (0 to 1) if that was asked."""

    value: Literal["a", "b", "tie"]
    strength: float | None = None
    aspects: Mapping[str, float] | None = None
    kind: Literal["preference"] = "preference"


@dataclass(frozen=True, slots=True)
class Text:
    """Free text (summary, translation, open answer)."""

    value: str
    aspects: Mapping[str, float] | None = None
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Number:
    """A number (arithmetic answers, ratings)."""

    value: float
    aspects: Mapping[str, float] | None = None
    kind: Literal["number"] = "number"


Answer = Choice | Choices | Spans | Preference | Text | Number


@dataclass(frozen=True, slots=True)
class Belief:
    """What is thought of an example's answer before it is settled: answers with their chances.

    Kinds with a fixed set of answers list all of them, in the task's order; others list the
    different answers that were given.
    """

    answers: tuple[Answer, ...]
    chances: tuple[float, ...]
    """One for each answer; they sum to 1, or to less where something else may be right."""

    @property
    def place(self) -> int:
        """Where the likeliest answer stands; ties go to the first."""
        return max(range(len(self.chances)), key=lambda place: self.chances[place])

    @property
    def best(self) -> Answer:
        """The likeliest answer."""
        return self.answers[self.place]

    @property
    def p_correct(self) -> float:
        """How likely the best answer is right."""
        return self.chances[self.place]

    @property
    def entropy(self) -> float:
        """The doubt in nats: 0 for certainty."""
        return -sum(chance * math.log(chance) for chance in self.chances if chance > 0)

    @property
    def ranked(self) -> tuple[Answer, ...]:
        """The answers, the likeliest first."""
        order = sorted(range(len(self.chances)), key=lambda place: -self.chances[place])
        return tuple(self.answers[place] for place in order)


def name_of(answer: Answer) -> str:
    """Write an answer as people read it: a name, several of them, a number, a text."""
    if isinstance(answer, Spans):
        return ", ".join(f"{span.label} {span.start}-{span.end}" for span in answer.values)
    return ", ".join(answer.values) if isinstance(answer, Choices) else str(answer.value)


def answer_now(answer: Answer, names: Mapping[str, str]) -> Answer:
    """Give an answer under the names that labels have now; labels that were merged are one."""
    match answer:
        case Choice(value=value) if value in names:
            return replace(answer, value=names[value])
        case Choices(values=values) if not names.keys().isdisjoint(values):
            return replace(
                answer, values=tuple(dict.fromkeys(names.get(value, value) for value in values))
            )
        case Spans(values=spans) if any(span.label in names for span in spans):
            renamed = (replace(span, label=names.get(span.label, span.label)) for span in spans)
            return replace(answer, values=tuple(renamed))
    return answer
