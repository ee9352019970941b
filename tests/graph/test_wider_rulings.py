"""Whole runs in which a mind rules what no rule does: what comes of it in the store."""

import asyncio
import json
import re

import pytest
from tests_graph_support import LABELS, gold_texts, weak_annotator

from querist.agents.models.port import ChatReply, ToolUse, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.config import RunConfig
from querist.graph.intake import check_models
from querist.graph.quoting import make_quote
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.model_files import latest_models
from querist.memory.answers import name_of
from querist.memory.errors import ModelRefused
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

    def make(agent, ruling, look=None, name="work", more=None, **sections):
        def mind(request):
            told = any(turn.role == "tool" for turn in request.messages)
            if look is not None and not told:
                return call(*look)
            return call(request.tools[-1].name, ruling)

        run, _ = scripted(name, **(SECTIONS | {"minds": {agent: "llm"}} | sections))
        model = ScriptedModel(mind, name="openai:mind")
        local = ScriptedModel(weak_annotator, name="local")
        run.use(models={"openai:mind": model, "local": local} | (more or {}))
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


# ---------------------------------------------------------------- annotator: which model


DEAR = {"input": 0.5, "output": 1}


def right_annotator(request):
    """Names the right label for every text of the example."""
    text = json.loads(request.messages[-1].content.split(": ", 1)[1])
    label = gold_texts().get(text, "noise")
    return {name: 0.9 if name == label else 0.02 for name in LABELS}


def test_the_model_that_the_annotator_chooses_labels_is_paid_and_measured_as_itself(ruled):
    ruling = {
        "reason": "The dear one is right more often.", "votes": 1, "shared": 2, "nearest": 0,
        "calibrate": True, "model": "openai:dear",
    }  # fmt: skip
    look = ("try_prompt", {"shared": 2, "nearest": 0, "count": 3, "model": "openai:dear"})
    sections = {
        "annotator": {"models": ["openai:dear"]},
        "prices": SECTIONS["prices"] | {"openai:dear": DEAR},
    }
    dear = ScriptedModel(right_annotator, name="openai:dear")
    view, model = ruled("annotator", ruling, look, more={"openai:dear": dear}, **sections)
    made = made_by(view, "annotator")
    assert made.mind == "llm", made.fell_back
    assert made.action["model"] == "openai:dear"
    assert re.match(r"openai:dear: \d of 3 right, for 0\.0", made.tool_calls[0].result)
    batch = {item.example for item in view.labelling.batch(1)}
    said = [told for told in view.labelling.annotations(batch) if told.round == 1]
    assert {told.who for told in said if told.who.startswith("llm:")} == {"llm:openai:dear"}
    assert sum(told.usd for told in said) > 0
    machine = [label for label in view.labelling.labels() if label.source == "llm"]
    assert {label.who for label in machine if label.round == 1} == {"llm:openai:dear"}
    # In round 0 the usual one labelled, and each is measured apart.
    known = Knowledge(view, model=None).reliability
    right, total = known.skill_of("llm:openai:dear")
    assert right / total > 0.75
    assert known.skill_of("llm:local")[1] > 0
    page = model.calls[0].messages[1].content
    assert "openai:dear costs 0.00" in page
    assert "not measured yet" in page


def test_a_dear_model_that_a_mind_may_choose_is_in_the_quote(scripted):
    sections = {
        "annotator": {"models": ["openai:dear"]},
        "prices": SECTIONS["prices"] | {"openai:dear": DEAR},
        "models": {"mind": "openai:mind"},
    }

    def most(name, **more):
        run, _ = scripted(name, **(sections | more))
        run.use(models={
            "local": ScriptedModel(weak_annotator, name="local"),
            "openai:dear": ScriptedModel(right_annotator, name="openai:dear"),
            "openai:mind": ScriptedModel(weak_annotator, name="openai:mind"),
        })  # fmt: skip
        lines = {line.agent: line for line in make_quote(run.view()).lines}
        return lines["annotator"].ceiling

    assert most("rules") == 0
    assert most("minded", minds={"annotator": "llm"}) > 0


def test_a_model_without_a_price_is_refused_before_the_run(make_run):
    run = make_run(annotator={"models": ["openai:unheard-of"]})
    with pytest.raises(ModelRefused, match="openai:unheard-of"):
        check_models(RunConfig.model_validate(run.row.config))
