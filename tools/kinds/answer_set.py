"""The answers of a task in a fixed order, so that opinions are rows of probabilities (C,)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from querist.memory.answers import Answer, Belief, name_of
from querist.memory.records import Probabilities
from querist.tools.compute.arrays import FloatArray, IntArray

_NO_ANSWER = -1
"""The place of an answer that is none of the task's."""


# Not slotted: the places are looked up for every label of every round.
@dataclass(frozen=True)
class AnswerSet:
    """The answers of a task in their order; column c of a probability matrix is answer c."""

    answers: tuple[Answer, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The answers as people read them."""
        return tuple(name_of(answer) for answer in self.answers)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self.answers)

    def place(self, answer: Answer | None) -> int:
        """Find an answer's place; `_NO_ANSWER` for none of them."""
        return _NO_ANSWER if answer is None else self._places.get(name_of(answer), _NO_ANSWER)

    def places(self, answers: Sequence[Answer | None]) -> IntArray:
        """Find the places of N answers: (N,)."""
        return np.array([self.place(answer) for answer in answers], dtype=np.intp)

    def vector(self, probabilities: Probabilities) -> FloatArray:
        """Lay probabilities by name out in order: (C,); a name that is missing has none."""
        return np.array([probabilities.get(name, 0.0) for name in self.names])

    def certain(self, answer: Answer) -> FloatArray:
        """Put all probability on one answer: (C,)."""
        return np.asarray(np.eye(len(self))[self.place(answer)])

    def belief(self, vector: FloatArray | None) -> Belief | None:
        """Say probabilities (C,) as a belief; None for none."""
        return None if vector is None else Belief(self.answers, tuple(vector.tolist()))
