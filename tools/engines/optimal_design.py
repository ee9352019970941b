"""Optimal designs for a linear model: which rows to label so that predictions vary little.

`covariance` is the inverse of lambda I + sum of x x' over what is labelled: what is still unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.tools.compute.accelerator import Resident, place, products
from querist.tools.compute.arrays import FloatArray, IntArray, first_highest
from querist.tools.engines.geometry import blocks, common_part
from querist.tools.engines.lazy_greedy import take_highest

_MOST_CELLS = 5_000_000
_START, _MOST_ADDED = 2_000, 2_000
_MOST_STEPS, _MOST_PASSES = 20_000, 20
_NOTHING = 1e-9
# GO subtracts float32 products: values that differ by a smaller share are equal.
_ROUNDING = 1e-6
_SPANNED = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """An approximate design: shares of the labelling effort (N,), and how good it is.

    `worst` is the largest variance of a prediction, max x' V^-1 x; `rank` of the rows is the least
    that it can be (Kiefer & Wolfowitz, 1960).
    """

    weights: NDArray[np.float64]
    worst: float
    rank: int


def prior_covariance(labelled: FloatArray, *, width: int, ridge: float = 1.0) -> FloatArray:
    """Invert ridge I + sum of x x' over labelled rows (L, d): (d, d)."""
    known = np.asarray(labelled, dtype=np.float64).reshape(-1, width)
    return np.asarray(np.linalg.inv(ridge * np.eye(width) + known.T @ known))


def _variances(rows: FloatArray, covariance: FloatArray) -> NDArray[np.float64]:
    """Give x' S x for rows (N, d), in blocks."""
    result = np.empty(len(rows))
    kind = _precision(rows)
    square = covariance.astype(kind)
    for block in blocks(len(rows)):
        some = rows[block].astype(kind, copy=False)
        result[block] = np.einsum("nd,nd->n", some @ square, some)
    return result


class _Leverage:
    """Variances x' S x, which fall as rows are picked and their labels counted on."""

    def __init__(self, rows: FloatArray, covariance: FloatArray) -> None:
        self._rows, self._kind = rows, _precision(rows)
        self._placed = place(rows) if self._kind == rows.dtype else rows
        self.covariance = np.array(covariance, dtype=np.float64)
        self._steps: list[FloatArray] = []

    def add(self, row: int) -> None:
        """Count a row's label on, by the Sherman-Morrison formula."""
        # S loses s s' with s = S x / sqrt(1 + x' S x), and a variance x_i' S x_i loses (x_i' s)^2.
        # So a pick is kept as s, and one product lowers all variances by many picks.
        step = self.covariance @ self._rows[row].astype(np.float64)
        step /= np.sqrt(1 + self._rows[row] @ step)
        self.covariance -= np.outer(step, step)
        self._steps.append(step.astype(self._kind))

    def lower(self, values: FloatArray, rows: IntArray | slice, since: int) -> FloatArray:
        """Take from variances what the picks from number `since` on explain."""
        some = self._placed[rows]
        if not isinstance(some, Resident):
            some = some.astype(self._kind, copy=False)
        explained = products(some, np.stack(self._steps[since:]))
        return np.asarray(np.maximum(values - np.einsum("np,np->n", explained, explained), 0))


def d_optimal(rows: FloatArray, covariance: FloatArray, *, count: int) -> NDArray[np.intp]:
    """Pick rows (N, d), each time the one of largest variance: greedy log det (Fedorov, 1972)."""
    # log det(V + x x') = log det V + log(1 + x' S x): the largest variance adds most. With nothing
    # labelled S is a multiple of the identity, and squared lengths do for N d^2 operations.
    is_round = np.allclose(covariance, np.eye(len(covariance)) * covariance[0, 0])
    if is_round:
        lengths = np.einsum("nd,nd->n", rows, rows, dtype=_precision(rows))
        values = lengths.astype(np.float64) * covariance[0, 0]
    else:
        values = _variances(rows, covariance)
    return take_highest(values, _Leverage(rows, covariance), count=min(count, len(rows)))


def approximate_design(rows: FloatArray, *, tolerance: float = 0.01) -> Design:
    """Find the G- (and D-) optimal design of rows (N, d) by Frank-Wolfe steps.

    Ends when the worst variance is within `tolerance` of its least possible value, the rank. The
    steps (towards the worst row, or away from the best supported one; Wynn 1970, Atwood 1973) look
    at a working set only; then every row is checked and the violators join, until there are none.
    """
    # Optimal designs do not depend on the basis. After whitening, directions that no row has are
    # gone and V is well conditioned.
    whitened, rank = _whiten(rows)
    weights = np.zeros(len(rows))
    if rank == 0:
        return Design(np.full(len(rows), 1 / max(1, len(rows))), 0.0, 0)
    # V must be invertible from the start, or no variance exists.
    working = _spanning(whitened, rank)
    weights[working] = 1 / len(working)
    worst = np.inf
    for number in range(_MOST_PASSES):
        if number:
            weights[working] = _frank_wolfe(whitened[working], weights[working], rank, tolerance)
        support = whitened[weights > 0]
        moment = (support * weights[weights > 0, None]).T @ support
        values = _variances(whitened, np.linalg.inv(moment))
        worst = float(values.max())
        if worst <= rank * (1 + tolerance):
            break
        order = np.argsort(-values, kind="stable")[: _START if number == 0 else _MOST_ADDED]
        # Only rows above the rank can improve a design (Kiefer & Wolfowitz' equivalence theorem).
        violating = order[values[order] > rank]
        working = np.union1d(np.flatnonzero(weights > 0), violating)
    return Design(weights, worst, rank)


def apportion(weights: FloatArray, count: int) -> NDArray[np.intp]:
    """Round weights (N,) to numbers of labels that sum to `count` (Pukelsheim & Rieder, 1992).

    Efficient apportionment: start from ceil((count - p/2) w) on the support of size p, then add
    where n / w is least or remove where (n - 1) / w is largest; ties go to the lower position.
    """
    support = np.flatnonzero(weights > 0)
    shares = weights[support]
    raw = (count - len(support) / 2) * shares
    # Rounded first: 6 * (1/3) must not become 3 by floating point.
    numbers = np.maximum(np.ceil(np.round(raw, 9)), 0).astype(np.intp)
    while numbers.sum() < count:
        numbers[int((numbers / shares).argmin())] += 1
    while numbers.sum() > count:
        numbers[int(np.where(numbers > 0, (numbers - 1) / shares, -np.inf).argmax())] -= 1
    result = np.zeros(len(weights), dtype=np.intp)
    result[support] = numbers
    return result


def round_design(
    design: Design, rows: FloatArray, covariance: FloatArray, *, count: int
) -> NDArray[np.intp]:
    """Choose `count` different rows by a design: heaviest first, the rest by D-gain.

    A row can be asked once, so labels that apportionment would repeat are spent on the rows that
    add most to log det, given those chosen and `covariance`.
    """
    numbers = apportion(design.weights, count)
    asked = np.flatnonzero(numbers)
    chosen = asked[np.argsort(-design.weights[asked], kind="stable")][:count]
    leverage = _Leverage(rows, covariance)
    for row in chosen:
        leverage.add(int(row))
    rest = np.setdiff1d(np.arange(len(rows)), chosen)
    if len(chosen) == count:
        return chosen
    filled = d_optimal(rows[rest], leverage.covariance, count=count - len(chosen))
    return np.concatenate([chosen, rest[filled]])


def transductive_design(
    rows: FloatArray, targets: FloatArray, covariance: FloatArray, *, count: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pick rows that leave the worst target least uncertain (GO; Mukherjee et al., 2024).

    Each pick minimises max over targets of x' A^-1 x after it; the values are given too, one a
    pick. Holds N x M products in float64.
    """
    count = min(count, len(rows))
    covariance = np.array(covariance, dtype=np.float64)
    # By Sherman and Morrison a target's variance after pick i is
    # x' S x - (x' S x_i)^2 / (1 + own_i): N x M products, brought up to date in O(N (d + M)) a
    # pick, instead of N inversions.
    own = _variances(rows, covariance)
    # In the rows' own precision: a large pool is not copied to doubles.
    kind = rows.dtype
    across = (rows @ (covariance @ targets.T).astype(kind)).astype(np.float64)
    aims = np.einsum("dm,dm->m", targets.T, covariance @ targets.T)
    picks, values = np.empty(count, dtype=np.intp), np.empty(count)
    open_rows = np.ones(len(rows), dtype=bool)
    for number in range(count):
        # Every row anew: a maximum over targets is not submodular, so old values bound nothing.
        worst = _worst_after(across, own, aims)
        worst[~open_rows] = np.inf
        pick = first_highest(-worst, tie=_ROUNDING)
        picks[number], values[number] = pick, worst[pick]
        open_rows[pick] = False
        step = covariance @ rows[pick] / np.sqrt(1 + own[pick])
        moves, gives = (rows @ step.astype(kind)).astype(np.float64), targets @ step
        covariance -= np.outer(step, step)
        own = np.maximum(own - moves**2, 0)
        across -= np.outer(moves, gives)
        aims = aims - gives**2
    return picks, values


def shortlist_for_targets(rows: FloatArray, targets: FloatArray) -> NDArray[np.intp]:
    """Keep what may matter to some target, where N x M products would not fit.

    Every target keeps its most similar rows, as many as fit; small pools are kept whole.
    """
    if len(rows) * len(targets) <= _MOST_CELLS:
        return np.arange(len(rows))
    each = max(1, _MOST_CELLS // len(targets) ** 2)
    best = np.full((each, len(targets)), -np.inf, dtype=np.float32)
    places = np.zeros((each, len(targets)), dtype=np.intp)
    for block in blocks(len(rows)):
        products = np.abs(rows[block] @ targets.T).astype(np.float32)
        values = np.concatenate([best, products])
        numbers = np.broadcast_to(
            np.arange(block.start, block.stop)[:, None], (len(products), len(targets))
        )
        numbers = np.concatenate([places, numbers])
        kept = np.argpartition(-values, each - 1, axis=0)[:each]
        best = np.take_along_axis(values, kept, axis=0)
        places = np.take_along_axis(numbers, kept, axis=0)
    return np.unique(places)


def principal_rows(rows: FloatArray, width: int) -> tuple[FloatArray, FloatArray]:
    """Project rows (N, d) on their `width` strongest directions; give the basis (d, width) too.

    Not centred: the model has no intercept, so the origin has a meaning.
    """
    moment = np.zeros((rows.shape[1], rows.shape[1]))
    for block in blocks(len(rows)):
        moment += rows[block].T @ rows[block]
    basis = np.linalg.eigh(moment)[1][:, ::-1][:, :width]
    # The sign of a direction is arbitrary; fixed so that every machine has the same.
    basis = basis * np.where(
        basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])] < 0, -1, 1
    )
    basis = np.ascontiguousarray(basis).astype(rows.dtype)
    return rows @ basis, basis


def _precision(rows: FloatArray) -> np.dtype[Any]:
    """Choose what to compute variances in: doubles where all rows are nearly the same.

    There what one label leaves unexplained of the others is lost in the last digits of float32.
    """
    return rows.dtype if common_part(rows) is None else np.dtype(np.float64)


def _worst_after(across: FloatArray, own: FloatArray, aims: FloatArray) -> NDArray[np.float64]:
    """Give each row the worst target variance after it: (N,)."""
    worst = np.empty(len(own))
    for block in blocks(len(own), 4096):
        gains = across[block] ** 2
        gains /= 1 + own[block, None]
        worst[block] = (aims - gains).max(axis=1)
    return worst


def _whiten(rows: FloatArray) -> tuple[NDArray[np.float64], int]:
    """Turn rows so that their second moment is the identity; drop directions without any."""
    doubled = np.asarray(rows, dtype=np.float64)
    if not doubled.size:
        return doubled, 0
    values, vectors = np.linalg.eigh(doubled.T @ doubled / len(doubled))
    kept = values > _NOTHING * max(float(values[-1]), _NOTHING)
    return doubled @ (vectors[:, kept] / np.sqrt(values[kept])), int(kept.sum())


def _spanning(rows: FloatArray, rank: int) -> NDArray[np.intp]:
    """Find `rank` rows that span everything, each time the one farthest from the span so far."""
    from scipy.linalg import qr

    # Pivoted QR of the columns is just that greedy choice. A part of a large pool spans it too,
    # unless some direction is very rare.
    step = max(1, len(rows) // _SPANNED)
    triangle, pivots = qr(rows[::step].T, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    if step > 1 and diagonal[rank - 1] <= 1e-6 * diagonal[0]:
        step, pivots = 1, qr(rows.T, mode="r", pivoting=True)[1]
    return np.sort(np.asarray(pivots[:rank], dtype=np.intp) * step)


def _frank_wolfe(
    rows: FloatArray, weights: FloatArray, rank: int, tolerance: float
) -> NDArray[np.float64]:
    """Step until every row's variance is near the rank, and every supported row's not far below."""
    weights = np.array(weights, dtype=np.float64)
    inverse = np.linalg.inv((rows * weights[:, None]).T @ rows)
    values = np.einsum("nd,de,ne->n", rows, inverse, rows, optimize=True)
    for _ in range(_MOST_STEPS):
        up = int(values.argmax())
        low = int(np.where(weights > 0, values, np.inf).argmin())
        if values[up] <= rank * (1 + tolerance / 2):
            break
        # The larger violation decides. Steps away (Atwood) end the weight of a row that was wrong
        # from the start; steps towards others would only shrink it.
        if values[up] - rank >= rank - values[low]:
            row, gap = up, values[up]
        else:
            row, gap = low, values[low]
        # With one direction the longest row alone is optimal, and the step would divide by 0.
        if rank == 1 or abs(gap - 1) < _NOTHING:
            weights[:] = 0
            weights[up] = 1
            break
        # gamma = (g/d - 1) / (g - 1): towards the row if g > d, away from it if g < d.
        step = (gap / rank - 1) / (gap - 1)
        if gap < rank:
            # No further than to where the weight is 0.
            least = -weights[row] / (1 - weights[row])
            step = least if gap <= 1 else max(step, least)
        # V becomes (1 - s) V + s x x': O(d^2 + N d) a step by Sherman and Morrison. Rounding that
        # adds up is no harm: the caller inverts anew after each pass.
        moved = inverse @ rows[row]
        ratio = step / (1 - step)
        reach = rows @ moved
        scale = ratio / (1 + ratio * gap)
        inverse = (inverse - scale * np.outer(moved, moved)) / (1 - step)
        values = (values - scale * reach**2) / (1 - step)
        weights *= 1 - step
        weights[row] = max(weights[row] + step, 0.0) if step != 0 else weights[row]
        if gap < rank and weights[row] < 1e-12:
            weights[row] = 0.0
    return np.asarray(weights / weights.sum())
