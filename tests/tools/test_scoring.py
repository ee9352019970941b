"""Uncertainty scores: the sheet's worked case, and what must hold for any probabilities."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.tools.engines.scoring import (
    breaking_ties,
    entropy,
    least_confidence,
    margin,
    mean_token_entropy,
    sequence_least_confidence,
)

Array = NDArray[np.float64]
SCORES = [least_confidence, margin, breaking_ties, entropy]
WORKED = np.array([[0.5, 0.49, 0.01], [0.4, 0.3, 0.3], [0.6, 0.2, 0.2]])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (least_confidence, [0.5, 0.6, 0.4]),
        (margin, [-0.01, -0.1, -0.4]),
        (breaking_ties, [0.99, 0.9, 0.6]),
        (entropy, [0.7422, 1.0889, 0.9503]),
    ],
)
def test_the_worked_case_has_the_sheets_values(
    score: Callable[[Array], Array], expected: list[float]
) -> None:
    np.testing.assert_allclose(score(WORKED), expected, atol=1e-4)


def probabilities(rows: int, classes: int, *, seed: int = 0) -> Array:
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), size=rows)


@given(st.integers(0, 1000))
def test_all_scores_rank_two_classes_alike(seed: int) -> None:
    chances = probabilities(30, 2, seed=seed)
    orders = [np.argsort(-score(chances), kind="stable").tolist() for score in SCORES]
    assert all(order == orders[0] for order in orders)


@pytest.mark.parametrize("classes", [2, 5, 32, 33, 100])
def test_margin_equals_sorting_for_few_and_many_classes(classes: int) -> None:
    chances = probabilities(200, classes)
    ordered = np.sort(chances, axis=1)
    np.testing.assert_allclose(margin(chances), ordered[:, -2] - ordered[:, -1])


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certain_constant_single_class_and_empty_predictions_score_finitely(
    score: Callable[[Array], Array], dtype: type
) -> None:
    for chances in (np.eye(3), np.full((4, 3), 1 / 3), np.ones((2, 1)), np.empty((0, 3))):
        scores = score(chances.astype(dtype))
        assert scores.shape == (len(chances),)
        assert np.isfinite(scores).all()


def test_sequence_least_confidence_is_one_minus_the_geometric_mean_of_the_tokens() -> None:
    sequences = [np.log([0.5]), np.log([0.9, 0.4]), np.log([0.5, 0.5, 0.5, 0.5])]
    np.testing.assert_allclose(sequence_least_confidence(sequences), [0.5, 0.4, 0.5])


def test_the_length_of_a_sequence_does_not_make_it_unsure() -> None:
    short, long = np.log([0.8]), np.log([0.8] * 50)
    assert np.ptp(sequence_least_confidence([short, long])) == pytest.approx(0, abs=1e-12)
    row = np.array([[0.7, 0.2, 0.1]])
    assert np.ptp(mean_token_entropy([row, np.repeat(row, 9, axis=0)])) == pytest.approx(0)


def test_mean_token_entropy_is_the_mean_of_the_tokens_own() -> None:
    found = mean_token_entropy([WORKED, WORKED[:1]])
    np.testing.assert_allclose(found, [(0.7422 + 1.0889 + 0.9503) / 3, 0.7422], atol=1e-4)


def test_an_empty_sequence_scores_not_a_number_and_no_sequences_nothing() -> None:
    for score in (sequence_least_confidence, mean_token_entropy):
        assert np.isnan(score([np.empty((0, 3) if score is mean_token_entropy else 0)])).all()
        assert score([]).shape == (0,)


def test_margin_of_ten_thousand_rows_takes_well_under_ten_milliseconds() -> None:
    chances = probabilities(10_000, 10)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        margin(chances)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.010
