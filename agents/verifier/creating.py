"""The verifier of a job that creates rows: at which thresholds the gates reject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from querist.agents.deliberation.brief import Brief, Fact
from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.wording import any_of, counted


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number of a gate that may be moved."""

    name: str
    """Gate and parameter: `label_check.least`."""
    value: float
    """As the job has it."""
    low: float
    high: float
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """What the gates did so far."""

    wave: int
    rows: int
    """That are to be looked at."""
    accepted: int
    wanted: int
    gates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """How many rows each saw and let pass."""
    thresholds: tuple[Threshold, ...] = ()


class Checking(Ruling):
    """The thresholds of a wave's gates; those that are not named stand as the job has them."""

    thresholds: dict[str, float] = Field(default_factory=dict)


def _rule(evidence: CheckEvidence) -> Checking:
    """Let the gates stand as the job has them."""
    rows = counted(evidence.rows, "row")
    return Checking(reason=f"The gates look at {rows} with the thresholds of the job.")


def _check(evidence: CheckEvidence, ruling: Checking) -> None:
    """Refuse thresholds that the job has no bounds for, or outside of these."""
    known = {threshold.name: threshold for threshold in evidence.thresholds}
    for name, value in ruling.thresholds.items():
        if name not in known:
            raise ValueError(
                f"{name!r} may not be moved"
                + (f"; what may: {any_of(list(known))}" if known else ", and nothing may")
            )
        low, high = known[name].low, known[name].high
        if not low <= value <= high:
            raise ValueError(f"{name} may be {low:g} to {high:g}, not {value:g}")
        if known[name].is_whole and value != int(value):
            raise ValueError(f"{name} is a whole number, not {value:g}")


SPEC = AgentSpec(Agent.VERIFIER, rule=_rule, ruling=Checking, check=_check)
"""The agent as a job that creates rows knows it."""


def _facts(evidence: CheckEvidence) -> list[Fact]:
    return [
        Fact(
            f"{counted(evidence.rows, 'row')} were written and are to be looked at; "
            f"{evidence.accepted:,} of {evidence.wanted:,} were accepted before."
        ),
        *(
            Fact(f"Gate {name} let {passed:,} of {seen:,} rows pass so far.")
            for name, (seen, passed) in evidence.gates.items()
            if seen
        ),
        *(
            Fact(
                f"The job has {threshold.name} = {threshold.value:g}; it may be "
                f"{threshold.low:g} to {threshold.high:g}."
            )
            for threshold in evidence.thresholds
        ),
    ]


def _limits(evidence: CheckEvidence) -> Mapping[str, Mapping[str, Any]]:
    numbers = {
        threshold.name: {
            "type": "integer" if threshold.is_whole else "number",
            "minimum": threshold.low,
            "maximum": threshold.high,
        }
        for threshold in evidence.thresholds
    }
    return {
        "thresholds": {
            "type": "object",
            "properties": numbers,
            "required": list(numbers),
            "additionalProperties": False,
            "description": "each threshold within its bounds",
        }
    }


def _settled(evidence: CheckEvidence) -> str:
    return "" if evidence.thresholds else "the job lets no threshold be moved"


BRIEF: Brief[CheckEvidence, Checking] = Brief(
    SPEC,
    duty=(
        "You are the verifier of a job in which a language model writes rows that must pass gates. "
        "You decide at which thresholds the gates of this wave reject, within the bounds that the "
        "job sets. Loosen one where a gate rejects nearly all and rows are missing; tighten it "
        "where nearly all pass. What passes is delivered to people who train on it."
    ),
    facts=_facts,
    limits=_limits,
    derived={},
    settled=_settled,
)
"""How its decisions are put to a mind."""
