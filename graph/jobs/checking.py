"""What written rows go through: the gates, the cheapest first, each with its count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from querist.agents.verifier.gates.port import MODEL_GATES, ModelGate
from querist.graph.jobs.workbench import Workbench
from querist.memory.errors import BudgetExceeded
from querist.tools.calls import read_call
from querist.tools.gates.port import GATES, Candidate, Finding, Gate


@dataclass(slots=True)
class Fate:
    """What became of a candidate."""

    candidate: Candidate
    gate: str = ""
    """The gate that rejected it; "" if all let it pass."""
    reason: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    usd: Decimal = Decimal(0)
    is_unchecked: bool = False
    """A gate could not look at it."""

    @property
    def is_open(self) -> bool:
        """Whether nothing has spoken against it yet."""
        return not self.gate and not self.is_unchecked


@dataclass(frozen=True, slots=True)
class Checked:
    """A wave after its gates."""

    fates: list[Fate]
    seen: Counter[str]
    passed: Counter[str]


class Checks:
    """The gates of a job, in their order."""

    def __init__(self, workbench: Workbench) -> None:
        """Make them."""
        self._bench = workbench
        asking = {entry.name for entry in MODEL_GATES.entries()}
        found: list[tuple[int, str, Gate | None, ModelGate | None]] = []
        for text in workbench.request.gates:
            name = read_call(text)[0]
            if name in asking:
                judge = MODEL_GATES.read(text)
                found.append((judge.rank, name, None, judge))
            else:
                gate = GATES.read(text)
                found.append((gate.rank, name, gate, None))
        self._gates = sorted(found, key=lambda one: one[0])
        self.is_out_of_money = False

    @property
    def names(self) -> list[str]:
        """The gates in their order."""
        return list(dict.fromkeys(name for _, name, _, _ in self._gates))

    def remedy(self, gate: str) -> str:
        """Say what to change where a gate lets nothing through."""
        for _, name, free, asking in self._gates:
            found = free or asking
            if name == gate and found is not None:
                return found.remedy
        return ""

    async def run(
        self, candidates: Sequence[Candidate], accepted: Sequence[str], *, number: int
    ) -> Checked:
        """Send a wave's candidates through; each gate sees what those before it let pass."""
        fates = [Fate(candidate) for candidate in candidates]
        setting = self._bench.setting(accepted)
        seen: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        for _, name, free, asking in self._gates:
            left = [fate for fate in fates if fate.is_open]
            if not left:
                break
            if asking is not None:
                await self._ask(name, asking, left, number=number)
            if free is not None:
                shown = [fate.candidate for fate in left]
                findings = await asyncio.to_thread(free.check, shown, setting)
                for fate, finding in zip(left, findings, strict=True):
                    _note(fate, name, finding)
            seen[name] += sum(not fate.is_unchecked for fate in left)
            passed[name] += sum(fate.is_open for fate in left)
        return Checked(fates, seen, passed)

    async def _ask(self, name: str, gate: ModelGate, left: list[Fate], *, number: int) -> None:
        bench = self._bench.bench(name, number)
        judged = await gate.check([fate.candidate for fate in left], bench)
        errors = [one.error for one in judged if one.error is not None]
        self.is_out_of_money |= any(isinstance(error, BudgetExceeded) for error in errors)
        trouble = [error for error in errors if not isinstance(error, BudgetExceeded)]
        if trouble and len(errors) == len(judged):
            raise trouble[0]
        for fate, one in zip(left, judged, strict=True):
            fate.usd += one.usd
            if one.finding is None:
                fate.is_unchecked, fate.reason = True, f"{name}: {one.error}"
            else:
                _note(fate, name, one.finding)


def _note(fate: Fate, gate: str, finding: Finding) -> None:
    if finding.score is not None:
        fate.scores[gate] = round(finding.score, 4)
    if not finding.passed:
        fate.gate, fate.reason = gate, finding.reason
