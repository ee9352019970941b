"""Optimal designs: the sheets' worked cases, and updates against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.tools.engines.optimal_design import (
    Design,
    apportion,
    approximate_design,
    d_optimal,
    prior_covariance,
    round_design,
    shortlist_for_targets,
    transductive_design,
)

Array = NDArray[np.float64]


def rows_of(seed: int, count: int = 15, width: int = 4) -> Array:
    return np.random.default_rng(seed).normal(size=(count, width))


def test_three_arms_share_equally_and_reach_the_bound() -> None:
    arms = np.array([[1.0, 0], [0, 1], [1, 1]])
    design = approximate_design(arms, tolerance=1e-6)
    np.testing.assert_allclose(design.weights, 1 / 3, atol=1e-4)
    moment = (arms * design.weights[:, None]).T @ arms
    np.testing.assert_allclose(moment, [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], atol=1e-4)
    assert np.linalg.det(moment) == pytest.approx(1 / 3, abs=1e-4)
    variance = np.einsum("nd,de,ne->n", arms, np.linalg.inv(moment), arms)
    np.testing.assert_allclose(variance, 2, atol=1e-3)
    np.testing.assert_allclose(approximate_design(arms[:2]).weights, 0.5, atol=1e-6)


@given(st.integers(0, 500), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_designs_reach_the_bound_of_kiefer_and_wolfowitz(seed: int, width: int) -> None:
    design = approximate_design(rows_of(seed, 60, width))
    assert design.rank == width
    assert width * (1 - 1e-6) <= design.worst <= width * 1.01
    assert design.weights.sum() == pytest.approx(1)
    assert (design.weights >= 0).all()


def test_a_design_does_not_mind_missing_directions() -> None:
    flat = np.repeat([[1.0, 0, 0], [0, 2.0, 0]], 3, axis=0)
    assert approximate_design(flat).rank == 2
    assert approximate_design(np.zeros((4, 3))).rank == 0


def test_apportionment_is_exact_and_efficient() -> None:
    assert apportion(np.array([1 / 3, 1 / 3, 1 / 3]), 6).tolist() == [2, 2, 2]
    assert apportion(np.array([0.5, 0.0, 0.5]), 3).tolist() == [2, 0, 1]
    for count in range(12):
        weights = np.random.default_rng(count).dirichlet(np.ones(5))
        assert apportion(weights, count).sum() == count


def test_rounding_repeats_nothing_and_fills_up_by_what_adds_most() -> None:
    rows = np.array([[3.0, 0], [0, 3.0], [1.0, 0], [0, 2.0]])
    design = Design(np.array([0.7, 0.3, 0, 0]), 2.0, 2)
    assert round_design(design, rows, np.eye(2), count=3).tolist() == [0, 1, 3]


@given(st.integers(0, 500))
@settings(max_examples=30, deadline=None)
def test_d_optimal_picks_are_those_of_brute_force(seed: int) -> None:
    rows, labelled = rows_of(seed), rows_of(seed + 1, 3)
    covariance = prior_covariance(labelled, width=4)
    picks = d_optimal(rows, covariance, count=6)
    information = np.eye(4) + labelled.T @ labelled
    for pick in picks:
        gains = [np.linalg.slogdet(information + np.outer(row, row))[1] for row in rows]
        taken = picks[: list(picks).index(pick)]
        assert gains[pick] >= np.delete(gains, taken).max() - 1e-9
        information += np.outer(rows[pick], rows[pick])


@pytest.mark.parametrize(
    ("targets", "pick", "value"),
    [([[1.0, 0]], 0, 0.5), ([[1.0, 0], [0, 1]], 2, 0.7907)],
)
def test_go_has_the_sheets_picks(targets: list[list[float]], pick: int, value: float) -> None:
    pool = np.array([[1.0, 0], [0, 1], [0.6, 0.6]])
    picks, values = transductive_design(pool, np.array(targets), np.eye(2), count=1)
    assert picks.tolist() == [pick]
    assert values[0] == pytest.approx(value, abs=1e-4)


@given(st.integers(0, 500))
@settings(max_examples=30, deadline=None)
def test_go_agrees_with_inverting_and_never_gets_worse(seed: int) -> None:
    rows, targets = rows_of(seed), rows_of(seed + 1, 5)
    picks, values = transductive_design(rows, targets, np.eye(4), count=6)
    information = np.eye(4)
    for number, pick in enumerate(picks):
        after = []
        for row in rows:
            inverse = np.linalg.inv(information + np.outer(row, row))
            after.append(np.einsum("md,de,me->m", targets, inverse, targets).max())
        assert values[number] == pytest.approx(after[pick], abs=1e-10)
        assert after[pick] <= np.delete(after, picks[:number]).min() + 1e-10
        information += np.outer(rows[pick], rows[pick])
    assert (np.diff(values) <= 1e-12).all()


def test_a_shortlist_keeps_what_is_nearest_to_each_target(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets = rows_of(0, 50), rows_of(1, 3)
    assert len(shortlist_for_targets(rows, targets)) == 50
    monkeypatch.setattr("querist.tools.engines.optimal_design._MOST_CELLS", 45)
    kept = shortlist_for_targets(rows, targets)
    assert len(kept) <= 15
    for target in targets:
        assert set(np.argsort(-np.abs(rows @ target))[:5]) <= set(kept)
