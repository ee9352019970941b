"""Decisions of agents as the API gives them."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel

from querist.app.views.facts import calls_of, facts, mind_of
from querist.memory.records import Decision


class DecisionView(BaseModel):
    """What an agent decided, and why."""

    agent: str
    round: int
    turn: int
    step: str
    mind: str
    by: str
    """Rules, or which model, in words."""
    reason: str
    knew: list[tuple[str, str]]
    ruled: list[tuple[str, str]]
    looked_up: list[tuple[str, str]]
    rules_say: list[tuple[str, str]]
    fell_back: str
    asked: str
    usd: Decimal


def decision_view(made: Decision) -> DecisionView:
    """Say a decision in words."""
    rules = {key: value for key, value in made.rules_say.items() if key != "reason"}
    return DecisionView(
        agent=made.agent,
        round=made.round,
        turn=made.turn,
        step=made.step,
        mind=made.mind,
        by=f"{made.model}, {mind_of(made)}" if made.model else mind_of(made),
        reason=made.reason,
        knew=facts(made.evidence),
        ruled=facts(made.action),
        looked_up=calls_of(made),
        rules_say=facts(rules),
        fell_back=made.fell_back,
        asked=made.asked,
        usd=made.usd,
    )
