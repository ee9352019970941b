"""Whole runs in which a mind rules what no rule does: what comes of it in the store."""

import asyncio
import json

import pytest
from tests_graph_support import LABELS, weak_annotator

from querist.agents.models.port import ChatReply, ToolUse, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.round.model_files import latest_models
from querist.memory.answers import name_of
from querist.memory.records import Action

SECTIONS = {
    "models": {"mind": "openai:mind"},
    "prices": {"openai:mind": {"input": 1, "output": 2}},
    "loop": {"rounds": 2},
}


def call(name, arguments):
    return ChatReply("", Usage(200, 30), uses=(ToolUse("x", name, json.dumps(arguments)),))


@pytest.fixture
def ruled(scripted):
    """Drive a run one of whose agents rules as told, after one look if there is one."""

    def make(agent, ruling, look=None, name="work", reply=weak_annotator, **sections):
        def mind(request):
            told = any(turn.role == "tool" for turn in request.messages)
            if look is not None and not told:
                return call(*look)
            return call(request.tools[-1].name, ruling)

        run, _ = scripted(name, **(SECTIONS | {"minds": {agent: "llm"}} | sections))
        model = ScriptedModel(mind, name="openai:mind")
        local = ScriptedModel(reply, name="local")
        run.use(models={"openai:mind": model, "local": local})
        assert asyncio.run(run.drive()).status == "finished"
        return run.view(), model

    return make


def made_by(view, agent):
    return next(made for made in view.journal.decisions(agent=agent) if made.round == 1)


# ---------------------------------------------------------------- selector: classes to favour


def test_a_batch_holds_more_of_the_class_that_the_selector_favours(ruled):
    ruling = {"reason": "Billing is thin, so let half be of it.", "strategy": "margin", "count": 20}
    favouring = ruling | {"favour": ["<<<billing>>>"]}
    look = ("try_strategies", {"strategies": ["margin"], "count": 20, "favour": ["<<<billing>>>"]})
    plain, _ = ruled("selector", ruling, name="plain")
    view, model = ruled("selector", favouring, look, name="favouring")
    made = made_by(view, "selector")
    assert made.mind == "llm", made.fell_back
    assert made.action["favour"] == ["billing"]
    tried = made.tool_calls[0].result
    assert tried.startswith("Batches of 20, half of each reserved for <<<billing>>>:")

    # Both runs chose by the same model, that of round 0.
    first = latest_models(view.files, 9)[0]

    def of_billing(view):
        names = [item.example for item in view.labelling.batch(1)]
        assert len(names) == 20
        likeliest = first.predict_proba(view.view.of(names)).argmax(axis=1)
        return [view.answers.names[place] for place in likeliest].count("billing")

    billing = made.evidence["expected"]["billing"]
    assert of_billing(view) > of_billing(plain)
    assert of_billing(view) >= min(10, billing)
    assert f"<<<billing>>> {of_billing(view)}" in tried
    page = next(turn.content for turn in model.calls[0].messages if turn.role == "user")
    assert f"<<<billing>>> {billing}" in page


# ---------------------------------------------------------------- verifier: thresholds per class


def test_people_are_asked_about_the_class_that_has_a_high_threshold(ruled):
    thresholds = [{"label": f"<<<{name}>>>", "accept_at": 0.2} for name in LABELS]
    next(pair for pair in thresholds if "noise" in pair["label"])["accept_at"] = 1.0
    ruling = {
        "reason": "Noise is what the opinions get wrong.", "accept_at": 0.9,
        "reannotate_below": 0, "drop_below": 0.1, "questions": 3,
    }  # fmt: skip
    look = ("try_thresholds", {"accept_at": [0.9], "classes": thresholds[:2]})
    view, model = ruled(
        "verifier", ruling | {"accept_at_by_class": thresholds}, look, name="by-class"
    )
    made = made_by(view, "verifier")
    assert made.mind == "llm", made.fell_back
    assert made.action["accept_at_by_class"]["noise"] == 1.0
    asked = [v for v in view.labelling.verdicts(1) if v.action is Action.ESCALATE]
    assert {name_of(verdict.answer) for verdict in asked} == {"noise"}
    assert f"<<<{LABELS[0]}>>> | 0.2 | " in made.tool_calls[0].result

    plain, _ = ruled("verifier", ruling, name="plain")
    others = [v for v in plain.labelling.verdicts(1) if v.action is Action.ESCALATE]
    assert {name_of(verdict.answer) for verdict in others} != {"noise"}

    # What was told of mistakes is from people's labels, without the audit sample.
    said, audit = made.evidence["said"], view.inbox.examples("audit")
    seed = view.labelling.verdicts(0)
    assert sum(said.values()) == sum(
        v.action is Action.ESCALATE and v.answer is not None and v.example not in audit
        for v in seed
    )
    assert sum(made.evidence["wrong"].values()) <= sum(said.values())
    assert "that people labelled after they were judged" in model.calls[0].messages[1].content
