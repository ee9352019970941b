"""Hyperband, search spaces, architectures, and what to have annotated for a sum of money."""

import itertools

import numpy as np
import pytest

from querist.memory.errors import InvalidInput
from querist.tools.arms import (
    Options,
    Proposals,
    Range,
    Space,
    StagedSearch,
    Trial,
    cost_of,
    from_grid,
    hyperband_ladders,
    ladder,
    mutations,
)
from querist.tools.arms.annotation_subset import choose_for_annotation
from querist.tools.arms.heads import SETTINGS, Head, canonical
from querist.tools.arms.heads import SPACE as HEADS

SPACE = Space({"rate": Range(1e-4, 1e-1, is_log=True), "depth": Options((1, 2, 3))})


def climb(search, score):
    pulls = []
    while (pull := search.next()) is not None:
        pulls.append(pull)
        search.observe(pull.arm, score(search.configs[pull.arm], pull.resource))
    return pulls


# ---------------------------------------------------------------- Hyperband


def test_the_bracket_table_is_exact():
    found = hyperband_ladders(81)
    assert [bracket[0] for bracket in found] == [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]
    assert found[0] == ((81, 1), (27, 3), (9, 9), (3, 27), (1, 81))


@pytest.mark.parametrize("most", [1, 3, 9, 27, 50, 81, 100])
def test_a_bracket_uses_no_more_than_its_share(most):
    found = hyperband_ladders(most)
    for bracket in found:
        assert sum(count * resource for count, resource in bracket) <= len(found) * most
        assert cost_of(bracket) <= len(found) * most


def test_a_config_that_is_always_best_survives():
    rng = np.random.default_rng(0)
    search = StagedSearch(hyperband_ladders(27), Proposals(SPACE, rng))
    climb(search, lambda config, resource: -abs(np.log(config["rate"] / 0.01)) + resource * 1e-6)
    top = search.configs[search.best()[0]]
    # Every bracket's own best reaches the full resource.
    full = [trial for trial in search.trials if trial.resource == 27]
    assert len(full) >= len(hyperband_ladders(27))
    best = max(search.configs, key=lambda config: -abs(np.log(config["rate"] / 0.01)))
    assert top == best


def test_a_promoted_config_goes_on_from_where_it_was():
    search = StagedSearch([ladder(9, 9, steps=2)], Proposals(SPACE, np.random.default_rng(0)))
    pulls = climb(search, lambda config, _: config["rate"])
    last = [pull.resource for pull in pulls if pull.arm == search.best()[0]]
    assert last == [1, 3, 9]
    assert [sum(1 for pull in pulls if pull.resource == r) for r in (1, 3, 9)] == [9, 3, 1]
    assert len(search.record.rejected) == 8


def test_a_resource_below_one_is_refused():
    with pytest.raises(InvalidInput):
        hyperband_ladders(0)


# ---------------------------------------------------------------- spaces


def test_proposals_outside_the_space_are_replaced_and_counted():
    offered = [
        {"rate": 0.01, "depth": 2},
        {"rate": 5, "depth": 2},
        {"rate": 0.01, "depth": 2},
        {"rate": 0.01},
        "nonsense",
        {"rate": 0.02, "depth": True},
    ]
    source = Proposals(SPACE, np.random.default_rng(0), lambda *_: offered)
    found = source(6, [])
    assert found[0] == {"rate": 0.01, "depth": 2}
    assert (source.accepted, source.rejected) == (1, 5)
    assert len(found) == 6
    assert not any(SPACE.problems(config) for config in found)


def test_half_of_a_batch_is_left_to_chance():
    asked = []
    source = Proposals(
        SPACE, np.random.default_rng(0), lambda n, _: asked.append(n) or [], share=0.5
    )
    assert len(source(9, [])) == 9
    assert asked == [4]


def test_a_grid_is_complete_and_ends_are_inside():
    points = list(SPACE.grid(4))
    assert len(points) == 12
    assert {config["rate"] for config in points} == {0.0001, 0.001, 0.01, 0.1}
    assert not any(SPACE.problems(config) for config in points)


def test_draws_and_changes_stay_inside():
    rng = np.random.default_rng(0)
    space = Space(
        {"a": Range(1, 9, is_whole=True), "b": Options(("x", "y", "z")), "c": Range(0.1, 0.3)}
    )
    config = space.draw(rng)
    for _ in range(300):
        changed = space.vary(config, rng)
        assert not space.problems(changed)
        assert sum(config[name] != changed[name] for name in config) <= 1
        config = changed


def test_problems_are_named():
    assert SPACE.problems({"rate": 0.01, "depth": 9}) == ["depth = 9 is outside"]
    assert SPACE.problems({"rate": 0.01, "width": 3}) == ["depth is missing", "there is no width"]
    with pytest.raises(InvalidInput, match="no values"):
        Space({"a": Options(())})
    with pytest.raises(InvalidInput, match="no range"):
        Space({"a": Range(0, 1, is_log=True)})


@pytest.mark.parametrize("is_log", [False, True])
def test_a_range_of_a_single_number_is_drawn_and_varied(is_log):
    alone, rng = Range(1, 1, is_log=is_log), np.random.default_rng(0)
    assert (alone.draw(rng), alone.vary(1, rng)) == (1, 1)


# ---------------------------------------------------------------- architectures


def search_heads(seed):
    rng = np.random.default_rng(seed)
    source = Proposals(HEADS, rng, mutations(HEADS, rng))
    search = StagedSearch([ladder(4, 4, eta=2, steps=1)] * 2, source)
    climb(search, lambda config, resource: config["width"] / 128 + resource / 100)
    return search


def test_the_search_is_the_same_under_the_same_seed():
    assert search_heads(1).configs == search_heads(1).configs
    assert search_heads(1).configs != search_heads(2).configs


def test_a_later_generation_changes_the_best_of_the_earlier():
    search = search_heads(1)
    leader = search.parents[4]
    assert leader < 4
    assert all(arm not in search.parents for arm in range(4))


def test_the_worse_half_by_a_free_score_is_not_tried():
    search = StagedSearch(
        [ladder(3, 2, eta=2, steps=1)],
        Proposals(HEADS, np.random.default_rng(0)),
        screen=lambda config: float(config["width"]),
    )
    climb(search, lambda *_: 0.5)
    assert len(search.configs) == 3
    rest = Proposals(HEADS, np.random.default_rng(0))(6, [])
    kept = sorted((config["width"] for config in rest), reverse=True)[:3]
    assert sorted((config["width"] for config in search.configs), reverse=True) == kept


def test_a_grid_is_proposed_once_and_then_drawn():
    rng = np.random.default_rng(0)
    source = Proposals(SPACE, rng, from_grid(SPACE, rng, points=1))
    first, second = source(2, []), source(2, [])
    assert {config["depth"] for config in (*first, second[0])} == {1, 2, 3}
    assert (source.accepted, source.rejected) == (3, 1)


def test_a_grid_proposes_what_means_the_same_once():
    rng = np.random.default_rng(0)
    propose = from_grid(HEADS, rng, canonical=canonical)
    found = propose(10_000, [])
    assert sum(config["depth"] == 0 for config in found) == 1
    assert len({tuple(config.values()) for config in found}) == len(found) > 20
    # Not the grid's own order, whose first dozens differ in the last settings only.
    assert len({config["depth"] for config in found[:8]}) > 1


def test_children_inherit_tensors_of_equal_shape():
    parent = Head({"depth": 2, "width": 16}, width=5, classes=3, seed=1)
    child = Head({"depth": 2, "width": 16, "activation": "tanh"}, width=5, classes=3, seed=2)
    taken = child.inherit(parent.weights)
    assert len(taken) == len(parent.weights)
    assert all(bool((child.weights[name] == parent.weights[name]).all()) for name in taken)
    wider = Head({"depth": 2, "width": 32}, width=5, classes=3, seed=2)
    before = wider.weights
    assert wider.inherit(parent.weights) == ("6.bias",)
    assert bool((wider.weights["0.weight"] == before["0.weight"]).all())


def test_training_in_two_parts_is_training_in_one():
    rng = np.random.default_rng(0)
    inputs, gold = rng.standard_normal((30, 4)), rng.integers(2, size=30)
    config = SETTINGS.draw(rng) | {"width": 32, "dropout": 0.2}
    whole, parts = (Head(config, width=4, classes=2, seed=3) for _ in range(2))
    whole.train(inputs, gold, epochs=6)
    parts.train(inputs, gold, epochs=2)
    parts.train(inputs, gold, epochs=6)
    assert np.array_equal(whole.predict_proba(inputs), parts.predict_proba(inputs))


def test_a_head_learns_and_has_a_slope_at_the_start():
    rng = np.random.default_rng(0)
    gold = rng.integers(3, size=60)
    inputs = np.eye(3)[gold] + 0.2 * rng.standard_normal((60, 3))
    head = Head({"depth": 1, "width": 16, "learning_rate": 0.05}, width=3, classes=3)
    assert head.gradient_norm(inputs, gold) > 0
    head.train(inputs, gold, epochs=60)
    assert (head.predict_proba(inputs).argmax(axis=1) == gold).mean() > 0.95


# ---------------------------------------------------------------- annotation subsets


def value(similar, picks):
    return similar[list(picks)].max(axis=0).sum() if len(picks) else 0.0


def test_a_subset_covers_within_the_promise_of_the_best():
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = rng.standard_normal((9, 3))
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        similar = np.maximum(unit @ unit.T, 0)
        best = max(value(similar, some) for some in itertools.combinations(range(9), 3))
        found = choose_for_annotation(rows, budget=3)
        assert value(similar, found.picks) >= (1 - 1 / np.e) * best - 1e-6
        assert found.gains.sum() == pytest.approx(value(similar, found.picks), rel=1e-5)
        assert np.all(np.diff(found.gains) <= 1e-5)


def test_a_subset_keeps_within_its_money_and_takes_a_dear_one_that_beats_all_cheap():
    rows = np.array([[1, 0, 0], [1, 0.05, 0], [1, 0, 0.05], [0, 1, 0], [0, 0, 1]], dtype=float)
    prices = np.array([4.0, 9.0, 9.0, 0.5, 0.5])
    found = choose_for_annotation(rows, budget=4.5, prices=prices)
    assert prices[found.picks].sum() <= 4.5
    assert 0 in choose_for_annotation(rows, budget=4.0, prices=prices).picks
    with pytest.raises(InvalidInput, match="the cheapest costs"):
        choose_for_annotation(rows, budget=0.1, prices=prices)


def test_what_is_labelled_already_need_not_be_covered_again():
    rows = np.array([[1, 0], [1, 0.1], [0, 1]], dtype=float)
    assert choose_for_annotation(rows, budget=1).picks.tolist() == [1]
    assert choose_for_annotation(rows, budget=1, labelled=rows[:1]).picks.tolist() == [2]


def test_a_trial_reads_as_a_row():
    assert Trial({"a": 1}, 0.5, 3).resource == 3
