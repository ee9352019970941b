"""The graph of neighbours: against brute force, with ties and without loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querist.tools.engines import neighbours as module
from querist.tools.engines.neighbours import Sets, nearest_neighbours, voters


@given(st.integers(0, 500), st.integers(1, 30), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_neighbours_are_those_of_brute_force(seed: int, count: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers make ties.
    rows = rng.integers(-1, 2, size=(count, 3)).astype(np.float32)
    found, similar = nearest_neighbours(rows, k)
    lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-9)
    cosines = (rows @ rows.T / lengths / lengths[:, None]).round(5)
    for row in range(count):
        others = [other for other in range(count) if other != row]
        assert row not in found[row]
        best = sorted(-cosines[row, other] for other in others)[:k]
        np.testing.assert_allclose(-similar[row], best, atol=1e-4)


def test_ties_go_to_the_lower_position_and_nobody_is_its_own_neighbour() -> None:
    rows = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)
    found, similar = nearest_neighbours(rows, 2)
    assert found.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [5, 6], [4, 6], [4, 5], [4, 5]]
    assert (similar == 1).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    whole = nearest_neighbours(rows, 5)[0]
    monkeypatch.setattr(module, "_CELLS", 200)
    assert (nearest_neighbours(rows, 5)[0] == whole).all()


def test_others_may_be_searched_and_there_may_be_none() -> None:
    rows = np.eye(3, dtype=np.float32)
    found, _ = nearest_neighbours(rows, 5, among=rows[::-1])
    assert found[:, 0].tolist() == [2, 1, 0]
    assert nearest_neighbours(rows, 2, among=rows[:0])[0].shape == (3, 0)
    assert nearest_neighbours(rows[:1], 2)[0].shape == (1, 0)


def test_voters_are_the_graph_turned_around() -> None:
    graph = np.array([[1], [2], [1]])
    turned = voters(graph)
    members, sizes = turned.of_rows(np.array([0, 1, 2]))
    assert sizes.tolist() == [0, 2, 1]
    assert members.tolist() == [0, 2, 1]
    again = Sets.of([[], [0, 2], [1]])
    assert again.members.tolist() == turned.members.tolist()
    assert len(again) == 3
