"""Fit many weighted multinomial logistic regressions on the same rows at once.

Folds and the final fit differ only in the weights of the rows. So one matrix
product serves them all, and one rotation of the rows (after which every direction curves alike)
brings L-BFGS home in about ten steps instead of fifty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from querist.tools.compute.arrays import FloatArray, IntArray, log_softmax
from querist.tools.compute.optimisers import without_compiler
from querist.tools.compute.threads import one_thread
from querist.tools.opinions.calibration import expected_calibration_error, fit_temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

# From strong to weak, so that each fit starts from the smoother one before it.
_STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
DEFAULT_STRENGTH = 0.03
# With fewer, five folds hold out less than six rows each: too few to tell penalties apart.
_ROWS_TO_CHOOSE = 30
_FOLDS, _FOLDS_WHEN_LARGE, _LARGE = 5, 3, 100_000
# Stands for p (1 - p) in the Hessian: 0.25 at most, less where the model is sure. It scales the
# steps; the solution does not depend on it.
_TYPICAL_CURVATURE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Penalty:
    """The penalty to use, and what rows that were held out say about it."""

    strength: float
    temperature: float = 1.0
    calibration_error: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Rows centred, scaled to unit mean square norm and rotated to principal axes.

    The scaling makes one grid of penalties fit any embedder. `basis` (d, r), `centre` (d,) and
    `scale` undo it.
    """

    rows: Tensor
    spectrum: Tensor
    targets: Tensor
    basis: FloatArray
    centre: FloatArray
    scale: float

    @classmethod
    def of(cls, inputs: FloatArray, targets: FloatArray, weights: FloatArray) -> Design:
        """Rotate (N, d) inputs; rows without weight have no say in it."""
        import torch

        shares = weights / weights.sum()
        centre = (shares @ inputs).astype(np.float32)
        centred = inputs - centre
        # One number for all columns: scaled one by one, directions that say nothing would count as
        # much as those that do.
        scale = float(np.sqrt(shares @ np.square(centred).sum(axis=1))) or 1.0
        centred /= scale
        # On one thread: for so small a product, threads that wait for each other on a busy
        # machine cost a hundred times what they save.
        with one_thread():
            rows = torch.from_numpy(centred)
            spectrum, basis = _principal_axes(rows, torch.from_numpy(weights.astype(np.float32)))
            rotated = rows @ basis
        return cls(
            rows=rotated,
            spectrum=spectrum,
            targets=torch.from_numpy(np.ascontiguousarray(targets)),
            basis=basis.numpy(),
            centre=centre,
            scale=scale,
        )

    def logits(self, solution: Tensor) -> FloatArray:
        """Score the design's own rows: (N, B, C)."""
        values = self.rows @ solution[:-1] + solution[-1]
        return np.asarray(values.reshape(len(self.rows), -1, self.targets.shape[1]).numpy())

    def export(
        self, solution: Tensor, *, outside: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Undo the rotation: coefficients (B, d, C) and intercepts (B, C) for raw inputs.

        `outside` (d, B * C) is a part across all rows, which no fit has and a posterior has.
        """
        flat = self.basis @ solution[:-1].numpy()
        flat = (flat if outside is None else flat + outside) / self.scale
        # The rows were centred; the intercept takes the shift back.
        intercepts = solution[-1].numpy() - self.centre @ flat
        classes = self.targets.shape[1]
        stacked = flat.reshape(len(flat), -1, classes).transpose(1, 0, 2)
        return np.ascontiguousarray(stacked), intercepts.reshape(-1, classes)


def _principal_axes(rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Find eigenvalues (r,) and axes (d, r) of the weighted scatter of (N, d) rows.

    By way of the smaller of the two Gram matrices, and in double precision: in single precision
    LAPACK gives up on a scatter with hundreds of eigenvalues that are 0.
    """
    import torch

    weighted = (weights.sqrt()[:, None] * rows).double()
    count, width = weighted.shape
    # O(min(N, d)^3), and an N x N or d x d array, whichever is smaller.
    is_wide = width > count
    gram = weighted @ weighted.T if is_wide else weighted.T @ weighted
    spectrum, axes = torch.linalg.eigh(gram)
    kept = spectrum > 1e-6 * max(float(spectrum[-1]), 1e-6)
    spectrum, axes = spectrum[kept], axes[:, kept]
    # From A A' u = s u it follows that A' u / sqrt(s) is an axis of A' A, of length 1.
    if is_wide:
        axes = weighted.T @ axes / spectrum.sqrt()
    return spectrum.float(), axes.float().contiguous()


def solve(
    design: Design, weights: FloatArray, strength: float, *, start: Tensor | None = None
) -> Tensor:
    """Fit one model for each of the B rows of `weights` (B, N); return (r + 1, B * C).

    Each minimises the weighted cross-entropy plus strength / 2 times the squared norm of its
    coefficients (scikit-learn's 1 / C), plus one virtual row at the centre that is equally of
    every class. That row is what keeps an unseen class possible and a single class finite.
    """
    import torch

    members, rows = weights.shape
    classes = design.targets.shape[1]
    row_weights = torch.from_numpy(weights.T[:, :, None].astype(np.float32))
    total = float(weights.sum()) + members
    curvature = _TYPICAL_CURVATURE * torch.cat([design.spectrum, torch.tensor([total / members])])
    penalty = torch.full((len(curvature), 1), strength)
    # The intercept is bound by the virtual row alone: shrinking it would pull class shares to even.
    penalty[-1] = 0
    # Unknowns in units of their own curvature. After the rotation the Hessian is about this
    # diagonal plus the penalty, so that L-BFGS starts where every direction curves alike.
    scales = (curvature[:, None] + penalty).rsqrt()
    features = torch.cat([design.rows, torch.ones(rows, 1)], dim=1) * scales.T
    penalty = penalty * scales.square()
    unknowns = torch.zeros(len(scales), members * classes) if start is None else start / scales

    def closure() -> float:
        logs = torch.log_softmax((features @ unknowns).view(rows, members, classes), -1)
        prior = torch.log_softmax((unknowns[-1] * scales[-1]).view(members, classes), -1)
        # The slope by hand: autograd would keep every (N, B, C) array on the way to the loss.
        loss = (penalty * unknowns.square()).sum() / 2 - prior.sum() / classes
        loss = loss - (row_weights * logs * design.targets[:, None]).sum()
        errors = (logs.exp() - design.targets[:, None]) * row_weights
        slope = features.T @ errors.view(rows, -1) + penalty * unknowns
        slope[-1] += scales[-1] * (prior.exp() - 1 / classes).view(-1)
        unknowns.grad = slope / total
        # Per row, so that one tolerance fits 10 rows and 100,000.
        return float(loss.item() / total)

    with torch.no_grad(), one_thread():
        without_compiler().LBFGS(
            [unknowns], max_iter=100, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
        ).step(closure)
    return unknowns * scales


def choose_strength(
    design: Design, weights: FloatArray, *, seed: int, fixed: float | None = None
) -> Penalty:
    """Pick the penalty whose held-out rows lose least once their temperature is fitted.

    A `fixed` penalty is kept; the held-out rows then only set its temperature.
    """
    fallback = Penalty(DEFAULT_STRENGTH if fixed is None else fixed)
    if int((weights > 0).sum()) < _ROWS_TO_CHOOSE:
        return fallback
    targets = design.targets.numpy()
    count = _FOLDS if targets.size <= _LARGE else _FOLDS_WHEN_LARGE
    folds = fold_rows(targets.argmax(axis=1), folds=count, seed=seed)
    best, best_loss, worse = fallback, np.inf, 0
    solution = None
    for strength in _STRENGTHS if fixed is None else (fixed,):
        solution = solve(design, hold_out(weights, folds), strength, start=solution)
        held_out = design.logits(solution)[np.arange(len(folds)), folds]
        loss, choice = _judge(held_out, targets, weights, strength=strength)
        if loss < best_loss:
            best, best_loss, worse = choice, loss, 0
        # The loss falls and then rises along the path; one rise may be noise, two in a row end it.
        elif (worse := worse + 1) == 2:
            break
    return best


def _judge(
    logits: FloatArray, targets: FloatArray, weights: FloatArray, *, strength: float
) -> tuple[float, Penalty]:
    """Weigh one penalty by its held-out logits (N, C)."""
    # Four rows' worth of belief in T = 1: without it a few lucky rows make the model cocksure.
    temperature = fit_temperature(logits, targets, weights=weights, prior_rows=4.0)
    logs = log_softmax(logits / temperature)
    loss = -float(weights @ (targets * logs).sum(axis=1))
    error = expected_calibration_error(np.exp(logs), targets, weights=weights)
    return loss, Penalty(strength, temperature, error)


def fold_rows(classes: IntArray, *, folds: int, seed: int) -> NDArray[np.intp]:
    """Deal rows (N,) into folds, evenly within each class: the fold number of each row."""
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(classes)), classes))
    numbers = np.empty(len(classes), dtype=np.intp)
    # Dealt on from class to class, so that the sizes of folds differ by 1 at most.
    numbers[shuffled] = np.arange(len(classes)) % folds
    return numbers


def hold_out(weights: FloatArray, folds: IntArray) -> FloatArray:
    """Silence in member k the rows of fold k; rows of fold -1 always speak: (folds, N)."""
    members = np.arange(int(folds.max(initial=0)) + 1)
    return np.where(folds == members[:, None], 0, weights).astype(np.float32)
