"""Gates that ask a model, with models that say what they are told to."""

import asyncio
import json
from decimal import Decimal

import pytest

from querist.agents.models.metered import MeteredModel
from querist.agents.models.providers.scripted import ScriptedModel
from querist.agents.verifier.gates.port import MODEL_GATES, Bench
from querist.memory.errors import BudgetExceeded, InvalidInput
from querist.memory.records import LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.gates.port import Candidate
from querist.tools.money.prices import Price

TASK = Task("t", "classification", (LabelClass("good"), LabelClass("bad")))
PRICE = Price(Decimal(0), Decimal(0), per_call=Decimal("0.01"))


@pytest.fixture
def judge(tmp_path):
    """Judge candidates by a gate; the reply's text follows from the request."""
    with open_store(tmp_path) as store:
        runs = Runs(store)

        def run(gate, candidates, *replies, cap="1", task=TASK):
            name = RunId(f"run{len(runs.all())}")
            runs.create(name, task=task, dataset="", config={}, cap=Decimal(cap))
            ledger = Ledger(store, name, lease=runs.take(name))
            models = {
                key: MeteredModel(
                    ScriptedModel(reply, name=f"{name}-{key}"),
                    price=PRICE,
                    ledger=ledger,
                    agent="g",
                )
                for key, reply in zip(("", "weak"), replies, strict=False)
            }
            bench = Bench(task, lambda key: models[key])
            return asyncio.run(MODEL_GATES.read(gate).check(candidates, bench))

        yield run


def row(text, label="good"):
    return Candidate({"text": text}, text, label=label)


def test_the_label_check_divides_the_checkers_bias_out(judge):
    def biased(request):
        text = request.messages[-1].content
        if "fine" in text:
            return {"good": 0.6, "bad": 0.4}
        return {"good": 0.3, "bad": 0.7} if "poor" in text else {"good": 0.8, "bad": 0.2}

    fine, poor, dull = judge("label_check", [row("fine"), row("poor", "bad"), row("dull")], biased)
    # 0.6 / 0.8 against 0.4 / 0.2: it reads less good than nothing does.
    assert not fine.finding.passed
    assert "reads like bad rather than good" in fine.finding.reason
    assert poor.finding.passed
    assert dull.finding.score == pytest.approx(0.5, abs=0.01)
    assert fine.usd == Decimal("0.01")


def test_money_that_ends_leaves_rows_unchecked(judge):
    rows = [row(f"text {i}") for i in range(6)]
    said = judge("label_check", rows, lambda _: {"good": 0.9, "bad": 0.1}, cap="0.06")
    assert [one.finding is None for one in said].count(True) == 3  # three calls measure the bias
    assert all(isinstance(one.error, BudgetExceeded) for one in said if one.finding is None)


def test_the_rubric_goes_by_the_lowest_aspect(judge):
    def points(request):
        low = 2 if "odd" in request.messages[-1].content else 4
        return json.dumps({"clear": 5, "true": low, "reason": "because"})

    gate = "rubric(aspects='clear, true', least=3)"
    fine, odd = judge(gate, [row("fine"), row("odd")], points)
    assert fine.finding.passed
    assert odd.finding.reason == "2 of 5 points for true: because"
    assert not judge(gate, [row("x")], lambda _: "no json")[0].finding.passed


def test_the_solver_gate_wants_a_strong_one_that_succeeds_and_a_weak_one_that_fails(judge):
    def strong(request):
        return json.dumps({"answer": "Four." if "2 + 2" in request.messages[-1].content else "?"})

    def weak(request):
        easy = "easy" in request.messages[-1].content
        return json.dumps({"answer": "four" if easy else "five"})

    rows = [
        Candidate({"question": question, "answer": "four"}, question)
        for question in ("what is 2 + 2?", "easy: 2 + 2?", "what is 3 + 1?")
    ]
    good, easy, unsolved = judge("solver(weak='weak', tries=3)", rows, strong, weak)
    assert good.finding.passed
    assert good.finding.score == 1.0
    assert good.usd == Decimal("0.06")
    assert "too easy" in easy.finding.reason
    assert "right in 0% of its tries only" in unsolved.finding.reason
    with pytest.raises(InvalidInput, match=r"needs the fields 'question' and 'answer'"):
        judge("solver(weak='weak')", [row("x")], strong, weak)


# ------------------------------------------------------------ reward


def test_of_a_calls_rows_the_best_is_kept(judge):
    def points(request):
        text = json.loads(request.messages[-1].content)["row"]["text"]
        return json.dumps({"points": int(text.split()[-1])}) if text[-1].isdigit() else "no idea"

    def of_call(call, *texts):
        return [Candidate({"text": text}, text, label="good", call=call) for text in texts]

    candidates = [
        *of_call("1", "a 7", "b 9", "c 9", "d 3"),
        *of_call("2", "e 5", "f 4"),
        *of_call("", "g 8", "h 6"),
        *of_call("3", "odd"),
    ]
    found = judge("reward(least=6, of=4)", candidates, points)
    kept = [c.text for c, each in zip(candidates, found, strict=True) if each.finding.passed]
    assert kept == ["b 9", "g 8", "h 6"], "the first of equals; rows of no known call stand alone"
    assert found[0].finding.reason == "another row of its call has as many points or more (7 of 10)"
    assert found[4].finding.reason == "5 of 10 points"
    assert found[-1].finding.reason == "the judge's reply holds no points"
    assert all(each.usd > 0 for each in found)
    two = judge("reward(least=1, of=2)", candidates[:4], points)
    assert [each.finding.passed for each in two] == [False, True, True, False]
    with pytest.raises(InvalidInput, match="at most 10 points"):
        MODEL_GATES.read("reward(least=11)")
