"""Distances: factored against explicit, contrastive predictions, and picks by stale values."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from querist.tools.engines.diversity import draw_far, pick_farthest
from querist.tools.engines.geometry import Euclidean, OuterProducts, Predictions, Space

Array = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def gradients(seed: int, rows: int = 20) -> tuple[Array, Array]:
    probabilities = rng(seed).dirichlet(np.ones(3), size=rows)
    errors = probabilities - np.eye(3)[probabilities.argmax(axis=1)]
    return errors, rng(seed + 1).normal(size=(rows, 4))


def test_the_gradient_of_the_sheet_has_its_norm() -> None:
    space = OuterProducts.of(np.array([[-0.3, 0.3]]), np.array([[1.0, 2.0]]))
    assert np.sqrt(space.norms[0]) == pytest.approx(0.94868, abs=1e-5)


@given(st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_factored_distances_equal_explicit_ones(seed: int) -> None:
    errors, features = gradients(seed)
    space = OuterProducts.of(errors, features)
    flat = np.einsum("nc,nd->ncd", errors, features).reshape(20, -1)
    gaps = np.square(flat[:, None] - flat[None]).sum(axis=2)
    # The engine works in float32; in doubles the same formula is exact to 1e-9.
    np.testing.assert_allclose(space.gaps(space), gaps, atol=1e-4)
    exact = OuterProducts(errors, features, np.square(flat).sum(axis=1))
    np.testing.assert_allclose(exact.gaps(exact), gaps, atol=2e-5)
    assert np.abs(exact.gaps(exact) - gaps)[gaps > 1e-2].max() < 1e-9


def test_contrasting_predictions_have_the_sheets_distance() -> None:
    pair = Predictions.of(np.array([[0.9, 0.1], [0.1, 0.9]]))
    gaps = pair.gaps(pair)
    assert gaps[0, 1] == pytest.approx(1.75778, abs=1e-5)
    assert gaps[0, 1] == gaps[1, 0]
    assert np.diag(gaps).tolist() == [0, 0]


def test_zeros_in_predictions_are_far_but_not_infinite() -> None:
    certain = Predictions.of(np.eye(3))
    assert np.isfinite(certain.gaps(certain)).all()


@given(st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_prediction_distances_equal_both_divergences(seed: int) -> None:
    shares = rng(seed).dirichlet(np.ones(4), size=12)
    left, other = shares[:, None], shares[None]
    both = (left * np.log(left / other) + other * np.log(other / left)).sum(axis=2) / 2
    np.testing.assert_allclose(Predictions.of(shares).gaps(Predictions.of(shares)), both, atol=1e-5)


@pytest.mark.parametrize("kind", ["noise", "blobs", "predictions", "duplicates"])
def test_late_refreshes_pick_what_immediate_ones_pick(kind: str) -> None:
    noise = rng(1).normal(size=(3000, 6))
    space: Space = Euclidean.of(noise)
    if kind == "blobs":
        space = Euclidean.of(noise * 0.1 + np.repeat(rng(2).normal(size=(10, 6)) * 20, 300, axis=0))
    if kind == "predictions":
        space = Predictions.of(rng(3).dirichlet(np.ones(5), size=3000))
    if kind == "duplicates":
        space = Euclidean.of(np.repeat(noise[:30], 100, axis=0))
    picks = pick_farthest(space, labelled=space.take(np.arange(3)), count=80, rng=rng())
    nearest = space.gaps(space.take(np.arange(3))).min(axis=1)
    for pick in picks:
        assert nearest[pick] >= nearest.max() * (1 - 1e-4)
        nearest = np.minimum(nearest, space.gaps(space.take(np.array([pick])))[:, 0])
        nearest[pick] = -1
    assert len(set(picks)) == 80


def test_thinned_draws_follow_squared_distance_to_the_latest_picks() -> None:
    # The first two picks are certain; the third is drawn by values of before the second.
    places = np.array([0.0, 1, 2, 4, 7])[:, None]
    space = Euclidean.of(places)
    found: Counter[tuple[int, ...]] = Counter()
    for seed in range(10_000):
        found[tuple(draw_far(space, count=3, rng=rng(seed), first=0)[1:])] += 1
    expected = {}
    for pick in range(1, 5):
        first = places[pick, 0] ** 2 / np.square(places).sum()
        rest = np.minimum(places[:, 0] ** 2, (places[:, 0] - places[pick, 0]) ** 2)
        for other in set(range(1, 5)) - {pick}:
            expected[pick, other] = first * rest[other] / rest.sum()
    counts = [found[pair] for pair in expected]
    assert chisquare(counts, [10_000 * expected[pair] for pair in expected]).pvalue > 0.001


def test_rows_without_gradient_come_after_all_others() -> None:
    errors, features = gradients(4)
    errors[:5] = 0
    space = OuterProducts.of(errors, features)
    picks = draw_far(space, count=20, rng=rng(), first=int(space.norms.argmax()))
    # One zero gradient lies away from the others; its duplicates come last.
    assert set(picks[-4:]) <= set(range(5))
    assert len(set(picks)) == 20
