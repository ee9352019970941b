"""k-means and average linkage: known groups, weights, duplicates, and SciPy's linkage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans

from querist.tools.engines import clustering as module
from querist.tools.engines.clustering import Clusters, average_linkage, k_means, nearest_to_centres

Array = NDArray[np.float32]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blobs(groups: int = 3, each: int = 30) -> Array:
    centres = np.eye(groups, 5) * 50
    noise = rng().normal(size=(groups * each, 5)) * 0.1
    return (np.repeat(centres, each, axis=0) + noise).astype(np.float32)


def test_three_blobs_give_one_row_each_for_any_seed() -> None:
    for seed in range(10):
        picks = nearest_to_centres(k_means(blobs(), 3, rng=rng(seed)))
        assert sorted(picks // 30) == [0, 1, 2]


def test_picks_stay_different_when_centres_share_their_nearest_row() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    clusters = Clusters(np.zeros((4, 1)), labels, np.array([3.0, 1.0, 2.0, 0.5, 0.5]))
    assert nearest_to_centres(clusters).tolist() == [1, 3, 4, 2]
    for seed in range(5):
        rows = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)
        picks = nearest_to_centres(k_means(rows, 6, rng=rng(seed)))
        assert len(set(picks)) == 6


def test_heavy_rows_pull_the_centre() -> None:
    rows = np.array([[0.0], [10.0]], dtype=np.float32)
    clusters = k_means(rows, 1, rng=rng(), weights=np.array([3.0, 1.0]))
    assert clusters.centres[0, 0] == pytest.approx(2.5)
    even = k_means(rows, 1, rng=rng(), weights=np.zeros(2))
    assert even.centres[0, 0] == pytest.approx(5)


def test_the_loss_is_as_low_as_scikit_learns() -> None:
    rows = rng(3).normal(size=(600, 8)).astype(np.float32)
    ours = k_means(rows, 12, rng=rng()).gaps.sum()
    theirs = KMeans(12, n_init=10, random_state=0).fit(rows).inertia_
    assert ours <= theirs * 1.03


def test_a_large_pool_is_clustered_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FITTED", 40)
    monkeypatch.setattr(module, "_PER_CLUSTER", 10)
    clusters = k_means(blobs(), 3, rng=rng())
    assert sorted(np.bincount(clusters.labels)) == [30, 30, 30]


@given(st.integers(0, 300), st.floats(0.5, 3))
@settings(max_examples=25, deadline=None)
def test_average_linkage_cuts_as_scipy_does(seed: int, cut: float) -> None:
    rows = rng(seed).normal(size=(40, 3))
    ours = average_linkage(rows, cut=cut)
    theirs = fcluster(linkage(rows, "average"), cut, criterion="distance")
    same = ours[:, None] == ours
    assert (same == (theirs[:, None] == theirs)).all()
    assert ours[0] == 0


def test_linkage_of_duplicates_and_of_one_row() -> None:
    assert average_linkage(np.zeros((5, 2)), cut=0).tolist() == [0] * 5
    assert average_linkage(np.ones((1, 2)), cut=1).tolist() == [0]
    assert average_linkage(np.eye(3), cut=0.1).tolist() == [0, 1, 2]
