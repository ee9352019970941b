"""What a person is shown when they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Check = Literal["", "second", "adjudication", "gold"]
"""What of people's answers a question checks; nothing, if it is asked for its own sake.

A second opinion is another person's on the same example; an adjudication settles two that differ;
the right answer of a gold check is known, so it only measures who answers.
"""


class Option(NamedTuple):
    """One of the answers that a question offers, with what it means in words."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class QuestionPayload:
    """What a person is shown: the texts by field, what to choose from, and what we think."""

    fields: Mapping[str, str] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    model_says: str | None = None
    """A guess that is only shown to who asks for it."""
    p_correct: float | None = None
    likely: tuple[str, ...] = ()
    """The likeliest options first, where there are too many for a key each."""

    @property
    def text(self) -> str:
        """The fields as one text, in their order."""
        return "\n".join(self.fields.values())
