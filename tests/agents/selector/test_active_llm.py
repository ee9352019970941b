"""ActiveLLM: windows, recaps, near-duplicates."""

import numpy as np
import pytest

from querist.agents.selector.advice.candidates import shuffled
from querist.agents.selector.strategies.active_llm import Settings, active_llm, next_window, plain

MANY = [f"message number {i} about something" for i in range(60)]


def choose(context, count, **settings):
    return active_llm(context, count, settings=Settings(**settings))


def always(*numbers):
    return lambda _: str(list(numbers))


def test_the_next_window_starts_after_the_highest_pick_or_grows():
    assert next_window(40, 10, "none") == next_window(40, 10, "full") == range(41, 51)
    assert len(next_window(40, 10, "index")) == 41 + 10
    assert next_window(-1, 10, "none") == range(10)


def test_numbers_map_back_through_the_window_to_the_right_texts(make_pool, scripted, read_menu):
    pool, seen = make_pool(MANY), {}

    def reply(request):
        seen.update(read_menu(request))
        return "thinking [1, 2] ... so [7, 3]"

    result = choose(pool.context(scripted(reply)), 2, window=20)
    assert [pool.examples[example_id].text for example_id in result.ids] == [seen[7], seen[3]]
    assert result.diagnostics["llm_calls"] == 1
    assert result.diagnostics["windows"] == [20]


def test_the_next_round_goes_on_where_the_last_one_ended(make_pool, scripted, read_menu):
    pool, state, menus = make_pool(MANY), {}, []

    def reply(request):
        menus.append(list(read_menu(request).values()))
        return "[2, 5]"

    order = [pool.examples[pool.context().ids[row]].text for row in shuffled(pool.context())]
    first = choose(pool.context(scripted(reply), state=state), 2, window=10)
    pool.labelled = dict.fromkeys(first.ids, 0)
    choose(pool.context(scripted(reply), state=state), 2, window=10)
    assert menus == [order[:10], order[5:15]]


def test_full_recap_prints_what_is_labelled_and_never_offers_it(make_pool, scripted, read_menu):
    pool = make_pool(MANY, labelled={"t3": 0, "t9": 1})
    advisor = scripted(always(1, 2))
    choose(pool.context(advisor), 2, window=58, recap="full")
    user = advisor.calls[0].messages[1].content
    assert "message number 3 about" in user
    assert "message number 3 about something" not in read_menu(advisor.calls[0]).values()
    assert "Labelled already" in user


def test_index_recap_shows_the_old_window_grown_and_refuses_labelled_numbers(
    make_pool, scripted, read_menu
):
    pool, state, menus = make_pool(MANY), {}, []

    def reply(request):
        menus.append(list(read_menu(request).values()))
        return "[4, 9, 1, 2]" if len(request.messages) == 2 else "[3]"

    first = choose(pool.context(scripted(reply), state=state), 2, window=10, recap="index")
    pool.labelled = dict.fromkeys(first.ids, 0)
    advisor = scripted(reply)
    second = choose(pool.context(advisor, state=state), 2, window=10, recap="index")
    assert len(menus[1]) == 9 + 10
    assert menus[1][:10] == menus[0]
    assert "not to be chosen again: 4, 9" in advisor.calls[0].messages[1].content
    texts = [pool.examples[example_id].text for example_id in second.ids]
    assert texts == [menus[1][0], menus[1][1]]


def test_texts_that_differ_only_by_a_link_or_a_repost_mark_appear_once(
    make_pool, scripted, read_menu
):
    texts = ["Storm ahead https://a.b/c", "RT @joe: Storm  ahead", "storm ahead www.x.y", "Sunny"]
    advisor = scripted(always(1))
    choose(make_pool(texts).context(advisor), 1)
    assert len(read_menu(advisor.calls[0])) == 2
    assert plain(texts[0]) == plain(texts[1]) == plain(texts[2]) != plain(texts[3])


def test_a_large_batch_takes_several_windows(make_pool, scripted):
    result = choose(
        make_pool(MANY).context(scripted(always(1, 2, 3, 4))), 10, window=12, per_call=4
    )
    assert result.diagnostics["windows"] == [12, 12, 12]
    assert "n_filled" not in result.diagnostics


def test_at_the_end_of_the_pool_what_was_passed_over_comes_back(make_pool, scripted):
    result = choose(
        make_pool(MANY[:10]).context(scripted(lambda request: "[1, 5]")), 8, window=5, per_call=2
    )
    assert len(set(result.ids)) == 8
    assert "n_filled" not in result.diagnostics


def test_a_window_that_the_model_cannot_read_is_cut(make_pool, scripted):
    advisor = scripted(always(1))
    advisor._model.model.context = 700
    texts = [f"{i} " + "long words in a row " * 40 for i in range(60)]
    result = choose(make_pool(texts).context(advisor), 1, output="list", window=50)
    assert 5 < result.diagnostics["windows"][0] <= 50
    assert result.diagnostics["llm_calls"] == 1


def test_the_options_of_the_ablation_change_the_prompt(make_pool, scripted):
    prompts = []
    for settings in (
        {}, {"advice": True}, {"guidelines": True}, {"output": "list"}, {"output": "comment"},
    ):  # fmt: skip
        advisor = scripted(always(1, 2))
        choose(make_pool(MANY[:6]).context(advisor), 2, **settings)
        prompts.append(advisor.calls[0].messages[0].content)
    assert len(set(prompts)) == 5
    assert "tenant" in prompts[2]
    assert not any("tenant" in prompts[i] for i in (0, 1, 3, 4))


def test_what_the_model_leaves_out_is_drawn_from_the_whole_pool_and_counted(make_pool, scripted):
    result = choose(make_pool(MANY).context(scripted(lambda _: "none of them")), 4, window=5)
    assert result.diagnostics["n_fallback"] == result.diagnostics["n_filled"] == 4
    assert result.diagnostics["n_repaired"] == 1


def test_places_are_counted_to_show_position_bias(make_pool, scripted):
    result = choose(make_pool(MANY).context(scripted(always(2, 4))), 2)
    assert result.diagnostics["places"] == {2: 1, 4: 1}


@pytest.mark.slow
def test_the_embedded_model_reads_as_much_of_a_window_as_it_can_hold(
    make_pool, local_advisor, monkeypatch
):
    monkeypatch.setattr(local_advisor._model.model, "context", 300)
    texts = [f"{i}: " + "the boiler in the cellar makes a noise again " * 4 for i in range(40)]
    result = choose(make_pool(texts).context(local_advisor), 2, output="list")
    assert 3 < result.diagnostics["windows"][0] < 40
    assert result.diagnostics["fell_back"] == ""
    assert np.unique(result.indices).size == 2
