"""Many arms, few evaluations: find the best cluster first (TRIPLE-CLST; Shi et al., 2024)."""

from __future__ import annotations

import math

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.arms.fixed_budget import SuccessiveHalving
from querist.tools.arms.protocol import Pull, Record
from querist.tools.arrays import FloatArray
from querist.tools.clustering import k_means


class ClusteredHalving:
    """Halve clusters with half of the budget, then the members of the best one with the rest.

    `embeddings` (K, d) of the arms are put into sqrt(K) clusters. A pull of a cluster tries a
    member drawn at random. Where the best cluster has more members than evaluations are left,
    those that did best so far go on, and unseen ones after them.
    """

    def __init__(
        self,
        embeddings: FloatArray,
        budget: int,
        *,
        rng: np.random.Generator,
        clusters: int | None = None,
        most: int | None = None,
    ) -> None:
        """Raise InvalidInput when half of `budget` cannot try every cluster once."""
        arms = len(embeddings)
        wanted = max(1, round(math.sqrt(arms))) if clusters is None else clusters
        labels = k_means(embeddings, wanted, rng=rng).labels
        self.members = [np.flatnonzero(labels == one).tolist() for one in np.unique(labels)]
        if budget < 2 * len(self.members):
            raise InvalidInput(
                f"{budget} evaluations are too few for {arms} arms in {len(self.members)} "
                f"clusters; allow at least {2 * len(self.members)}."
            )
        self.record = Record(arms)
        self._budget, self._most, self._rng = budget, most, rng
        self._outer = SuccessiveHalving(len(self.members), budget // 2, most=most)
        self._inner: SuccessiveHalving | None = None
        self._finalists: list[int] = []
        self._under_way: dict[int, list[int]] = {}
        self._due = 0

    def next(self) -> Pull | None:
        """Name a member of a cluster, or a finalist."""
        if self._inner is None:
            pull = self._outer.next()
            if pull is not None:
                arm = int(self._rng.choice(self.members[pull.arm]))
                self._under_way.setdefault(arm, []).append(pull.arm)
                self._due += 1
                return Pull(arm, pull.resource)
            if self._due:
                return None
            self._inner = self._final()
        pull = self._inner.next()
        return None if pull is None else Pull(self._finalists[pull.arm], pull.resource)

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull for the arm, and for its cluster while clusters compete."""
        self.record.add(arm, reward, cost)
        if self._inner is not None:
            self._inner.observe(self._finalists.index(arm), reward, cost)
            return
        self._due -= 1
        self._outer.observe(self._under_way[arm].pop(0), reward, cost)

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name finalists in their order, then the others by what is known of them."""
        first = [] if self._inner is None else [self._finalists[i] for i in self._inner.best(10**9)]
        rest = [arm for arm in self.record.ranked() if arm not in first]
        return (*first, *rest)[:count]

    def _final(self) -> SuccessiveHalving:
        best = self.members[self._outer.best()[0]]
        left = self._budget - self.record.total
        for cluster in self.members:
            for arm in cluster if cluster is not best else ():
                self.record.reject(arm)
        seen = self.record.by_mean([arm for arm in best if self.record.pulls[arm]])
        unseen = [arm for arm in best if not self.record.pulls[arm]]
        self._finalists = (seen + [int(arm) for arm in self._rng.permutation(unseen)])[:left]
        return SuccessiveHalving(len(self._finalists), left, most=self._most)
