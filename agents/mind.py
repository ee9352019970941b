"""How an agent decides: by rules, or by a language model's deliberation that rules stand behind.

An agent is a pure function from an evidence record to a ruling. A ruling is a pydantic model with
hard bounds. A deliberation that fails, or whose ruling is out of bounds, is replaced by the
rules' ruling, and the decision says so, with what was looked up and spent until then.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from querist.memory.errors import QueristError
from querist.memory.records import Decision, ToolCall, Turn

_MindName = Literal["rules", "llm", "auto"]
LONGEST = 600
"""Characters of a tool's result, or of one of its arguments, that a decision keeps."""
_LONGEST_TURN = 4_000
"""Characters of a turn that it keeps."""


class Ruling(BaseModel):
    """What an agent decided, with its reason in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=1, max_length=2_000)


E = TypeVar("E")
R = TypeVar("R", bound=Ruling)


@dataclass(frozen=True, slots=True)
class Deliberated(Generic[R]):
    """What a language model decided, what it looked up for it, and what that cost."""

    ruling: R
    tool_calls: tuple[ToolCall, ...] = ()
    usd: Decimal = Decimal(0)
    model: str = ""
    turns: tuple[Turn, ...] = ()


class DeliberationFailed(QueristError):
    """No ruling came of a deliberation; what was looked up and spent all the same is told."""

    def __init__(
        self,
        reason: str,
        *,
        tool_calls: tuple[ToolCall, ...] = (),
        usd: Decimal = Decimal(0),
        model: str = "",
        turns: tuple[Turn, ...] = (),
    ) -> None:
        """Keep what the decision is to tell, although the rules take it."""
        super().__init__(reason)
        self.tool_calls = tool_calls
        self.usd = usd
        self.model = model
        self.turns = turns


Deliberation = Callable[[E], Awaitable[Deliberated[R]]]
"""A language model's mind: evidence in, ruling out; raises `DeliberationFailed`, or another
`QueristError` or `ValueError` where it has nothing to tell of what it did."""


@dataclass(frozen=True, slots=True)
class AgentSpec(Generic[E, R]):
    """An agent, declared once: its name, its rules, the shape of its rulings, and their bounds."""

    name: str
    rule: Callable[[E], R]
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
    asked: str = "",
) -> tuple[R, Decision]:
    """Take a decision and describe it for the journal; `asked` is why a model is, or is not."""
    done: Deliberated[R] | None = None
    failed: DeliberationFailed | None = None
    if deliberate is not None:
        try:
            done = await _deliberated(spec, evidence, deliberate)
        except DeliberationFailed as error:
            failed = error
    told = done or failed
    by_rules = spec.rule(evidence)
    ruling = by_rules if done is None else done.ruling
    return (
        ruling,
        Decision(
            agent=spec.name,
            round=number,
            mind="rules" if done is None else "llm",
            action=ruling.model_dump(mode="json", exclude={"reason"}),
            reason=ruling.reason,
            evidence=_plain(asdict(evidence)),  # type: ignore[call-overload]
            tool_calls=tuple(map(_cut, told.tool_calls)) if told else (),
            usd=told.usd if told else Decimal(0),
            fell_back=f"the deliberation failed: {str(failed)[:300]}" if failed else "",
            step=step,
            turn=turn,
            asked=asked,
            model=told.model if told else "",
            turns=tuple(Turn(turn.who, turn.text[:_LONGEST_TURN]) for turn in told.turns)
            if told
            else (),
            rules_say=by_rules.model_dump(mode="json") if told else {},
        ),
    )


async def _deliberated(
    spec: AgentSpec[E, R], evidence: E, deliberate: Deliberation[E, R]
) -> Deliberated[R]:
    """Deliberate within bounds; whatever else comes of it is `DeliberationFailed`."""
    try:
        done = await deliberate(evidence)
    except DeliberationFailed:
        raise
    except (QueristError, ValueError) as error:
        raise DeliberationFailed(str(error)) from error
    try:
        _check(spec, evidence, done.ruling)
    except (QueristError, ValueError) as error:
        raise DeliberationFailed(
            str(error),
            tool_calls=done.tool_calls,
            usd=done.usd,
            model=done.model,
            turns=done.turns,
        ) from error
    return done


def _check(spec: AgentSpec[E, R], evidence: E, ruling: R) -> None:
    """Hold a language model's ruling to its type and to the bounds that the evidence sets."""
    if not isinstance(ruling, spec.ruling):
        raise ValueError(f"a {type(ruling).__name__} is no {spec.ruling.__name__}")  # noqa: TRY004
    if spec.check is not None:
        spec.check(evidence, ruling)


def recall(spec: AgentSpec[Any, R], decision: Decision) -> R:
    """Take up a ruling again from the decision that it was written down in."""
    return spec.ruling.model_validate({**decision.action, "reason": decision.reason})


def _cut(call: ToolCall) -> ToolCall:
    """Keep as much of a call as says what it was about; its texts may be a pool's."""
    arguments = _plain(call.arguments, longest=LONGEST)
    return ToolCall(call.name, arguments, call.result[:LONGEST])


def _plain(value: Any, *, longest: int | None = None) -> Any:
    """Make evidence fit for JSON; long lists are cut, since they are in the store anyway."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # which JSON has no number for
    if isinstance(value, Mapping):
        return {str(key): _plain(part, longest=longest) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part, longest=longest) for part in list(value)[:50]]
    if isinstance(value, str):
        return value[:longest]
    if isinstance(value, int | float | bool | None):
        return value
    return str(value)[:longest]
