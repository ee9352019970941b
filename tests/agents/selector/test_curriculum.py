"""LDCAL and certainty gain maximisation."""

import numpy as np
import pytest

from querist.agents.models.port import ChatReply, Usage
from querist.agents.selector.strategies.curriculum import (
    certainty_gains,
    cgm,
    expected_rating,
    ldcal,
    split_levels,
)
from querist.tools.engines.greedy_cover import Similarities, greedy_cover


def rated(request):
    """Longer is harder: 1 to 10 by the number in the text."""
    number = int(request.messages[1].content.split("number ")[1].split()[0])
    return {str(1 + number % 10): 1.0}


def texts(count=40):
    return [f"text number {i} here" for i in range(count)]


def test_the_worked_gains():
    close = np.array([[1, 0.8, 0.1], [0.8, 1, 0.2], [0.1, 0.2, 1]])
    oracle = Similarities(close.copy())
    first = oracle.gains(np.arange(3)) / 3
    assert first == pytest.approx([0.6333, 0.6667, 0.4333], abs=1e-4)
    oracle.add(1)
    assert oracle.gains(np.array([0, 2])) / 3 == pytest.approx([0.0667, 0.2667], abs=1e-4)
    assert list(greedy_cover(Similarities(close), candidates=np.arange(3), count=2).picks) == [1, 2]


def test_gains_fall_and_add_up_to_what_is_covered(make_pool):
    pool = make_pool(texts(), labelled={"t0": 0, "t7": 1})
    context = pool.context()
    every = np.arange(38)
    found = certainty_gains(context, candidates=every, covered=every, count=12)
    assert (np.diff(found.gains) <= 1e-6).all()
    vectors = context.embeddings()
    served = np.concatenate([context.labelled().embeddings, vectors[found.picks]])
    after = np.maximum(vectors @ served.T, 0).max(axis=1).mean()
    before = np.maximum(vectors @ context.labelled().embeddings.T, 0).max(axis=1).mean()
    assert found.gains.sum() == pytest.approx(after - before, abs=1e-5)


def test_cgm_takes_the_middle_of_the_larger_blob_first(make_pool):
    rng = np.random.default_rng(0)
    big = np.array([1, 0]) + rng.normal(0, 0.05, (12, 2))
    small = np.array([-1, 0]) + rng.normal(0, 0.05, (4, 2))
    context = make_pool(texts(16)).context(embeddings=np.concatenate([big, small]))
    picked = cgm().query(context, 2).indices
    assert picked[0] < 12 <= picked[1]


def test_levels_are_quartiles_with_ties_by_length():
    levels = split_levels(
        np.array([5.0, 1, 9, 5, 5, 2, 9, 1]), np.array([9.0, 1, 1, 1, 5, 1, 0, 0])
    )
    assert list(levels) == [2, 0, 3, 1, 2, 1, 3, 0]
    assert list(np.bincount(split_levels(np.zeros(10), np.arange(10.0)))) == [3, 2, 3, 2]


def test_every_pick_of_a_round_comes_from_its_level_and_levels_give_the_same_number(
    make_pool, scripted
):
    pool, advisor, state = make_pool(texts()), scripted(rated), {}
    hardness = []
    # The loop's round 0 is a random sample, so the strategy's own first round is another one.
    for number in range(8):
        result = ldcal().query(pool.context(advisor, number=number + 1, state=state), 3)
        assert set(result.diagnostics["levels"]) == {number % 4}
        hardness.append(np.mean([int(example_id[1:]) % 10 for example_id in result.ids]))
        pool.labelled |= dict.fromkeys(result.ids, 0)
    assert hardness[0] < hardness[1] < hardness[2] < hardness[3]
    assert len(advisor.calls) == 40  # each text once, whatever the round


def test_a_level_that_is_used_up_is_followed_by_its_neighbours(make_pool, scripted):
    result = ldcal().query(make_pool(texts()).context(scripted(rated), number=0), 15)
    assert result.diagnostics["levels"] == [0] * 10 + [1] * 5


def test_a_rating_is_the_mean_of_what_the_model_holds_possible():
    usage = Usage(1, 1)
    assert expected_rating(ChatReply("7", usage, {"7": 0.5, "9": 0.5})) == 8
    assert expected_rating(ChatReply("about 6", usage)) == 6
    assert np.isnan(expected_rating(ChatReply("hard", usage)))


@pytest.mark.slow
def test_the_embedded_model_rates_texts(make_pool, local_advisor):
    result = ldcal(coverage="level").query(make_pool().context(local_advisor), 2)
    assert len(result.ids) == 2
