"""Room for models that think before they answer: a ceiling on their output that allows for it.

The room is reserved like any other output, since providers bill thoughts. It comes from the
configuration (`models.thinking`), else from the model's name, and grows when a reply was cut off
before its answer.
"""

from __future__ import annotations

import re

from querist.agents.models.port import Usage

BY_NAME = 2_048
"""Tokens of room for a model whose name says that it thinks."""
_MOST = 16_384
_GROWTH = 4

_THINKERS = re.compile(
    r"(^|[/:_.-])(o[1-9](-|$)|gpt-5|gpt-6|gpt-oss|qwq|qwen3|magistral|grok-[3-9]|glm-4\.[5-9]|glm-5"
    r"|gemini-(2\.5|[3-9])|deepseek-(r|reasoner|v3\.[1-9]|v[4-9])|kimi-k2-thinking|minimax-m)"
    r"|think|reason(?!able)|[-_]r1([-_.:]|$)",
    re.IGNORECASE,
)
_NO_THINKERS = re.compile(r"instruct|non-?(think|reason)|no-?think|gpt-5[^/]*-chat", re.IGNORECASE)


class Room:
    """How many tokens beyond the answer a model may write."""

    def __init__(self, model: str, *, configured: int | None = None) -> None:
        """`configured` is what the user set; such a room never grows."""
        self._is_fixed = configured is not None
        self.is_seen = False
        """Whether a reply held thoughts."""
        self.tokens = BY_NAME * thinks_by_name(model) if configured is None else configured

    def widen(self, usage: Usage) -> bool:
        """Allow for more after a reply that was cut off; False where that is not to be tried."""
        if self._is_fixed or self.tokens >= _MOST:
            return False
        wanted = max(BY_NAME, _GROWTH * self.tokens, 2 * usage.output_tokens)
        self.tokens = min(_MOST, wanted)
        return True


def thinks_by_name(model: str) -> bool:
    """Guess from a model's name whether it thinks before it answers."""
    return bool(_THINKERS.search(model)) and not _NO_THINKERS.search(model)
