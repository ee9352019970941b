"""Information about the model: the sheets' worked cases of BALD, BatchBALD, EPIG and POCA."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.tools.engines.greedy_cover import greedy_cover
from querist.tools.engines.information import (
    bald,
    epig,
    marginal_eig,
    mean_entropy,
    over_imputations,
    po_eig,
    po_epig,
)
from querist.tools.engines.joint_entropy import JointInformation
from querist.tools.engines.scoring import entropy

Array = NDArray[np.float64]
OPPOSED = [[0.9, 0.1], [0.1, 0.9]]


def draws(*shape: int, seed: int = 0, classes: int = 3) -> Array:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size=shape)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([[1, 0], [0, 1]], np.log(2)), (OPPOSED, 0.3681), ([[0.5, 0.5]] * 4, 0)],
)
def test_bald_has_the_sheets_values(samples: list[list[float]], expected: float) -> None:
    assert bald(np.array([samples], dtype=float))[0] == pytest.approx(expected, abs=1e-4)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_bald_lies_between_0_and_the_entropy_and_ignores_the_order_of_draws(seed: int) -> None:
    posterior = draws(20, 5, seed=seed)
    scores = bald(posterior)
    assert (scores >= 0).all()
    assert (scores <= entropy(posterior.mean(axis=1)) + 1e-12).all()
    np.testing.assert_allclose(scores, bald(posterior[:, ::-1]), atol=1e-12)


def four_draws() -> Array:
    first = [[1, 1, 0, 0], [1, 1, 0, 0], [0.9, 0.1, 0.9, 0.1]]
    ones = np.array(first, dtype=float)
    return np.stack([ones, 1 - ones], axis=2)


def test_batch_bald_takes_the_pair_that_bald_does_not() -> None:
    posterior = four_draws()
    np.testing.assert_allclose(bald(posterior), [0.6931, 0.6931, 0.3681], atol=1e-4)
    joint = JointInformation(posterior, rng=np.random.default_rng(0))
    batch = greedy_cover(joint, candidates=np.arange(3), count=2)
    assert batch.picks.tolist() == [0, 2]
    assert batch.gains.sum() == pytest.approx(1.0612, abs=1e-4)
    assert joint.gains(np.array([1]))[0] == pytest.approx(0, abs=1e-9)
    # Of ln 4 that could be known, the pair tells its share; nothing can add more than the rest.
    assert joint.left == pytest.approx(np.log(4) - batch.gains.sum(), abs=1e-6)


def test_batch_bald_in_sampled_mode_still_sees_through_a_duplicate() -> None:
    posterior = four_draws()
    joint = JointInformation(posterior, rng=np.random.default_rng(0), samples=4000)
    joint._start_sampling()
    joint.add(0)
    gains = joint.gains(np.array([1, 2]))
    assert gains[0] == pytest.approx(0, abs=0.02)
    assert gains[1] == pytest.approx(1.0612 - 0.6931, abs=0.02)


@given(st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_exact_gains_add_up_to_the_joint_information_by_definition(seed: int) -> None:
    posterior = draws(4, 5, seed=seed)
    joint = JointInformation(posterior, rng=np.random.default_rng(0))
    total = 0.0
    for row in range(3):
        total += joint.gains(np.array([row]))[0]
        joint.add(row)
    outcomes = [
        np.prod([posterior[row, :, label] for row, label in enumerate(labels)], axis=0).mean()
        for labels in product(range(3), repeat=3)
    ]
    expected = entropy(np.array([outcomes]))[0] - mean_entropy(posterior[:3]).sum()
    assert total == pytest.approx(expected, abs=1e-9)


def test_sampled_gains_come_close_to_exact_ones() -> None:
    posterior = draws(8, 6, seed=3)
    exact = JointInformation(posterior, rng=np.random.default_rng(0), exact=100_000)
    sampled = JointInformation(posterior, rng=np.random.default_rng(0), samples=20_000)
    sampled._start_sampling()
    for row in range(5):
        exact.add(row)
        sampled.add(row)
    rest = np.arange(5, 8)
    np.testing.assert_allclose(sampled.gains(rest), exact.gains(rest), atol=0.01)


def test_epig_has_the_sheets_values() -> None:
    row = np.array([OPPOSED])
    assert epig(row, row)[0] == pytest.approx(0.22175, abs=1e-5)
    assert epig(row, np.full((1, 2, 2), 0.5))[0] == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_epig_is_the_mean_divergence_by_definition(seed: int) -> None:
    rows, targets = draws(4, 5, seed=seed), draws(3, 5, seed=seed + 1)
    joint = np.einsum("nkc,mke->nmce", rows, targets) / 5
    apart = np.einsum("nc,me->nmce", rows.mean(axis=1), targets.mean(axis=1))
    expected = (joint * np.log(joint / apart)).sum(axis=(2, 3)).mean(axis=1)
    np.testing.assert_allclose(epig(rows, targets), expected, atol=1e-10)


def test_po_eig_has_the_sheets_values() -> None:
    imputed = np.array([[OPPOSED, [[0.9, 0.1], [0.9, 0.1]]]])
    assert po_eig(imputed)[0] == pytest.approx(0.1840, abs=1e-4)
    assert marginal_eig(imputed)[0] == pytest.approx(0.1017, abs=1e-4)


@given(st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_po_eig_is_never_below_the_marginal_and_equals_bald_without_gaps(seed: int) -> None:
    imputed = draws(6, 4, 5, seed=seed)
    assert (po_eig(imputed) >= marginal_eig(imputed) - 1e-12).all()
    alike = np.repeat(imputed[:, :1], 3, axis=1)
    np.testing.assert_allclose(po_eig(alike), bald(imputed[:, 0]), atol=1e-12)
    np.testing.assert_allclose(marginal_eig(alike), bald(imputed[:, 0]), atol=1e-12)


def test_po_epig_averages_over_imputations_of_both_sides() -> None:
    rows, targets = draws(3, 2, 5, seed=1), draws(4, 3, 5, seed=2)
    expected = np.mean(
        [
            over_imputations(lambda imputed, t=t: epig(imputed, targets[:, t]), rows)
            for t in range(3)
        ],
        axis=0,
    )
    np.testing.assert_allclose(po_epig(rows, targets), expected)
    complete = rows[:, :1], targets[:, :1]
    np.testing.assert_allclose(po_epig(*complete), epig(rows[:, 0], targets[:, 0]))
