"""Where the loop goes next: pure functions of the state."""

from __future__ import annotations

from querist.graph.state import LoopState


def after_control(state: LoopState) -> str:
    """Go where the budget controller decided."""
    return state["phase"]


def after_annotate(state: LoopState) -> str:
    """Annotate the next chunk, or verify."""
    return "annotate" if state.get("todo", 0) > 0 else "verify"


def after_verify(state: LoopState) -> str:
    """Annotate again what was sent back, or ask people."""
    return "annotate" if state.get("todo", 0) > 0 else "escalate"


def after_select(state: LoopState) -> str:
    """In a create job: write, or end as a person asked meanwhile."""
    return state["phase"]
