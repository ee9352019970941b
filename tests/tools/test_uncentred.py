"""Distances where norms are large beside them: offsets, word counts, pixels, tight groups."""

from __future__ import annotations

import importlib.resources
import json
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from querist.tools.compute.arrays import TIE
from querist.tools.embedding.retrieval import nearest
from querist.tools.engines.clustering import assign, average_linkage, k_means, nearest_to_centres
from querist.tools.engines.density import density
from querist.tools.engines.diversity import draw_far, k_center, k_means_pp
from querist.tools.engines.geometry import Euclidean, OuterProducts
from querist.tools.engines.greedy_cover import Similarities, greedy_cover
from querist.tools.engines.neighbours import nearest_neighbours, similarities
from querist.tools.strategies.clustering import typicality
from querist.tools.strategies.coverage import pure_radius

Floats = NDArray[np.float32]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def features(rows: int = 400, width: int = 12) -> Floats:
    """Three loose groups on a grid so coarse that an offset of 100 changes no digit of theirs."""
    groups = np.repeat(rng(1).normal(size=(4, width)) * 2, rows // 4, axis=0)
    noise = rng(2).normal(size=(rows, width))
    return (np.round((groups + noise) * 1024) / 1024).astype(np.float32)


def words(kind: type[CountVectorizer]) -> Floats:
    place = importlib.resources.files("querist.examples.tenant_requests") / "pool.jsonl"
    texts = [json.loads(line)["text"] for line in place.read_text("utf-8").splitlines()]
    return kind().fit_transform(texts[:300]).toarray().astype(np.float32)


def blobs() -> Floats:
    middles = np.repeat(rng(2).normal(size=(10, 6)) * 20, 60, axis=0)
    return (middles + rng(1).normal(size=(600, 6)) * 0.1).astype(np.float32)


DATA = {
    "offset": lambda: features() + np.float32(100),
    "counts": lambda: words(CountVectorizer),
    "tfidf": lambda: words(TfidfVectorizer),
    "pixels": lambda: load_digits().data[:600].astype(np.float32),
    "blobs": blobs,
}


@pytest.fixture(params=list(DATA), scope="module")
def rows(request: pytest.FixtureRequest) -> Floats:
    return DATA[request.param]()


def squares(rows: Floats, others: Floats) -> NDArray[np.float64]:
    return cdist(rows.astype(np.float64), others.astype(np.float64), "sqeuclidean")


def cosines(rows: Floats) -> NDArray[np.float64]:
    doubled = rows.astype(np.float64)
    doubled /= np.maximum(np.linalg.norm(doubled, axis=1, keepdims=True), 1e-30)
    return doubled @ doubled.T


def test_distances_are_right_to_four_digits(rows: Floats) -> None:
    space = Euclidean.of(rows)
    np.testing.assert_allclose(space.gaps(space), squares(rows, rows), rtol=1e-4, atol=0)


def test_the_exact_ways_give_the_same(rows: Floats) -> None:
    space, truth = Euclidean.of(rows), squares(rows, rows)
    np.testing.assert_allclose(space.exactly(space), truth, rtol=1e-5, atol=0)
    mine, theirs = np.nonzero(truth < np.median(truth) / 4)
    pairs = space.pairs(space, mine, theirs)
    np.testing.assert_allclose(pairs, truth[mine, theirs], rtol=1e-5, atol=0)


def test_k_center_picks_what_differences_pick(rows: Floats) -> None:
    picks = k_center(rows, labelled=rows[:2], count=40, rng=rng())
    nearest_gap = squares(rows, rows[:2]).min(axis=1)
    for pick in picks:
        # The first that is the farthest, but for what float32 cannot tell.
        assert pick == int((nearest_gap >= nearest_gap.max() * (1 - TIE)).argmax())
        nearest_gap = np.minimum(nearest_gap, squares(rows, rows[[pick]])[:, 0])
        nearest_gap[pick] = -1


def test_rows_join_the_nearest_centre(rows: Floats) -> None:
    centres = rows[rng(3).choice(len(rows), size=30, replace=False)]
    labels, gaps = assign(rows, centres)
    truth = squares(rows, centres)
    chosen = truth[np.arange(len(rows)), labels]
    assert (chosen <= truth.min(axis=1) * (1 + 1e-4)).all()
    np.testing.assert_allclose(gaps, chosen, rtol=1e-4, atol=0)


def test_k_means_takes_the_rows_nearest_to_its_centres(rows: Floats) -> None:
    clusters = k_means(rows, 12, rng=rng())
    truth = squares(rows, clusters.centres)
    for number, pick in enumerate(nearest_to_centres(clusters)):
        own = truth[clusters.labels == number, number]
        # The centres themselves are known to float32's digits only.
        assert truth[pick, number] <= own.min() * 1.001 + 1e-4


def test_neighbours_are_those_of_cosines_in_doubles(rows: Floats) -> None:
    found, similar = nearest_neighbours(rows, 6)
    truth = cosines(rows)
    np.fill_diagonal(truth, -np.inf)
    best = -np.sort(-truth, axis=1)[:, :6]
    took = np.take_along_axis(truth, found, axis=1)
    # What is left of 1 is what nearness means: its digits, too, must be right.
    np.testing.assert_allclose(1 - took, 1 - best, rtol=1e-4, atol=1e-11)
    np.testing.assert_allclose(1 - similar, 1 - took, rtol=1e-3, atol=1e-11)
    ties = [(row, a, b) for row in range(len(rows)) for a, b in pairwise(found[row])]
    assert all(a < b for row, a, b in ties if abs(truth[row, a] - truth[row, b]) < 1e-15)


def test_similarities_are_right_beside_one(rows: Floats) -> None:
    truth = cosines(rows)
    near = similarities(rows, rows)
    atol = 1e-6 if near.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(1 - near, 1 - truth, rtol=1e-3, atol=atol)


@pytest.mark.parametrize("offset", [100, 1000])
@pytest.mark.parametrize(
    "choose",
    [
        lambda rows: k_center(rows, labelled=rows[:3], count=60, rng=rng()),
        lambda rows: k_means_pp(rows, labelled=rows[:3], count=60, rng=rng()),
        lambda rows: k_center(rows, count=60, rng=rng()),
        lambda rows: nearest_to_centres(k_means(rows, 12, rng=rng())),
        lambda rows: k_means(rows, 12, rng=rng()).labels,
        lambda rows: average_linkage(rows, cut=4.0),
    ],
    ids=["k_center", "k_means_pp", "cold k_center", "k_means", "clusters", "linkage"],
)
def test_an_offset_changes_no_pick(choose, offset: int) -> None:
    centred = features()
    moved = centred + np.float32(offset)
    # Without a rounding: the distances are the same to the last digit.
    assert (moved - np.float32(offset) == centred).all()
    assert choose(moved).tolist() == choose(centred).tolist()


@pytest.mark.parametrize("offset", [100, 10_000])
def test_crowds_are_as_large_far_from_the_origin(offset: int) -> None:
    crowds = [density(features() + np.float32(far), rng=rng(4), hashes=4000) for far in (0, offset)]
    # Hashes cut the space elsewhere, so only their mean is the same.
    np.testing.assert_allclose(*crowds, rtol=0.05)


def test_an_offset_in_doubles_is_taken_off_before_digits_are_lost() -> None:
    centred = features().astype(np.float64)
    picks = k_center(centred + 1e7, labelled=centred[:3] + 1e7, count=60, rng=rng())
    assert picks.tolist() == k_center(centred, labelled=centred[:3], count=60, rng=rng()).tolist()


def test_labelled_rows_need_not_have_the_pools_offset() -> None:
    pool, labelled = features() + np.float32(100), features()[:5]
    near = Euclidean.of(pool).gaps(Euclidean.of(labelled))
    np.testing.assert_allclose(near, squares(pool, labelled), rtol=1e-5)
    far = Euclidean.of(labelled).gaps(Euclidean.of(pool))
    np.testing.assert_allclose(far, squares(labelled, pool), rtol=1e-5)


@pytest.mark.parametrize("offset", [0, 100])
def test_badge_draws_what_it_would_from_whole_gradients(offset: int) -> None:
    inputs = features() + np.float32(offset)
    shares = rng(5).dirichlet(np.ones(3) / 2, size=len(inputs)).astype(np.float32)
    errors = shares - np.eye(3, dtype=np.float32)[shares.argmax(axis=1)]
    factored = OuterProducts.of(errors, inputs)
    whole = np.einsum("nc,nd->ncd", errors.astype(np.float64), inputs).reshape(len(inputs), -1)
    truth = cdist(whole, whole, "sqeuclidean")
    np.testing.assert_allclose(factored.gaps(factored), truth, rtol=1e-4, atol=1e-9 * truth.max())
    picks = draw_far(factored, count=40, rng=rng(), first=7)
    assert picks.tolist() == draw_far(Euclidean.of(whole), count=40, rng=rng(), first=7).tolist()


def test_the_most_typical_and_the_pure_radius_survive_an_offset() -> None:
    moved = features() + np.float32(100)
    truth = np.sqrt(np.maximum(2 - 2 * cosines(moved), 0))
    apart = np.sort(truth, axis=1)[:, 1:21].mean(axis=1)
    np.testing.assert_allclose(1 / typicality(moved), apart + 1e-5, rtol=1e-3)
    unit = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    radius = pure_radius(unit, 4, rng=rng())
    # Every radius is the distance of some pair, to four digits.
    assert np.abs(truth / radius - 1).min() < 1e-4


def test_a_cover_tells_rows_apart_whose_cosines_are_nearly_one() -> None:
    moved = features() + np.float32(1000)
    truth = cosines(moved)
    assert truth.min() > 0.9999
    cover = greedy_cover(
        Similarities(similarities(moved, moved)), candidates=np.arange(400), count=10, tie=TIE
    )
    expected = greedy_cover(Similarities(truth), candidates=np.arange(400), count=10, tie=TIE)
    assert cover.picks.tolist() == expected.picks.tolist()


def test_equal_rows_are_at_no_distance_and_tie_by_their_place() -> None:
    rows = np.repeat(features(40), 25, axis=0) + np.float32(100)
    space = Euclidean.of(rows)
    same = np.repeat(np.arange(40), 25)
    assert ((space.gaps(space) == 0) == (same[:, None] == same)).all()
    picks = k_center(rows, count=40, rng=rng())
    assert sorted(same[picks]) == list(range(40))
    assert all(pick % 25 == 0 for pick in picks[1:])
    found, similar = nearest(rows[:1], rows, 30)
    assert found[0, :25].tolist() == list(range(25))
    assert similar[0, 0] == 1


def test_linkage_of_rows_that_are_equally_far_apart_ends() -> None:
    rows = np.eye(300, dtype=np.float32) / np.float32(3) + np.float32(0.7)
    assert average_linkage(rows, cut=0.1).tolist() == list(range(300))
    assert set(average_linkage(rows, cut=1.0)) == {0}


@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-5])
def test_rows_near_their_centre_go_where_doubles_say(spread: float) -> None:
    """Products in float32 alone would send some of the tightest elsewhere."""
    points = rng(0).normal(size=(40, 30)).astype(np.float32)
    near = points[rng(1).integers(40, size=500)] + spread * rng(2).normal(size=(500, 30))
    rows = np.concatenate([near, points + np.float32(spread)]).astype(np.float32)
    centres = np.concatenate([points, points + np.float32(2 * spread)])
    exact = np.square(rows[:, None].astype(np.float64) - centres[None]).sum(axis=-1)
    labels, gaps = assign(rows, centres)
    chosen = exact[np.arange(len(rows)), labels]
    assert (chosen <= exact.min(axis=1) * (1 + 1e-4) + 1e-12).all()
    np.testing.assert_allclose(gaps, chosen, rtol=1e-3, atol=1e-12)


def test_centres_that_are_all_the_same_leave_the_first() -> None:
    rows = np.ones((50, 8), np.float32) + rng(0).normal(size=(50, 8)).astype(np.float32) * 1e-4
    labels, _ = assign(rows, np.ones((30, 8), np.float32))
    assert (labels == 0).all()
