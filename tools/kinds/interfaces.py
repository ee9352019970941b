"""What control a labelling tool needs for an answer of each kind, those to come included."""

from __future__ import annotations

from typing import Literal

Control = Literal["single", "multiple", "spans", "text"]
CONTROLS: dict[str, Control] = {
    "multilabel": "multiple",
    "spans": "spans",
    "qa": "text",
    "generation": "text",
}


def control_of(kind: str) -> Control:
    """Name the control of a kind; one of several where nothing else is known."""
    return CONTROLS.get(kind, "single")
