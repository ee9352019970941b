"""Whole runs at odd endpoints: one row never stops a run, and a hopeless one pauses in time."""

import asyncio
import json
from decimal import Decimal

import pytest
from tests_graph_support import EXAMPLE, KEYWORDS, LABELS

from querist.agents.models.port import ChatReply, RowRefused, Usage
from querist.evals.mock_manners import FILTERED
from querist.evals.mock_server import Behaviour, serving
from querist.memory.errors import ModelRefused, ModelUnavailable

PRICES = {"openai:mock": {"input": 10, "output": 40}}


def drive(run, listener=None):
    return asyncio.run(run.drive(listener))


@pytest.fixture
def served(make_run):
    """Make a run at a mock server of some behaviour."""
    opened = []

    def make(sections=None, **behaviour):
        context = serving(Behaviour(labels=LABELS, keywords=KEYWORDS, **behaviour))
        server = context.__enter__()
        opened.append(context)
        body = {
            "models": {"annotator": "openai:mock", "base_url": server.base_url, "patience": 1},
            "prices": PRICES,
            "people": {"kind": "none"},
            "loop": {"rounds": 2, "batch": 20},
        }
        for section, values in (sections or {}).items():
            body.setdefault(section, {}).update(values)
        return make_run(**body), server

    yield make
    for context in opened:
        context.__exit__(None, None, None)


@pytest.fixture
def with_poison(tmp_path):
    """A pool in which every tenth text is one that a filter refuses."""
    rows = [json.loads(line) for line in (EXAMPLE / "pool.jsonl").read_text().splitlines()[:60]]
    for row in rows[::10]:
        row["text"] += f" {FILTERED}"
    path = tmp_path / "poison.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


@pytest.mark.parametrize("manner", ["filter", "no_choices"])
def test_refused_rows_are_dropped_with_their_reason_and_the_rest_goes_on(
    served, with_poison, manner
):
    run, _ = served({"data": {"pool": with_poison}, "loop": {"rounds": 3}}, manner=manner)
    assert drive(run).status == "finished"
    view = run.view()
    lost = [annotation for annotation in view.labelling.annotations() if annotation.answer is None]
    assert {annotation.status for annotation in lost} <= {"refused", "unparsable"}
    assert {annotation.rationale for annotation in lost} & {
        "refused by the provider: The prompt was filtered.",
        "the provider sent no choices",
    }
    dropped = [verdict for verdict in view.labelling.verdicts() if verdict.action.value == "drop"]
    assert {verdict.example for verdict in dropped} == {annotation.example for annotation in lost}
    assert all("provider" in verdict.reason for verdict in dropped)
    assert len(view.labelling.labels()) == 60 - len(dropped) == 54


def test_refused_rows_go_to_people_first(served, with_poison):
    sections = {
        "data": {"pool": with_poison},
        "people": {"kind": "simulated"},
        "loop": {"rounds": 3},
    }
    run, _ = served(sections, manner="filter")
    drive(run)
    lost = {
        annotation.example
        for annotation in run.view().labelling.annotations()
        if annotation.status == "refused"
    }
    by_people = {
        label.example for label in run.view().labelling.labels() if label.source == "human"
    }
    assert lost
    assert lost <= by_people


@pytest.mark.parametrize(
    ("manner", "words"),
    [
        ("babbles", "One of them: 'I would rather not say.'"),
        ("empty", "querist resume --set models.thinking=8000"),
    ],
)
def test_a_run_whose_replies_cannot_be_read_pauses_after_the_first_chunk(served, manner, words):
    run, server = served(manner=manner)
    outcome = drive(run)
    assert (outcome.status, outcome.is_trouble) == ("paused", True)
    assert "(100%)" in outcome.reason
    assert words in outcome.reason
    assert run.row.reason == outcome.reason
    assert server.counts.answered <= 8 + 3 + 3, "a chunk of 8, its bias, and trials of more room"
    assert run.view().labelling.labels() == []
    server.behaviour = Behaviour(labels=LABELS, keywords=KEYWORDS)
    assert drive(run).status == "finished", "what was mended is asked anew"
    assert len(run.view().labelling.labels()) == 40


def test_a_person_may_let_a_run_go_on_with_what_can_be_read(served):
    run, server = served(manner="babbles")
    assert drive(run).status == "paused"
    run.post("set", who="test", key="annotator.unreadable", value=1)
    assert drive(run).status == "finished"
    assert run.view().labelling.labels() == []
    assert server.counts.requests > 40


def test_a_few_replies_that_cannot_be_read_pause_nothing(served):
    run, _ = served(babble=0.2)
    assert drive(run).status == "finished"
    assert len(run.view().labelling.labels()) > 30


def failing_on(texts, error):
    """Make a scripted annotator that fails on some texts."""

    def reply(request):
        if request.choices and any(text in request.messages[-1].content for text in texts):
            raise error
        return {name: 1 / len(LABELS) + 0.01 * (name == "noise") for name in LABELS}

    return reply


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RowRefused("no thank you"), "refused"),
        (ModelUnavailable("it fell over this text"), "failed"),
    ],
)
def test_a_row_that_the_provider_stumbles_over_is_noted_and_the_rest_goes_on(
    scripted, error, status
):
    run, _ = scripted(reply=failing_on(["item 1", "tap"], error), people={"kind": "none"})
    assert drive(run).status == "finished"
    lost = [
        annotation for annotation in run.view().labelling.annotations() if annotation.answer is None
    ]
    assert lost
    assert {(annotation.status, annotation.rationale) for annotation in lost} == {
        (status, str(error))
    }


def test_an_error_that_concerns_all_rows_still_stops_the_run(scripted):
    run, _ = scripted(reply=failing_on([""], ModelRefused("no credit")), people={"kind": "none"})
    with pytest.raises(ModelRefused, match="no credit"):
        drive(run)
    run, _ = scripted(
        name="other", reply=failing_on([""], ModelUnavailable("down")), people={"kind": "none"}
    )
    with pytest.raises(ModelUnavailable, match="down"):
        drive(run)
    assert run.view().labelling.labels() == []


def test_a_cut_off_reply_is_marked_as_such(scripted):
    def reply(request):
        if "tap" in request.messages[-1].content:
            return ChatReply("well, let me", Usage(10, 24), finish="length")
        return {name: 0.9 if name == "noise" else 0.02 for name in LABELS}

    run, _ = scripted(reply=reply, people={"kind": "none"})
    drive(run)
    lost = [
        annotation for annotation in run.view().labelling.annotations() if annotation.answer is None
    ]
    assert {annotation.status for annotation in lost} == {"truncated"}


# ---------------------------------------------------------------- quotes


@pytest.mark.parametrize(
    "sections",
    [
        {"loop": {"rounds": 4, "batch": 40}},
        {"people": {"kind": "simulated"}, "loop": {"rounds": 4, "batch": 30}},
        {"people": {"kind": "simulated"}, "annotator": {"votes": 3}},
        {"annotator": {"shared": 2, "nearest": 0}, "people": {"kind": "simulated"}},
        {"people": {"kind": "simulated"}, "budget": {"usd": "2"}, "loop": {"rounds": 5}},
    ],
    ids=["llm", "people", "votes", "demonstrations", "little money"],
)
def test_the_quote_is_within_a_tenth_of_what_a_run_costs(served, sections):
    run, server = served(sections)
    quote = run.quote()
    assert drive(run).status == "finished"
    spent = run.view().ledger.balance().settled
    assert abs(quote.forecast - spent) <= spent / 10
    assert abs(quote.calls - server.counts.answered) <= 0.25 * server.counts.answered
    assert quote.rounds == len(run.view().journal.rounds())
    assert quote.seconds > 0
    assert spent <= sum((line.ceiling for line in quote.lines), Decimal(0))


def test_the_quote_of_a_run_with_people_only_counts_no_calls(make_run):
    quote = make_run(annotator={"enabled": False}).quote()
    assert (quote.calls, quote.seconds) == (0, None)
    assert [line.agent for line in quote.lines] == ["people"]


def test_the_quote_is_made_with_the_money_that_the_run_has_now(scripted):
    run, _ = scripted()
    drive(run)
    run.post("budget", who="test", usd="9")
    drive(run)
    assert run.quote().budget == 9
