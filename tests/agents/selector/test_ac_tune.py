"""AcTune: regions, memory, pseudo-labels."""

import numpy as np
import pytest

from querist.agents.selector.strategies.ac_tune import (
    Settings,
    mix,
    query_by_region,
    rank_regions,
    schedule,
    sharpen,
    take_by_region,
)
from querist.tools.strategies import get


def test_of_equally_unsure_regions_the_mixed_one_comes_first():
    regions = np.array([0, 0, 1, 1])
    predicted = np.array([0, 0, 0, 1])
    doubts = np.full(4, 0.5)
    assert list(rank_regions(regions, doubts, predicted, weight=0.5)) == [1, 0]
    # Dividing by the maximum, as the authors do, gives an even split no entropy at all.
    assert list(rank_regions(regions, doubts, predicted, weight=0.5, compat=True)) == [0, 1]


def test_without_the_mix_regions_are_ranked_by_their_mean():
    regions = np.array([0, 0, 1, 1])
    doubts = np.array([0.6, 0.6, 0.5, 0.5])
    assert list(rank_regions(regions, doubts, np.array([0, 0, 0, 1]), weight=0.0)) == [0, 1]


def test_a_region_gives_at_most_its_share_before_the_next_one_does():
    regions = np.repeat([0, 1], 40)
    doubts = np.linspace(0, 1, 80)
    picks = take_by_region(
        np.array([0, 1]), regions, doubts, count=5, settings=Settings(per_region=10)
    )
    assert list(picks) == [39, 38, 79, 78, 37]
    tiny = take_by_region(
        np.array([0, 1]), np.array([0, 1]), np.ones(2), count=2, settings=Settings()
    )
    assert sorted(tiny) == [0, 1]


def test_the_memory_with_gamma_one_is_the_newest_and_constants_stay():
    old, new = np.array([[0.9, 0.1]]), np.array([[0.3, 0.7]])
    assert mix(old, new, 1.0) == pytest.approx(new)
    assert mix(old, new, 0.25) == pytest.approx(0.75 * old + 0.25 * new)
    for gamma in (0.0, 0.3, 1.0):
        assert mix(old, old, gamma) == pytest.approx(old)


def test_the_schedule_meets_both_ends():
    assert schedule((0.9, 1.0), 0, 10) == pytest.approx(0.9)
    assert schedule((0.9, 1.0), 9, 10) == pytest.approx(1.0)
    assert schedule((0.9, 1.0), 50, 10) == pytest.approx(1.0)
    assert schedule((5.0, 5.0), 0, 1) == 5


def test_sharpening_keeps_distributions_and_favours_the_winner():
    rows = np.array([[0.6, 0.4], [0.4, 0.6]])
    found = sharpen(rows)
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0, 0] > 0.6


def many(rows=80, seed=0):
    rng = np.random.default_rng(seed)
    return [f"text {i}" for i in range(rows)], rng.dirichlet([0.3, 0.3], rows)


def test_queries_and_pseudo_labels_never_meet_and_pseudo_labels_are_sure(make_pool):
    texts, probabilities = many()
    result = query_by_region(
        make_pool(texts).context(probabilities=probabilities),
        8,
        Settings(pseudo_share=(0.5, 0.5), regions=5),
    )
    pseudo = result.diagnostics["pseudo"]
    assert len(set(result.ids)) == 8
    assert 0 < len(pseudo.ids) == len(pseudo.probabilities)
    assert not set(pseudo.ids) & set(result.ids)
    at = {f"t{i}": row for i, row in enumerate(probabilities)}
    assert all(at[example_id].max() > 0.7 for example_id in pseudo.ids)


def test_pseudo_labels_survive_as_the_last_stage_of_a_pipeline_and_not_in_a_mixture(make_pool):
    texts, probabilities = many(200)
    # Surely of one class for the first round's share, so that some are certain enough.
    probabilities[:100] = [0.99, 0.01]

    def ask(strategy):
        return get(strategy).query(make_pool(texts).context(probabilities=probabilities), 5)

    assert ask("random@30 > ac_tune").diagnostics["pseudo"].ids
    assert "pseudo" not in ask("ac_tune@10 > random").diagnostics
    assert "pseudo" not in ask("0.5*ac_tune + 0.5*random").diagnostics


def test_the_schedule_ends_with_the_run_however_many_rounds_it_has(make_pool):
    texts, probabilities = many(200)
    probabilities[:150] = [0.99, 0.01]

    def offered(number, run_rounds, **options):
        context = make_pool(texts).context(
            probabilities=probabilities, number=number, rounds=run_rounds
        )
        settings = Settings(pseudo_share=(0.1, 0.5), regions=5, **options)
        return len(query_by_region(context, 4, settings).diagnostics["pseudo"].ids)

    last = offered(9, 10)
    assert offered(3, 4) == offered(39, 40) == last
    assert offered(9, 40) < last
    # Without a run the authors' ten, and a number that is given is kept.
    assert offered(9, None) == last == offered(4, 40, rounds=5)


def test_the_memory_follows_ids_from_round_to_round(make_pool):
    texts, first = many()
    pool, state = make_pool(texts), {}
    settings = Settings(momentum=(0.5, 0.5), regions=5)
    query_by_region(pool.context(probabilities=first, state=state), 4, settings)
    pool.labelled = {"t0": 0, "t9": 0}
    second = many(78, seed=1)[1]
    context = pool.context(probabilities=second, state=state, number=1)
    query_by_region(context, 4, settings)
    kept = dict(zip(state["ac_tune.keys"], state["ac_tune.values"], strict=True))
    assert len(kept) == 78
    expected = (np.delete(first, [0, 9], axis=0) + second) / 2
    assert np.array(list(kept.values())) == pytest.approx(expected)
