"""Agents that want different things: an exchange settles it, or the rules; always within bounds."""

import asyncio
import json
from decimal import Decimal

import pytest
from tests_graph_support import weak_annotator

from querist.agents.models.port import ChatReply, ToolUse, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.terminal.place import Place
from querist.app.views.decisions import show_decisions
from querist.app.views.report import render
from querist.app.views.report_data import gather
from querist.memory.errors import QueristError
from querist.memory.events import Convened

SECTIONS = {
    "models": {"mind": "openai:mind"},
    "prices": {"openai:mind": {"input": 1, "output": 2}},
    "loop": {"rounds": 2},
    "minds": {"selector": "llm"},
}
FEW = {"reason": "A small batch is enough now.", "strategy": "margin", "count": 5}


def answering(agree_to, reason="The plan has money for it, so let it be."):
    return ChatReply(json.dumps({"reason": reason, "agree_to": agree_to}), Usage(100, 30))


def mind(confer, rulings=None):
    """Rule as told; where two agents confer, say what `confer` gives for the request."""
    ruling_of = {"Selection": FEW} | (rulings or {})

    def reply(request):
        if not request.tools:
            return confer(request)
        name = request.tools[-1].name
        use = ToolUse("x", name, json.dumps(ruling_of[name]))
        return ChatReply("", Usage(200, 30), uses=(use,))

    return ScriptedModel(reply, name="openai:mind")


@pytest.fixture
def conferring(scripted):
    """Run with a selector that wants five texts of twenty, and a model that confers."""

    def make(confer, name="work", rulings=None, **sections):
        run, _ = scripted(name, **(SECTIONS | sections))
        model = mind(confer, rulings)
        local = ScriptedModel(weak_annotator, name="local")
        run.use(models={"openai:mind": model, "local": local})
        outcome = asyncio.run(run.drive())
        assert outcome.status == "finished"
        return run, model

    return make


def settled(run, agent="selector"):
    return [made for made in run.view().journal.decisions(agent=agent) if made.settled]


def test_who_gives_in_is_taken_at_its_word(conferring):
    run, model = conferring(lambda _: answering("budget_controller"))
    for made in settled(run):
        assert made.action["count"] == 20
        assert made.settled.outcome == "budget_controller"
        assert made.settled.wishes == {"selector": "5 texts", "budget_controller": "20 texts"}
        assert len(made.settled.turns) == 1
        assert made.mind == "llm"
        assert made.usd > made.settled.usd > 0
        assert len(run.view().labelling.batch(made.round)) == 20
    assert settled(run)
    assert all("Guess" not in call.messages[0].content for call in model.calls)


def test_who_keeps_to_its_own_speaks_twice_then_the_rules_decide(conferring):
    run, _ = conferring(lambda _: answering("selector"))
    made = settled(run)[0]
    assert made.settled.outcome == "rules"
    assert made.settled.why == "they did not agree in 2 turns"
    assert made.action["count"] == 20
    assert made.action["strategy"] == "margin"


def test_two_minds_speak_in_turn_and_the_one_may_convince_the_other(conferring):
    plan = {
        "reason": "There is room for more.", "action": "select", "batch": 20, "questions": 5,
    }  # fmt: skip

    def confer(request):
        told = request.messages[-1].content
        assert "said:" in told or request.messages[0].content.startswith("You speak for the sel")
        return answering("selector")

    run, _ = conferring(
        confer,
        rulings={"Plan": plan},
        minds={"selector": "llm", "budget_controller": "llm"},
    )
    made = settled(run)[0]
    assert made.settled.outcome == "selector"
    assert [turn.who for turn in made.settled.turns] == ["selector", "budget_controller"]
    assert made.action["count"] == 5
    assert len(run.view().labelling.batch(made.round)) == 5


def test_more_than_the_plan_is_had_only_if_the_budget_controller_agrees(conferring):
    plan = {"reason": "Slowly now, there is no hurry.", "action": "select", "batch": 10}
    more = FEW | {"count": 20}
    both = {"selector": "llm", "budget_controller": "llm"}
    rulings = {"Plan": plan | {"questions": 2}, "Selection": more}
    agreed, _ = conferring(lambda _: answering("selector"), rulings=rulings, minds=both)
    assert [made.action["count"] for made in settled(agreed)][:1] == [20]
    apart, _ = conferring(
        lambda request: answering(
            "selector" if "for the selector" in request.messages[0].content else "budget_controller"
        ),
        "apart",
        rulings=rulings,
        minds=both,
    )
    assert {made.action["count"] for made in settled(apart)} == {10}
    assert {made.settled.outcome for made in settled(apart)} == {"rules"}


def _fails(_):
    raise QueristError("the endpoint is gone")


@pytest.mark.parametrize(
    ("confer", "why"),
    [
        (lambda _: ChatReply("I would rather not.", Usage(9, 9)), "no JSON object"),
        (lambda _: ChatReply("", Usage(9, 9), finish="refused"), "refused"),
        (lambda _: answering("verifier"), "which is none"),
        (lambda _: answering("selector", "There are 9999 labels already."), "9999"),
        (lambda _: answering("selector", "no"), "says nothing"),
        (lambda _: answering("selector", "so " * 40), "repeats itself"),
        (_fails, "the endpoint is gone"),
    ],
)
def test_whatever_goes_wrong_the_rules_decide_and_say_why(conferring, confer, why):
    run, _ = conferring(confer)
    made = settled(run)[0]
    assert made.settled.outcome == "rules"
    assert why in made.settled.why
    assert made.action["count"] == 20


def test_one_that_is_silent_is_not_waited_for(scripted):
    run, _ = scripted(**(SECTIONS | {"minds": {"selector": "llm", "seconds": 0.3}}))

    class Silent(ScriptedModel):
        async def complete(self, request):
            if not request.tools:
                await asyncio.sleep(2)
            return await super().complete(request)

    ready = mind(lambda _: answering("selector"))
    silent = Silent(ready._reply, name="openai:mind")
    run.use(models={"openai:mind": silent, "local": ScriptedModel(weak_annotator, name="local")})
    asyncio.run(run.drive())
    made = settled(run)
    if made:  # on a machine that is busy the deliberation itself may have been too slow
        assert "did not agree within 0.3 s" in made[0].settled.why


def test_an_exchange_costs_no_more_than_its_decision_may(conferring):
    usd = Decimal("0.0018")
    run, _ = conferring(lambda _: answering("selector"), minds={"selector": "llm", "usd": str(usd)})
    decisions = run.view().journal.decisions(agent="selector")
    assert all(made.usd <= usd for made in decisions)
    tight = [made.settled for made in settled(run)]
    assert all(one.outcome == "rules" for one in tight)


def test_no_turns_no_exchange(conferring):
    run, model = conferring(lambda _: answering("selector"), minds={"selector": "llm", "turns": 0})
    assert not settled(run)
    assert all(call.tools for call in model.calls)
    counts = [made.action["count"] for made in run.view().journal.decisions(agent="selector")]
    assert 5 in counts


def test_rules_among_themselves_do_not_confer(scripted):
    run, _ = scripted(loop={"rounds": 2})
    asyncio.run(run.drive())
    assert not run.view().journal.bodies(Convened)


def test_the_annotators_single_vote_and_the_verifiers_second_look(conferring):
    annotating = {
        "reason": "One vote is enough here.", "votes": 1, "shared": 2, "nearest": 0,
        "calibrate": False,
    }  # fmt: skip
    verification = {
        "reason": "The annotator is weak.", "accept_at": 0.99, "reannotate_below": 0.98,
        "drop_below": 0.1, "questions": 1,
    }  # fmt: skip
    run, _ = conferring(
        lambda _: answering("annotator", "Asking once is what was planned for."),
        rulings={"Annotating": annotating, "Verification": verification},
        minds={"annotator": "llm", "verifier": "llm"},
        annotator={"votes": 2},
    )
    made = settled(run, "verifier")
    assert made
    assert made[0].settled.outcome == "annotator"
    assert made[0].action["reannotate_below"] == 0
    assert made[0].action["accept_at"] == 0.99


def test_a_killed_run_confers_on_what_it_was_told_and_pays_nothing_twice(scripted):
    run, _ = scripted(**SECTIONS)
    model = mind(lambda _: answering("budget_controller"))
    run.use(models={"openai:mind": model, "local": ScriptedModel(weak_annotator, name="local")})

    class Killed(BaseException):
        pass

    def die(event):
        if event.kind == "convened" and not died:
            died.append(event)
            raise Killed

    died = []
    with pytest.raises(Killed):
        asyncio.run(run.drive(die))
    spent = run.view().ledger.balance().settled
    asked = len(model.calls)
    asyncio.run(run.drive())
    first = settled(run)[0]
    assert run.view().journal.bodies(Convened)[0].page == died[0].body.page
    assert len([b for b in run.view().journal.bodies(Convened) if b.turn == first.turn]) == 1
    assert first.settled.outcome == "budget_controller"
    assert run.view().ledger.balance().settled > spent
    keys = [line.call_key for line in run.view().ledger.lines() if line.entry == "settle"]
    assert len(keys) == len(set(keys))
    assert len(model.calls) > asked


def test_an_exchange_can_be_read(conferring, capsys):
    run, _ = conferring(lambda _: answering("budget_controller"))
    page = render(gather(run))
    assert "Another agent wanted otherwise" in page
    place, number = Place(run.store.folder), settled(run)[0].round
    run.store.close()
    show_decisions(place, run.id, number=number, agent="selector")
    told = capsys.readouterr().out
    assert "How many texts are labelled in this round: 5 or 20?" in told
    assert "[selector] For the budget controller's wish: The plan has money" in told
    assert "what held: budget controller" in told
