"""What LangGraph checkpoints of a job that creates rows: the loop's record, and two fields more."""

from __future__ import annotations

from typing import cast

from querist.graph.state import LoopState, known_in

GRAPH_VERSION = 1


class CreationState(LoopState, total=False):
    """JSON scalars only; `round` is the wave, `metric_tail` how many rows were accepted by then.

    `todo` counts the rows that wait for gates, and `phase` is select, generate, verify or finish.
    """

    broke: str
    """What said that money is at an end: "cap" for the job's own, the words of one of the
    workspace; "" where nothing did."""
    cap: str
    """The job's cap then: another one is another try."""
    reason: str
    """Why the job ended."""


def update(**changes: object) -> CreationState:
    """Make a node's return value."""
    return cast("CreationState", known_in(CreationState, changes))
