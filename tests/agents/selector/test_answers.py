"""Active-Prompt, EAGLE's score and APE: what is said differently, by the same model or by two."""

import math

import numpy as np
import pytest

from querist.agents.annotator.prompt import Demonstration
from querist.agents.selector.strategies.active_prompt import (
    NO_SOLUTION,
    Settings,
    active_prompt,
    final_answer,
    spread,
)
from querist.agents.selector.strategies.ape import (
    MOST_SHOWN,
    Variant,
    ape,
    best_variant,
    disagreement,
    make_committee,
)
from querist.agents.selector.strategies.eagle import (
    conditional_informativeness,
    divergence,
    eagle_llm,
)
from querist.memory.answers import Choice
from querist.memory.records import Example, Task

# ---------------------------------------------------------------- Active-Prompt


@pytest.mark.parametrize(
    ("metric", "values"),
    [("disagreement", (0.6, 0.2)), ("entropy", (0.9503, 0.0)), ("variance", (0.64, 0.0))],
)
def test_the_worked_spreads(metric, values):
    said = [["3", "3", "4", "5", "3"], ["3"] * 5]
    assert spread(said, metric) == pytest.approx(values, abs=1e-4)


def test_no_solution_is_an_answer_but_no_number():
    said = [["3", NO_SOLUTION, "5"]]
    assert spread(said, "disagreement")[0] == pytest.approx(1.0)
    assert spread(said, "variance")[0] == pytest.approx(1.0)
    assert spread([[NO_SOLUTION] * 3], "variance")[0] == 0


def test_two_classes_are_ranked_by_how_even_the_split_is():
    said = [["y"] * 5, ["y", "n", "y", "n", "n"], ["y", "y", "y", "y", "n"]]
    assert list(np.argsort(-spread(said, "disagreement", is_binary=True))) == [1, 2, 0]


def test_no_solution_to_one_question_changes_no_other_questions_score():
    said = [["y"] * 5, ["y", "n", "y", "n", "n"], ["y", "y", "y", "y", "n"]]
    alone = spread(said, "disagreement", is_binary=True)
    beside = spread([*said, ["y", NO_SOLUTION, "y", "y", "n"]], "disagreement", is_binary=True)
    assert list(beside[:3]) == list(alone)
    assert beside[3] == -2
    assert list(spread([[NO_SOLUTION] * 2], "disagreement", is_binary=True)) == [0]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2 plus 1 is 3. The answer is 3.0", "3"),
        ("so the answer is 1,250 dollars", "1250"),
        ("I have 4 and then 7", "7"),
        ("I do not know", NO_SOLUTION),
        ("", NO_SOLUTION),
    ],
)
def test_final_answers_are_found_and_equal_numbers_are_equal(text, answer):
    assert final_answer(text) == answer


def test_the_label_named_last_wins_and_none_is_no_solution():
    names = ("repair", "billing")
    assert final_answer("Not billing. The answer is Repair.", names) == "repair"
    assert final_answer("It mentions repair, but it is billing", names) == "billing"
    assert final_answer("It repairs nothing", names) == NO_SOLUTION


def torn(request):
    """Unsure about invoices only."""
    if "invoice" in request.messages[-1].content and request.sample % 2:
        return "billing"
    return "repair"


def test_what_is_answered_differently_is_asked(make_pool, scripted):
    for metric in ("disagreement", "entropy"):
        result = active_prompt(make_pool().context(scripted(torn)), 1, metric=metric)
        assert result.ids == ("t1",)
    assert result.diagnostics["llm_calls"] == 8 * 5


def test_chains_of_thought_are_read_to_their_end(make_pool, scripted):
    task = Task("sums", "qa", ())
    texts = [f"sum {i}" for i in range(3)]

    def reply(request):
        value = request.sample if "sum 1" in request.messages[1].content else 7
        return f"First I add. The answer is {value}"

    result = active_prompt(
        make_pool(texts).context(scripted(reply, task=task)), 1, metric="variance"
    )
    assert result.ids == ("t1",)
    assert result.diagnostics["uncertainty"]["t1"] == pytest.approx(2.0)


def test_the_models_own_doubts_rank_under_confidence(make_pool, scripted):
    def reply(request):
        if "certain" in request.choices:
            is_unsure = "ceiling" in request.messages[1].content
            return {"certain": 0.1, "guessing": 0.9} if is_unsure else {"certain": 1.0}
        return "repair"

    result = active_prompt(make_pool().context(scripted(reply)), 1, metric="confidence")
    assert result.ids == ("t2",)


def test_no_more_questions_than_the_limit_are_sampled(make_pool, scripted):
    advisor = scripted(lambda _: "repair")
    active_prompt(
        make_pool().context(advisor), 2, metric="entropy", settings=Settings(answers=3, most=4)
    )
    assert len(advisor.calls) == 12


# ---------------------------------------------------------------- EAGLE's score


def test_the_worked_informativeness():
    base, tuned = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.1, 0.85])
    found = conditional_informativeness(base, tuned)
    assert found == pytest.approx([0.1, 0.4, 0.05])
    assert list(np.argsort(-found)) == [1, 0, 2]


def test_standardised_informativeness_ignores_scale_and_shift():
    rng = np.random.default_rng(0)
    base, tuned = rng.random(20), rng.random(20)
    plain = conditional_informativeness(base, tuned, standardise=True)
    other = conditional_informativeness(base, 3 * tuned + 2, standardise=True)
    assert other == pytest.approx(plain)


def test_two_classes_differ_by_the_difference_of_one():
    rng = np.random.default_rng(0)
    p, q = rng.random(9), rng.random(9)
    both = divergence(np.stack([p, 1 - p], 1), np.stack([q, 1 - q], 1))
    assert both == pytest.approx(np.abs(p - q))


def test_what_training_changed_most_is_asked(make_pool, scripted):
    advisor = scripted(lambda _: {"repair": 0.5, "billing": 0.5})
    p = np.array([0.5, 0.6, 0.1, 0.5, 0.95, 0.5, 0.5, 0.4])
    context = make_pool().context(advisor, probabilities=np.stack([p, 1 - p], 1))
    assert list(eagle_llm().query(context, 2).indices) == [4, 2]


def test_models_that_agree_everywhere_leave_it_to_chance_and_say_so(make_pool, scripted):
    advisor = scripted(lambda _: {"repair": 0.5, "billing": 0.5})
    result = eagle_llm().query(make_pool().context(advisor, probabilities=np.full((8, 2), 0.5)), 2)
    assert "agree" in result.diagnostics["no_signal"]
    assert result.diagnostics["n_filled"] == 2


# ---------------------------------------------------------------- APE


def test_the_worked_vote_entropies():
    votes = np.array([[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    assert disagreement(votes, classes=2) == pytest.approx([math.log(2), 0.5623, 0], abs=1e-4)


def test_invalid_votes_are_a_class_only_if_they_count():
    votes = np.array([[0, 0, -1, -1]])
    assert disagreement(votes, classes=2)[0] == 0
    assert disagreement(votes, classes=2, count_invalid=True)[0] == pytest.approx(math.log(2))


def shown(count):
    return [
        Demonstration(Example(f"d{i}", {"text": f"shown {i}"}), Choice("repair"))
        for i in range(count)
    ]


def test_members_have_their_own_wording_and_order_and_never_too_many_examples():
    committee = make_committee(shown(20), 5, rng=np.random.default_rng(0))
    assert len({member.wording for member in committee}) == 5
    orders = [tuple(shown.example.id for shown in member.shown) for member in committee]
    assert len(set(orders)) == 5
    for order in orders:
        assert len(order) == len(set(order)) == MOST_SHOWN


def test_labels_flow_into_the_next_prompts_exactly_once(make_pool, scripted):
    advisor = scripted(lambda _: {"repair": 0.6, "billing": 0.4})
    ape().query(make_pool(labelled={"t1": 1}).context(advisor), 2)
    for request in advisor.calls:
        text = "\n".join(message.content for message in request.messages)
        assert text.count("My invoice for March is wrong.") == 1
        assert [message.content for message in request.messages if message.role == "assistant"] == [
            "billing"
        ]


def test_what_the_wordings_disagree_on_is_asked(make_pool, scripted):
    def reply(request):
        is_odd = "careful annotator" in request.messages[0].content
        is_torn = "ceiling" in request.messages[-1].content
        return "billing" if is_odd and is_torn else "repair"

    result = ape().query(make_pool().context(scripted(reply)), 1)
    assert result.ids == ("t2",)
    assert result.diagnostics["llm_calls"] == 8 * 3


def test_the_best_variant_is_kept_and_of_equals_the_shortest():
    long, short, bad = Variant("{task} and more"), Variant("{task}", tuple(shown(0))), Variant("x")
    assert best_variant([long, short, bad], [0.9, 0.9, 0.5]) is short
    assert best_variant([long, short, bad], [0.95, 0.9, 0.5]) is long


def test_guidelines_with_braces_stay_as_they_are():
    task = Task("t", "classification", (), "Use {this} and {task}.")
    assert Variant("{task}").prompt(task).task.instructions == "Use {this} and {task}."
