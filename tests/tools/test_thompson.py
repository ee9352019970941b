"""Thompson sampling on accepted rows per dollar: worked and simulated."""

from collections import Counter

import numpy as np

from querist.tools.arms.thompson import Tries, choose_by_yield


def share_of_first(known, arms=("a", "b"), draws=400):
    picks = Counter(
        choose_by_yield(arms, known, rng=np.random.default_rng(seed)) for seed in range(draws)
    )
    return picks[0] / draws


def test_arms_that_nobody_tried_are_equal():
    assert 0.4 < share_of_first({}) < 0.6


def test_the_arm_that_is_accepted_more_often_is_chosen_and_the_other_not_forgotten():
    known = {"a": Tries(40, 30, 1.0), "b": Tries(40, 10, 1.0)}
    assert share_of_first(known) > 0.97
    known = {"a": Tries(4, 3, 0.1), "b": Tries(4, 1, 0.1)}
    assert 0.6 < share_of_first(known) < 0.97


def test_a_dollar_counts_and_not_a_row():
    # 0.9 at 4 cents a row is worse than 0.5 at 1 cent.
    known = {"a": Tries(100, 90, 4.0), "b": Tries(100, 50, 1.0)}
    assert share_of_first(known) < 0.02
    free = {"a": Tries(100, 90), "b": Tries(100, 50)}
    assert share_of_first(free) > 0.98


def test_fewer_rows_are_written_for_an_accepted_one_than_by_turns():
    hits, written = {"a": 0.2, "b": 0.7, "c": 0.3}, Counter()
    for plan in ("learnt", "turns"):
        for seed in range(20):
            rng, known, accepted, turn = np.random.default_rng(seed), {}, 0, 0
            arms = list(hits)
            while accepted < 60:
                place = choose_by_yield(arms, known, rng=rng) if plan == "learnt" else turn % 3
                arm, turn = arms[place], turn + 1
                good = int(rng.binomial(4, hits[arm]))
                known[arm] = known.get(arm, Tries()).plus(written=4, accepted=good, usd=0.04)
                accepted += good
                written[plan] += 4
    assert written["learnt"] < 0.8 * written["turns"]
