"""Decisions that last: what an agent decided in a turn is taken up again, never taken anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from querist.agents.mind import AgentSpec, Ruling, decide, recall
from querist.graph.minds.committee import settle
from querist.graph.minds.consulting import consult
from querist.graph.minds.records import Place
from querist.graph.workplace.context import Context
from querist.memory.events import TookOver
from querist.tools.tracing import span

E = TypeVar("E")
R = TypeVar("R", bound=Ruling)


async def rule(
    context: Context,
    spec: AgentSpec[E, R],
    gather: Callable[[], E],
    *,
    turn: int,
    number: int,
    step: str,
) -> R:
    """Let an agent decide on a step of a turn, once; `gather` gives its evidence.

    A step that is repeated after a crash finds what was decided. A run that goes on after it had
    ended is in another turn, and decides afresh.
    """
    known = context.journal.decision(turn=turn, agent=spec.name, step=step)
    if known is not None:
        return recall(spec, known)
    evidence = gather()
    deliberate, asked = context.deliberations.by_agent.get(spec.name), ""
    if deliberate is None:
        place = Place(spec.name, step=step, turn=turn, number=number)
        deliberate, asked = consult(context, evidence, place)
    with span(f"decide {spec.name}", gen_ai__agent__name=spec.name, querist__round=number) as told:
        ruling, decision = await decide(
            spec,
            evidence,
            turn=turn,
            number=number,
            step=step,
            deliberate=deliberate,
            asked=asked,
        )
        ruling, decision = await settle(context, spec, evidence, ruling, decision)
        told.note(
            querist__mind=decision.mind,
            querist__usd=decision.usd,
            querist__tool_calls=len(decision.tool_calls),
            querist__fell_back=bool(decision.fell_back),
        )
    context.journal.decided(decision)
    if decision.fell_back:
        context.emit(TookOver(number, spec.name, decision.fell_back))
    return ruling
