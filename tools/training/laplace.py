"""Draw models from the Laplace posterior of the linear head (MacKay, 1992; Daxberger et al., 2021).

The posterior is taken as a Gaussian around the fitted model, with the curvature of the weighted
loss plus the penalty as its precision H. Over all coefficients H is far too large to factorise
(384 * 77 unknowns square), and no block of it has to be left out either: a draw with covariance
H^-1 solves H x = z for a z of covariance H, and such a z is a sum over rows of simple draws
(Papandreou & Yuille, 2010). Conjugate gradients solve it with products by the rows alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from querist.tools.compute.arrays import FloatArray
from querist.tools.compute.threads import one_thread
from querist.tools.training.linear_solver import Design

if TYPE_CHECKING:
    from torch import Tensor

# Draws are noise: a hundredth of their length is far below what another seed changes.
_TOLERANCE, _MOST_STEPS = 1e-2, 60
_LEAST_CURVATURE = 1e-6


def draw_laplace(
    design: Design,
    weights: FloatArray,
    solution: Tensor,
    strength: float,
    *,
    members: int,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Draw models around the `solution` (r + 1, C): coefficients (K, d, C), intercepts (K, C).

    `weights` (N,) and `strength` are those that `solve` was given. Along directions that no row
    has, nothing was learnt, and a coefficient keeps the prior's variance 1 / strength.
    """
    import torch

    # Everything random comes from here, in one order: the same seed draws the same models whatever
    # torch was used for before.
    rng = np.random.default_rng(seed)
    width, classes = len(design.basis), design.targets.shape[1]
    features = torch.cat([design.rows, torch.ones(len(design.rows), 1)], dim=1)
    row_weights = torch.from_numpy(weights.astype(np.float32))
    with torch.no_grad(), one_thread():
        curvature = _Curvature(features, row_weights, solution, strength)
        noise = curvature.draw(rng, members)
        steps = _solve(curvature, noise, _preconditioner(design, curvature))
        drawn = (solution[:, None, :] + steps).reshape(len(solution), members * classes)
    # The part outside the rows' span, of all members at once: (d, K C).
    free = rng.standard_normal((width, members * classes), dtype=np.float32) / np.sqrt(strength)
    # Projected off the span, where the solution above has its say already.
    free -= design.basis @ (design.basis.T @ free)
    return design.export(drawn, outside=free)


class _Curvature:
    """H = sum of weight (diag p - p p') x x' + penalty, and the virtual row's part; never formed.

    Unknowns are (r + 1, K, C), the intercepts last.
    """

    def __init__(
        self, features: Tensor, weights: Tensor, solution: Tensor, strength: float
    ) -> None:
        import torch

        self.features, self.weights, self.strength = features, weights[:, None], strength
        self.told = torch.softmax(features @ solution, dim=1)
        self.prior = torch.softmax(solution[-1], dim=0)

    def draw(self, rng: np.random.Generator, members: int) -> Tensor:
        """Draw vectors with covariance H."""
        import torch

        (rows, classes), width = self.told.shape, self.features.shape[1]
        # diag(sqrt p) - p sqrt(p)' times its transpose is diag p - p p'.
        luck = torch.from_numpy(rng.standard_normal((rows, members, classes), dtype=np.float32))
        luck = _centre(luck * self.told[:, None].sqrt(), self.told[:, None])
        luck *= self.weights[:, None].sqrt()
        noise = (self.features.T @ luck.view(rows, -1)).view(width, members, classes)
        shrunk = rng.standard_normal((width - 1, members, classes), dtype=np.float32)
        # Each part of the sum H brings its own draw: the penalty, and below the virtual row.
        noise[:-1] += self.strength**0.5 * torch.from_numpy(shrunk)
        last = torch.from_numpy(rng.standard_normal((members, classes), dtype=np.float32))
        noise[-1] += _centre(last * self.prior.sqrt(), self.prior)
        return noise

    def times(self, unknowns: Tensor) -> Tensor:
        """Multiply by H."""
        rows, classes = self.told.shape
        logits = (self.features @ unknowns.reshape(len(unknowns), -1)).view(rows, -1, classes)
        slopes = _centre(logits * self.told[:, None], self.told[:, None]) * self.weights[:, None]
        product = (self.features.T @ slopes.view(rows, -1)).view_as(unknowns)
        product[:-1] += self.strength * unknowns[:-1]
        product[-1] += _centre(unknowns[-1] * self.prior, self.prior)
        return product


def _centre(values: Tensor, shares: Tensor) -> Tensor:
    """Take off each class's share of the sum over classes."""
    return values - shares * values.sum(dim=-1, keepdim=True)


def _preconditioner(design: Design, curvature: _Curvature) -> tuple[Tensor, Tensor]:
    """Approximate H by (scatter of rows) x (mean curvature over classes) + penalty (KFAC).

    After the rotation the scatter is diagonal, so the eigenvectors (C, C) of the classes' part turn
    the whole into a diagonal (r + 1, C).
    """
    import torch

    told, weights = curvature.told, curvature.weights
    total = weights.sum()
    # One curvature for all rows: exact where every row is equally doubtful, and only the number of
    # steps depends on it, not what they lead to.
    shared = torch.diag((weights * told).sum(dim=0)) - (weights * told).T @ told
    values, turn = torch.linalg.eigh(shared.double() / total)
    spectrum = torch.cat([design.spectrum, total[None] + 1])
    diagonal = spectrum[:, None] * values.float().clamp(min=_LEAST_CURVATURE)
    diagonal[:-1] += curvature.strength
    return turn.float(), diagonal


def _solve(curvature: _Curvature, noise: Tensor, approximate: tuple[Tensor, Tensor]) -> Tensor:
    """Solve H x = noise by preconditioned conjugate gradients, each member by itself.

    A shift of all classes' intercepts changes no probability and has no curvature. The noise has
    no part there, so the solution gets none.
    """
    import torch

    turn, diagonal = approximate

    def soften(residual: Tensor) -> Tensor:
        return ((residual @ turn) / diagonal[:, None]) @ turn.T

    found = torch.zeros_like(noise)
    residual = noise.clone()
    softened = soften(residual)
    direction, size = softened.clone(), _dot(residual, softened)
    # Each member stops by its own length: one hard draw must not leave the others unsolved.
    enough = size * _TOLERANCE**2
    for _ in range(_MOST_STEPS):
        if bool((size <= enough).all()):
            break
        product = curvature.times(direction)
        step = size / _dot(direction, product).clamp(min=1e-30)
        found += step * direction
        residual -= step * product
        softened = soften(residual)
        larger = _dot(residual, softened)
        direction = softened + larger / size.clamp(min=1e-30) * direction
        size = larger
    return found


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Multiply members with members: (1, K, 1)."""
    return (left * right).sum(dim=(0, 2), keepdim=True)
