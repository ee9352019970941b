"""The agents' exams by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from querist.agents.annotator.exam import SITUATIONS as ANNOTATOR
from querist.agents.budget_controller.exam import SITUATIONS as BUDGET_CONTROLLER
from querist.agents.deliberation.exams import Situation
from querist.agents.generator.exam import SITUATIONS as GENERATOR
from querist.agents.mind import Agent
from querist.agents.selector.exam import SITUATIONS as SELECTOR
from querist.agents.verifier.exam import SITUATIONS as VERIFIER

EXAMS: Mapping[str, Sequence[Situation[Any, Any]]] = {
    Agent.BUDGET_CONTROLLER: BUDGET_CONTROLLER,
    Agent.SELECTOR: SELECTOR,
    Agent.VERIFIER: VERIFIER,
    Agent.ANNOTATOR: ANNOTATOR,
    Agent.GENERATOR: GENERATOR,
}
