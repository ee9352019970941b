"""The port of choosing among arms: prompts, contexts, models, settings, architectures.

An arm is a number; what it stands for is its caller's business. `next` names what to try,
`observe` takes the outcome in. Several pulls may be under way at once: `next` gives None when
outcomes must come in first, and for good when it has none to wait for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from querist.memory.errors import InvalidInput

LEVEL = 1.6448536269514722
"""Standard normal quantile of a two-sided 90 % interval."""


class Pull(NamedTuple):
    """Something to try, and on what.

    `resource` is the number of the item to try it on, counted from 0, or how much of a divisible
    resource (epochs, examples) the arm may have used in all afterwards.
    """

    arm: int
    resource: int


class ArmSelector(Protocol):
    """Decide which arm to try next, and which is best."""

    record: Record

    def next(self) -> Pull | None:
        """Name what to try; None when outcomes are missing, or when it is done."""

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Take in how well an arm that `next` named did; rewards are in [0, 1] unless said."""

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name the best arms so far, the best first."""


class Record:
    """What is known of K arms: pulls, rewards, costs, and who was rejected after how many pulls."""

    def __init__(self, arms: int) -> None:
        """No arm was tried yet."""
        self.pulls = [0] * arms
        self.counted = [0] * arms
        """Rewards that count towards the mean; credit for others' pulls is among them."""
        self.sums = [0.0] * arms
        self.costs = [0.0] * arms
        self.rejected: dict[int, int] = {}
        self.total = 0

    def add(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull."""
        if not math.isfinite(reward):
            raise InvalidInput(f"The reward of arm {arm} is {reward}; it must be a finite number.")
        self.pulls[arm] += 1
        self.total += 1
        self.costs[arm] += cost
        self.credit(arm, reward)

    def credit(self, arm: int, reward: float) -> None:
        """Count a reward that another arm's pull earned for this one, too (semi-bandit)."""
        self.counted[arm] += 1
        self.sums[arm] += reward

    def replace(self, arm: int, score: float) -> None:
        """Let a score from more resource stand for all that were from less."""
        self.counted[arm], self.sums[arm] = 1, score

    def grow(self, arms: int) -> None:
        """Add arms that nobody tried yet."""
        self.pulls += [0] * arms
        self.counted += [0] * arms
        self.sums += [0.0] * arms
        self.costs += [0.0] * arms

    def mean(self, arm: int) -> float:
        """Give an arm's mean reward; minus infinity before the first."""
        return self.sums[arm] / self.counted[arm] if self.counted[arm] else -math.inf

    def reject(self, arm: int) -> None:
        """Note that an arm is out."""
        self.rejected[arm] = self.total

    def interval(self, arm: int) -> tuple[float, float]:
        """Give Wilson's 90 % interval of an arm's mean; (0, 1) before the first reward."""
        return wilson(self.mean(arm), self.counted[arm])

    def ranked(self) -> tuple[int, ...]:
        """Order all arms: those still in by mean, then the rejected, the last rejected first."""
        return tuple(sorted(range(len(self.pulls)), key=self._rank))

    def by_mean(self, arms: Sequence[int]) -> list[int]:
        """Order arms by mean, the highest first, ties by number."""
        return sorted(arms, key=lambda arm: (-self.mean(arm), arm))

    def _rank(self, arm: int) -> tuple[float, float, int]:
        # Whoever is still in counts as rejected at infinity, so one order serves both.
        return -self.rejected.get(arm, math.inf), -self.mean(arm), arm


def wilson(mean: float, n: int) -> tuple[float, float]:
    """Give Wilson's 90 % interval of a mean of n rewards in [0, 1]; (0, 1) of none.

    Rewards between 0 and 1 vary less than a coin of the same mean, so it is a safe one.
    """
    if not n:
        return 0.0, 1.0
    # Rewards from which a price was taken may leave [0, 1].
    mean = min(1.0, max(0.0, mean))
    scale = 1 + LEVEL**2 / n
    centre = (mean + LEVEL**2 / (2 * n)) / scale
    half = LEVEL * math.sqrt(mean * (1 - mean) / n + LEVEL**2 / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def pulls_at_once(selector: ArmSelector, most: int) -> list[Pull]:
    """Take up to `most` pulls that may run at the same time; none when the selector is done."""
    return list(islice(iter(selector.next, None), most))


def check_budget(arms: int, budget: int) -> None:
    """Refuse a budget that cannot try every arm once."""
    if arms < 1:
        raise InvalidInput("There is nothing to choose from: name at least one arm.")
    if budget < arms:
        raise InvalidInput(
            f"{budget} evaluations cannot try each of {arms} arms once; allow at least {arms}, or "
            "name fewer arms. (For very many prompts there are the methods clst and gse.)"
        )


def log_bar(arms: int) -> float:
    """Give 1/2 + sum of 1/i from 2 to K: what phases of rejects share a budget by."""
    return 0.5 + sum(1 / i for i in range(2, arms + 1))
