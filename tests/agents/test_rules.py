"""The five rules, each by itself: what an agent decides on which evidence."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from querist.agents.annotator import rules as annotator
from querist.agents.annotator.rules import AnnotatorEvidence
from querist.agents.budget_controller import rules as budget
from querist.agents.budget_controller.rules import BudgetEvidence
from querist.agents.generator import rules as generator
from querist.agents.generator.rules import GeneratorEvidence
from querist.agents.selector import rules as selector
from querist.agents.selector.rules import SelectorEvidence
from querist.agents.verifier import rules as verifier
from querist.agents.verifier.rules import Opinions, VerifierEvidence
from querist.memory.answers import Belief, Choice
from querist.memory.records import Action, Example, ExampleId, Origin

ANSWERS = tuple(Choice(name) for name in "abc")
SURE = Belief(ANSWERS, (0.9, 0.05, 0.05))
UNSURE = Belief(ANSWERS, (0.5, 0.4, 0.1))
GUESS = Belief(ANSWERS, (1 / 3, 1 / 3, 1 / 3))

MONEY = BudgetEvidence(
    round=3,
    most_rounds=10,
    batch=20,
    pool_left=500,
    remaining=Decimal(5),
    human_label_usd=Decimal("0.05"),
    llm_example_usd=Decimal(0),
    classes=3,
    asks_people=True,
    open_questions=0,
    wanted_answers=0,
    wanted_at_end=0,
    waiting="",
    plateau=False,
    plateau_reason="",
    stop_command="",
    may_generate=False,
    labels={"a": 20, "b": 20, "c": 20},
    last_phase="select",
)


# ---------------------------------------------------------------- budget controller


def test_money_for_what_teaches_the_target_at_the_end_is_kept_and_never_more_than_a_share():
    rich = replace(
        MONEY, round=1, remaining=Decimal(10), llm_example_usd=Decimal("0.0001"), distilled=500
    )
    for price in ("0.0001", "0.002", "0.01"):
        priced = replace(rich, llm_example_usd=Decimal(price))
        kept = min(500 * Decimal(price), Decimal("0.5"))
        without = replace(priced, distilled=0, remaining=priced.remaining - kept)
        assert budget.rule(priced).questions == budget.rule(without).questions


@pytest.mark.parametrize(
    ("change", "action", "stop"),
    [
        ({}, "select", ""),
        ({"stop_command": "ann"}, "finish", "command"),
        ({"wanted_answers": 3, "waiting": "3 more are waited for"}, "wait", ""),
        ({"plateau": True, "plateau_reason": "flat"}, "finish", "plateau"),
        ({"round": 10}, "finish", "rounds"),
        ({"pool_left": 0}, "finish", "pool"),
        ({"remaining": Decimal("0.01"), "uses_llm": False}, "finish", "budget"),
        ({"round": 10, "open_questions": 4, "wanted_at_end": 4}, "wait", "rounds"),
        ({"may_generate": True, "labels": {"a": 40, "b": 40, "c": 1}}, "generate", ""),
    ],
)
def test_the_budget_controller_goes_on_waits_or_stops(change, action, stop):
    ruling = budget.rule(replace(MONEY, **change))
    assert (ruling.action, ruling.stop) == (action, stop)
    assert ruling.reason
    budget.check(replace(MONEY, **change), ruling)


def test_six_rounds_are_at_most_six():
    actions = [budget.rule(replace(MONEY, round=n, most_rounds=6)).action for n in range(8)]
    assert actions.count("select") == 6


@pytest.mark.parametrize("cents", [255, 199, 430, 1005])
def test_people_only_runs_spend_evenly_to_the_end(cents):
    remaining, sizes = Decimal(cents) / 100, []
    for number in range(30):
        evidence = replace(
            MONEY, round=number, most_rounds=30, remaining=remaining, uses_llm=False, pool_left=900
        )
        ruling = budget.rule(evidence)
        if ruling.action != "select":
            break
        assert ruling.questions == ruling.batch
        sizes.append(ruling.batch)
        remaining -= ruling.questions * MONEY.human_label_usd
    assert min(sizes[1:]) >= 0.25 * MONEY.batch
    assert max(sizes[1:]) - min(sizes[1:]) <= 1
    assert remaining < Decimal("0.25")


def test_questions_are_shared_out_over_the_rounds_that_are_left():
    poor = replace(MONEY, remaining=Decimal(1))
    asked = [budget.rule(replace(poor, round=n)).questions for n in (0, 5, 9)]
    assert asked[1:] == [4, 20]
    assert asked[0] >= 7, "the first sample gets more: everything is measured on it"


# ---------------------------------------------------------------- verifier


def opinions(pooled, *, annotator_says=SURE, number=0, **more):
    example = Example(ExampleId(f"e{number}"), {"text": "x"}, **more.pop("example", {}))
    return Opinions(
        example,
        more.pop("attempt", 0),
        annotator=annotator_says,
        signals=(),
        pooled=pooled,
        **more,
    )


EVIDENCE = VerifierEvidence(
    round=2,
    batch=4,
    chance=1 / 3,
    questions=1,
    is_seed=False,
    may_reannotate=False,
    annotates=True,
    labels_by_model=False,
    measured=20,
    weights={"the annotator": 1.0, "its labelled neighbours": 0.5, "the trained model": 0.5},
)


def actions(batch, **change):
    ruling = verifier.rule(replace(EVIDENCE, **change))
    return [verdict.action for verdict in verifier.judge(batch, ruling, number=2)]


def test_the_sure_are_kept_and_the_first_of_the_doubtful_go_to_people():
    batch = [opinions(SURE), opinions(UNSURE, number=1), opinions(UNSURE, number=2)]
    assert actions(batch) == [Action.ACCEPT, Action.ESCALATE, Action.ACCEPT]
    assert actions([opinions(GUESS)], questions=0) == [Action.DROP]


def test_an_opinion_that_is_no_surer_than_the_commonest_class_is_common_is_doubtful():
    ruling = verifier.rule(replace(EVIDENCE, commonest=0.9))
    assert ruling.accept_at == pytest.approx(0.9 + 0.6 * 0.1)
    assert "always naming the commonest class is right on 90%" in ruling.reason
    assert verifier.rule(replace(EVIDENCE, commonest=0.1)).accept_at == pytest.approx(11 / 15)
    assert ruling.drop_below == verifier.rule(EVIDENCE).drop_below, "nothing more is thrown away"


def test_people_may_be_asked_about_the_first_whatever_is_thought_of_them():
    batch = [opinions(SURE), opinions(UNSURE, number=1), opinions(GUESS, number=2)]
    assert actions(batch, asks_first=True) == [Action.ESCALATE, Action.ACCEPT, Action.DROP]
    assert "less than" not in verifier.rule(replace(EVIDENCE, asks_first=True)).reason


def test_the_seed_goes_to_people_as_a_whole():
    assert actions([opinions(SURE), opinions(GUESS)], is_seed=True, questions=2) == [
        Action.ESCALATE, Action.ESCALATE,
    ]  # fmt: skip


def test_without_an_annotator_people_label_everything_and_the_model_nothing():
    batch = [opinions(SURE, annotator_says=None, number=n) for n in range(2)]
    assert actions(batch, annotates=False, questions=1) == [Action.ESCALATE, Action.DROP]
    wanted = actions(batch, annotates=False, questions=1, labels_by_model=True)
    assert wanted == [Action.ESCALATE, Action.ACCEPT]


def test_what_a_provider_refused_goes_to_people_or_is_dropped_with_its_words():
    lost = opinions(SURE, annotator_says=None, trouble="refused: filtered", is_refused=True)
    assert actions([lost]) == [Action.ESCALATE]
    ruling = verifier.rule(replace(EVIDENCE, questions=0))
    verdict = verifier.judge([lost], ruling, number=2)[0]
    assert (verdict.action, verdict.reason) == (Action.DROP, "refused: filtered")


def test_an_unreadable_reply_is_asked_once_more():
    lost = opinions(None, annotator_says=None, trouble="unparsable: hm")
    assert actions([lost], questions=0) == [Action.REANNOTATE]
    again = replace(lost, attempt=1)
    assert actions([again], questions=0) == [Action.DROP]


def test_a_written_text_that_reads_like_another_class_is_dropped():
    written = opinions(SURE, example={"origin": Origin.GENERATED, "written_as": Choice("b")})
    assert actions([written]) == [Action.DROP]


def test_no_reason_gives_the_guess_away():
    ruling = verifier.rule(EVIDENCE)
    verdict = verifier.judge([opinions(UNSURE)], ruling, number=2)[0]
    assert verdict.action is Action.ESCALATE
    assert not {"a", "b", "c"} & set(verdict.reason.replace("%", " ").split())
    assert verdict.likely == ("a", "b", "c")


def test_the_verifiers_bounds_hold():
    ruling = verifier.rule(EVIDENCE)
    verifier.check(EVIDENCE, ruling)
    with pytest.raises(ValueError, match="more than 1"):
        verifier.check(EVIDENCE, ruling.model_copy(update={"questions": 2}))


def test_weights_are_said_in_words():
    reason = verifier.rule(EVIDENCE).reason
    assert "the annotator 50%, its labelled neighbours 25%, the trained model 25%" in reason
    assert "20 answers by people" in reason


# ---------------------------------------------------------------- generator


def test_the_generator_writes_for_the_thinnest_classes_within_its_batch():
    evidence = GeneratorEvidence(round=2, batch=6, labels={"a": 30, "b": 2, "c": 40}, kept=0.5)
    ruling = generator.rule(evidence)
    assert set(ruling.targets) == {"b"}
    assert 0 < sum(ruling.targets.values()) <= 6
    generator.check(evidence, ruling)
    level = replace(evidence, labels={"a": 30, "b": 30, "c": 30})
    assert generator.rule(level).targets == {}


def test_a_round_to_write_in_writes_something_where_a_class_is_thin():
    evidence = GeneratorEvidence(round=2, batch=6, labels={"a": 30, "b": 2, "c": 40}, kept=0.5)
    nothing = generator.Generation(targets={"a": 0}, duplicate_at=0.95, reason="r")
    with pytest.raises(ValueError, match="6 of 'b' would do"):
        generator.check(evidence, nothing)
    generator.check(replace(evidence, labels={"a": 30, "b": 30, "c": 30}), nothing)


def test_how_texts_are_written_is_one_of_the_ways_that_there_are():
    evidence = GeneratorEvidence(
        4, 9, {"a": 1, "b": 9}, None, methods={"conditioned": "", "contrast": ""}
    )
    for method in ("", "conditioned", "contrast"):
        generator.check(evidence, generator.rule(evidence).model_copy(update={"method": method}))
    odd = generator.rule(evidence).model_copy(update={"method": "by_magic"})
    with pytest.raises(ValueError, match="by_magic"):
        generator.check(evidence, odd)


def test_the_generators_bounds_hold():
    evidence = GeneratorEvidence(round=2, batch=6, labels={"a": 1, "b": 2}, kept=None)
    for targets in ({"z": 1}, {"a": 7}, {"a": -1}):
        ruling = generator.Generation(targets=targets, duplicate_at=0.95, reason="r")
        with pytest.raises(ValueError, match=r"unknown|allowed|negative"):
            generator.check(evidence, ruling)


# ---------------------------------------------------------------- annotator and selector

ASKED = AnnotatorEvidence(
    round=1,
    model="m",
    batch=20,
    classes=3,
    bank=12,
    given=0,
    votes=1,
    shared=8,
    nearest=None,
    is_local=False,
    calibrate=True,
    has_logprobs=True,
    skill=0.8,
)


def test_the_annotator_shows_what_there_is_and_samples_where_it_must():
    ruling = annotator.rule(ASKED)
    assert (ruling.shared, ruling.nearest, ruling.votes, ruling.calibrate) == (8, 4, 1, True)
    assert annotator.rule(replace(ASKED, is_local=True)).nearest == 0
    bare = annotator.rule(replace(ASKED, bank=0))
    assert (bare.shared, bare.nearest) == (0, 0)
    blind = annotator.rule(replace(ASKED, has_logprobs=False))
    assert (blind.votes, blind.calibrate) == (3, False)


def test_the_selector_draws_at_random_first_and_covers_until_there_is_a_model():
    evidence = SelectorEvidence(
        round=0,
        pool_left=100,
        batch=10,
        configured="auto",
        labels={"a": 0, "b": 0},
        has_model=False,
        random_only=True,
    )
    assert selector.rule(evidence).strategy == "random"
    cold = selector.rule(replace(evidence, random_only=False))
    assert cold.strategy == selector.TYPICAL
    warm = replace(evidence, random_only=False, has_model=True, labels={"a": 9, "b": 9})
    assert selector.rule(warm).strategy == selector.MIXED
    # Of a large batch's candidates fewer are looked at: a round is not to wait for clusters.
    large = selector.rule(replace(warm, batch=200, pool_left=90_000))
    assert large.strategy == "0.5*random@20 > typiclust(most_clusters=200) + 0.5*margin"
    assert selector.rule(replace(warm, labels={"a": 9, "b": 0})).strategy == selector.TYPICAL
    named = replace(warm, configured="margin")
    assert selector.rule(named).strategy == "margin"
    with pytest.raises(ValueError, match="allowed"):
        selector.check(warm, selector.Selection(strategy="margin", count=11, reason="r"))


@pytest.mark.parametrize(
    ("labels", "expected", "why"),
    [
        ([10, 12, 9, 11], "MIXED", "the model's doubts are half"),
        ([3, 4, 2, 6], "TYPICAL", "labels a class"),
        ([1] * 77, "TYPICAL", "labels a class"),
        ([28, 7], "TYPICAL", "One class has 80% of the labels"),
        ([20, 15], "MIXED", "the model's doubts are half"),
        ([21, 23, 22, 16, 15, 1], "MIXED", "the model's doubts are half"),
    ],
)
def test_the_selector_goes_by_how_many_labels_the_classes_have(labels, expected, why):
    evidence = SelectorEvidence(
        round=2,
        pool_left=100,
        batch=10,
        configured="auto",
        labels={f"class {place}": count for place, count in enumerate(labels)},
        has_model=True,
    )
    ruling = selector.rule(evidence)
    assert ruling.strategy == getattr(selector, expected)
    assert why in ruling.reason


def test_a_share_of_the_answers_measures_the_model():
    start = replace(MONEY, round=0, audit_share=0.2)
    first = budget.rule(start)
    assert first.questions == first.batch + first.audits
    # Enough for a first measure, although a fifth would be fewer.
    assert first.audits == max(10, first.batch // 4)
    budget.check(start, first)
    later = budget.rule(replace(MONEY, audit_share=0.2, asked=95, audited=17))
    assert later.audits == int(0.2 * (95 + later.questions)) - 17
    assert f"{later.audits} random ones that the model is measured on" in later.reason
    # Never more than half of what a round asks, whatever was missed before.
    behind = budget.rule(replace(MONEY, audit_share=0.2, asked=200, audited=0))
    assert behind.audits == behind.questions // 2
    assert budget.rule(replace(MONEY, asked=95)).audits == 0


def test_where_people_label_everything_audits_are_beside_the_batch():
    plan = budget.rule(replace(MONEY, uses_llm=False, audit_share=0.2, asked=95, audited=15))
    assert plan.audits > 0
    assert plan.batch + plan.audits == plan.questions


def test_more_audits_than_questions_are_refused():
    with pytest.raises(ValueError, match="audits are more than"):
        budget.check(
            MONEY, budget.Plan(action="select", batch=5, questions=3, audits=4, reason="-")
        )


def test_a_round_that_teaches_too_little_is_refused_to_a_mind():
    plan = budget.Plan(action="select", batch=4, questions=0, reason="-")
    with pytest.raises(ValueError, match="name a batch of 5 at least"):
        budget.check(MONEY, plan)
    budget.check(MONEY, plan.model_copy(update={"batch": 5}))
    budget.check(replace(MONEY, pool_left=4), plan)


def test_a_class_without_a_label_is_not_written_for():
    assert budget.thin_classes({"a": 20, "b": 1, "c": 0}) == ["b"]
