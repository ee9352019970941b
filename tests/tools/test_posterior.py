"""The committee is drawn from a posterior whose truth is known: by a grid, densely, by probit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from querist.tools.engines.information import bald
from querist.tools.training.linear_solver import Design, solve
from querist.tools.training.proxy import Committee, fit_committee

Array = NDArray[np.floating]
STRENGTH = 0.5


def cloud(rows: int, width: int, *, classes: int = 2, seed: int = 0) -> tuple[Array, Array]:
    """Rows whose classes depend on the first two columns, with noise."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, width)).astype(np.float32)
    scores = inputs[:, :2] @ rng.normal(size=(2, classes)) + rng.gumbel(size=(rows, classes))
    return inputs, np.eye(classes, dtype=np.float32)[scores.argmax(axis=1)]


def scaled(inputs: Array, query: Array) -> Array:
    """Put a query where the penalty counts: the labelled rows centred, of mean square norm 1."""
    centre = inputs.mean(axis=0)
    return (query - centre) / np.sqrt(np.square(inputs - centre).sum(axis=1).mean())


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def by_grid(inputs: Array, targets: Array, query: Array) -> tuple[Array, Array]:
    """Integrate over the whole posterior of two classes: mean and spread of p(class 0)."""
    axis = np.linspace(-14, 14, 57)
    shift = np.linspace(-4, 4, 41)
    slopes = np.stack(np.meshgrid(axis, axis, shift, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.c_[scaled(inputs, inputs), np.ones(len(inputs))]
    signs = np.where(targets[:, 0] > 0, 1, -1)
    # Only the difference of the two classes' coefficients counts; its variance is twice each one's.
    logs = -STRENGTH / 4 * np.square(slopes[:, :2]).sum(axis=1)
    logs -= np.logaddexp(0, -signs[:, None] * (rows @ slopes.T)).sum(axis=0)
    # The virtual row, half of each class.
    logs -= (np.logaddexp(0, slopes[:, 2]) + np.logaddexp(0, -slopes[:, 2])) / 2
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    told = sigmoid(np.c_[scaled(inputs, query), np.ones(len(query))] @ slopes.T)
    mean = told @ shares
    return mean, np.sqrt(np.square(told - mean[:, None]) @ shares)


def logit_moments(inputs: Array, targets: Array, query: Array) -> tuple[Array, Array]:
    """Give mean (Q, C) and covariance (Q, C, C) of centred logits by the dense inverse Hessian."""
    weights = np.ones(len(inputs), dtype=np.float32)
    design = Design.of(inputs, targets, weights)
    flat, shift = design.export(solve(design, weights[None], STRENGTH))
    classes, width = targets.shape[1], inputs.shape[1] + 1
    told = np.exp(inputs @ flat[0] + shift[0])
    told /= told.sum(axis=1, keepdims=True)
    rows = np.c_[scaled(inputs, inputs), np.ones(len(inputs))]
    middle = np.exp((inputs.mean(axis=0) @ flat[0]) + shift[0])
    middle /= middle.sum()
    penalty = np.diag([STRENGTH] * (width - 1) + [0.0])
    precision = np.kron(penalty, np.eye(classes))
    at_centre = np.r_[np.zeros(width - 1), 1.0]
    for p, x in [*zip(told, rows, strict=True), (middle, at_centre)]:
        precision += np.kron(np.outer(x, x), np.diag(p) - np.outer(p, p))
    covariance = np.linalg.pinv(precision, rcond=1e-9)
    centring = np.eye(classes) - 1 / classes
    spread = []
    for x in np.c_[scaled(inputs, query), np.ones(len(query))]:
        slope = np.kron(x[None], centring)
        spread.append(slope @ covariance @ slope.T)
    return (query @ flat[0] + shift[0]) @ centring, np.array(spread)


def logits_of(committee: Committee, query: Array) -> Array:
    """Give the members' logits (Q, K, C), centred over classes."""
    told = np.einsum("qd,kdc->qkc", query, committee.coefficients) + committee.intercepts
    return np.asarray(told - told.mean(axis=2, keepdims=True))


def bootstrap(inputs: Array, targets: Array, *, members: int) -> Committee:
    """Fit what the committee was before: heads by the Bayesian bootstrap (Rubin, 1981)."""
    design = Design.of(inputs, targets, np.ones(len(inputs), dtype=np.float32))
    luck = np.random.default_rng(0).exponential(size=(members, len(inputs))).astype(np.float32)
    return Committee(*design.export(solve(design, luck, STRENGTH)), temperature=1.0)


@pytest.mark.parametrize("seed", range(3))
def test_mean_and_spread_are_those_of_the_whole_posterior(seed: int) -> None:
    inputs, targets = cloud(25, 2, seed=seed)
    query = np.array([[0, 0], [1, -1], [-2, 0.5], [3, 3], [-6, 5]], dtype=np.float32)
    committee = fit_committee(inputs, targets, members=4000, strength=STRENGTH)
    told = committee.posterior(query)[:, :, 0]
    mean, spread = by_grid(inputs, targets, query)
    np.testing.assert_allclose(told.mean(axis=1), mean, atol=0.04)
    np.testing.assert_allclose(told.std(axis=1), spread, atol=0.05)


@pytest.mark.parametrize(("rows", "width", "classes"), [(40, 3, 2), (12, 6, 3), (8, 20, 4)])
def test_draws_have_the_moments_of_the_dense_laplace_posterior(
    rows: int, width: int, classes: int
) -> None:
    inputs, targets = cloud(rows, width, classes=classes)
    query = np.random.default_rng(1).normal(size=(5, width)).astype(np.float32)
    committee = fit_committee(inputs, targets, members=8000, strength=STRENGTH)
    drawn = logits_of(committee, query)
    mean, covariance = logit_moments(inputs, targets, query)
    for place in range(len(query)):
        size = np.abs(covariance[place]).max()
        np.testing.assert_allclose(drawn[place].mean(axis=0), mean[place], atol=0.06 * size**0.5)
        np.testing.assert_allclose(np.cov(drawn[place].T), covariance[place], atol=0.07 * size)


def test_many_members_give_the_probit_approximation() -> None:
    inputs, targets = cloud(25, 2)
    query = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32) * 2
    told = fit_committee(inputs, targets, members=8000, strength=STRENGTH).posterior(query)
    mean, covariance = logit_moments(inputs, targets, query)
    # Centred, the two logits are each half of their difference, with opposite signs.
    gap, variance = 2 * mean[:, 0], 4 * covariance[:, 0, 0]
    expected = sigmoid(gap / np.sqrt(1 + np.pi * variance / 8))
    np.testing.assert_allclose(told[:, :, 0].mean(axis=1), expected, atol=0.03)


def test_doubt_grows_away_from_the_labels_and_of_a_bootstrap_it_does_not() -> None:
    inputs, targets = cloud(30, 3)
    # Two more directions, in which no labelled row lies.
    inputs = np.c_[inputs, np.zeros((30, 2), dtype=np.float32)]
    away = np.array([0, 0, 0, 3, 4], dtype=np.float32)
    rows = np.stack([inputs.mean(axis=0) + far * away for far in (0, 0.3, 1, 3)])
    drawn = fit_committee(inputs, targets, members=200, strength=STRENGTH)
    doubts = bald(drawn.posterior(rows))
    assert all(near < far for near, far in pairwise(doubts))
    assert doubts[-1] > bald(drawn.posterior(inputs)).max()
    resampled = bootstrap(inputs, targets, members=200)
    doubts = bald(resampled.posterior(rows))
    assert doubts[-1] == pytest.approx(doubts[0], abs=1e-6)
    assert doubts[-1] < bald(resampled.posterior(inputs)).max()


def test_a_member_is_one_function_and_the_seed_decides_which() -> None:
    inputs, targets = cloud(20, 30, classes=3)
    first, again, other = (fit_committee(inputs, targets, seed=seed) for seed in (1, 1, 2))
    together = first.posterior(inputs)
    np.testing.assert_allclose(first.posterior(inputs[7:8])[0], together[7], atol=1e-6)
    np.testing.assert_array_equal(again.posterior(inputs), together)
    assert np.abs(other.posterior(inputs) - together).max() > 0.01


def test_weight_is_evidence_and_a_row_without_it_is_none() -> None:
    inputs, targets = cloud(40, 3)

    def doubt(weights: Array, count: int = 40) -> float:
        committee = fit_committee(
            inputs[:count], targets[:count], weights=weights, members=500, strength=STRENGTH
        )
        return float(bald(committee.posterior(inputs)).mean())

    assert doubt(np.full(40, 4.0)) < 0.6 * doubt(np.ones(40))
    half = np.r_[np.ones(20), np.zeros(20)]
    assert doubt(half) == pytest.approx(doubt(np.ones(20), 20), rel=0.1)


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (5, 3), (60, 77)])
def test_few_rows_and_classes_without_any_still_have_a_posterior(rows: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(rows, 10)).astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[np.zeros(rows, dtype=int)]
    told = fit_committee(inputs, targets).posterior(inputs)
    assert np.isfinite(told).all()
    np.testing.assert_allclose(told.sum(axis=2), 1, atol=1e-5)
    same = fit_committee(np.ones((rows, 10), dtype=np.float32), targets).posterior(inputs)
    assert np.isfinite(same).all()
