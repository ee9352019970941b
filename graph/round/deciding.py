"""Decisions of the loop's agents, each taken once a turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from querist.agents.mind import AgentSpec, Ruling
from querist.graph.minds.committee import settle
from querist.graph.minds.consulting import BRIEFS, Work
from querist.graph.minds.occasions import occasion
from querist.graph.minds.records import Place
from querist.graph.minds.taking import take
from querist.graph.minds.toolboxes import attempt_of, tools_of
from querist.graph.minds.trust import standing_of
from querist.graph.workplace.context import Context

E = TypeVar("E")
R = TypeVar("R", bound=Ruling)
_ROUND: Work[Context] = Work(BRIEFS, occasion, standing_of, tools_of, attempt_of, settle)
"""What agents decide on in a round."""


async def rule(
    context: Context,
    spec: AgentSpec[E, R],
    gather: Callable[[], E],
    *,
    turn: int,
    number: int,
    step: str,
) -> R:
    """Let an agent decide on a step of a turn, once; `gather` gives its evidence."""
    place = Place(spec.name, step=step, turn=turn, number=number)
    return await take(context, spec, gather, place=place, work=_ROUND)
