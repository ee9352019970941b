"""What a person is shown when they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


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
