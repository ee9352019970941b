"""What tools and prompts need to know of a kind, of those to come, too."""

from __future__ import annotations

from typing import Literal

from querist.memory.records import Task

Control = Literal["single", "multiple", "spans", "text"]
_CONTROLS: dict[str, Control] = {
    "multilabel": "multiple",
    "spans": "spans",
    "qa": "text",
    "generation": "text",
}

_RESPONSES = frozenset({"qa", "generation", "preference"})
"""Kinds whose examples are requests and what is answered to them."""


def control_of(kind: str) -> Control:
    """Name the control of a kind; one of several where nothing else is known."""
    return _CONTROLS.get(kind, "single")


def is_about_responses(task: Task) -> bool:
    """Tell whether a task's examples are requests with answers, rather than texts to sort."""
    return task.kind in _RESPONSES
