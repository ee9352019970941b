"""Strategies on cases whose right answer is known: the sheets' and small ones by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from querist.memory.records import ExampleId
from querist.tools.engines import scoring
from querist.tools.strategies import get
from querist.tools.strategies.clustering import take_turns, typicality
from querist.tools.strategies.contrast import divergence_from, in_domain_picks
from querist.tools.strategies.coverage import pure_radius
from querist.tools.strategies.querying import Capability, Labelled, QueryContext, Targets
from querist.tools.strategies.uncertainty import level, quota_picks
from querist.tools.training.proxy import GradientFactors

Array = NDArray[np.float64]
WORKED = np.array([[0.5, 0.49, 0.01], [0.4, 0.3, 0.3], [0.6, 0.2, 0.2]])


def show(
    *,
    embeddings: Array | None = None,
    probabilities: Array | None = None,
    labelled: Labelled | None = None,
    targets: Array | None = None,
    seed: int = 0,
) -> QueryContext:
    known = {
        Capability.EMBEDDINGS: embeddings,
        Capability.PROBS: probabilities,
        Capability.TARGETS: None if targets is None else Targets(embeddings=targets),
    }
    count = len(probabilities if embeddings is None else embeddings)
    return QueryContext(
        ids=[ExampleId(f"row-{row}") for row in range(count)],
        rng=np.random.default_rng(seed),
        sources={
            kind: lambda value=value: value for kind, value in known.items() if value is not None
        },
        labelled_so_far=None if labelled is None else lambda: labelled,
    )


def labels(embeddings: Array, classes: list[int], probabilities: Array | None = None) -> Labelled:
    ids = tuple(ExampleId(f"known-{row}") for row in range(len(classes)))
    return Labelled(
        embeddings=embeddings, classes=np.array(classes), probabilities=probabilities, ids=ids
    )


def blobs(sizes: list[int], *, noise: float = 0.05, seed: int = 0) -> Array:
    centres = np.eye(len(sizes), 6)
    rows = np.repeat(centres, sizes, axis=0)
    return rows + np.random.default_rng(seed).normal(size=rows.shape) * noise


@pytest.mark.parametrize(
    ("name", "order"),
    [("least_confidence", [1, 0, 2]), ("margin", [0, 1, 2]), ("entropy", [1, 2, 0])],
)
def test_the_three_uncertainties_disagree_as_in_the_sheet(name: str, order: list[int]) -> None:
    assert get(name).query(show(probabilities=WORKED), 3).indices.tolist() == order


def test_with_two_classes_all_uncertainties_rank_alike() -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1], size=200)
    names = ("least_confidence", "margin", "breaking_ties", "entropy")
    orders = {tuple(get(n).query(show(probabilities=shares), 200).indices) for n in names}
    assert len(orders) == 1


def test_the_highest_scores_come_in_order_with_ties_to_the_lower_position() -> None:
    scores = np.random.default_rng(0).integers(0, 6, 500).astype(float)
    for count in (0, 1, 7, 100, 500, 600):
        expected = np.argsort(-scores, kind="stable")[:count]
        assert scoring.highest(scores, count).tolist() == expected.tolist()


def test_cdal_goes_on_from_what_is_labelled() -> None:
    shares = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]])
    known = labels(np.zeros((1, 2)), [0], np.array([[0.9, 0.1]]))
    result = get("cdal").query(show(probabilities=shares, labelled=known), 2)
    assert result.indices.tolist() == [2, 1]


def test_go_takes_the_sheets_pick_for_two_targets() -> None:
    # Unit length, as the strategy scales them: values 1, 1 and 0.75.
    pool = np.array([[1.0, 0], [0, 1], [0.6, 0.6]])
    shown = show(embeddings=pool, targets=np.eye(2))
    result = get("go").query(shown, 1)
    assert result.indices.tolist() == [2]
    assert result.scores is not None
    assert result.scores[0] == pytest.approx(-0.75, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_cluster_margin_takes_turns_as_in_the_sheet(seed: int) -> None:
    groups = np.array([2, 2, 0, 1, 1, 2])
    picks = take_turns(groups, 4, rng=np.random.default_rng(seed))
    assert groups[picks].tolist() == [0, 1, 2, 1]


def test_within_one_cluster_turns_are_an_even_draw() -> None:
    found = Counter(
        int(take_turns(np.zeros(4, dtype=int), 1, rng=np.random.default_rng(seed))[0])
        for seed in range(2000)
    )
    assert all(400 < found[row] < 600 for row in range(4))
    singles = take_turns(np.arange(6), 3, rng=np.random.default_rng(0))
    assert singles.tolist() == [0, 1, 2]


def test_cluster_margin_draws_only_from_the_smallest_margins() -> None:
    rng = np.random.default_rng(0)
    shown = show(embeddings=blobs([100, 100]), probabilities=rng.dirichlet([1, 1, 1], size=200))
    result = get("cluster_margin").query(shown, 5)
    unsure = get("margin").query(shown, 50)
    assert set(result.ids) <= set(unsure.ids)
    assert result.diagnostics["clusters"] == 2


def test_clusters_are_made_once_and_come_out_the_same_when_lost() -> None:
    rows, shares = blobs([30, 30]), np.random.default_rng(0).dirichlet([1, 1], size=60)
    first = show(embeddings=rows, probabilities=shares)
    picked = get("cluster_margin").query(first, 4).indices
    (key,) = first.state
    rest = np.setdiff1d(np.arange(60), picked)
    known = Labelled(
        embeddings=rows[picked],
        classes=np.zeros(4, dtype=int),
        ids=tuple(first.ids[row] for row in picked),
    )
    # The next round: four moved from the pool to the labelled, in the same state or a lost one.
    again = [
        replace(
            first,
            ids=[first.ids[row] for row in rest],
            rng=np.random.default_rng(1),
            sources={
                Capability.EMBEDDINGS: lambda: rows[rest],
                Capability.PROBS: lambda: shares[rest],
            },
            labelled_so_far=lambda: known,
            state=state,
            _known={},
        )
        for state in (first.state, {})
    ]
    kept = first.state[key]
    results = [get("cluster_margin").query(context, 4) for context in again]
    assert results[0].ids == results[1].ids
    assert list(again[1].state) == [key]
    assert (again[1].state[key] == kept).all()


def test_large_pools_are_linked_by_a_sample() -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1], size=200)
    shown = show(embeddings=blobs([100, 100]), probabilities=shares)
    assert get("cluster_margin(most_linked=40)").query(shown, 5).diagnostics["clusters"] == 2


def test_weighted_k_means_chooses_among_the_most_uncertain_and_spreads() -> None:
    rows = blobs([50, 50, 50])
    shares = np.tile([0.95, 0.05], (150, 1))
    unsure = np.r_[0:10, 50:60, 100:110]
    shares[unsure] = [0.55, 0.45]
    for seed in range(5):
        shown = show(embeddings=rows, probabilities=shares, seed=seed)
        picks = get("weighted_k_means").query(shown, 3).indices
        assert set(picks) <= set(unsure)
        assert sorted(picks // 50) == [0, 1, 2]


def test_typiclust_goes_to_large_clusters_without_a_label() -> None:
    rows = blobs([60, 40, 20])
    known = labels(np.eye(3, 6)[:1], [0])
    for seed in range(5):
        shown = show(embeddings=rows, labelled=known, seed=seed)
        picks = get("typiclust").query(shown, 2).indices
        assert [int(np.searchsorted([60, 100], pick, side="right")) for pick in picks] == [1, 2]


def test_the_most_typical_is_the_one_in_the_middle() -> None:
    angles = np.array([0.0, 0.1, 0.15, 0.2, 0.9])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert typicality(rows).argmax() == 2
    assert typicality(rows[:1]).tolist() == [0]


def test_prob_cover_takes_the_densest_uncovered_regions() -> None:
    rows = blobs([60, 40, 20], noise=0.02)
    picks = get("prob_cover").query(show(embeddings=rows), 3)
    groups = [int(np.searchsorted([60, 100], pick, side="right")) for pick in picks.indices]
    assert groups == [0, 1, 2]
    known = labels(np.eye(3, 6)[:1], [2])
    after = get("prob_cover").query(show(embeddings=rows, labelled=known), 1)
    assert 60 <= after.indices[0] < 100


def test_the_pure_radius_keeps_95_percent_of_balls_within_a_cluster() -> None:
    rows = blobs([200, 200], noise=0.15).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    radius = pure_radius(rows, 2, rng=np.random.default_rng(0))
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    groups = np.arange(400) // 200
    other = groups[:, None] != groups
    impure = (other & (apart <= radius * (1 - 1e-6))).any(axis=1)
    assert 0.01 < impure.mean() <= 0.08


def test_facility_location_covers_the_largest_groups_first() -> None:
    picks = get("facility_location").query(show(embeddings=blobs([60, 40, 20])), 3).indices
    groups = [int(np.searchsorted([60, 100], pick, side="right")) for pick in picks]
    assert groups == [0, 1, 2]


def test_vote_k_takes_the_most_voted_and_then_discounts_its_voters() -> None:
    picks = get("vote_k").query(show(embeddings=blobs([60, 40])), 2).indices
    assert sorted(picks // 60) == [0, 1]


def test_vote_k_counts_the_labelled_as_voted_for() -> None:
    rows = blobs([30, 20])
    known = labels(np.eye(2, 6)[:1], [0])
    assert get("vote_k").query(show(embeddings=rows, labelled=known), 1).indices[0] >= 30


def left_behind(rows: Array, picks: list[int], *, start: int = 0, neighbours: int = 15) -> Array:
    """Give, for each pick, how far its score is below the best by Su et al.'s own algorithm."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similar = unit @ unit.T
    np.fill_diagonal(similar, -np.inf)
    voters: dict[int, list[int]] = {row: [] for row in range(len(rows))}
    for row in range(len(rows)):
        for near in np.argsort(similar[row])[-neighbours:]:
            voters[int(near)].append(row)
    selected: list[int] = []
    times = dict.fromkeys(voters, 0)
    behind = []
    for pick in picks:
        scores = {
            row: sum(10.0 ** -times[voter] for voter in voters[row] if voter not in selected)
            for row in voters
            if row not in selected
        }
        behind.append(max(scores.values()) - scores[pick])
        selected.append(pick)
        for voter in voters[pick]:
            times[voter] += 1
    return np.array(behind[start:])


@pytest.mark.parametrize("seed", range(3))
def test_vote_k_takes_what_the_authors_algorithm_takes_but_for_ties(seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(300, 8))
    picks = get("vote_k").query(show(embeddings=rows), 50).indices
    np.testing.assert_allclose(left_behind(rows, picks.tolist()), 0, atol=1e-9)


def test_vote_k_goes_on_from_the_labelled_as_within_one_batch() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 8))
    known = labels(rows[:20], [0] * 20)
    picks = get("vote_k").query(show(embeddings=rows[20:], labelled=known), 30).indices + 20
    behind = left_behind(rows, [*range(20), *picks.tolist()], start=20)
    np.testing.assert_allclose(behind, 0, atol=1e-9)


def test_cal_is_the_mean_divergence_from_the_neighbours() -> None:
    shares = np.array([[0.5, 0.5], [0.9, 0.1]])
    known = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    near = np.array([[0, 1], [0, 1]])
    expected = [
        np.mean([(known[n] * np.log(known[n] / own)).sum() for n in (0, 1)]) for own in shares
    ]
    np.testing.assert_allclose(divergence_from(shares, known, near), expected, atol=1e-12)


def test_cal_asks_where_like_texts_get_unlike_answers() -> None:
    rows = np.repeat(np.eye(2, 3), 4, axis=0)
    shares = np.tile([0.9, 0.1], (8, 1))
    shares[5] = [0.2, 0.8]
    shares[2] = [0.4, 0.6]
    known = labels(np.repeat(np.eye(2, 3), 10, axis=0), [0] * 20, np.tile([0.9, 0.1], (20, 1)))
    result = get("contrastive").query(
        show(embeddings=rows, probabilities=shares, labelled=known), 2
    )
    assert result.indices.tolist() == [5, 2]


def test_idds_is_the_formula_of_its_sheet() -> None:
    rng = np.random.default_rng(0)
    rows, known = rng.normal(size=(12, 4)), rng.normal(size=(3, 4))
    picks, scores = in_domain_picks(rows, known, count=5)
    pool, labelled = list(range(12)), [*known]
    for pick, score in zip(picks, scores, strict=True):
        by_hand = {
            row: 0.667 * np.mean([rows[row] @ rows[u] for u in pool if u != row])
            - 0.333 * np.mean([rows[row] @ vector for vector in labelled])
            for row in pool
        }
        assert max(by_hand, key=lambda row: by_hand[row]) == pick
        assert score == pytest.approx(by_hand[pick])
        pool.remove(pick)
        labelled.append(rows[pick])


def test_discriminative_fills_what_the_labelled_lack() -> None:
    rows = blobs([40, 40, 40]).astype(np.float32)
    known = labels(rows[:20], [0] * 20)
    for seed in range(3):
        shown = show(embeddings=rows, labelled=known, seed=seed)
        groups = get("discriminative").query(shown, 10).indices // 40
        assert Counter(groups.tolist())[0] <= 1
        assert {1, 2} <= set(groups.tolist())


def test_shares_of_the_minority_level_the_counts() -> None:
    assert level(np.array([10, 2, 0]), 6).tolist() == [0, 2, 4]
    assert level(np.array([10, 2, 0]), 5).tolist() == [0, 1, 4]
    for seed in range(50):
        rng = np.random.default_rng(seed)
        counts, more = rng.integers(0, 20, 5), int(rng.integers(0, 60))
        shares = level(counts, more)
        assert shares.sum() == more
        assert (shares >= 0).all()
        raised = counts[shares > 0] + shares[shares > 0]
        if len(raised):
            assert raised.max() - raised.min() <= 1
            assert raised.max() - 1 <= counts[shares == 0].min(initial=10**9)


def test_quotas_take_close_calls_of_the_class_and_then_what_leans_to_it() -> None:
    shares = np.array([[0.1, 0.9], [0.45, 0.55], [0.6, 0.4], [0.95, 0.05], [0.52, 0.48]])
    assert quota_picks(shares, np.array([0, 2])).tolist() == [1, 0]
    assert quota_picks(shares, np.array([0, 4])).tolist() == [1, 0, 4, 2]


def test_minority_asks_for_the_class_with_fewest_labels() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([3, 1], size=100)
    known = labels(np.zeros((12, 2)), [0] * 10 + [1] * 2)
    picks = get("minority").query(show(probabilities=shares, labelled=known), 6).indices
    assert shares[picks].argmax(axis=1).tolist() == [1] * 6


def test_badge_starts_from_the_longest_gradient() -> None:
    errors = np.array([[-0.1, 0.1], [-0.5, 0.5], [-0.3, 0.3]])
    factors = GradientFactors(errors=errors, features=np.array([[1.0, 2], [1, 1], [1, 2]]))
    for seed in range(5):
        shown = QueryContext(
            ids=[ExampleId(str(row)) for row in range(3)],
            rng=np.random.default_rng(seed),
            sources={Capability.GRADIENTS: lambda: factors},
        )
        assert get("badge").query(shown, 1).indices.tolist() == [1]
