"""Decisions that last: what an agent decided in a turn is taken up again, never taken anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from querist.agents.mind import AgentSpec, Ruling, decide, recall
from querist.graph.minds.consulting import D, Work, consult
from querist.graph.minds.records import Place
from querist.memory.events import TookOver
from querist.tools.tracing import span

E = TypeVar("E")
R = TypeVar("R", bound=Ruling)


async def take(
    desk: D,
    spec: AgentSpec[E, R],
    gather: Callable[[], E],
    *,
    place: Place,
    work: Work[D],
) -> R:
    """Let an agent decide on a step of a turn, once; `gather` gives its evidence.

    A step that is repeated after a crash finds what was decided. What goes on after it had ended is
    in another turn, and decides afresh.
    """
    known = desk.journal.decision(turn=place.turn, agent=spec.name, step=place.step)
    if known is not None:
        return recall(spec, known)
    evidence = gather()
    deliberate, asked = desk.deliberations.by_agent.get(spec.name), ""
    if deliberate is None:
        deliberate, asked = consult(desk, evidence, place, work)
    number = place.number
    with span(f"decide {spec.name}", gen_ai__agent__name=spec.name, querist__round=number) as told:
        ruling, decision = await decide(
            spec,
            evidence,
            turn=place.turn,
            number=number,
            step=place.step,
            deliberate=deliberate,
            asked=asked,
        )
        if work.settle is not None:
            ruling, decision = await work.settle(desk, spec, evidence, ruling, decision)
        told.note(
            querist__mind=decision.mind,
            querist__usd=decision.usd,
            querist__tool_calls=len(decision.tool_calls),
            querist__fell_back=bool(decision.fell_back),
        )
    desk.journal.decided(decision)
    if decision.fell_back:
        desk.emit(TookOver(number, spec.name, decision.fell_back))
    return ruling
