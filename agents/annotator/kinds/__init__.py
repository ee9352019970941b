"""How each kind of task is asked of a language model."""

from __future__ import annotations

from functools import cache

from querist.agents.annotator.kinds.closed import ChoiceAsking
from querist.agents.annotator.kinds.port import ASKINGS, Asking, Opinion, asking

__all__ = ["ASKINGS", "Asking", "ChoiceAsking", "Opinion", "asking", "asking_of"]


@cache
def asking_of(kind: str) -> Asking:
    """Find how a kind is asked; raises `InvalidInput` where nobody wrote it."""
    return ASKINGS.make(kind)
