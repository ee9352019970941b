"""Drawing the seeds that a call is shown: at random, unlike each other, or hard ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from querist.graph.jobs.workbench import Seeds
from querist.memory.records import Example
from querist.tools.engines.clustering import k_means

_RESTARTS = 3
_HARD = 0.25
"""Share of a label's seeds that counts as hard."""
_BLOCK = 1_024
_Embed = Callable[[Sequence[str]], NDArray[np.float32]]
_Places = NDArray[np.intp]


class Shelf:
    """The seeds of a job; what is computed of them is kept, for each label once."""

    def __init__(self, seeds: Seeds, *, embed: _Embed | None = None) -> None:
        """Without `embed` seeds are drawn at random only."""
        self._seeds, self._embed = seeds, embed
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._clusters: dict[tuple[str, str, int], list[_Places]] = {}

    @property
    def possible(self) -> tuple[str, ...]:
        """The ways that these seeds can be drawn."""
        if self._embed is None or not self._seeds.rows:
            return ("random",)
        return ("random", "diverse", *(["hard"] if len(self._seeds.by_label) > 1 else []))

    def draw(
        self, label: str | None, count: int, *, way: str, rng: np.random.Generator
    ) -> tuple[Example, ...]:
        """Draw seeds of a label, or of all where there are no labels."""
        seeds = self._seeds
        if label and seeds.by_label:
            return self._drawn(label, seeds.by_label.get(label, ()), count, way, rng)
        return self._drawn("", seeds.rows, count, way, rng)

    def draw_other(
        self, label: str, count: int, *, way: str, rng: np.random.Generator
    ) -> tuple[Example, ...]:
        """Draw seeds of another label, for contrast; none without one."""
        return self._drawn(label, self._seeds.by_label.get(label, ()), count, way, rng)

    def draw_passage(self, rng: np.random.Generator) -> Example:
        """Draw a passage to write about."""
        return self._seeds.passages[int(rng.permutation(len(self._seeds.passages))[0])]

    def _drawn(
        self,
        name: str,
        examples: Sequence[Example],
        count: int,
        way: str,
        rng: np.random.Generator,
    ) -> tuple[Example, ...]:
        if not examples:
            return ()
        order = rng.permutation(len(examples))
        if way == "random" or way not in self.possible or len(examples) <= count:
            return tuple(examples[int(place)] for place in order[:count])
        groups = self._groups(name, examples, count, way)
        # One of each cluster, in an order of its own: the last one shown weighs most with writers.
        drawn = [group[int(rng.integers(len(group)))] for group in groups]
        return tuple(examples[int(drawn[place])] for place in rng.permutation(len(drawn)))

    def _groups(
        self, name: str, examples: Sequence[Example], count: int, way: str
    ) -> list[_Places]:
        """Cluster a label's seeds (k-means); of hard ones only those that count as such.

        Demonstrations from clusters instead of a plain draw: Zhang et al., Auto-CoT, 2023.
        """
        key = (way, name, count)
        if key not in self._clusters:
            vectors = self._of(name, examples)
            places = np.arange(len(examples), dtype=np.intp)
            if way == "hard":
                places = self._hardest(name, vectors, count)
            found = k_means(
                vectors[places], count, rng=np.random.default_rng(0), restarts=_RESTARTS
            )
            groups = [places[found.labels == cluster] for cluster in range(count)]
            self._clusters[key] = [group for group in groups if len(group)]
        return self._clusters[key]

    def _hardest(self, name: str, own: NDArray[np.float32], count: int) -> _Places:
        """Find the seeds that are nearest to another label's, by the cosine of their nearest one.

        Never fewer than twice as many as are shown, so that not all calls are shown the same.
        """
        by_label = self._seeds.by_label
        others = np.concatenate(
            [self._of(label, rows) for label, rows in by_label.items() if label != name]
        )
        near = np.concatenate(
            [(own[at : at + _BLOCK] @ others.T).max(axis=1) for at in range(0, len(own), _BLOCK)]
        )
        most = max(2 * count, int(np.ceil(_HARD * len(own))))
        return np.sort(np.argsort(-near, kind="stable")[:most]).astype(np.intp)

    def _of(self, name: str, examples: Sequence[Example]) -> NDArray[np.float32]:
        assert self._embed is not None  # `possible` says so
        if name not in self._vectors:
            self._vectors[name] = self._embed([example.text for example in examples])
        return self._vectors[name]
