"""Searches that spend little on many configs and much on few: Hyperband, architecture search.

Both are successive halving over a growing resource, repeated with new configs. A config goes on
from where it was rather than starting again: `Pull.resource` is what it may have used in all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from querist.memory.errors import InvalidInput
from querist.tools.arms.protocol import Pull, Record
from querist.tools.arms.space import Config, Trial

Suggest = Callable[[int, Sequence[Trial]], Sequence[Config]]
"""Give so many valid configs, knowing all trials so far."""


class Rung(NamedTuple):
    """How many configs are tried with how much resource each."""

    configs: int
    resource: int


Ladder = tuple[Rung, ...]


def ladder(count: int, most: int, *, eta: int = 3, steps: int) -> Ladder:
    """Halve `count` configs `steps` times by `eta`, the last ones with resource `most`."""
    return tuple(
        Rung(max(1, count // eta**i), max(1, most // eta ** (steps - i))) for i in range(steps + 1)
    )


def hyperband_ladders(most: int, *, eta: int = 3) -> tuple[Ladder, ...]:
    """Give the brackets of Hyperband (Li et al., 2018), the most explorative first.

    With s from floor(log_eta R) down to 0, a bracket starts ceil((s_max + 1) eta^s / (s + 1))
    configs with R / eta^s each. R = 81: 81, 34, 15, 8, 5 configs with 1, 3, 9, 27, 81.
    """
    if most < 1 or eta < 2:
        raise InvalidInput(f"Hyperband needs a resource of 1 or more and eta >= 2, not {most}.")
    top = 0
    # floor(log_eta R) in whole numbers: math.log(243, 3) is below 5.
    while eta ** (top + 1) <= most:
        top += 1
    counts = {s: -(-(top + 1) * eta**s // (s + 1)) for s in range(top, -1, -1)}
    return tuple(ladder(counts[s], most, eta=eta, steps=s) for s in counts)


def cost_of(rungs: Ladder) -> int:
    """Sum what a ladder uses when configs go on from where they were."""
    used, before = 0, 0
    for count, resource in rungs:
        used += count * (resource - before)
        before = resource
    return used


class StagedSearch:
    """Climb one ladder after the other; each starts with configs that `suggest` gives.

    With `hyperband_ladders` this is Hyperband, with equal ladders and a proposer that looks at the
    trials it is an evolutionary search by successive halving. `screen` may rank a ladder's configs
    before anything is spent: the worse half is dropped (a zero-cost score; twice as many are
    suggested then).
    """

    def __init__(
        self,
        ladders: Sequence[Ladder],
        suggest: Suggest,
        *,
        screen: Callable[[Config], float] | None = None,
    ) -> None:
        """Nothing is suggested before the first `next`."""
        self.configs: list[Config] = []
        self.parents: dict[int, int] = {}
        """The best config so far when an arm came up: where it may inherit from."""
        self.trials: list[Trial] = []
        self.record = Record(0)
        self.ladders = tuple(ladders)
        self._left = deque(ladders)
        self._rungs: deque[Rung] = deque()
        self._suggest, self._screen = suggest, screen
        self._queue: deque[Pull] = deque()
        self._scores: dict[int, float] = {}
        self._reached: dict[int, tuple[int, float]] = {}
        self._resource = 0
        self._due = 0

    def next(self) -> Pull | None:
        """Name the next config and the resource that it may have used afterwards."""
        if not self._queue and not self._due and self._left:
            self._start()
        return self._queue.popleft() if self._queue else None

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Take in a score; the last one of a rung promotes the best."""
        self.record.add(arm, reward, cost)
        self.record.replace(arm, reward)
        self.trials.append(Trial(self.configs[arm], reward, self._resource))
        self._scores[arm] = reward
        self._reached[arm] = (self._resource, reward)
        self._due -= 1
        if self._due == 0:
            self._promote()

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name the best of those that had the most resource, then of those with less."""
        ordered = sorted(
            self._reached, key=lambda arm: (-self._reached[arm][0], -self._reached[arm][1], arm)
        )
        return tuple(ordered[:count])

    def reached(self, arm: int) -> int:
        """Tell how much resource an arm's latest score is from; 0 before the first."""
        return self._reached.get(arm, (0, 0.0))[0]

    def _start(self) -> None:
        self._rungs = deque(self._left.popleft())
        wanted = self._rungs[0].configs
        # Before the new configs are added: they inherit from what was best until now.
        leader = self.best()
        found = list(self._suggest(wanted * (2 if self._screen else 1), self.trials))
        if self._screen is not None:
            values = [self._screen(config) for config in found]
            order = sorted(range(len(found)), key=lambda i: (-values[i], i))
            # In the order they came in: a screen says who may start, not who wins a tie.
            found = [found[i] for i in sorted(order[:wanted])]
        first = len(self.configs)
        self.configs += found
        self.record.grow(len(found))
        arms = list(range(first, len(self.configs)))
        if leader:
            self.parents.update(dict.fromkeys(arms, leader[0]))
        self._climb(arms)

    def _climb(self, arms: Sequence[int]) -> None:
        self._resource = self._rungs.popleft().resource
        self._scores = {}
        self._queue.extend(Pull(arm, self._resource) for arm in arms)
        self._due = len(self._queue)

    def _promote(self) -> None:
        ordered = sorted(self._scores, key=lambda arm: (-self._scores[arm], arm))
        kept = self._rungs[0].configs if self._rungs else 0
        for arm in ordered[kept:]:
            if self._rungs:
                self.record.reject(arm)
        if self._rungs:
            self._climb(sorted(ordered[:kept]))
