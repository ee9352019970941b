"""The density sampler: its worked case, its sketch, and draws without replacement."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from querist.tools.engines.density import density, draw_without_replacement


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_three_duplicates_and_a_far_point_weigh_alike() -> None:
    rows = np.array([[0.0], [0.0], [0.0], [1000.0]], dtype=np.float32)
    crowd = density(rows, rng=rng(), hashes=2000, width=0.01)
    np.testing.assert_allclose(crowd, [3, 3, 3, 1], atol=0.01)
    weights = 1 / crowd
    np.testing.assert_allclose(weights / weights.sum(), [1 / 6, 1 / 6, 1 / 6, 1 / 2], atol=0.01)
    drawn = Counter(int(draw_without_replacement(weights, 1, rng=rng(n))[0]) for n in range(4000))
    assert drawn[3] / 4000 == pytest.approx(0.5, abs=0.03)


def test_the_sketch_converges_to_the_collision_kernel() -> None:
    rows = rng(1).normal(size=(60, 4)).astype(np.float32)
    width = 2.0
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    places = (np.arange(40_000) + 0.5) / 40_000 * width

    def collides(gap: float) -> float:
        if gap == 0:
            return 1.0
        folded = 2 * np.exp(-((places / gap) ** 2) / 2) / np.sqrt(2 * np.pi) / gap
        return float(((1 - places / width) * folded).mean() * width)

    exact = np.array([[collides(gap) for gap in row] for row in apart]).sum(axis=1)
    errors = [
        np.abs(density(rows, rng=rng(2), hashes=hashes, width=width) - exact).mean()
        for hashes in (50, 5000)
    ]
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.02 * exact.mean()


def test_everybody_counts_itself_and_a_small_blob_gets_its_half() -> None:
    rows = np.concatenate(
        [rng(1).normal(size=(900, 3)), rng(2).normal(size=(100, 3)) + 100]
    ).astype(np.float32)
    crowd = density(rows, rng=rng())
    assert (crowd >= 1).all()
    drawn = draw_without_replacement(1 / crowd, 60, rng=rng())
    assert 0.35 < (drawn >= 900).mean() < 0.65


def test_draws_follow_weights_and_zero_comes_last() -> None:
    weights = np.array([1.0, 2.0, 0.0, 3.0])
    drawn = Counter(int(draw_without_replacement(weights, 1, rng=rng(n))[0]) for n in range(6000))
    shares = [drawn[row] / 6000 for row in range(4)]
    np.testing.assert_allclose(shares, weights / 6, atol=0.03)
    for seed in range(20):
        every = draw_without_replacement(weights, 9, rng=rng(seed))
        assert sorted(every) == [0, 1, 2, 3]
        assert every[-1] == 2
