"""Play arms for their reward, hopeful about what is little known: UCB1 and TI-UCB.

UCB1 (Auer et al., 2002) is for arms that stay as they are, TI-UCB (Xia et al., 2024) for models
that get better while they are played (tuned) and then level off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.arms.protocol import Pull, Record, check_budget


class UpperBound:
    """Play the arm of highest mean + c sqrt(2 ln t / n), each one `least` times before.

    A reward counts as `reward - price_weight * cost`.
    """

    def __init__(
        self,
        arms: int,
        budget: int,
        *,
        c: float = 1.0,
        least: int = 1,
        price_weight: float = 0.0,
        most: int | None = None,
    ) -> None:
        """Raise InvalidInput when `budget` is below the number of arms."""
        check_budget(arms, budget)
        self.record = Record(arms)
        self._budget, self._c, self._least = budget, c, least
        self._price_weight = price_weight
        self._most = budget if most is None else most
        self._is_out = False

    def next(self) -> Pull | None:
        """Name the arm of the highest bound; None while an outcome is missing."""
        record = self.record
        arms = [arm for arm, n in enumerate(record.pulls) if n < self._most]
        if self._is_out or record.total >= self._budget or not arms:
            return None
        arm = next((arm for arm in arms if record.pulls[arm] < self._least), None)
        if arm is None:
            arm = max(arms, key=lambda arm: (self.index(arm), -arm))
        self._is_out = True
        return Pull(arm, record.pulls[arm])

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull."""
        self.record.add(arm, reward - self._price_weight * cost, cost)
        self._is_out = False

    def index(self, arm: int) -> float:
        """Give the upper bound that an arm is chosen by."""
        return self.expected(arm) + _bonus(self.record, arm, self._c)

    def expected(self, arm: int) -> float:
        """Give what the next pull is expected to bring."""
        return self.record.mean(arm)

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name those of highest mean."""
        return self.record.ranked()[:count]


class TimeIncreasing:
    """Play the arm whose next reward may be highest, its trend and its levelling off in view.

    Until an arm is found to have levelled off, its next reward is read from the least-squares
    line through its history; afterwards it is the mean of its latest `window` rewards.
    """

    def __init__(
        self,
        arms: int,
        budget: int,
        *,
        window: int = 10,
        gap: float = 0.2,
        c: float = 1.0,
        least: int = 2,
        price_weight: float = 0.0,
    ) -> None:
        """`gap` is gamma: lines that differ by more than half of it tell of a change."""
        check_budget(arms, budget)
        if window < 2:
            raise InvalidInput(f"A window of {window} has no trend; use at least 2.")
        self.record = Record(arms)
        self.converged: dict[int, int] = {}
        """Arms that levelled off, and at which of their pulls that was found."""
        self._history: list[list[float]] = [[] for _ in range(arms)]
        self._budget, self._c, self._least = budget, c, max(2, least)
        self._window, self._gap, self._price_weight = window, gap, price_weight
        self._is_out = False

    def next(self) -> Pull | None:
        """Name the arm of the highest bound; None while an outcome is missing."""
        record = self.record
        if self._is_out or record.total >= self._budget:
            return None
        arms = range(len(record.pulls))
        arm = next((arm for arm in arms if record.pulls[arm] < self._least), None)
        if arm is None:
            arm = max(arms, key=lambda arm: (self.index(arm), -arm))
        self._is_out = True
        return Pull(arm, record.pulls[arm])

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull, and see whether the arm has levelled off."""
        value = reward - self._price_weight * cost
        self.record.add(arm, value, cost)
        self._is_out = False
        history = self._history[arm]
        history.append(value)
        if arm in self.converged:
            del history[: -self._window]
        elif window_difference(history, self._window) > self._gap / 2:
            # What was earned on the way up says nothing of the level: only the last window is kept.
            self.converged[arm] = self.record.pulls[arm]
            del history[: -self._window]

    def index(self, arm: int) -> float:
        """Give the upper bound that an arm is chosen by."""
        return self.expected(arm) + _bonus(self.record, arm, self._c)

    def expected(self, arm: int) -> float:
        """Give what the next pull is expected to bring."""
        history = self._history[arm]
        if not history:
            return -math.inf
        if arm in self.converged or len(history) < 2:
            return float(np.mean(history))
        return _line_at(history, len(history))

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name those whose next reward is expected to be highest."""
        arms = range(len(self.record.pulls))
        return tuple(sorted(arms, key=lambda arm: (-self.expected(arm), arm)))[:count]


def _bonus(record: Record, arm: int, c: float) -> float:
    """Give c sqrt(2 ln t / n), t all pulls so far."""
    # With c = 1 Hoeffding's bound for rewards in [0, 1], missed with a chance of t^-4.
    return c * math.sqrt(2 * math.log(max(1, record.total)) / record.pulls[arm])


def window_difference(history: Sequence[float], window: int) -> float:
    """Tell how far the lines through the last two windows lie apart at the latest pull.

    0 before there are two windows.
    """
    if len(history) < 2 * window:
        return 0.0
    # The older line is carried on to the latest pull: on a steady rise both meet there.
    older = _line_at(history[-2 * window : -window], 2 * window - 1)
    newer = _line_at(history[-window:], window - 1)
    return abs(older - newer)


def _line_at(values: Sequence[float], place: int) -> float:
    """Read the least-squares line through values at 0, 1, 2 ... at `place`."""
    n = len(values)
    centre = (n - 1) / 2
    mean = sum(values) / n
    # Sum of (i - centre)^2 over i = 0 .. n - 1.
    spread = n * (n * n - 1) / 12
    slope = sum((i - centre) * value for i, value in enumerate(values)) / spread
    return mean + slope * (place - centre)
