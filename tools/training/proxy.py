"""The loop's instrument: a linear head on frozen embeddings, its committee, its blind view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray, IntArray, log_softmax
from querist.tools.training.laplace import draw_laplace
from querist.tools.training.linear_solver import (
    DEFAULT_STRENGTH,
    Design,
    choose_strength,
    fold_rows,
    hold_out,
    solve,
)


@dataclass(frozen=True, slots=True, eq=False)
class GradientFactors:
    """Last-layer gradients under the model's own best guess, as factors (Ash et al., 2019).

    The gradient of row n is the outer product of `errors[n]` (C,) and `features[n]` (d,); the
    N x Cd matrix itself is never needed.
    """

    errors: FloatArray
    features: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """Multinomial logistic regression: coefficients (d, C), intercepts (C,).

    `calibration_error` is the out-of-fold expected calibration error, None when there were too
    few rows to hold any out.
    """

    coefficients: FloatArray
    intercepts: FloatArray
    strength: float
    temperature: float = 1.0
    calibration_error: float | None = None

    def predict_proba(self, inputs: FloatArray) -> FloatArray:
        """Give class probabilities (N, C) for inputs (N, d)."""
        logits = (inputs @ self.coefficients + self.intercepts) / self.temperature
        return np.exp(log_softmax(logits))

    def gradients(self, inputs: FloatArray) -> GradientFactors:
        """Give the factors of the last-layer gradients for inputs (N, d)."""
        errors = self.predict_proba(inputs)
        # Cross-entropy has the slope (p - e_y) h by the last layer; y is the model's own guess.
        errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
        return GradientFactors(errors=errors, features=inputs)

    def arrays(self) -> dict[str, FloatArray]:
        """Give what the model is made of, by name, to be written down."""
        # A file of arrays has no None.
        unknown = np.nan if self.calibration_error is None else self.calibration_error
        return {
            "coefficients": self.coefficients,
            "intercepts": self.intercepts,
            "settings": np.array([self.strength, self.temperature, unknown]),
        }

    @classmethod
    def of(cls, arrays: Mapping[str, FloatArray]) -> LinearModel:
        """Make a model of what `arrays` gave; InvalidInput when they are something else."""
        try:
            strength, temperature, error = (float(value) for value in arrays["settings"])
            return cls(
                coefficients=arrays["coefficients"],
                intercepts=arrays["intercepts"],
                strength=strength,
                temperature=temperature,
                calibration_error=None if np.isnan(error) else error,
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"These arrays are not a saved linear model ({error}); train it again."
            raise InvalidInput(msg) from error


@dataclass(frozen=True, slots=True)
class LinearHead:
    """How the head is trained. `strength` is the L2 penalty; None lets held-out rows choose it.

    Below 30 rows there is nothing to hold out: a weak penalty that suits few rows is used, and no
    temperature. Targets may be soft; a weight of 1 is one trusted label.
    """

    strength: float | None = None

    def fit(
        self,
        inputs: FloatArray,
        targets: FloatArray,
        *,
        weights: FloatArray | None = None,
        seed: int = 0,
    ) -> LinearModel:
        """Train on inputs (N, d) and targets (N, C); InvalidInput if they cannot be learnt from."""
        design, row_weights = _prepare(inputs, targets, weights)
        # On all rows once the folds have chosen: labels are too dear to keep some for a last check.
        choice = choose_strength(design, row_weights, seed=seed, fixed=self.strength)
        coefficients, intercepts = design.export(solve(design, row_weights[None], choice.strength))
        return LinearModel(
            coefficients=coefficients[0],
            intercepts=intercepts[0],
            strength=choice.strength,
            temperature=choice.temperature,
            calibration_error=choice.calibration_error,
        )

    def fit_once(self, inputs: FloatArray, targets: FloatArray, weights: FloatArray) -> LinearModel:
        """Train with the given `strength` and hold nothing out: the temperature stays 1."""
        design, row_weights = _prepare(inputs, targets, weights)
        strength = DEFAULT_STRENGTH if self.strength is None else self.strength
        coefficients, intercepts = design.export(solve(design, row_weights[None], strength))
        return LinearModel(coefficients[0], intercepts[0], strength)


@dataclass(frozen=True, slots=True, eq=False)
class Committee:
    """K linear models that the labels allow: coefficients (K, d, C), intercepts (K, C)."""

    coefficients: FloatArray
    intercepts: FloatArray
    temperature: float

    def posterior(self, inputs: FloatArray) -> FloatArray:
        """Give every member's probabilities (N, K, C); member k is the same for all rows."""
        members, width, classes = self.coefficients.shape
        # All members side by side: one product of (N, d) and (d, K C).
        flat = self.coefficients.transpose(1, 0, 2).reshape(width, members * classes)
        logits = (inputs @ flat).reshape(len(inputs), members, classes) + self.intercepts
        return np.exp(log_softmax(logits / self.temperature))


def fit_committee(
    inputs: FloatArray,
    targets: FloatArray,
    *,
    weights: FloatArray | None = None,
    members: int = 10,
    seed: int = 0,
    strength: float | None = None,
) -> Committee:
    """Draw `members` heads from the Laplace posterior around the trained one (MacKay, 1992).

    They agree where there are labels and differ where there are none. A bootstrap, of which every
    member has the penalty's zeros across the labelled rows, differs least there.
    """
    design, row_weights = _prepare(inputs, targets, weights)
    choice = choose_strength(design, row_weights, seed=seed, fixed=strength)
    solution = solve(design, row_weights[None], choice.strength)
    coefficients, intercepts = draw_laplace(
        design, row_weights, solution, choice.strength, members=members, seed=seed
    )
    return Committee(coefficients, intercepts, choice.temperature)


def cross_fit(
    inputs: FloatArray,
    targets: FloatArray,
    *,
    weights: FloatArray | None = None,
    folds: int = 5,
    seed: int = 0,
    score_rows: IntArray | None = None,
    strength: float | None = None,
) -> FloatArray:
    """Predict rows by models that did not see them: (len(score_rows), C).

    `score_rows` are positions in `inputs` (all rows by default). Only they are ever held out; the
    other rows teach every fold.
    """
    design, row_weights = _prepare(inputs, targets, weights)
    choice = choose_strength(design, row_weights, seed=seed, fixed=strength)
    # The penalty and the temperature were chosen on all rows, those to be scored among them: nested
    # folds would cost five times as much for two numbers that no single row decides.
    scored = np.arange(len(inputs)) if score_rows is None else np.asarray(score_rows, dtype=np.intp)
    if len(scored) == 0:
        return np.empty((0, targets.shape[1]), dtype=np.float32)
    # A row that is asked for twice must not teach the fold that it is held out of.
    unique = np.unique(scored)
    classes = targets[unique].argmax(axis=1)
    numbers = np.full(len(inputs), -1)
    numbers[unique] = fold_rows(classes, folds=min(folds, len(unique)), seed=seed)
    solution = solve(design, hold_out(row_weights, numbers), choice.strength)
    logits = design.logits(solution)[scored, numbers[scored]]
    return np.exp(log_softmax(logits / choice.temperature))


def _prepare(
    inputs: FloatArray, targets: FloatArray, weights: FloatArray | None
) -> tuple[Design, FloatArray]:
    """Check shapes and values once, for every way of training."""
    rows = len(inputs)
    row_weights = np.ones(rows) if weights is None else np.asarray(weights)
    if inputs.ndim != 2 or targets.ndim != 2 or len(targets) != rows:
        msg = f"Inputs {inputs.shape} and targets {targets.shape} must be (N, d) and (N, C)."
        raise InvalidInput(msg)
    if row_weights.shape != (rows,) or not row_weights.sum() > 0 or row_weights.min() < 0:
        msg = f"Training needs {rows} weights, none negative and not all 0."
        raise InvalidInput(msg)
    if not (np.isfinite(inputs).all() and np.isfinite(targets).all()):
        msg = "Inputs and targets must be finite; a NaN usually means a failed embedding."
        raise InvalidInput(msg)
    if targets.min() < 0 or not np.allclose(targets.sum(axis=1), 1, atol=1e-3):
        msg = "Each row of the targets must be a probability distribution over the classes."
        raise InvalidInput(msg)
    # Single precision from here on; `Design` takes doubles where digits would be lost.
    row_weights = row_weights.astype(np.float32)
    inputs, targets = inputs.astype(np.float32), targets.astype(np.float32)
    return Design.of(inputs, targets, row_weights), row_weights
