"""ActivePrune, SelectLLM and Ask-LLM."""

import math

import numpy as np
import pytest

from querist.agents.models.port import ChatReply, Usage
from querist.agents.selector.advice.ngram import NgramModel, pool_perplexities
from querist.agents.selector.strategies.active_prune import active_prune, reweight
from querist.agents.selector.strategies.ask_llm import ask_llm
from querist.agents.selector.strategies.select_llm import deal, select_llm
from querist.tools.strategies import get

# ---------------------------------------------------------------- n-gram model


def test_the_ngram_model_is_a_distribution_at_every_step():
    model = NgramModel(["a b c", "a b d", "b b"], order=3)
    words = ["a", "b", "c", "d", "\x03"]
    for history in (["\x02"], ["\x02", "a"], ["a", "b"], ["z", "z"]):
        total = 0.0
        for word in [*words, "unseen"]:
            p = model._even
            line = [*history, word]
            for length in range(min(3, len(line))):
                gram = tuple(line[len(line) - 1 - length :])
                counts = model._grams[gram], model._histories[gram[:-1]]
                p = (counts[0] + 2 * p) / (counts[1] + 2)
            total += p
        assert total == pytest.approx(1.0)


def test_usual_wording_has_low_perplexity_and_a_text_does_not_vouch_for_itself():
    texts = ["the heating is broken"] * 5 + ["zebra quantum flute"]
    found = pool_perplexities(texts)
    assert found[0] < found[-1]
    model = NgramModel(texts)
    own, others = (model.perplexity(texts[-1], is_own=own) for own in (False, True))
    assert own < others


# ---------------------------------------------------------------- ActivePrune


def test_the_worked_reweighting():
    assert reweight(np.array([20.0, 30.0]), np.array([10.0]), beta=0.5).tolist() == [15, 20]
    assert reweight(np.array([20.0, 30.0]), np.array([10.0]), beta=2.0).tolist() == [0, -10]


def test_reweighting_is_the_mean_distance_and_keeps_the_order_up_to_beta_one():
    rng = np.random.default_rng(0)
    values, labelled = rng.normal(size=50), rng.normal(size=7)
    plain = values - 0.3 * np.abs(values[:, None] - labelled).mean(axis=1)
    assert reweight(values, labelled, beta=0.3) == pytest.approx(plain)
    above = np.sort(rng.random(20)) + 5
    assert (np.diff(reweight(above, labelled, beta=0.99)) > 0).all()
    assert (np.diff(reweight(above, labelled, beta=1.01)) < 0).all()


def test_usual_texts_are_never_sent_and_all_of_them_are_the_identity(make_pool, scripted):
    texts = ["the heating is broken"] * 3 + ["my invoice is wrong", "zebra flute", "a b c d e"]
    advisor = scripted(lambda _: {"yes": 0.6, "no": 0.4})
    result = active_prune().query(make_pool(texts).context(advisor), 4)
    assert result.diagnostics["kept_usual"] == 2
    assert result.diagnostics["llm_calls"] == 4
    assert set(result.indices[:2]) <= {0, 1, 2}
    everything = active_prune(usual_share=1.0).query(make_pool(texts).context(advisor), 6)
    assert everything.diagnostics["llm_calls"] == 0
    assert set(everything.indices) == set(range(6))


def test_the_suitable_half_is_the_models_choice(make_pool, scripted):
    def reply(request):
        is_good = "invoice" in request.messages[1].content
        return {"yes": 0.9, "no": 0.1} if is_good else {"yes": 0.2, "no": 0.8}

    texts = ["the heating is broken"] * 3 + ["zebra flute", "odd invoice here", "a b c d e"]
    result = active_prune().query(make_pool(texts).context(scripted(reply)), 2)
    assert texts[result.indices[1]] == "odd invoice here"


def test_perplexities_move_from_round_to_round_by_what_was_labelled(make_pool, scripted):
    state, advisor = {}, scripted(lambda _: {"yes": 0.6, "no": 0.4})
    pool = make_pool()
    active_prune().query(pool.context(advisor, state=state), 2)
    before = dict(zip(state["active_prune.keys"], state["active_prune.values"], strict=True))
    pool.labelled = {"t0": 0}
    context = pool.context(advisor, state=state)
    active_prune().query(context, 2)
    after = dict(zip(state["active_prune.keys"], state["active_prune.values"], strict=True))
    (gone,) = set(before) - set(after)
    for key, value in after.items():
        assert value == pytest.approx(before[key] - 0.1 * abs(before[key] - before[gone]))


def test_it_filters_in_front_of_another_strategy(make_pool, scripted):
    pool = make_pool()
    context = pool.context(
        scripted(lambda _: {"yes": 0.6, "no": 0.4}), probabilities=np.full((8, 2), 0.5)
    )
    assert len(get("active_prune@2 > margin").query(context, 2).ids) == 2


# ---------------------------------------------------------------- SelectLLM


def test_every_row_is_dealt_once_and_menus_take_one_of_each_cluster():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 4)).astype(np.float32)
    menus = deal(rows, 6, rng=rng)
    assert sorted(np.concatenate(menus)) == list(range(60))
    assert [len(menu) for menu in menus] == [10] * 6


def test_a_pool_that_does_not_divide_is_dealt_without_repeats():
    rows = np.random.default_rng(1).normal(size=(23, 3)).astype(np.float32)
    menus = deal(rows, 5, rng=np.random.default_rng(0))
    assert sorted(np.concatenate(menus)) == list(range(23))


def test_two_blobs_are_side_by_side_on_every_menu():
    rng = np.random.default_rng(0)
    blobs = np.concatenate([rng.normal(0, 0.1, (10, 2)), rng.normal(9, 0.1, (10, 2))])
    for menu in deal(blobs.astype(np.float32), 10, rng=rng):
        assert sorted(row >= 10 for row in menu) == [False, True]


def test_picks_are_shared_out_and_the_first_menus_take_the_rest(make_pool, scripted):
    pool = make_pool([f"message {i}" for i in range(28)])
    advisor = scripted(lambda _: "[1, 2, 3, 4]")
    result = select_llm().query(pool.context(advisor), 5)
    assert len(set(result.ids)) == 5
    assert result.diagnostics["llm_calls"] == result.diagnostics["menus"] == 2
    wants = sorted(request.schema["properties"]["ids"]["minItems"] for request in advisor.calls)
    assert wants == [2, 3]


def test_garbage_leads_to_recorded_fallbacks_on_the_same_menus(make_pool, scripted):
    pool = make_pool([f"message {i}" for i in range(28)])
    result = select_llm().query(pool.context(scripted(lambda _: "hm")), 4)
    assert result.diagnostics["n_fallback"] == 4
    assert result.diagnostics["n_repaired"] == 2
    assert "n_filled" not in result.diagnostics


# ---------------------------------------------------------------- Ask-LLM


def test_the_largest_probabilities_are_kept_and_missing_answers_come_last(make_pool, scripted):
    def reply(request):
        place = next(i for i in range(10) if f"message {i} " in request.messages[1].content)
        return ChatReply("yes", Usage(9, 1), first_token={"Yes": math.log(0.05 * (place + 1))})

    pool = make_pool([f"message {i} here" for i in range(10)])
    result = ask_llm().query(pool.context(scripted(reply)), 2)
    assert list(result.indices) == [9, 8]
    assert result.diagnostics["mode"] == "first_token"
    assert result.diagnostics["yes"]["t9"] == pytest.approx(0.5)


def test_log_odds_still_rank_where_probabilities_saturate(make_pool, scripted):
    def reply(request):
        gap = 1e-9 if "message 1 " in request.messages[1].content else 1e-6
        return {"yes": 1 - gap, "no": gap}

    pool = make_pool([f"message {i} here" for i in range(4)])
    assert ask_llm().query(pool.context(scripted(reply, looks=())), 1).indices[0] == 1


def test_a_density_sampler_goes_in_front(make_pool, scripted):
    context = make_pool().context(scripted(lambda _: {"yes": 0.6, "no": 0.4}))
    result = get("density@2 > ask_llm").query(context, 2)
    assert result.diagnostics["llm_calls"] == 4
