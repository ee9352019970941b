"""Active preference inference."""

import itertools
import json

import numpy as np
import pytest

from querist.agents.models.port import ChatReply, Usage
from querist.agents.selector.acquisition.preference_inference import (
    PreferenceInference,
    expected_information,
    read_questions,
    update,
)
from querist.memory.errors import InvalidInput

EVEN = np.full(4, 0.25)
SOFT = np.array([0.8, 0.8, 0.2, 0.2])


def entropy(p):
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def test_the_worked_values():
    assert expected_information(EVEN, np.array([1.0, 1, 0, 0])) == pytest.approx(0.6931, abs=1e-4)
    assert expected_information(EVEN, np.array([1.0, 0, 0, 0])) == pytest.approx(0.5623, abs=1e-4)
    assert expected_information(EVEN, SOFT) == pytest.approx(0.1927, abs=1e-4)
    assert update(EVEN, SOFT, 1) == pytest.approx([0.4, 0.4, 0.1, 0.1])
    yes = EVEN @ SOFT
    expected = yes * entropy(update(EVEN, SOFT, 1)) + (1 - yes) * entropy(update(EVEN, SOFT, 0))
    assert expected == pytest.approx(1.1935, abs=1e-4)


def test_the_three_ways_to_value_a_question_agree():
    rng = np.random.default_rng(0)
    for _ in range(50):
        prior = rng.dirichlet(np.ones(5))
        questions = rng.random((4, 5))
        entropies, divergences, worth = [], [], []
        for likely in questions:
            answers = [(prior @ likely, update(prior, likely, 1))]
            answers += [(1 - prior @ likely, update(prior, likely, 0))]
            entropies.append(sum(p * entropy(after) for p, after in answers))
            divergences.append(
                sum(p * (after * np.log(after / prior)).sum() for p, after in answers)
            )
            worth.append(expected_information(prior, likely))
        assert np.argmin(entropies) == np.argmax(divergences) == np.argmax(worth)
        assert worth == pytest.approx(divergences)


def test_the_order_of_answers_does_not_matter():
    rng = np.random.default_rng(1)
    questions = rng.uniform(0.05, 0.95, (3, 4))
    found = []
    for order in itertools.permutations(range(3)):
        beliefs = EVEN
        for number in order:
            beliefs = update(beliefs, questions[number], number % 2)
        found.append(beliefs)
    assert all(mean == pytest.approx(found[0]) for mean in found)


def test_a_question_that_all_answer_alike_tells_nothing():
    assert expected_information(EVEN, np.full(4, 0.7)) == pytest.approx(0, abs=1e-12)


def test_an_answer_in_between_mixes_both_posteriors():
    mixed = update(EVEN, SOFT, 0.25)
    assert mixed == pytest.approx(0.25 * update(EVEN, SOFT, 1) + 0.75 * update(EVEN, SOFT, 0))


ITEMS = ("red bike", "blue bike", "red car", "blue car")
QUESTIONS = ["Is it nice?", "Is it a bike?", "Is it red?"]


def shop(request):
    if request.choices:
        text = request.messages[1].content.split("Question:")
        item, question = (json.loads(line.replace("Item: ", "")) for line in text)
        if "nice" in question:
            return {"yes": 0.5, "no": 0.5}
        word = "bike" if "bike" in question else "red"
        return {"yes": 1.0, "no": 0.0} if word in item else {"yes": 0.0, "no": 1.0}
    return json.dumps({"questions": QUESTIONS})


def infer(advisor, **options):
    return PreferenceInference(ITEMS, advisor=advisor, kind="vehicles", **options)


def test_the_wanted_item_is_found_by_questions_that_split(scripted):
    advisor = scripted(shop)
    policy = infer(advisor)
    asked = []
    while (question := policy.next_question()) is not None:
        asked.append(question)
        policy.observe(float("bike" in question or "red" in question))
    assert asked == QUESTIONS[1:]
    assert policy.best() == "red bike"
    assert policy.posterior()[0] > 0.9
    # Two proposals, and each question judged once for each item.
    assert len(advisor.calls) == 2 + 3 * 4


def test_a_judge_is_never_believed_altogether(scripted):
    policy = infer(scripted(shop))
    policy.next_question()
    policy.observe(1)
    assert policy.posterior().min() > 0


def test_a_question_asked_before_is_not_asked_again(scripted):
    def reply(request):
        reply = shop(request)
        return reply if request.choices else json.dumps({"questions": ["is it RED"] * 3})

    policy = infer(scripted(reply), enough=0.99)
    assert policy.next_question() == "is it RED"
    policy.observe(1)
    assert policy.next_question() is None
    assert "no question" in policy.trouble


def test_it_stops_after_its_turns(scripted):
    policy = infer(scripted(shop), turns=1)
    policy.next_question()
    policy.observe(1)
    assert policy.next_question() is None
    assert policy.trouble == ""


def test_without_money_there_is_no_question_and_a_reason(broke):
    policy = infer(broke)
    assert policy.next_question() is None
    assert "USD" in policy.trouble


def test_an_answer_without_a_question_is_refused(scripted):
    with pytest.raises(InvalidInput, match="next_question"):
        infer(scripted(shop)).observe(1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"questions": ["1. Is it red?", 3, ""]}', ["Is it red?"]),
        ("Here:\n1. Is it red?\n- Is it old?\nThanks", ["Is it red?", "Is it old?"]),
        ("{broken", []),
        ('{"questions": "Is it?"}', []),
    ],
)
def test_questions_are_read_from_replies(text, found):
    assert read_questions(ChatReply(text, Usage(1, 1))) == found


@pytest.mark.slow
def test_the_embedded_model_asks_a_question(local_advisor):
    policy = infer(local_advisor, proposals=2)
    question = policy.next_question()
    if question is None:  # it may propose nothing that can be used, and then says so
        assert policy.trouble
        return
    policy.observe(1)
    assert policy.posterior().sum() == pytest.approx(1)
