"""What a mind's decisions gained beside the rules', and how far it is trusted for that."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from querist.agents.budget_controller.rules import gain_of
from querist.graph.round.evidence import past_rounds
from querist.graph.workplace.context import Context
from querist.memory.records import Decision

_TRUSTED = 0.35
_FEWEST = 3
"""Rulings from which trust may fall too low."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What came of the rounds that a mind decided on, and of those that the rules did."""

    mind: tuple[float, ...]
    """Change of measured quality in each, as a share."""
    rules: tuple[float, ...]
    failed: int
    """Deliberations that came to nothing."""
    is_share: bool = False
    """The figures are shares of rows that were accepted, of waves of a job, and no changes."""

    @property
    def trust(self) -> float:
        """Share of the rulings that led to more than the rules' usual gain; a half before any.

        One round's gain is mostly noise, so this is Laplace's estimate of a frequency, not of a
        size. A deliberation without a ruling counts as lost.
        """
        usual = median(self.rules) if self.rules else 0.0
        won = sum(gain > usual for gain in self.mind)
        return (won + 1) / (len(self.mind) + self.failed + 2)

    @property
    def is_trusted(self) -> bool:
        """Whether `auto` goes on asking."""
        return len(self.mind) + self.failed < _FEWEST or self.trust >= _TRUSTED

    @property
    def words(self) -> str:
        """Say it for the record."""
        if not self.mind and not self.failed:
            return "no ruling of it was measured yet"
        parts = [f"its {len(self.mind)} measured rulings {self._came_to(self.mind)}"]
        if self.rules:
            parts.append(f"the rules' {len(self.rules)} {self._came_to(self.rules)}")
        if self.failed:
            parts.append(f"{self.failed} came to nothing")
        return f"{', '.join(parts)}; trust {self.trust:.2f}"

    def _came_to(self, figures: Sequence[float]) -> str:
        if self.is_share:
            return f"had {fmean(figures):.0%} of rows accepted" if figures else "are not known"
        return f"gained {_mean(figures)} a round"


def standing_of(context: Context, agent: str) -> Standing:
    """Measure what came of an agent's decisions by mind."""
    gains = {}
    for before, done in itertools.pairwise(past_rounds(context.journal)):
        gain = gain_of(before, done)
        if gain is not None:
            gains[done.round] = gain.points
    decisions = context.journal.decisions(agent=agent)
    failed = sum(bool(decision.fell_back) for decision in decisions)
    return Standing(_of(decisions, gains, "llm"), _of(decisions, gains, "rules"), failed)


def _of(decisions: Sequence[Decision], gains: dict[int, float], mind: str) -> tuple[float, ...]:
    rounds = {decision.round for decision in decisions if decision.mind == mind}
    return tuple(gains[number] for number in sorted(rounds) if number in gains)


def _mean(gains: Sequence[float]) -> str:
    return f"{100 * fmean(gains):+.1f} points" if gains else "nothing known"
