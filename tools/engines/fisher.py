"""Fisher embeddings: choose the batch after which the pool's expected error is least (BAIT).

The Fisher information of a row is the covariance of its label, diag(p) - p p', times h h' in
Kronecker's sense, so it is kept as a thin factor B (C, R) of the first and the features h (d,). The
score of a row needs h' M_cc' h for two Cd x Cd matrices M; those C x C numbers are updated with
every pick instead of the matrices being applied anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.arrays import FloatArray, IntArray, first_highest

_NOTHING = 1e-10


def label_factors(probabilities: FloatArray) -> NDArray[np.float64]:
    """Factor every diag(p) - p p' as B B': (N, C) to (N, C, C - 1), at least one column."""
    shares = np.asarray(probabilities, dtype=np.float64)
    classes = shares.shape[1]
    moments = -shares[:, :, None] * shares[:, None, :]
    moments[:, np.arange(classes), np.arange(classes)] += shares
    values, vectors = np.linalg.eigh(moments)
    # The probabilities sum to 1, so the lowest eigenvalue is 0 and its column says nothing.
    kept = slice(min(1, classes - 1), None)
    return np.asarray(vectors[:, :, kept] * np.sqrt(np.maximum(values[:, None, kept], 0)))


def mean_fisher(probabilities: FloatArray, features: FloatArray) -> NDArray[np.float64]:
    """Average the Fisher information of rows: (Cd, Cd), class by class."""
    shares = np.asarray(probabilities, dtype=np.float64)
    rows = np.asarray(features, dtype=np.float64)
    classes, width = shares.shape[1], rows.shape[1]
    result = np.zeros((classes, width, classes, width))
    for first in range(classes):
        for second in range(first + 1):
            # Block (c, c') is the mean of (diag(p) - p p')_cc' h h': O(C^2 N d^2) in all, without
            # an array of N x Cd. By symmetry half of the blocks do.
            weights = shares[:, first] * ((first == second) - shares[:, second])
            block = (rows * weights[:, None]).T @ rows / max(1, len(rows))
            result[first, :, second, :] = block
            result[second, :, first, :] = block.T
    return result.reshape(classes * width, classes * width)


class FisherTrace:
    """The objective tr(M^-1 F), and how it changes as rows join M or leave it.

    `factors` (N, C, R) and `features` (N, d) are the rows, `start` (Cd, Cd) is M before any of
    them, `fisher` (Cd, Cd) is F.
    """

    def __init__(
        self, factors: FloatArray, features: FloatArray, *, start: FloatArray, fisher: FloatArray
    ) -> None:
        # In doubles: 2b rows join and b leave, and each update adds its rounding to M^-1.
        self._factors = np.asarray(factors, dtype=np.float64)
        self._features = np.asarray(features, dtype=np.float64)
        self._fisher = fisher
        self._inverse = np.linalg.inv(start)
        # V' M^-1 V and V' M^-1 F M^-1 V of every row, R x R numbers each: all that a gain needs.
        self._inner = self._reduced(self._inverse)
        self._outer = self._reduced(self._inverse @ fisher @ self._inverse)

    @property
    def value(self) -> float:
        """The objective now."""
        return float(np.einsum("ij,ji->", self._inverse, self._fisher))

    def gains(self, *, removing: bool = False) -> NDArray[np.float64]:
        """Give how far the objective falls when each row joins; or rises, when it leaves (N,)."""
        # Woodbury: the change is tr((I +- V' M^-1 V)^-1 V' M^-1 F M^-1 V), + joining, - leaving.
        return _traces(self._inner, self._outer, sign=-1.0 if removing else 1.0)

    def move(self, row: int, *, removing: bool = False) -> None:
        """Add a row to M, or remove it, by Woodbury's formula."""
        sign = -1.0 if removing else 1.0
        tall = np.einsum("cr,d->cdr", self._factors[row], self._features[row])
        tall = tall.reshape(-1, tall.shape[2])
        reach = self._inverse @ tall
        inner = np.eye(tall.shape[1]) + sign * tall.T @ reach
        # W = M^-1 V L'^-1 with L L' = I +- V' M^-1 V: then M^-1 changes by W W' alone, and stays
        # symmetric.
        root = np.linalg.inv(np.linalg.cholesky(inner))
        reach = reach @ root.T
        # M^-1 loses sign * W W'; M^-1 F M^-1 then loses W G' + G W'.
        across = sign * (self._inverse @ (self._fisher @ reach))
        across -= reach @ (reach.T @ (self._fisher @ reach)) / 2
        self._inverse -= sign * reach @ reach.T
        # Side by side, because a thousand small products cost by their number, not their size.
        seen = self._project(np.concatenate([reach, across], axis=1))
        size = seen.shape[1]
        columns = reach.shape[1]
        sides = np.concatenate([seen[:, :, :columns], seen[:, :, columns:]], axis=1)
        products = seen[:, :, :columns] @ sides.transpose(0, 2, 1)
        self._inner -= sign * products[:, :, :size]
        crossed = products[:, :, size:]
        self._outer -= crossed + crossed.transpose(0, 2, 1)

    def keep(self, rows: IntArray) -> None:
        """Forget all other rows; `rows` are numbered from 0 from now on."""
        self._factors, self._features = self._factors[rows], self._features[rows]
        self._inner, self._outer = self._inner[rows], self._outer[rows]

    def _project(self, tall: FloatArray) -> NDArray[np.float64]:
        """Give V' W for every row's V = B (x) h: (N, R, columns)."""
        classes, width = self._factors.shape[1], self._features.shape[1]
        columns = tall.shape[1]
        wide = tall.reshape(classes, width, columns).transpose(1, 0, 2).reshape(width, -1)
        seen = (self._features @ wide).reshape(-1, classes, columns)
        return np.asarray(self._factors.transpose(0, 2, 1) @ seen)

    def _reduced(self, matrix: FloatArray) -> NDArray[np.float64]:
        """Give V' M V for every row: (N, R, R)."""
        classes, width = self._factors.shape[1], self._features.shape[1]
        square = matrix.reshape(classes, width, classes, width)
        result = np.empty((len(self._features), classes, classes))
        for first in range(classes):
            for second in range(first + 1):
                seen = self._features @ square[first, :, second, :]
                result[:, first, second] = np.einsum("nd,nd->n", seen, self._features)
                result[:, second, first] = result[:, first, second]
        return np.asarray(self._factors.transpose(0, 2, 1) @ result @ self._factors)


def bait(objective: FisherTrace, *, count: int, candidates: int) -> NDArray[np.intp]:
    """Choose `count` of the objective's rows: twice as many join, one by one, then half leave.

    Forward and backward greedy selection (Ash et al., 2021); ties go to the lower position.
    """
    count = min(count, candidates)
    taken: list[int] = []
    for _ in range(min(2 * count, candidates)):
        gains = objective.gains()
        gains[taken] = -np.inf
        taken.append(first_highest(gains))
        objective.move(taken[-1])
    rows = np.array(taken, dtype=np.intp)
    # Early picks may be superfluous beside later ones: the way back takes those out again. Only
    # these 2b can leave, so that nothing else needs to be kept up to date.
    objective.keep(rows)
    present = np.ones(len(rows), dtype=bool)
    while present.sum() > count:
        losses = objective.gains(removing=True)
        losses[~present] = np.inf
        # Of equal losses the one that joined last leaves.
        worst = len(losses) - 1 - first_highest(-losses[::-1])
        objective.move(worst, removing=True)
        present[worst] = False
    return rows[present]


def _traces(inner: FloatArray, outer: FloatArray, *, sign: float) -> NDArray[np.float64]:
    """Give tr((I + sign * inner)^-1 outer) for stacks (N, R, R)."""
    size = inner.shape[1]
    if size == 1:
        # Two classes: N divisions instead of N calls of LAPACK. 1 - V' M^-1 V is above 0 for a row
        # that is part of M; only rounding could make it 0.
        below = 1 + sign * inner[:, 0, 0]
        return np.asarray(outer[:, 0, 0] / np.maximum(below, _NOTHING))
    solved = np.linalg.solve(np.eye(size) + sign * inner, outer)
    return np.asarray(np.einsum("nrr->n", solved))
