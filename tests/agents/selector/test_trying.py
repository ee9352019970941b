"""Trying arms out, and letting a language model propose settings; with scripted models."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from querist.agents.annotator.prompt import Prompt
from querist.agents.models.metered import MeteredModel
from querist.agents.models.providers.scripted import ScriptedModel
from querist.agents.selector.acquisition.proposing import advised
from querist.agents.selector.acquisition.trying import Labeller, Work, label_all
from querist.agents.selector.advice.advisor import Advisor
from querist.memory.answers import Choice
from querist.memory.errors import BudgetExceeded, ModelUnavailable
from querist.memory.records import Example, ExampleId, LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.arms import (
    Options,
    Proposals,
    Range,
    Space,
    StagedSearch,
    Trial,
    hyperband_ladders,
)
from querist.tools.money.prices import Price

TASK = Task("t", "classification", (LabelClass("good"), LabelClass("bad")))
EXAMPLES = [Example(ExampleId(f"e{i}"), {"text": f"number {i}"}) for i in range(6)]
SPACE = Space({"rate": Range(1e-4, 1e-1, is_log=True), "depth": Options((1, 2, 3))})


@pytest.fixture
def ledger(tmp_path):
    with open_store(tmp_path / "work") as store:
        runs = Runs(store)
        runs.create(RunId("run"), task=TASK, dataset="d", config={}, cap=Decimal("0.01"))
        yield Ledger(store, "run", lease=runs.take(RunId("run")))


def metered(model, ledger, price="1"):
    return MeteredModel(
        model, price=Price(Decimal(price), Decimal(price)), ledger=ledger, agent="selector"
    )


def prompt(words):
    return Prompt(replace(TASK, instructions=words))


def says(request):
    return {"good": 0.8, "bad": 0.2} if "kind" in request.messages[0].content else "bad"


def test_arms_answer_the_same_examples_each_by_its_prompt(ledger):
    model = metered(ScriptedModel(says), ledger)
    work = [Work(Labeller(model, prompt(words)), EXAMPLES) for words in ("be kind", "be strict")]
    kind, strict = asyncio.run(label_all(work))
    assert {answer.given for answer in kind} == {Choice("good")}
    assert {answer.given for answer in strict} == {Choice("bad")}
    assert kind[0].probabilities == pytest.approx([0.8, 0.2])
    assert sum(answer.usd for answer in kind + strict) == ledger.balance().settled > 0


def test_an_arm_is_never_paid_twice_for_an_example(ledger):
    script = ScriptedModel(says)
    labeller = Labeller(metered(script, ledger), prompt("be kind"))
    asyncio.run(label_all([Work(labeller, EXAMPLES[:4])]))
    spent = ledger.balance().settled
    again = asyncio.run(label_all([Work(labeller, EXAMPLES)]))[0]
    assert len(script.calls) == 6
    assert [answer.usd > 0 for answer in again] == [False] * 4 + [True] * 2
    assert ledger.balance().settled > spent


def test_an_arm_that_fails_loses_no_answer_of_the_others(ledger):
    def refuse(_):
        raise ModelUnavailable("gone")

    slow = ScriptedModel(says, name="slow", delay=0.02)
    fails = Labeller(metered(ScriptedModel(refuse, name="fails"), ledger), prompt("be kind"))
    works = Labeller(metered(slow, ledger), prompt("be kind"))
    with pytest.raises(ModelUnavailable, match="gone"):
        asyncio.run(label_all([Work(fails, EXAMPLES), Work(works, EXAMPLES)]))
    balance = ledger.balance()
    assert balance.settled > 0
    assert balance.reserved == 0, "what was answered is paid for and kept, not in doubt"
    asyncio.run(label_all([Work(works, EXAMPLES)]))
    assert len(slow.calls) == 6
    assert ledger.balance().settled == balance.settled


def test_more_votes_include_fewer(ledger):
    script = ScriptedModel(says)
    model = metered(script, ledger)
    work = [Work(Labeller(model, prompt("be kind"), votes=votes), EXAMPLES) for votes in (1, 3)]
    single, three = asyncio.run(label_all(work))
    assert len(script.calls) == 18
    assert sum(answer.usd for answer in single) == 0
    assert [answer.given for answer in three] == [Choice("good")] * 6


def test_calibration_divides_out_what_is_said_of_nothing(ledger):
    def biased(request):
        empty = "number" not in request.messages[-1].content
        return {"good": 0.9, "bad": 0.1} if empty else {"good": 0.7, "bad": 0.3}

    model = metered(ScriptedModel(biased), ledger)
    raw, calibrated = asyncio.run(
        label_all(
            [
                Work(Labeller(model, prompt("x"), is_calibrated=on), EXAMPLES[:2])
                for on in (False, True)
            ]
        )
    )
    assert raw[0].given == Choice("good")
    assert calibrated[0].given == Choice("bad")


def test_an_unusable_answer_is_no_label(ledger):
    model = metered(ScriptedModel(lambda _: "perhaps"), ledger)
    answers = asyncio.run(label_all([Work(Labeller(model, prompt("x")), EXAMPLES)]))[0]
    assert all(answer.given is None and answer.probabilities is None for answer in answers)


def test_too_little_money_and_a_failing_model_are_raised(ledger):
    dear = Labeller(metered(ScriptedModel(says), ledger, price="900"), prompt("be kind"))
    with pytest.raises(BudgetExceeded):
        asyncio.run(label_all([Work(dear, EXAMPLES)]))

    def fails(_):
        raise ModelUnavailable("gone")

    broken = Labeller(metered(ScriptedModel(fails), ledger), prompt("x"))
    with pytest.raises(ModelUnavailable):
        asyncio.run(label_all([Work(broken, EXAMPLES)]))


# ---------------------------------------------------------------- proposals


def proposing(ledger, reply):
    script = ScriptedModel(reply)
    advisor = Advisor(metered(script, ledger, price="0"), task=TASK)
    return script, advised(SPACE, advisor, about="a test")


def test_the_model_sees_space_and_history_and_its_proposals_are_checked(ledger):
    offered = [{"rate": 0.01, "depth": 2}, {"rate": 7, "depth": 2}, {"depth": 1}]
    script, propose = proposing(ledger, lambda _: json.dumps({"proposals": offered}))
    source = Proposals(SPACE, np.random.default_rng(0), propose, share=0.5)
    trials = [Trial({"rate": 0.05, "depth": 3}, 0.25, 1), Trial({"rate": 0.05, "depth": 3}, 0.5, 3)]
    found = source(6, trials)
    assert found[0] == offered[0]
    assert (source.accepted, source.rejected) == (1, 2)
    assert not any(SPACE.problems(proposal) for proposal in found)
    request = script.calls[0]
    shown = json.loads(request.messages[1].content.splitlines()[0])
    assert shown["tried (best first)"] == [{"config": {"rate": 0.05, "depth": 3}, "score": 0.5}]
    assert request.schema["properties"]["proposals"]["minItems"] == 3


@pytest.mark.parametrize("reply", ["no idea", '{"proposals": 3}', '{"proposals": [1, null, "x"]}'])
def test_a_model_that_proposes_nothing_usable_leaves_all_to_chance(ledger, reply):
    _, propose = proposing(ledger, lambda _: reply)
    source = Proposals(SPACE, np.random.default_rng(0), propose, share=0.5)
    assert len(source(4, [])) == 4
    assert (source.accepted, source.rejected) == (0, 2)


def test_the_warm_start_is_at_most_half_of_every_bracket(ledger):
    asked = []

    def reply(request):
        asked.append(int(request.messages[1].content.splitlines()[1].split()[1]))
        return "nothing"

    _, propose = proposing(ledger, reply)
    source = Proposals(SPACE, np.random.default_rng(0), propose, share=0.5)
    search = StagedSearch(hyperband_ladders(9), source)
    while (pull := search.next()) is not None:
        search.observe(pull.arm, 0.5)
    assert asked == [4, 2, 1]
