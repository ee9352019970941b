"""The generator of a job that creates rows: which calls of a wave write what, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from querist.agents.mind import Agent, AgentSpec, Ruling
from querist.tools.arms.thompson import Choose, Tries, choose_by_yield
from querist.tools.wording import any_of, counted

MOST_GUIDELINES = 3
"""Reasons of rejection that a prompt names."""


@dataclass(frozen=True, slots=True)
class CellNeed:
    """A combination of label and attributes that lacks rows."""

    number: int
    name: str
    label: str
    """"" for free records."""
    wanted: int
    lacking: int
    methods: tuple[str, ...]
    """The methods that can write for it."""


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """What came of a method for a label."""

    method: str
    label: str
    written: int
    accepted: int
    usd: float


@dataclass(frozen=True, slots=True)
class WritingEvidence:
    """What rows are missing, and what ways to write them have yielded."""

    wave: int
    seed: int
    """Of the job; the same evidence is the same plan."""
    calls: int
    """How often the writer may be called."""
    per_call: int
    share: float
    """Of written rows that are accepted, as far as is known."""
    cells: tuple[CellNeed, ...]
    """Those that lack most, no more than there are calls."""
    arms: tuple[ArmRecord, ...] = ()
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By label: why rows were rejected, the commonest first."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """What each method writes."""


class Portion(BaseModel):
    """Calls for one cell by one method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: int = Field(ge=0)
    method: str
    calls: int = Field(ge=1)


class Writing(Ruling):
    """The calls of a wave, and which reasons of rejection the prompts warn of."""

    plan: tuple[Portion, ...]
    guidelines: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By label; of the reasons in the evidence."""


def _rule(evidence: WritingEvidence, *, choose: Choose = choose_by_yield) -> Writing:
    """Write for the cell that lacks most, by the method that yields most, call by call.

    What is planned counts as written at the share accepted so far. The method is drawn by Thompson
    sampling on accepted rows per dollar (`tools/arms/thompson.py`).
    """
    rng = np.random.default_rng([evidence.seed, evidence.wave])
    known: dict[Hashable, Tries] = {
        (arm.method, arm.label): Tries(arm.written, arm.accepted, arm.usd) for arm in evidence.arms
    }
    planned: Counter[int] = Counter()
    taken: Counter[tuple[int, str]] = Counter()
    for _ in range(evidence.calls):
        cell = max(evidence.cells, key=lambda need: (_need(need, planned, evidence), -need.number))
        planned[cell.number] += evidence.per_call
        arms = [(method, cell.label) for method in cell.methods]
        taken[cell.number, arms[choose(arms, known, rng=rng)][0]] += 1
    plan = tuple(
        Portion(cell=cell, method=method, calls=calls) for (cell, method), calls in taken.items()
    )
    labels = {cell.label for cell in evidence.cells if planned[cell.number]}
    warned = {
        label: reasons[:MOST_GUIDELINES]
        for label, reasons in evidence.reasons.items()
        if label in labels and reasons
    }
    return Writing(plan=plan, guidelines=warned, reason=_reason(evidence, plan))


def _need(need: CellNeed, planned: Mapping[int, int], evidence: WritingEvidence) -> float:
    """Share of what a cell is to have that it will still lack after what is planned."""
    return (need.lacking - planned.get(need.number, 0) * evidence.share) / need.wanted


def _reason(evidence: WritingEvidence, plan: Sequence[Portion]) -> str:
    by_method: Counter[str] = Counter()
    for portion in plan:
        by_method[portion.method] += portion.calls
    cells = len({portion.cell for portion in plan})
    counts = ", ".join(f"{name} {calls}" for name, calls in by_method.most_common())
    where = "" if cells == 1 else f" for {cells} combinations that lack most"
    return (
        f"{counted(evidence.calls, 'call')}{where}: {counts}. About {evidence.share:.0%} of rows "
        "are accepted."
    )


def _check(evidence: WritingEvidence, ruling: Writing) -> None:
    """Refuse what a method cannot write, more calls than allowed, and invented reasons."""
    cells = {cell.number: cell for cell in evidence.cells}
    for portion in ruling.plan:
        if portion.cell not in cells:
            raise ValueError(f"there is no cell {portion.cell} to write for")
        allowed = cells[portion.cell].methods
        if portion.method not in allowed:
            raise ValueError(
                f"for cell {portion.cell} write by {any_of(allowed)}, not {portion.method!r}"
            )
    total = sum(portion.calls for portion in ruling.plan)
    if not 1 <= total <= evidence.calls:
        raise ValueError(f"the plan has {total} calls, and 1 to {evidence.calls} are allowed")
    for label, warned in ruling.guidelines.items():
        if len(warned) > MOST_GUIDELINES:
            raise ValueError(f"at most {MOST_GUIDELINES} guidelines a label")
        if strange := set(warned) - set(evidence.reasons.get(label, ())):
            raise ValueError(f"no row was rejected because of {min(strange)[:80]!r}")


def spec_by(choose: Choose) -> AgentSpec[WritingEvidence, Writing]:
    """Declare the agent with another way to take a method than ours (to compare with)."""
    return AgentSpec(
        Agent.GENERATOR, rule=partial(_rule, choose=choose), ruling=Writing, check=_check
    )


SPEC = spec_by(choose_by_yield)
"""The agent as a job that creates rows knows it."""
