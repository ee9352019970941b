"""Find the best arms with a fixed number of evaluations.

Successive halving and continuous rejects as TRIPLE applies them to prompts (Shi et al., 2024),
successive accepts and rejects for the best m (Bubeck et al., 2013), and equal shares to compare.
Arms that are in the same phase are tried on the same items, so that they differ by merit only.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal

from querist.tools.arms.protocol import Pull, Record, check_budget, log_bar


class SuccessiveHalving:
    """Give all the same, drop the worse half, and so on (TRIPLE-SH).

    Each of ceil(log2 K) phases spends T / phases, and at least one pull an arm; never more than
    `budget` in all. `most` bounds the pulls of one arm, where items are few.
    """

    def __init__(self, arms: int, budget: int, *, most: int | None = None) -> None:
        """Raise InvalidInput when `budget` is below the number of arms."""
        check_budget(arms, budget)
        self.record = Record(arms)
        self._budget = budget
        self._most = budget if most is None else most
        self._active = list(range(arms))
        # ceil(log2 K) in whole numbers: a logarithm in floats may come out beside a power of two.
        self._phases = max(1, (arms - 1).bit_length())
        self._queue: deque[Pull] = deque()
        self._due = 0
        self._open_phase()

    def next(self) -> Pull | None:
        """Name the next pull of the phase."""
        return self._queue.popleft() if self._queue else None

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull; the last one of a phase ends it."""
        self.record.add(arm, reward, cost)
        self._due -= 1
        if self._due == 0:
            self._close_phase()

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name the best: highest mean among those still in, then by how long they lasted."""
        return self.record.ranked()[:count]

    def _open_phase(self) -> None:
        rest = len(self._active)
        if rest < 2:
            return
        share = max(1, self._budget // (self._phases * rest))
        # One pull an arm at least may exceed a phase's share; what is left bounds it.
        share = min(share, (self._budget - self.record.total) // rest)
        done = self.record.pulls[self._active[0]]
        share = min(share, self._most - done)
        # Item after item, so that a phase that is cut off has tried all arms on the same ones.
        self._queue.extend(
            Pull(arm, item) for item in range(done, done + share) for arm in self._active
        )
        self._due = len(self._queue)

    def _close_phase(self) -> None:
        ordered = self.record.by_mean(self._active)
        kept = math.ceil(len(ordered) / 2)
        for arm in ordered[kept:]:
            self.record.reject(arm)
        self._active = sorted(ordered[:kept])
        self._open_phase()


class EqualShares:
    """Try all arms equally often: the yardstick, and as good where one arm stands out."""

    def __init__(self, arms: int, budget: int, *, most: int | None = None) -> None:
        """Raise InvalidInput when `budget` is below the number of arms."""
        check_budget(arms, budget)
        self.record = Record(arms)
        share = min(budget // arms, budget if most is None else most)
        self._queue = deque(Pull(arm, item) for item in range(share) for arm in range(arms))

    def next(self) -> Pull | None:
        """Name the next pull."""
        return self._queue.popleft() if self._queue else None

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull."""
        self.record.add(arm, reward, cost)

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name those of highest mean."""
        return self.record.ranked()[:count]


class ContinuousRejects:
    """Try the least tried arm; reject the worst as soon as it is far enough behind (TRIPLE-CR).

    Behind the average of the others (variant "A") or behind the next worst ("C") by more than
    G = 1 / sqrt(beta) - 1, with beta the share of the budget used, times log-bar (Wang et al.,
    2023). One pull at a time; it ends when one arm is left or `budget` is used up.
    """

    def __init__(
        self,
        arms: int,
        budget: int,
        *,
        variant: Literal["A", "C"] = "A",
        most: int | None = None,
    ) -> None:
        """Raise InvalidInput when `budget` is below the number of arms."""
        check_budget(arms, budget)
        self.record = Record(arms)
        self._budget = budget
        self._most = budget if most is None else most
        self._variant = variant
        self._active = list(range(arms))
        self._is_out = False

    def next(self) -> Pull | None:
        """Name the least tried arm; None while its outcome is missing."""
        if self._is_out or self.record.total >= self._budget or len(self._active) < 2:
            return None
        arm = min(self._active, key=lambda candidate: (self.record.pulls[candidate], candidate))
        if self.record.pulls[arm] >= self._most:
            return None
        self._is_out = True
        return Pull(arm, self.record.pulls[arm])

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count the pull, and reject the worst arm if it is far enough behind."""
        self.record.add(arm, reward, cost)
        self._is_out = False
        # An arm that was never tried has no mean to be compared with.
        if all(self.record.pulls[active] for active in self._active):
            self._reject()

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name the best: highest mean among those still in, then by how long they lasted."""
        return self.record.ranked()[:count]

    def _reject(self) -> None:
        record = self.record
        *others, worst = record.by_mean(self._active)
        most_rejected = max((record.pulls[arm] for arm in record.rejected), default=0)
        # Each rejection rests on more pulls than any before it (Wang et al., 2023).
        if not others or record.pulls[worst] <= most_rejected:
            return
        means = [record.mean(other) for other in others]
        rival = sum(means) / len(means) if self._variant == "A" else means[-1]
        if rival - record.mean(worst) > self._threshold():
            record.reject(worst)
            self._active.remove(worst)

    def _threshold(self) -> float:
        record = self.record
        used = sum(record.pulls[arm] for arm in self._active)
        gone = sum(record.pulls[arm] for arm in record.rejected)
        # G falls as the budget is used: early on only a wide gap rejects, in the end any.
        beta = used * log_bar(len(self._active)) / (self._budget - gone)
        return 1 / math.sqrt(beta) - 1


class AcceptsRejects:
    """Find the best `count` arms: K - 1 phases, each accepts or rejects the surest arm (SAR).

    `credit` gives arms a share in others' pulls, as for contexts that stand in one prompt.
    """

    def __init__(self, arms: int, budget: int, *, count: int, most: int | None = None) -> None:
        """Raise InvalidInput when `budget` is below the number of arms."""
        check_budget(arms, budget)
        self.record = Record(arms)
        self.accepted: list[int] = []
        self._arms, self._budget = arms, budget
        self._most = budget if most is None else most
        self._wanted = min(count, arms)
        self._open = list(range(arms))
        self._phase = 0
        self._queue: deque[Pull] = deque()
        self._due = 0
        self._go_on()

    @property
    def undecided(self) -> Sequence[int]:
        """Arms that are neither accepted nor rejected."""
        return tuple(self._open)

    def next(self) -> Pull | None:
        """Name the next pull of the phase."""
        return self._queue.popleft() if self._queue else None

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull; the last one of a phase ends it."""
        self.record.add(arm, reward, cost)
        self._due -= 1
        if self._due == 0:
            self._decide()
            self._go_on()

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name the accepted arms in the order of acceptance, then the others as they rank."""
        rest = [arm for arm in self.record.ranked() if arm not in self.accepted]
        return (*self.accepted, *rest)[:count]

    def _go_on(self) -> None:
        """Fill the queue for the next phase that has pulls, deciding those that have none."""
        while self._open:
            left = self._wanted - len(self.accepted)
            if left in {0, len(self._open)}:
                self._settle(accept=left > 0)
                return
            self._phase += 1
            target = min(self._target(self._phase), self._most)
            done = self.record.pulls[self._open[0]]
            items = range(done, target)
            self._queue.extend(Pull(arm, item) for item in items for arm in self._open)
            self._due = len(self._queue)
            if self._due:
                return
            self._decide()

    def _target(self, phase: int) -> int:
        # n_k = (T - K) / (log-bar(K) (K + 1 - k)): the fewer arms are left, the more pulls each
        # has had, and all phases together stay within T.
        share = (self._budget - self._arms) / (log_bar(self._arms) * (self._arms + 1 - phase))
        return max(1, math.ceil(share))

    def _decide(self) -> None:
        ordered = self.record.by_mean(self._open)
        means = [self.record.mean(arm) for arm in ordered]
        left = self._wanted - len(self.accepted)
        # How far each arm is from the border between the best m and the rest.
        gaps = [
            means[i] - means[left] if i < left else means[left - 1] - means[i]
            for i in range(len(ordered))
        ]
        # Among equals the first: the better arm.
        place = max(range(len(gaps)), key=lambda i: (gaps[i], -i))
        arm = ordered[place]
        self._open.remove(arm)
        if place < left:
            self.accepted.append(arm)
        else:
            self.record.reject(arm)

    def _settle(self, *, accept: bool) -> None:
        for arm in self.record.by_mean(self._open):
            if accept:
                self.accepted.append(arm)
            else:
                self.record.reject(arm)
        self._open = []
