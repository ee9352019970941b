"""Covering the pool: the sheet's worked case, guarantees, duplicates and speed."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.tools.engines.diversity import k_center, k_means_pp

Array = NDArray[np.float32]


def line(*places: float) -> Array:
    return np.array(places, dtype=np.float32)[:, None]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_k_center_gives_the_sheets_worked_picks() -> None:
    pool = line(1, 2, 10, 11, 20)
    picks = k_center(pool, labelled=line(0), count=2, rng=rng())
    assert pool[picks, 0].tolist() == [20, 10]


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_picks_lie_at_least_the_final_radius_apart(seed: int, count: int) -> None:
    pool = rng(seed).normal(size=(60, 4)).astype(np.float32)
    picks = k_center(pool, count=count, rng=rng(seed))
    gaps = np.linalg.norm(pool[:, None] - pool[None, picks], axis=2)
    radius = gaps.min(axis=1).max()
    apart = np.linalg.norm(pool[picks][:, None] - pool[picks][None], axis=2)
    assert apart[~np.eye(len(picks), dtype=bool)].min() >= radius - 1e-4
    # Each pick was the farthest at its time, so the radii before it never rise.
    radii = [gaps[:, :size].min(axis=1).max() for size in range(1, len(picks) + 1)]
    assert all(later <= earlier for earlier, later in pairwise(radii))


@pytest.mark.parametrize("choose", [k_center, k_means_pp])
def test_three_blobs_give_one_pick_each(choose: type[k_center]) -> None:
    for seed in range(10):
        noise = rng(seed).normal(size=(90, 5)) * 0.01
        pool = (np.repeat(np.eye(3, 5) * 50, 30, axis=0) + noise).astype(np.float32)
        picks = choose(pool, count=3, rng=rng(seed))
        assert sorted(picks // 30) == [0, 1, 2]


@pytest.mark.parametrize("choose", [k_center, k_means_pp])
@pytest.mark.parametrize(
    "pool", [np.zeros((6, 3)), np.ones((6, 3)) * 0.577, np.repeat(np.eye(3), 2, axis=0)]
)
def test_duplicates_and_zero_vectors_still_give_different_rows(
    choose: type[k_center], pool: Array
) -> None:
    picks = choose(pool.astype(np.float32), labelled=pool[:1], count=9, rng=rng())
    assert sorted(picks) == list(range(6))


def test_equal_distances_go_to_the_lower_position() -> None:
    pool = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)
    picks = k_center(pool, labelled=np.zeros((1, 4), dtype=np.float32), count=8, rng=rng())
    assert picks.tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_an_empty_labelled_set_is_no_labelled_set() -> None:
    pool = rng().normal(size=(20, 3)).astype(np.float32)
    empty = np.empty((0, 3), dtype=np.float32)
    with_it, without = (
        k_center(pool, labelled=empty, count=5, rng=rng(4)),
        k_center(pool, count=5, rng=rng(4)),
    )
    assert with_it.tolist() == without.tolist()
    assert k_center(empty, count=5, rng=rng()).tolist() == []


def test_draws_follow_squared_distance() -> None:
    pool = line(1, 2, 3)
    draws = Counter(
        int(k_means_pp(pool, labelled=line(0), count=1, rng=rng(seed))[0]) for seed in range(4000)
    )
    shares = [draws[row] / 4000 for row in range(3)]
    np.testing.assert_allclose(shares, np.array([1, 4, 9]) / 14, atol=0.03)


def test_distances_to_many_labelled_rows_are_taken_in_blocks_without_loss() -> None:
    pool = rng(1).normal(size=(9000, 3)).astype(np.float32)
    labelled = rng(2).normal(size=(600, 3)).astype(np.float32)
    pick = k_center(pool, labelled=labelled, count=1, rng=rng())[0]
    nearest = [np.square(row - labelled).sum(axis=1).min() for row in pool]
    assert pick == int(np.argmax(nearest))


def test_a_hundred_of_ten_thousand_take_no_time_to_speak_of() -> None:
    pool = rng().normal(size=(10_000, 384)).astype(np.float32)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        k_center(pool, count=100, rng=rng())
        times.append(time.perf_counter() - start)
    # 0.03 s on two idle cores, up to 1.2 s when three other jobs share them.
    assert min(times) < 2
