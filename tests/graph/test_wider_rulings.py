"""Whole runs in which a mind rules what no rule does: what comes of it in the store."""

import asyncio
import json

import pytest
from tests_graph_support import weak_annotator

from querist.agents.models.port import ChatReply, ToolUse, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.round.model_files import latest_models

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
