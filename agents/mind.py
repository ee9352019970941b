"""How an agent decides: by rules, or by a language model's deliberation that rules stand behind.

An agent is a pure function from an evidence record to a ruling. A ruling is a pydantic model with
hard bounds. A deliberation that fails, or whose ruling is out of bounds, is replaced by the
rules' ruling, and the decision says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from querist.memory.errors import QueristError
from querist.memory.records import Decision

MindName = Literal["rules", "llm", "auto"]


class Ruling(BaseModel):
    """What an agent decided, with its reason in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=1, max_length=2_000)


E = TypeVar("E")
R = TypeVar("R", bound=Ruling)

Deliberation = Callable[[E], Awaitable[R]]
"""A language model's mind: evidence in, ruling out; raises `QueristError` or `ValueError`."""


@dataclass(frozen=True, slots=True)
class AgentSpec(Generic[E, R]):
    """An agent, declared once: its name, its rules, the shape of its rulings, and their bounds."""

    name: str
    rules: Callable[[E], R]
    ruling: type[R]
    check: Callable[[E, R], None] | None = None
    """Raises `ValueError` when a ruling is out of the bounds that the evidence sets."""


class Agent:
    """The names that decisions and ledger lines carry."""

    SELECTOR: ClassVar = "selector"
    GENERATOR: ClassVar = "generator"
    ANNOTATOR: ClassVar = "annotator"
    VERIFIER: ClassVar = "verifier"
    BUDGET_CONTROLLER: ClassVar = "budget_controller"


async def decide(
    spec: AgentSpec[E, R],
    evidence: E,
    *,
    turn: int,
    number: int,
    step: str,
    deliberate: Deliberation[E, R] | None = None,
) -> tuple[R, Decision]:
    """Take a decision and describe it for the journal."""
    ruling, fell_back = None, ""
    if deliberate is not None:
        try:
            ruling = await deliberate(evidence)
            if spec.check is not None:
                spec.check(evidence, ruling)
        except (QueristError, ValueError, ValidationError) as error:
            ruling, fell_back = None, f"the deliberation failed: {str(error)[:300]}"
    mind: Literal["rules", "llm"] = "rules" if ruling is None else "llm"
    if ruling is None:
        ruling = spec.rules(evidence)
    return ruling, Decision(
        agent=spec.name,
        round=number,
        mind=mind,
        action=ruling.model_dump(mode="json", exclude={"reason"}),
        reason=ruling.reason,
        evidence=_plain(asdict(evidence)),  # type: ignore[call-overload]
        fell_back=fell_back,
        step=step,
        turn=turn,
    )


def recall(spec: AgentSpec[Any, R], decision: Decision) -> R:
    """Take up a ruling again from the decision that it was written down in."""
    return spec.ruling.model_validate({**decision.action, "reason": decision.reason})


def _plain(value: Any) -> Any:
    """Make evidence fit for JSON; long lists are cut, since they are in the store anyway."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in list(value)[:50]]
    if isinstance(value, str | int | float | bool | None):
        return value
    return str(value)
