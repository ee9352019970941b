"""LLM-Select."""

import json

import numpy as np
import pytest

from querist.agents.selector.acquisition.feature_selection import (
    borda,
    mean_scores,
    read_ranking,
    select_features,
)
from querist.memory.errors import InvalidInput

COLUMNS = ("age", "income", "shoe size", "zip code")
WORTH = {"age": 0.6, "income": 0.9, "shoe size": 0.1, "zip code": 0.4}


def rng():
    return np.random.default_rng(0)


def choose(advisor, count=2, **options):
    return select_features(
        COLUMNS, count, target="pays the loan back", advisor=advisor, rng=rng(), **options
    )


def scorer(request):
    name = json.loads(request.messages[1].content.split("Column: ")[1].split("\n")[0])
    return json.dumps({"reasoning": "so", "score": WORTH[name.split(" (")[0]]})


def test_scores_order_the_columns(scripted):
    found = choose(scripted(scorer), 3)
    assert found.features == ("income", "age", "zip code")
    assert found.scores["income"] == pytest.approx(0.9)


def test_samples_are_averaged_and_what_is_no_number_is_left_out(scripted):
    assert mean_scores([[0.2, float("nan"), 0.4], [float("nan")] * 3])[0] == pytest.approx(0.3)

    def reply(request):
        if "income" in request.messages[1].content and request.sample == 1:
            return "I will not say"
        return scorer(request)

    advisor = scripted(reply)
    found = choose(advisor, 4, samples=3)
    assert found.features == ("income", "age", "zip code", "shoe size")
    assert len(advisor.calls) == 12
    assert {call.temperature for call in advisor.calls} == {0.5}


@pytest.mark.parametrize("said", ["true", '"high"', "7", "-1", "NaN", "null"])
def test_scores_out_of_range_are_no_scores(said, scripted):
    found = choose(scripted(lambda _: f'{{"score": {said}}}'), 4)
    assert sorted(found.features) == sorted(COLUMNS)
    assert found.n_fallback == 4


@pytest.mark.parametrize(
    "lines",
    [
        ["1. Income", "2. agee", "3) zip-code"],
        ["income", "Income", "INCOME.", "age", "zip code"],
        ["income", "age", "zip code", "postal code", "hat"],
    ],
)
def test_a_ranking_is_always_a_permutation(lines):
    found, missing = read_ranking(lines, COLUMNS, rng=rng())
    assert found == ["income", "age", "zip code", "shoe size"]
    assert missing == 1


def test_nothing_at_all_is_a_random_permutation():
    found, missing = read_ranking([], COLUMNS, rng=rng())
    assert sorted(found) == sorted(COLUMNS)
    assert missing == 4


def test_borda_counts_and_ties_keep_the_order_of_the_table():
    assert borda([["a", "b", "c"], ["b", "a", "c"]], ["a", "b", "c"]) == ["a", "b", "c"]
    assert borda([["c", "b", "a"], ["b", "c", "a"]], ["a", "b", "c"]) == ["b", "c", "a"]


def test_one_call_ranks_everything(scripted):
    advisor = scripted(lambda _: '{"ranking": ["income", "zip code", "age"]}')
    found = choose(advisor, 3, way="rank")
    assert found.features == ("income", "zip code", "age")
    assert found.n_fallback == 1
    assert len(advisor.calls) == 1


def test_columns_are_named_one_by_one_never_twice(scripted):
    advisor = scripted(lambda request: max(request.choices, key=lambda option: WORTH[option]))
    found = choose(advisor, 3, way="seq")
    assert found.features == ("income", "age", "zip code")
    assert len(advisor.calls) == 3
    always = choose(scripted(lambda _: "income again"), 4, way="seq", context="a bank")
    assert sorted(always.features) == sorted(COLUMNS)
    assert always.n_fallback >= 2


def test_it_stops_when_a_column_brings_no_gain(scripted):
    advisor = scripted(lambda request: max(request.choices, key=lambda option: WORTH[option]))
    scores = {1: 0.7, 2: 0.8, 3: 0.8}
    found = choose(
        advisor, 4, way="seq", validate=lambda some: scores[len(some)], stop_at_no_gain=True
    )
    assert found.features == ("income", "age")
    assert "no gain" in found.stopped
    assert "0.8000" in advisor.calls[2].messages[1].content


def test_descriptions_are_shown_and_mapped_back(scripted):
    told = {"age": "in years"}
    assert choose(scripted(scorer), 1, descriptions=told).features == ("income",)
    reply = '{"ranking": ["age (in years)", "income"]}'
    found = choose(scripted(lambda _: reply), 2, way="rank", descriptions=told)
    assert found.features == ("age", "income")


@pytest.mark.parametrize("way", ["score", "rank", "seq"])
def test_without_money_the_order_is_random_and_the_reason_is_told(way, broke):
    found = choose(broke, 2, way=way)
    assert len(set(found.features)) == 2
    assert "USD" in found.fell_back


def test_two_columns_of_one_name_are_refused(broke):
    with pytest.raises(InvalidInput, match="same name"):
        select_features(["a", "a"], 1, target="t", advisor=broke, rng=rng())


@pytest.mark.parametrize("said", ['{"score": 1.0}', "no idea"])
def test_columns_that_nothing_distinguishes_are_flat(scripted, said):
    assert choose(scripted(lambda _: said), 4).is_flat


def test_columns_with_scores_of_their_own_are_not_flat(scripted):
    found = choose(scripted(scorer), 4)
    assert not found.is_flat
    assert found.ties_at(2) == ()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["score", "rank", "seq"])
def test_the_embedded_model_chooses_columns(way, local_advisor):
    found = choose(local_advisor, 2, way=way)
    assert len(set(found.features)) == 2
    assert found.fell_back == ""
