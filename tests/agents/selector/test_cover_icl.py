"""CoverICL."""

import itertools

import numpy as np
import pytest

from querist.agents.selector.strategies.cover_icl import cover, cover_icl, ego_nets, uncertainty
from querist.tools.engines.neighbours import Sets

A, B, C = 4, 5, 6  # positions of the candidates; 0 to 3 are the hard ones they cover
NETS = Sets.of([[], [], [], [], [0, 1, 2], [2, 3], [3]])


def test_the_worked_cover_takes_two_and_then_asks_for_a_new_phase():
    picks, phases = cover(NETS, np.array([A, B, C]), count=2)
    assert (list(picks), phases) == ([A, B], 1)
    picks, phases = cover(NETS, np.array([A, B, C]), count=3)
    assert (list(picks), phases) == ([A, B, C], 2)


def test_the_worked_weighted_cover():
    picks, _ = cover(NETS, np.array([A, B, C]), count=2, decay=0.1)
    assert list(picks) == [A, B]


def test_candidates_that_cover_nothing_are_taken_at_last():
    picks, phases = cover(Sets.of([[], [], [0]]), np.array([0, 1, 2]), count=3)
    assert (list(picks), phases) == ([2, 0, 1], 1)


def test_greedy_is_close_to_the_best():
    rng = np.random.default_rng(0)
    for _ in range(30):
        sets = [list(np.flatnonzero(rng.random(12) < 0.3)) for _ in range(12)]
        picks, phases = cover(Sets.of(sets), np.arange(12), count=3)
        if phases > 1:
            continue
        best = max(
            len(set().union(*(sets[row] for row in some)))
            for some in itertools.combinations(range(12), 3)
        )
        assert len(set().union(*(sets[row] for row in picks))) >= (1 - 1 / np.e) * best


def test_ego_nets_hold_hard_rows_that_name_a_row_and_never_itself():
    graph = np.array([[1], [2], [1], [2]])  # 0 -> 1, 1 -> 2, 2 -> 1, 3 -> 2
    nets = ego_nets(graph, np.array([0, 1, 3]), two_hops=False)
    assert [sorted(nets.of_rows(np.array([row]))[0]) for row in range(4)] == [[], [0], [1, 3], []]
    two = ego_nets(graph, np.array([0, 1, 3]), two_hops=True)
    assert [sorted(two.of_rows(np.array([row]))[0]) for row in range(4)] == [[], [0], [0, 1, 3], []]


def test_uncertainty_is_the_loss_of_the_predicted_label():
    found = uncertainty(np.array([[0.5, 0.5], [0.9, 0.1]]))
    assert found == pytest.approx([0.6931, 0.1054], abs=1e-4)


def hard_half(request):
    number = int(request.messages[-1].content.split("text ")[1].split('"')[0])
    return {"repair": 0.55, "billing": 0.45} if number % 2 else {"repair": 0.99, "billing": 0.01}


@pytest.mark.parametrize("variant", ["cover", "weighted", "base"])
def test_only_hard_texts_are_picked(variant, make_pool, scripted):
    pool = make_pool([f"text {i}" for i in range(30)], labelled={"t1": 0, "t2": 1})
    result = cover_icl(pool.context(scripted(hard_half)), 4, variant=variant)
    assert all(int(example_id[1:]) % 2 for example_id in result.ids)
    assert len(set(result.ids)) == 4


def test_the_nearest_labelled_texts_are_shown_nearest_last(make_pool, scripted):
    pool = make_pool(
        [f"text {i}" for i in range(12)], labelled=dict.fromkeys(["t0", "t5", "t7"], 0)
    )
    advisor = scripted(hard_half)
    context = pool.context(advisor)
    cover_icl(context, 2)
    for request in advisor.calls:
        asked = "t" + request.messages[-1].content.split("text ")[1].split('"')[0]
        users = [message.content for message in request.messages if message.role == "user"][:-1]
        ids = ["t" + text.split("text ")[1].split('"')[0] for text in users]
        close = [float(pool.vectors[asked] @ pool.vectors[example_id]) for example_id in ids]
        assert len(ids) == 3
        assert close == sorted(close)
