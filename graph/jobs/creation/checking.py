"""What written rows go through: the gates, the cheapest first, each with its count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from querist.agents.verifier.gates.port import MODEL_GATES, ModelGate
from querist.graph.jobs.thresholds import moved_gates
from querist.graph.jobs.workbench import Workbench
from querist.memory.errors import BudgetExceeded, CapReached
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
    before: frozenset[str] = frozenset()
    """Gates that let it pass earlier: none of them is paid again, or counted again."""

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
        """Make them as the job has them."""
        self._bench = workbench
        self._gates = self._made(workbench.request.gates)
        self._moved: dict[str, float] = {}
        self.broke: BudgetExceeded | None = None
        """What said that money is at an end, if anything did; rather a job's own than a cap."""

    @staticmethod
    def _made(texts: Sequence[str]) -> list[tuple[int, str, Gate | None, ModelGate | None]]:
        asking = {entry.name for entry in MODEL_GATES.entries()}
        found: list[tuple[int, str, Gate | None, ModelGate | None]] = []
        for text in texts:
            name = read_call(text)[0]
            if name in asking:
                judge = MODEL_GATES.read(text)
                found.append((judge.rank, name, None, judge))
            else:
                gate = GATES.read(text)
                found.append((gate.rank, name, gate, None))
        return sorted(found, key=lambda ranked: ranked[0])

    def refuse_early(self) -> None:
        """Ask gates that ask no model about no row: what they cannot work with costs nothing yet.

        Raises `InvalidInput`.
        """
        setting = self._bench.setting([])
        for _, _, gate, _ in self._gates:
            if gate is not None:
                gate.check([], setting)

    def move(self, thresholds: Mapping[str, float]) -> None:
        """Go on with other thresholds (`{"label_check.least": 0.6}`); the rest as the job has it.

        What a gate learnt of what it is compared with lives in memos, and is kept.
        """
        if dict(thresholds) == self._moved:
            return
        self._gates = self._made(moved_gates(self._bench.request.gates, thresholds))
        self._moved = dict(thresholds)

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
        return await self._through([Fate(candidate) for candidate in candidates], accepted, number)

    async def again(
        self, candidates: Sequence[tuple[Candidate, str]], accepted: Sequence[str], *, number: int
    ) -> Checked:
        """Send candidates through that a gate, which is named, could not look at before.

        Gates before it that ask a model do not ask again; the others cost nothing, and more may
        have been accepted since. One that cannot be looked at now either stays unchecked.
        """
        names = self.names
        fates = [
            Fate(candidate, before=frozenset(names[: names.index(gate)] if gate in names else ()))
            for candidate, gate in candidates
        ]
        return await self._through(fates, accepted, number, raises=False)

    async def _through(
        self, fates: list[Fate], accepted: Sequence[str], number: int, *, raises: bool = True
    ) -> Checked:
        setting = self._bench.setting(accepted)
        seen: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        for _, name, free, asking in self._gates:
            left = [fate for fate in fates if fate.is_open]
            if not left:
                break
            news = [fate for fate in left if name not in fate.before]
            if asking is not None and news:
                await self._ask(name, asking, news, number=number, raises=raises)
            if free is not None:
                shown = [fate.candidate for fate in left]
                findings = await asyncio.to_thread(free.check, shown, setting)
                for fate, finding in zip(left, findings, strict=True):
                    _note(fate, name, finding)
            seen[name] += sum(not fate.is_unchecked for fate in news)
            passed[name] += sum(fate.is_open for fate in news)
        return Checked(fates, seen, passed)

    async def _ask(
        self, name: str, gate: ModelGate, left: list[Fate], *, number: int, raises: bool
    ) -> None:
        bench = self._bench.bench(name, number)
        judged = await gate.check([fate.candidate for fate in left], bench)
        errors = [judgement.error for judgement in judged if judgement.error is not None]
        self.broke = broke_by(errors) or self.broke
        trouble = [error for error in errors if not isinstance(error, BudgetExceeded)]
        if raises and trouble and len(errors) == len(judged):
            raise trouble[0]
        for fate, judgement in zip(left, judged, strict=True):
            fate.usd += judgement.usd
            if judgement.finding is None:
                fate.is_unchecked, fate.reason = True, f"{name}: {judgement.error}"
            else:
                _note(fate, name, judgement.finding)


def broke_by(errors: Iterable[object]) -> BudgetExceeded | None:
    """Find what says that money is at an end: the job's own first, then a cap of the workspace."""
    found = [error for error in errors if isinstance(error, BudgetExceeded)]
    return min(found, key=lambda error: isinstance(error, CapReached), default=None)


def _note(fate: Fate, gate: str, finding: Finding) -> None:
    if finding.score is not None:
        fate.scores[gate] = round(finding.score, 4)
    if not finding.passed:
        fate.gate, fate.reason = gate, finding.reason
