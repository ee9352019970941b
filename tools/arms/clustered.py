"""Many arms, few evaluations: embeddings tell which may be good (TRIPLE; Shi et al., 2024).

Find the best cluster first (CLST), or drop the half that a regression predicts to be worst (GSE).
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.arms.fixed_budget import SuccessiveHalving
from querist.tools.arms.protocol import Pull, Record
from querist.tools.compute.arrays import FloatArray
from querist.tools.engines.clustering import k_means


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
        # Some sqrt(K) clusters of sqrt(K) arms: both halves of the budget choose among as many.
        wanted = max(1, round(math.sqrt(arms))) if clusters is None else clusters
        labels = k_means(embeddings, wanted, rng=rng).labels
        self.members = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
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
            # The best cluster is not known before all outcomes of the first part are in.
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


class PredictedHalving:
    """Try arms drawn at random with half of the budget, drop the half predicted worst, halve.

    A ridge regression from embeddings (K, d) to mean rewards predicts. Each arm that was drawn is
    tried `tries` times, on the same items.
    """

    def __init__(
        self,
        embeddings: FloatArray,
        budget: int,
        *,
        rng: np.random.Generator,
        tries: int = 2,
        ridge: float = 1.0,
        most: int | None = None,
    ) -> None:
        """Raise InvalidInput when half of `budget` cannot try two arms."""
        arms = len(embeddings)
        tries = tries if most is None else min(tries, most)
        drawn = min(arms, budget // 2 // tries)
        if drawn < min(2, arms):
            raise InvalidInput(
                f"{budget} evaluations are too few to predict which of {arms} arms are good; "
                f"allow at least {4 * tries}."
            )
        self.record = Record(arms)
        self._embeddings = np.asarray(embeddings, dtype=np.float64)
        self._budget, self._ridge, self._most = budget, ridge, most
        some = sorted(int(arm) for arm in rng.permutation(arms)[:drawn])
        # All drawn arms on the same items: their means then differ by merit, not by luck.
        self._queue = deque(Pull(arm, item) for item in range(tries) for arm in some)
        self._due = len(self._queue)
        self._inner: SuccessiveHalving | None = None
        self._finalists: list[int] = []

    def next(self) -> Pull | None:
        """Name a drawn arm, or a finalist."""
        if self._inner is None:
            return self._queue.popleft() if self._queue else None
        pull = self._inner.next()
        return None if pull is None else Pull(self._finalists[pull.arm], pull.resource)

    def observe(self, arm: int, reward: float, cost: float = 0.0) -> None:
        """Count a pull; the last one of the first part ends it."""
        self.record.add(arm, reward, cost)
        if self._inner is not None:
            self._inner.observe(self._finalists.index(arm), reward, cost)
            return
        self._due -= 1
        if self._due == 0:
            self._inner = self._final()

    def best(self, count: int = 1) -> tuple[int, ...]:
        """Name finalists in their order, then the others by what is known of them."""
        first = [] if self._inner is None else [self._finalists[i] for i in self._inner.best(10**9)]
        rest = [arm for arm in self.record.ranked() if arm not in first]
        return (*first, *rest)[:count]

    def predicted(self) -> FloatArray:
        """Predict the mean reward of every arm (K,) from those that were tried."""
        tried = [arm for arm, n in enumerate(self.record.pulls) if n]
        means = np.array([self.record.mean(arm) for arm in tried])
        # Centred instead of an intercept, which the ridge would shrink towards 0.
        rows = self._embeddings - self._embeddings[tried].mean(axis=0)
        # By the smaller Gram matrix: few arms were tried, and vectors are long.
        known = rows[tried]
        gram = known @ known.T + self._ridge * np.eye(len(tried))
        return np.asarray(
            means.mean() + rows @ (known.T @ np.linalg.solve(gram, means - means.mean()))
        )

    def _final(self) -> SuccessiveHalving:
        left = self._budget - self.record.total
        guesses = self.predicted()
        order = sorted(range(len(guesses)), key=lambda arm: (-guesses[arm], arm))
        kept = min(math.ceil(len(order) / 2), left)
        # By number: among equal means the guess should not count a second time.
        self._finalists = sorted(order[:kept])
        for arm in order[kept:]:
            self.record.reject(arm)
        return SuccessiveHalving(len(self._finalists), left, most=self._most)
