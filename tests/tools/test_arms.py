"""Choosing among arms with a fixed number of evaluations, and playing them for their reward."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from querist.memory.errors import InvalidInput
from querist.tools.arms import (
    AcceptsRejects,
    ClusteredHalving,
    ContinuousRejects,
    EqualShares,
    PredictedHalving,
    Record,
    SuccessiveHalving,
    TimeIncreasing,
    UpperBound,
    greedy_ensemble,
    pulls_at_once,
    relevant_and_varied,
)
from querist.tools.arms.upper_bounds import window_difference


def play(selector, reward, *, at_once=1):
    """Play to the end; return the pulls."""
    done = []
    while pulls := pulls_at_once(selector, at_once):
        done += pulls
        for pull in pulls:
            selector.observe(pull.arm, reward(pull.arm, pull.resource))
    return done


def fixed(means):
    return lambda arm, _: means[arm]


# ---------------------------------------------------------------- successive halving


def test_halving_spends_as_the_sheet_says():
    selector = SuccessiveHalving(8, 24)
    pulls = play(selector, fixed([0.1 * i for i in range(8)]))
    assert len(pulls) == 24
    assert selector.record.pulls == [1, 1, 1, 1, 3, 3, 7, 7]
    assert selector.best() == (7,)
    assert [selector.record.rejected.get(arm) for arm in (0, 4, 6, 7)] == [8, 16, 24, None]


def test_arms_of_a_phase_are_tried_on_the_same_items():
    items = {}
    for pull in play(SuccessiveHalving(4, 40), fixed([0.1, 0.2, 0.3, 0.4])):
        items.setdefault(pull.arm, []).append(pull.resource)
    assert items[0] == items[1] == list(range(5))
    assert items[2] == items[3] == list(range(15))


@pytest.mark.parametrize("make", [SuccessiveHalving, EqualShares, ContinuousRejects, UpperBound])
@pytest.mark.parametrize("arms", [2, 3, 5, 8, 13])
def test_no_selector_spends_more_than_it_may(make, arms):
    rng = np.random.default_rng(0)
    for budget in (arms, arms + 1, 2 * arms + 1, 50, 131):
        if budget >= arms:
            assert len(play(make(arms, budget), lambda *_: rng.random())) <= budget


@pytest.mark.parametrize(
    "make",
    [
        SuccessiveHalving,
        EqualShares,
        ContinuousRejects,
        lambda k, t: ContinuousRejects(k, t, variant="C"),
        lambda k, t: AcceptsRejects(k, t, count=1),
    ],
)
def test_without_noise_the_best_arm_is_found(make):
    for place in range(7):
        means = [0.1 * i for i in range(6)]
        means.insert(place, 0.95)
        selector = make(7, 60)
        play(selector, fixed(means), at_once=5)
        assert selector.best() == (place,)


def test_several_pulls_at_once_change_nothing():
    rewards = np.random.default_rng(3).random((6, 80))
    single, many = SuccessiveHalving(6, 70), SuccessiveHalving(6, 70)
    play(single, lambda arm, item: rewards[arm, item])
    play(many, lambda arm, item: rewards[arm, item], at_once=32)
    assert single.record.pulls == many.record.pulls
    assert single.best(6) == many.best(6)


def test_too_few_evaluations_for_the_arms_are_refused():
    with pytest.raises(InvalidInput, match="allow at least 5"):
        SuccessiveHalving(5, 4)


def test_one_arm_costs_nothing():
    selector = SuccessiveHalving(1, 10)
    assert selector.next() is None
    assert selector.best() == (0,)


def test_an_arm_is_tried_on_no_more_items_than_there_are():
    selector = SuccessiveHalving(4, 400, most=7)
    play(selector, fixed([0.1, 0.2, 0.3, 0.4]))
    assert max(selector.record.pulls) == 7


def _found(make, means, seeds, budget):
    hits = 0
    for seed in range(seeds):
        luck = np.random.default_rng(seed).random((len(means), budget)) < np.array(means)[:, None]
        rewards = luck.astype(float).tolist()
        selector = make(len(means), budget)
        while (pull := selector.next()) is not None:
            selector.observe(pull.arm, rewards[pull.arm][pull.resource])
        hits += selector.best() == (int(np.argmax(means)),)
    return hits / seeds


def test_halving_beats_equal_shares_where_two_arms_are_close():
    means = [0.3] * 14 + [0.6, 0.75]
    halving = _found(SuccessiveHalving, means, 1_000, 480)
    equal = _found(EqualShares, means, 1_000, 480)
    assert halving > 0.92
    assert halving - equal > 0.05


# ---------------------------------------------------------------- rejects


def test_a_rejected_arm_was_tried_more_than_any_rejected_before():
    rng = np.random.default_rng(1)
    selector = ContinuousRejects(6, 120)
    play(selector, lambda arm, _: float(rng.random() < 0.1 + 0.15 * arm))
    record = selector.record
    order = sorted(record.rejected, key=lambda arm: record.rejected[arm])
    pulls = [record.pulls[arm] for arm in order]
    assert pulls == sorted(set(pulls))
    assert selector.best()[0] not in record.rejected


def test_continuous_rejects_ends_with_one_arm_left():
    selector = ContinuousRejects(4, 1_000)
    pulls = play(selector, fixed([0.0, 0.3, 0.6, 1.0]))
    assert len(selector.record.rejected) == 3
    assert len(pulls) < 1_000


def test_variant_c_waits_for_the_next_worst():
    # Two equally bad arms: their average rival is far ahead, the next worst is not.
    means = [0.1, 0.1, 0.9, 0.9]
    a, c = ContinuousRejects(4, 200), ContinuousRejects(4, 200, variant="C")
    play(a, fixed(means))
    play(c, fixed(means))
    assert min(a.record.rejected.values()) < min(c.record.rejected.values(), default=10**6)


def test_continuous_rejects_runs_one_at_a_time():
    assert len(pulls_at_once(ContinuousRejects(3, 30), 10)) == 1


# ---------------------------------------------------------------- accepts and rejects


def test_the_best_two_are_accepted():
    selector = AcceptsRejects(4, 60, count=2)
    pulls = play(selector, fixed([1, 0.9, 0.1, 0]))
    assert set(selector.accepted) == {0, 1}
    assert set(selector.best(2)) == {0, 1}
    assert len(pulls) <= 60


@pytest.mark.parametrize(("arms", "budget", "count"), [(5, 5, 2), (6, 40, 3), (9, 100, 8)])
def test_accepts_and_rejects_decides_every_arm_within_the_budget(arms, budget, count):
    rng = np.random.default_rng(budget)
    selector = AcceptsRejects(arms, budget, count=count)
    assert len(play(selector, lambda *_: rng.random())) <= budget
    assert len(selector.accepted) == count
    assert len(selector.record.rejected) == arms - count


def test_as_many_as_there_are_need_no_evaluation():
    selector = AcceptsRejects(3, 30, count=3)
    assert selector.next() is None
    assert set(selector.accepted) == {0, 1, 2}


def test_credit_counts_in_the_mean_and_not_as_a_pull():
    record = Record(2)
    record.add(0, 1.0)
    record.credit(0, 0.0)
    assert (record.pulls, record.mean(0), record.total) == ([1, 0], 0.5, 1)


# ---------------------------------------------------------------- clusters


def test_clusters_find_the_best_arm_with_fewer_evaluations_than_arms():
    rng = np.random.default_rng(0)
    centres = np.eye(5)
    groups = np.repeat(np.arange(5), 8)
    vectors = centres[groups] + 0.02 * rng.standard_normal((40, 5))
    means = 0.1 + 0.1 * groups
    means[35] = 0.95
    selector = ClusteredHalving(vectors, 36, rng=rng, clusters=5)
    pulls = play(selector, fixed(means), at_once=4)
    assert len(pulls) <= 36
    assert selector.best() == (35,)


def test_clusters_default_to_the_square_root():
    rng = np.random.default_rng(0)
    selector = ClusteredHalving(rng.standard_normal((16, 3)), 40, rng=rng)
    assert len(selector.members) == 4
    assert sorted(itertools.chain(*selector.members)) == list(range(16))


def test_too_few_evaluations_for_the_clusters_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="allow at least 8"):
        ClusteredHalving(rng.standard_normal((16, 3)), 7, rng=rng)


def test_a_regression_finds_good_arms_that_were_never_tried():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 4))
    means = 1 / (1 + np.exp(-2 * vectors[:, 0]))
    selector = PredictedHalving(vectors, 80, rng=rng, ridge=0.1)
    pulls = play(selector, fixed(means), at_once=4)
    assert len(pulls) <= 80
    assert np.corrcoef(selector.predicted(), means)[0, 1] > 0.9
    assert means[selector.best()[0]] >= np.sort(means)[-3]
    tried_first = {pull.arm for pull in pulls[:40]}
    assert len(tried_first) == 20
    dropped = [arm for arm, when in selector.record.rejected.items() if when == 40]
    assert len(dropped) >= 30
    with pytest.raises(InvalidInput, match="allow at least 8"):
        PredictedHalving(vectors, 7, rng=rng)


# ---------------------------------------------------------------- upper bounds


def _rising(selector):
    plays, total = [0, 0], 0.0
    while (pull := selector.next()) is not None:
        plays[pull.arm] += 1
        reward = 0.5 if pull.arm == 0 else min(0.03 * plays[1], 0.9)
        total += reward
        selector.observe(pull.arm, reward)
    return plays[1], round(total, 2)


@pytest.mark.parametrize(
    ("budget", "c", "plain", "rising"),
    [(60, 1.0, (20, 26.3), (43, 34.15)), (200, 0.3, (4, 98.3), (89, 122.55))],
)
def test_a_rising_arm_is_played_more_when_its_trend_is_seen(budget, c, plain, rising):
    assert _rising(UpperBound(2, budget, c=c)) == plain
    assert _rising(TimeIncreasing(2, budget, window=10, gap=0.2, c=c)) == rising


def test_with_a_small_bonus_only_forced_tries_find_the_rising_arm():
    few = _rising(TimeIncreasing(2, 200, window=10, gap=0.2, c=0.1))
    forced = _rising(TimeIncreasing(2, 200, window=10, gap=0.2, c=0.1, least=20))
    assert few[0] < 5
    assert forced[0] > 100


def test_levelling_off_is_seen_two_pulls_after_the_knee():
    selector = TimeIncreasing(1, 20, window=4, gap=0.3)
    differences, history = [], []
    for n in range(1, 13):
        assert selector.next().arm == 0
        assert (0 in selector.converged) == (n > 10)
        history.append(min(0.1 * n, 0.8))
        selector.observe(0, history[-1])
        differences.append(window_difference(history, 4))
        if n in {10, 11}:
            assert selector.expected(0) == pytest.approx({10: 0.775, 11: 0.8}[n])
    assert differences[7:] == pytest.approx([0, 0.07, 0.18, 0.30, 0.40], abs=1e-9)
    assert selector.converged == {0: 10}


def test_a_price_counts_against_a_reward():
    selector = UpperBound(2, 40, c=0.2, price_weight=1.0)
    while (pull := selector.next()) is not None:
        selector.observe(pull.arm, 0.8 if pull.arm else 0.7, cost=0.3 if pull.arm else 0.0)
    assert selector.best() == (0,)
    assert selector.record.costs[1] == pytest.approx(0.3 * selector.record.pulls[1])


def test_a_reward_that_is_no_number_is_refused():
    with pytest.raises(InvalidInput, match="finite"):
        Record(1).add(0, float("nan"))


def test_intervals_are_wilsons():
    record = Record(2)
    for reward in (1, 1, 1, 0):
        record.add(0, reward)
    known = binomtest(3, 4).proportion_ci(0.9, method="wilson")
    assert record.interval(0) == pytest.approx((known.low, known.high))
    assert record.interval(1) == (0, 1)


# ---------------------------------------------------------------- combining


def test_a_committee_is_never_worse_than_its_best_member():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        gold = rng.integers(3, size=40)
        probabilities = rng.dirichlet(np.ones(3), size=(5, 40))
        probabilities[:, np.arange(40), gold] += 0.3
        singles = (probabilities.argmax(axis=2) == gold).mean(axis=1)
        found = greedy_ensemble(probabilities, gold)
        assert found.score >= singles.max()
        mixed = sum(n * probabilities[k] for k, n in found.counts.items())
        assert (mixed.argmax(axis=1) == gold).mean() == pytest.approx(found.score)


def test_models_that_err_on_different_items_are_combined():
    gold = np.zeros(3, dtype=int)
    sure, wrong = [0.9, 0.1], [0.4, 0.6]
    probabilities = np.array([[sure, sure, wrong], [wrong, sure, sure]])
    found = greedy_ensemble(probabilities, gold)
    assert (found.score, set(found.counts)) == (1.0, {0, 1})


def test_relevance_alone_is_similarity_and_variety_alone_the_farthest():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((12, 4))
    query = rng.standard_normal(4)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = unit @ (query / np.linalg.norm(query))
    assert (
        relevant_and_varied(rows, query, count=12, weight=1).tolist() == np.argsort(-near).tolist()
    )
    first, second = relevant_and_varied(rows, query, count=2, weight=0)
    assert second == np.argmin(unit @ unit[first])
