"""Greedy cover: the worked cases of LDCAL and CoverICL, laziness and guarantees."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.tools.engines.greedy_cover import Membership, Similarities, cover_within, greedy_cover
from querist.tools.engines.neighbours import Sets

Array = NDArray[np.float64]
WORKED = np.array([[1, 0.8, 0.1], [0.8, 1, 0.2], [0.1, 0.2, 1]])


def similarities(count: int, *, seed: int) -> Array:
    rows = np.random.default_rng(seed).normal(size=(count, 4))
    return np.maximum(rows @ rows.T / 4, 0)


def sets(count: int, *, seed: int, items: int = 12) -> Sets:
    rng = np.random.default_rng(seed)
    return Sets.of([list(np.flatnonzero(rng.random(items) < 0.3)) for _ in range(count)])


def value(similar: Array, picks: tuple[int, ...]) -> float:
    return float(similar[list(picks)].max(axis=0).sum())


def test_certainty_gain_has_the_sheets_values() -> None:
    oracle = Similarities(WORKED)
    np.testing.assert_allclose(oracle.gains(np.arange(3)) / 3, [0.6333, 0.6667, 0.4333], atol=1e-4)
    oracle.add(1)
    np.testing.assert_allclose(oracle.gains(np.array([0, 2])) / 3, [0.0667, 0.2667], atol=1e-4)
    cover = greedy_cover(Similarities(WORKED), candidates=np.arange(3), count=2)
    assert cover.picks.tolist() == [1, 2]


def test_what_is_covered_at_the_start_gains_nothing_and_weights_count() -> None:
    covered = Similarities(WORKED, covered=np.array([1.0, 1.0, 0.0]))
    assert greedy_cover(covered, candidates=np.arange(3), count=1).picks.tolist() == [2]
    weighted = Similarities(WORKED, weights=np.array([9.0, 1.0, 1.0]))
    assert greedy_cover(weighted, candidates=np.arange(3), count=1).picks.tolist() == [0]


def test_cover_icl_ends_when_all_is_covered() -> None:
    hard = Sets.of([[1, 2, 3], [3, 4], [4]])
    oracle = Membership(hard, items=5)
    cover = greedy_cover(oracle, candidates=np.arange(3), count=3, stop_at_nothing=True)
    assert cover.picks.tolist() == [0, 1]
    assert cover.gains.tolist() == [3, 1]


def test_the_weighted_variant_counts_a_tenth_the_second_time() -> None:
    oracle = Membership(Sets.of([[1, 2, 3], [3, 4], [4]]), items=5, decay=0.1)
    assert oracle.gains(np.arange(3)).tolist() == [3, 2, 1]
    cover = greedy_cover(oracle, candidates=np.arange(3), count=2)
    assert cover.picks.tolist() == [0, 1]
    assert cover.gains.tolist() == [3, pytest.approx(1.1)]


@given(st.integers(0, 2000), st.integers(1, 25), st.booleans())
@settings(max_examples=50, deadline=None)
def test_lazy_and_plain_greedy_agree(seed: int, count: int, is_location: bool) -> None:
    def oracle() -> Similarities | Membership:
        if is_location:
            return Similarities(similarities(count, seed=seed))
        return Membership(sets(count, seed=seed), items=12, decay=0.1)

    lazy, plain = (
        greedy_cover(oracle(), candidates=np.arange(count), count=8, is_submodular=is_lazy)
        for is_lazy in (True, False)
    )
    assert lazy.picks.tolist() == plain.picks.tolist()
    np.testing.assert_allclose(lazy.gains, plain.gains)
    assert (np.diff(lazy.gains) <= 1e-9).all()


@given(st.integers(0, 300))
@settings(max_examples=20, deadline=None)
def test_greedy_is_within_its_guarantee_of_the_best(seed: int) -> None:
    similar = similarities(9, seed=seed)
    cover = greedy_cover(Similarities(similar), candidates=np.arange(9), count=3)
    best = max(value(similar, picks) for picks in combinations(range(9), 3))
    assert cover.gains.sum() == pytest.approx(value(similar, tuple(cover.picks)))
    assert cover.gains.sum() >= (1 - 1 / np.e) * best
    table = sets(9, seed=seed)
    picked = greedy_cover(Membership(table, items=12), candidates=np.arange(9), count=3)
    reachable = max(
        len(set(table.of_rows(np.array(picks))[0])) for picks in combinations(range(9), 3)
    )
    assert picked.gains.sum() >= (1 - 1 / np.e) * reachable


def test_only_candidates_are_picked_and_none_twice() -> None:
    similar = similarities(10, seed=0)
    cover = greedy_cover(Similarities(similar), candidates=np.array([7, 2, 5]), count=9)
    assert sorted(cover.picks) == [2, 5, 7]
    nothing = greedy_cover(Similarities(similar), candidates=np.array([], dtype=int), count=3)
    assert nothing.picks.tolist() == []


def test_equal_gains_go_to_the_candidate_that_stands_first() -> None:
    cover = greedy_cover(Similarities(np.eye(40)), candidates=np.arange(40), count=5)
    assert cover.picks.tolist() == [0, 1, 2, 3, 4]


def test_a_budget_is_kept_and_a_dear_treasure_is_not_missed() -> None:
    # By gain per price the trifle comes first, and then the treasure no longer fits.
    table = Sets.of([[0], list(range(1, 11))])
    prices = np.array([0.05, 1.0])

    def make() -> Membership:
        return Membership(table, items=11)

    assert cover_within(make, prices=prices, budget=1.0).picks.tolist() == [1]
    both = cover_within(make, prices=prices, budget=1.05)
    assert both.picks.tolist() == [0, 1]
    assert cover_within(make, prices=prices, budget=0.01).picks.tolist() == []
