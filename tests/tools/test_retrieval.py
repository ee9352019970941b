"""Retrieval: exact, ordered, balanced, and never the query itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.tools.embedding.retrieval import nearest, pick_demonstrations
from querist.tools.engines import neighbours

Vectors = NDArray[np.float32]


def unit(rows: int, *, width: int = 8, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def angles(*degrees: float) -> Vectors:
    radians = np.radians(degrees)
    return np.column_stack([np.cos(radians), np.sin(radians)]).astype(np.float32)


@given(st.integers(1, 30), st.integers(0, 40), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_nearest_equals_sorting_everything(rows: int, k: int, seed: int) -> None:
    query, bank = unit(5, seed=seed), unit(rows, seed=seed + 1)
    positions, similarities = nearest(query, bank, k)
    everything = query @ bank.T
    expected = np.argsort(-np.round(everything, 6), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(
        similarities, np.take_along_axis(everything, expected, axis=1), atol=1e-5
    )


def test_ties_go_to_the_lower_position() -> None:
    bank = np.repeat(unit(2), 4, axis=0)
    positions, _ = nearest(bank[:1], bank, 3)
    assert positions.tolist() == [[0, 1, 2]]


def test_blocks_give_what_one_piece_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    query, bank = unit(50), unit(40, seed=1)
    whole = nearest(query, bank, 4)
    monkeypatch.setattr(neighbours, "_CELLS", 100)
    np.testing.assert_array_equal(nearest(query, bank, 4)[0], whole[0])


def test_an_empty_bank_or_query_finds_nothing() -> None:
    assert nearest(unit(3), unit(0), 5)[0].shape == (3, 0)
    assert nearest(unit(0), unit(3), 2)[0].shape == (0, 2)
    empty = pick_demonstrations(unit(1)[0], unit(0), [], count=3)
    assert empty.tolist() == []


def test_the_closest_demonstration_stands_next_to_the_query() -> None:
    bank = angles(60, 20, 40, 80)
    chosen = pick_demonstrations(angles(0)[0], bank, [0] * 4, count=3, balanced=False)
    assert chosen.tolist() == [0, 2, 1]


def test_the_query_and_its_copies_are_never_shown() -> None:
    bank = angles(0, 1, 30, 50)
    chosen = pick_demonstrations(angles(0)[0], bank, ["a"] * 4, count=4)
    assert sorted(chosen) == [2, 3]


def test_balanced_demonstrations_show_each_class_before_any_second() -> None:
    bank = angles(20, 25, 30, 60, 70)
    labels = ["a", "a", "a", "b", "c"]
    three = pick_demonstrations(angles(0)[0], bank, labels, count=3)
    assert three.tolist() == [4, 3, 0]
    four = pick_demonstrations(angles(0)[0], bank, labels, count=4)
    assert four.tolist() == [4, 3, 1, 0]
    plain = pick_demonstrations(angles(0)[0], bank, labels, count=3, balanced=False)
    assert plain.tolist() == [2, 1, 0]
