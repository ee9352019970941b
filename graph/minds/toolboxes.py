"""Which tools an agent's mind has, over the run's store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from querist.agents.annotator import tools as annotator
from querist.agents.budget_controller import tools as budget_controller
from querist.agents.deliberation.allowance import Account
from querist.agents.deliberation.toolbox import Tool
from querist.agents.generator import tools as generator
from querist.agents.mind import Agent
from querist.agents.selector import tools as selector
from querist.agents.verifier import tools as verifier
from querist.graph.minds.desks import LedgerDesk, OpinionDesk, PoolDesk
from querist.graph.minds.records import Place
from querist.graph.minds.trying import PromptDesk, WritingDesk
from querist.graph.workplace.context import Context


def attempt_of(context: Context, place: Place) -> Callable[[Any], object]:
    """Give what tries a ruling of an agent before it counts: a strategy that fails is no choice."""
    if place.agent != Agent.SELECTOR:
        return lambda _: None
    desk = PoolDesk(context, number=place.number)
    return lambda ruling: desk.choose(ruling.strategy, ruling.count, ruling.favour)


def tools_of(context: Context, evidence: Any, place: Place, account: Account) -> list[Tool]:
    """Give the toolbox of the agent whose decision it is."""
    number = place.number
    if place.agent == Agent.SELECTOR:
        most = min(evidence.batch, evidence.pool_left)
        classes = list(evidence.labels)
        return selector.tools(PoolDesk(context, number=number), most=most, classes=classes)
    if place.agent == Agent.BUDGET_CONTROLLER:
        return budget_controller.tools(LedgerDesk(context), evidence)
    if place.agent == Agent.VERIFIER:
        return verifier.tools(OpinionDesk(context, number=number), classes=list(evidence.said))
    if place.agent == Agent.ANNOTATOR:
        return annotator.tools(PromptDesk(context, account, number=number))
    return generator.tools(WritingDesk(context))
