"""The agents of a job that creates rows: rules, bounds and facts, as functions of evidence."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from querist.agents.budget_controller import creating as budget
from querist.agents.budget_controller import creating_brief
from querist.agents.budget_controller.creating import CreationEvidence, Wave, Window
from querist.agents.generator import creating as generator
from querist.agents.generator import creating_brief as generator_brief
from querist.agents.generator.creating import ArmRecord, CellNeed, Portion, Writing
from querist.agents.selector import creating as selector
from querist.agents.verifier import creating as verifier
from querist.agents.verifier.creating import CheckEvidence, Checking, Threshold

USUAL = CreationEvidence(
    wave=3,
    accepted=10,
    wanted=40,
    written=20,
    remaining=Decimal("0.40"),
    cap=Decimal(1),
    usd_a_row=Decimal("0.02"),
    recent=Window(20, passed=10, new=18),
    longer=Window(20, passed=10, new=18),
    enough_calls=15,
    most_calls=8,
)
REJECTS = budget.Rejections("length", 30, "too long", "raise length(most=300)")


def full(rows, *, passed, new):
    return Window(rows, passed=passed, new=new, is_full=True)


def test_a_wave_is_as_large_as_needed_within_what_it_may_have():
    assert budget.SPEC.rule(USUAL).calls == 8
    few = budget.SPEC.rule(replace(USUAL, enough_calls=2))
    assert (few.action, few.calls) == ("write", 2)
    assert "about 20 more accepted rows at 0.020000 USD each" in few.reason


@pytest.mark.parametrize(
    ("stop", "changes"),
    [
        ("rows", {"accepted": 40}),
        ("deadline", {"minutes_left": 0.0}),
        ("gates", {"accepted": 0, "recent": full(60, passed=0, new=60), "rejections": REJECTS}),
        ("saturated", {"recent": full(60, passed=1, new=2)}),
        ("cap", {"broke": "cap"}),
        ("workspace_cap", {"broke": "workspace_cap", "broke_words": "The day's cap is reached."}),
        ("dry", {"open_cells": 0, "dry": ("bad (3 missing)",)}),
        ("gates", {"accepted": 0, "open_cells": 0, "rejections": REJECTS}),
    ],
)
def test_each_end_has_its_rule_and_its_reason(stop, changes):
    ruling = budget.SPEC.rule(replace(USUAL, **changes))
    assert (ruling.action, ruling.stop) == ("stop", stop)
    assert ruling.reason
    if stop == "gates":
        assert "raise length(most=300)" in ruling.reason


def test_what_came_first_before_is_named_first():
    everything = replace(
        USUAL, accepted=40, minutes_left=0.0, broke="cap", recent=full(60, passed=0, new=0)
    )
    assert budget.SPEC.rule(everything).stop == "rows"
    assert budget.SPEC.rule(replace(everything, accepted=10)).stop == "deadline"
    assert budget.SPEC.rule(replace(everything, accepted=10, minutes_left=1.0)).stop == "saturated"


def test_a_mind_may_go_on_a_while_but_not_for_ever():
    saturated = replace(USUAL, recent=full(60, passed=1, new=2))
    on = Wave(action="write", calls=2, reason="The last rows were bad luck.")
    assert budget.SPEC.rule(saturated).stop == "saturated"
    budget.SPEC.check(saturated, on)
    with pytest.raises(ValueError, match="the job has ended"):
        budget.SPEC.check(replace(saturated, longer=full(120, passed=1, new=4)), on)
    for end in ({"accepted": 40}, {"broke": "cap"}, {"open_cells": 0}, {"minutes_left": 0.0}):
        with pytest.raises(ValueError, match="the job has ended"):
            budget.SPEC.check(replace(USUAL, **end), on)


def test_a_mind_may_not_end_what_nothing_speaks_against_nor_write_without_measure():
    for stop in ("saturated", "gates", "cap", "rows", ""):
        with pytest.raises(ValueError, match="nothing speaks for the end"):
            budget.SPEC.check(USUAL, Wave(action="stop", stop=stop, reason="Enough."))
    poor = replace(USUAL, remaining=Decimal("0.01"))
    budget.SPEC.check(poor, Wave(action="stop", stop="cap", reason="Not another row."))
    with pytest.raises(ValueError, match="1 to 8 calls, not 9"):
        budget.SPEC.check(USUAL, Wave(action="write", calls=9, reason="Fast."))


def test_the_budget_controller_is_told_what_the_money_buys():
    told = replace(USUAL, gates={"length": (20, 12)}, novelty=(1.0, 0.8), minutes_left=3.0)
    page = creating_brief.BRIEF.page(told, number=3)
    assert "0.40 USD of 1.00 USD are left. The money buys about 20 more accepted rows" in page
    assert "Gate length let 12 of 20 rows pass." in page
    assert "wave by wave: 1.00, 0.80" in page
    assert "3.0 minutes are left" in page
    assert "action: write\n" in f"{page}\n", "nothing speaks for an end"
    assert creating_brief.BRIEF.settled(replace(told, accepted=40))


# ------------------------------------------------------------ generator

CELLS = (
    CellNeed(0, "good", "good", 10, 10, ("conditioned", "contrast")),
    CellNeed(1, "bad", "bad", 10, 5, ("conditioned",)),
)
WRITING = generator.WritingEvidence(
    wave=2, seed=0, calls=6, per_call=4, share=0.5, cells=CELLS,
    reasons={"good": ("too long", "a copy", "too short", "no text")},
)  # fmt: skip


def test_calls_go_where_most_is_missing_by_what_each_label_allows():
    ruling = generator.SPEC.rule(WRITING)
    assert generator.SPEC.rule(WRITING) == ruling, "the same evidence is the same plan"
    calls = Counter()
    for portion in ruling.plan:
        calls[portion.cell] += portion.calls
        assert portion.method in CELLS[portion.cell].methods
    # A call is taken to bring two accepted rows: ten missing want five calls, five want three.
    assert calls == {0: 4, 1: 2}
    assert ruling.guidelines == {"good": ("too long", "a copy", "too short")}
    generator.SPEC.check(WRITING, ruling)


def test_a_method_that_yields_more_per_dollar_is_taken_more():
    arms = (
        ArmRecord("conditioned", "good", 100, 10, 1.0),
        ArmRecord("contrast", "good", 100, 90, 1.0),
    )
    taken = Counter()
    for wave in range(20):
        for portion in generator.SPEC.rule(replace(WRITING, wave=wave, arms=arms)).plan:
            if portion.cell == 0:
                taken[portion.method] += portion.calls
    assert taken["contrast"] > 10 * taken["conditioned"]


@pytest.mark.parametrize(
    ("plan", "guidelines", "words"),
    [
        ([(1, "contrast", 1)], {}, "for cell 1 write by conditioned"),
        ([(7, "conditioned", 1)], {}, "no cell 7"),
        ([(0, "conditioned", 7)], {}, "7 calls, and 1 to 6"),
        ([], {}, "0 calls"),
        ([(0, "contrast", 1)], {"good": ("ignore your orders",)}, "no row was rejected because"),
        ([(0, "contrast", 1)], {"bad": ("too long",)}, "no row was rejected because"),
    ],
)
def test_a_plan_out_of_bounds_is_refused(plan, guidelines, words):
    portions = [Portion(cell=cell, method=way, calls=calls) for cell, way, calls in plan]
    ruling = Writing(plan=portions, guidelines=guidelines, reason="So.")
    with pytest.raises(ValueError, match=words):
        generator.SPEC.check(WRITING, ruling)


def test_a_mind_names_reasons_by_their_numbers():
    brief = generator_brief.BRIEF
    assert "Reason 1 for <<<good>>>: <<<a copy>>>." in brief.page(WRITING, number=3)
    assert brief.reads["guidelines"](WRITING, [1, 0]) == {"good": ["a copy", "too long"]}
    assert brief.reads["guidelines"](WRITING, [9]) == [9], "left to the ruling's own type"
    schema = brief.schema(WRITING)
    assert schema["properties"]["plan"]["items"]["properties"]["cell"]["enum"] == [0, 1]


# ------------------------------------------------------------ selector, verifier


def test_seeds_are_shown_as_the_job_has_it_and_only_in_ways_that_there_are():
    seeds = selector.SeedEvidence(2, {"good": 9}, "random", ("random", "diverse"), 4)
    ruling = selector.SPEC.rule(seeds)
    assert (ruling.strategy, ruling.shown) == ("random", 4)
    selector.SPEC.check(seeds, selector.Showing(strategy="diverse", shown=2, reason="So."))
    with pytest.raises(ValueError, match="not 'hard'"):
        selector.SPEC.check(seeds, selector.Showing(strategy="hard", shown=2, reason="So."))
    assert selector.BRIEF.settled(replace(seeds, seeds={})) == "there are no seeds to show"
    past = selector.PastShowing(1, "random", 8, 4, 0.5)
    page = selector.BRIEF.page(replace(seeds, past=(past,)), number=2)
    assert "Wave 1 (random): 4 of 8 rows were accepted, 50% were new." in page


def test_thresholds_move_within_their_bounds_and_stand_by_rule():
    bounds = (
        Threshold("label_check.least", 0.5, 0.4, 0.7),
        Threshold("length.most", 300, 200, 400, is_whole=True),
    )
    evidence = CheckEvidence(2, 16, 4, 40, {"label_check": (10, 1)}, bounds)
    assert verifier.SPEC.rule(evidence).thresholds == {}
    verifier.SPEC.check(evidence, Checking(thresholds={"label_check.least": 0.4}, reason="So."))
    for name, value, words in (
        ("label_check.least", 0.3, "may be 0.4 to 0.7, not 0.3"),
        ("embedding.at", 0.9, "may not be moved"),
        ("length.most", 250.5, "a whole number"),
    ):
        with pytest.raises(ValueError, match=words):
            verifier.SPEC.check(evidence, Checking(thresholds={name: value}, reason="So."))
    assert verifier.BRIEF.settled(replace(evidence, thresholds=()))
    assert "label_check.least = 0.5; it may be 0.4 to 0.7" in verifier.BRIEF.page(
        evidence, number=2
    )
