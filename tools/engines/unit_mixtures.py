"""Predictions of examples that have many units: the tokens of a text, the pixels of an image.

Agarwal et al. (2020): what a model says of all units that it takes for one class is mixed,
uncertain units weighing more. Two examples differ where units of the same class are confused with
other classes in different ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray, IntArray

_LEAST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Class probabilities of T units (T, C), and the example (T,) that each belongs to, of N."""

    probabilities: FloatArray
    owners: IntArray
    count: int

    def __len__(self) -> int:
        """Count the examples."""
        return self.count

    def __getitem__(self, rows: IntArray) -> Units:
        """Keep the units of some examples, in their order."""
        place = np.full(self.count, -1)
        place[rows] = np.arange(len(rows))
        owners = place[self.owners]
        is_kept = owners >= 0
        return Units(self.probabilities[is_kept], owners[is_kept], len(rows))

    def then(self, more: Units) -> Units:
        """Put the units of other examples behind these."""
        return Units(
            np.concatenate([self.probabilities, more.probabilities]),
            np.concatenate([self.owners, more.owners + self.count]),
            self.count + more.count,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Mixtures:
    """Mixtures of units by predicted class, under the contextual distance. Make one by `of`.

    The distance is the mean, over the classes that both examples have units of, of half the sum of
    both Kullback-Leibler divergences; it is 0 between examples that share no class. The paper adds
    the classes up; the authors' k-center code takes the mean, without which examples of many
    classes would be far from each other for that alone. O(N C^2) memory.
    """

    shares: NDArray[np.float64]
    """(N, C * C), the mixture of each class one after the other; 0 for a class without units."""
    logs: NDArray[np.float64]
    negentropies: NDArray[np.float64]
    """(N, C)."""
    present: NDArray[np.float64]
    """(N, C), 1 where an example has units of the class."""

    @classmethod
    def of(cls, units: Units) -> Mixtures:
        """Mix units, each weighing as much as its entropy."""
        told = np.maximum(units.probabilities, _LEAST, dtype=np.float64)
        told /= told.sum(axis=1, keepdims=True)
        classes = told.shape[1]
        # A class of certain units only would have no weight, so no mixture: they count alike.
        weights = np.maximum(-np.einsum("tc,tc->t", told, np.log(told)), _LEAST)
        groups = units.owners * classes + told.argmax(axis=1)
        size = len(units) * classes
        mass = np.bincount(groups, weights=weights, minlength=size)
        mixed = np.stack(
            [
                np.bincount(groups, weights=weights * told[:, c], minlength=size)
                for c in range(classes)
            ],
            axis=1,
        )
        is_present = mass > 0
        shares = mixed / np.where(is_present, mass, 1)[:, None]
        logs = np.log(np.where(is_present[:, None], shares, 1))
        shape = (len(units), classes)
        return cls(
            shares.reshape(len(units), -1),
            logs.reshape(len(units), -1),
            np.einsum("gc,gc->g", shares, logs).reshape(shape),
            is_present.astype(np.float64).reshape(shape),
        )

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.shares)

    def take(self, rows: IntArray | slice) -> Mixtures:
        """Keep some of the examples."""
        return Mixtures(
            self.shares[rows], self.logs[rows], self.negentropies[rows], self.present[rows]
        )

    def gaps(self, points: Mixtures) -> FloatArray:
        """Average the classes' distances: (N, M)."""
        # A missing class has share 0, log 0 and `present` 0, so the sums are over classes of both.
        own = self.negentropies @ points.present.T + self.present @ points.negentropies.T
        crossed = self.shares @ points.logs.T + self.logs @ points.shares.T
        shared = np.maximum(self.present @ points.present.T, 1)
        # What is only rounding is no distance.
        return np.where(own - crossed > 1e-9, (own - crossed) / (2 * shared), 0.0)
