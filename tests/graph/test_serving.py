"""A run driven as a LangGraph server drives it: JSON in, events out, people asked by interrupts."""

import json
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from tests_graph_support import gold_texts

from querist.graph import serving
from querist.graph.serving import build_served
from querist.memory.asking.inbox import Inbox

ROOT = Path(__file__).resolve().parents[2]
GOLD = gold_texts()


@pytest.fixture
def waiting(make_run, monkeypatch):
    """A run of people's labels alone, which waits for them in its first round."""
    run = make_run(
        people={"kind": "inbox", "error_rate": 0},
        annotator={"enabled": False},
        loop={"rounds": 1, "batch": 20},
        budget={"usd": "3"},
    )
    monkeypatch.setenv("QUERIST_WORKSPACE", str(run.store.folder))
    return run


def answers(request, change=lambda number, decision: decision):
    decisions = []
    for number, action in enumerate(request["action_requests"]):
        text = action["description"].split("\n\nAsked because")[0]
        arguments = {"question": action["args"]["question"], "answer": GOLD[text]}
        edit = {"type": "edit", "edited_action": {"name": "answer", "args": arguments}}
        decisions.append(change(number, edit))
    return {"decisions": decisions}


class Client:
    """What a client of a server does."""

    def __init__(self, run):
        self.graph = build_served().compile(checkpointer=InMemorySaver())
        self.config = {"configurable": {"thread_id": "one"}}
        self.given = {"run": run.id}
        self.events = []

    def send(self, given):
        for mode, part in self.graph.stream(given, self.config, stream_mode=["custom", "values"]):
            if mode == "custom":
                self.events.append(part)
        state = self.graph.get_state(self.config)
        return state.values, state.interrupts


def test_people_are_asked_by_interrupts_until_the_run_is_over(waiting):
    client, asked = Client(waiting), set()
    values, interrupts = client.send(client.given)
    while interrupts:
        assert values["status"] == "waiting"
        (found,) = interrupts
        asked |= {action["args"]["question"] for action in found.value["action_requests"]}
        values, interrupts = client.send(Command(resume=answers(found.value)))
    assert values["status"] == "finished"
    closed = Inbox(waiting.store, waiting.id).all(status="answered")
    assert {question.id for question in closed} == asked
    assert {question.answered_by for question in closed} == {"human:langgraph"}
    labels = waiting.view().labelling.labels()
    assert len(labels) == len(asked) >= 20
    assert [event["kind"] for event in client.events][-1] == "finished"
    json.dumps(client.events)


def test_an_interrupt_has_the_shape_of_human_review_and_says_what_an_answer_is(waiting):
    client = Client(waiting)
    _, (found,) = client.send(client.given)
    assert set(found.value) == {"action_requests", "review_configs"}
    (review,) = found.value["review_configs"]
    assert review["allowed_decisions"] == ["edit", "reject"]
    labels = review["args_schema"]["properties"]["answer"]["enum"]
    assert "plumbing" in labels
    schema = found.response_schema
    assert schema["properties"]["decisions"]["maxItems"] == len(found.value["action_requests"])
    assert len(found.value["action_requests"]) <= 20


def test_what_does_not_hold_is_told_and_asked_again_and_costs_no_other(waiting):
    client = Client(waiting)
    _, (found,) = client.send(client.given)
    first = found.value["action_requests"][0]["args"]["question"]

    def spoil(number, decision):
        if number == 0:
            decision["edited_action"]["args"]["answer"] = "volcano"
        return {"type": "reject"} if number == 1 else decision

    values, (again,) = client.send(Command(resume=answers(found.value, spoil)))
    assert "volcano" in values["trouble"]
    still = [action["args"]["question"] for action in again.value["action_requests"]]
    assert first in still
    inbox = Inbox(waiting.store, waiting.id)
    assert len(inbox.all(status="skipped")) == 1
    assert len(inbox.all(status="answered")) == len(found.value["action_requests"]) - 2


@pytest.mark.parametrize("response", ["yes", {"decisions": "all"}, {"decisions": [7]}, []])
def test_nonsense_answers_nothing_and_is_asked_again(waiting, response):
    client = Client(waiting)
    _, (_,) = client.send(client.given)
    values, interrupts = client.send(Command(resume=response))
    assert values["trouble"]
    assert len(interrupts) == 1
    assert not Inbox(waiting.store, waiting.id).all(status="answered")


def test_an_answer_from_the_inbox_meanwhile_stays(waiting):
    client = Client(waiting)
    _, (found,) = client.send(client.given)
    inbox = Inbox(waiting.store, waiting.id)
    name = found.value["action_requests"][0]["args"]["question"]
    inbox.answer(name, waiting.view().kind.answer_of("noise"), who="human:ada")
    client.send(Command(resume=answers(found.value)))
    assert inbox.get(name).answered_by == "human:ada"
    assert len(inbox.all(status="answered")) >= len(found.value["action_requests"])


def test_langgraph_json_names_the_graph():
    body = json.loads((ROOT / "langgraph.json").read_text())
    path, name = body["graphs"]["querist"].split(":")
    assert (ROOT / path).samefile(serving.__file__)
    assert set(getattr(serving, name).nodes) == {"drive", "ask"}
