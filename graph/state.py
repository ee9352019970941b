"""What LangGraph checkpoints: a small control record. Everything else is in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

GRAPH_VERSION = 2
TAIL = 20


class LoopState(TypedDict, total=False):
    """JSON scalars only, under 10 kB; never ids of the pool, texts or messages."""

    run_id: str
    graph_version: int
    round: int
    phase: str
    """What `control` chose: select, generate, annotate, train, wait or finish."""
    turn: int
    """How often `control` has decided."""
    todo: int
    """Batch items that still wait for the annotator."""
    remaining_usd: str
    metric_tail: list[float]
    stop: str


def update(**changes: object) -> LoopState:
    """Make a node's return value."""
    return cast("LoopState", known_in(LoopState, changes))


def known_in(state: type, changes: Mapping[str, object]) -> Mapping[str, object]:
    """Give changes of a state; a misspelt key is an error here, not silence in LangGraph."""
    if unknown := changes.keys() - state.__annotations__:
        raise KeyError(f"not in the state: {sorted(unknown)}")
    return changes
