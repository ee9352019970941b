"""BAIT: the sheet's worked case, and factored updates against explicit matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.tools.engines.fisher import FisherTrace, bait, label_factors, mean_fisher

Array = NDArray[np.float64]


def explicit(probabilities: Array, features: Array) -> Array:
    """V of the sheet, (N, Cd, C): columns sqrt(p_c) (p - e_c) (x) h."""
    classes = probabilities.shape[1]
    errors = probabilities[:, :, None] - np.eye(classes)
    columns = np.sqrt(probabilities)[:, None, :] * errors
    tall = np.einsum("ncr,nd->ncdr", columns, features)
    return tall.reshape(len(features), -1, classes)


def made_up(seed: int, *, rows: int = 8, classes: int = 3, width: int = 2) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(classes), size=rows), rng.normal(size=(rows, width))


def test_the_linear_model_has_the_sheets_values() -> None:
    objective = FisherTrace(
        np.ones((2, 1, 1)), np.eye(2), start=np.eye(2), fisher=np.diag([0.75, 0.25])
    )
    np.testing.assert_allclose(objective.value - objective.gains(), [0.625, 0.875])
    assert bait(objective, count=1, candidates=2).tolist() == [0]


@given(st.integers(0, 500), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_factored_scores_equal_brute_force_when_rows_join_and_leave(
    seed: int, classes: int
) -> None:
    probabilities, features = made_up(seed, classes=classes)
    tall = explicit(probabilities, features)
    fisher = mean_fisher(probabilities, features)
    np.testing.assert_allclose(fisher, (tall @ tall.transpose(0, 2, 1)).mean(axis=0), atol=1e-12)
    objective = FisherTrace(
        label_factors(probabilities), features, start=np.eye(len(fisher)), fisher=fisher
    )
    information = np.eye(len(fisher))

    def trace(*, row: int, sign: int) -> float:
        changed = information + sign * tall[row] @ tall[row].T
        return float(np.trace(np.linalg.inv(changed) @ fisher))

    present: list[int] = []
    for moved, sign in ((2, 1), (5, 1), (2, -1), (0, 1)):
        before = trace(row=0, sign=0)
        joined = [before - trace(row=row, sign=1) for row in range(8)]
        np.testing.assert_allclose(objective.gains(), joined, atol=1e-8)
        left = [trace(row=row, sign=-1) - before for row in present]
        np.testing.assert_allclose(objective.gains(removing=True)[present], left, atol=1e-8)
        objective.move(moved, removing=sign < 0)
        information += sign * tall[moved] @ tall[moved].T
        present = [*present, moved] if sign > 0 else [row for row in present if row != moved]
        assert objective.value == pytest.approx(trace(row=0, sign=0))


def test_certain_rows_are_chosen_last() -> None:
    probabilities, features = made_up(1)
    probabilities[:4] = np.eye(3)[[0, 1, 2, 0]]
    objective = FisherTrace(
        label_factors(probabilities),
        features,
        start=np.eye(6),
        fisher=mean_fisher(probabilities, features),
    )
    assert set(bait(objective, count=3, candidates=8)) <= {4, 5, 6, 7}
