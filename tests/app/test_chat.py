"""Supervision by chat without a model: what is read, what is proposed, what becomes of it."""

import asyncio
import json
import subprocess
import sys
from decimal import Decimal

import pytest
from tests_graph_support import EXAMPLE, LABELS, gold_texts, weak_annotator
from tests_web_support import question

from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.chat import Here, Talk, complete, parse, perform
from querist.app.chat.slash import SLASHES
from querist.app.views.state.provenance import gather_provenance
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput, NotOpen
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs, NewJob

GOLD = gold_texts()


def drive(run):
    return asyncio.run(run.drive())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that waits for people after its first round; tests share it and only add to it."""
    folder = tmp_path_factory.mktemp("chat")
    pool = folder / "pool.jsonl"
    pool.write_text("\n".join((EXAMPLE / "pool.jsonl").read_text().splitlines()[:90]))
    body = {
        "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
        "data": {"pool": str(pool), "text": "text", "gold": "label", "embedder": "hashing"},
        "budget": {"usd": "2", "human_label_usd": "0.02"},
        "people": {"kind": "simulated"},
        "loop": {"rounds": 2, "batch": 12, "seed": 3},
        "generator": {"enabled": False},
    }
    with open_store(folder / "work") as store:
        made = Run.create(make_config(body, source="test"), store)
        made.use(models={"local": ScriptedModel(weak_annotator, name="local")})
        drive(made)
        made.post("set", who="test", key="people.patience", value={"share": 0.0, "minutes": 0})
        yield made


@pytest.fixture
def say(run):
    """Type a line and get the answer."""

    def typed(text, role="owner", here=None):
        asked, answer = perform(
            run.store, run.id, text, who="ann", role=role, here=here or Here(run.id)
        )
        assert (asked.text, asked.who, asked.role) == (text, "ann", "person")
        return answer

    return typed


def machine_item(run):
    labels = run.view().labelling.labels()
    return next(label.example for label in labels if label.source == "llm")


# ---------------------------------------------------------------- reading


def test_status_spend_curve_and_the_rest_are_answered_with_what_was_read(run, say):
    status = say("/status")
    assert run.id in status.text
    assert "2 rounds of 2 done" in status.text
    assert {cite.kind for cite in status.citations} == {"run", "spend", "round"}
    spent = say("/spend")
    assert "of 2.00 USD spent" in spent.text
    assert any(row[0] == "people" for row in spent.table.rows)
    curve = say("/curve")
    assert len(curve.table.rows) == 2
    assert "answered" in say("/questions").text
    assert say("/decisions 1").table.rows
    assert {row[0] for row in say("/decisions 1").table.rows} == {"1"}
    assert "lessons" in say("/lessons").text.lower()
    assert len(say("/help").table.rows) == len(SLASHES)
    assert "ITEM" in say("/help why").text


def test_why_tells_decision_annotations_verdict_and_costs_in_one_place(run, say):
    item = machine_item(run)
    answer = say(f"/why {item}")
    assert "chosen in round 1" in answer.text
    assert "The verifier, round 1: accept" in answer.text
    assert "cost" in answer.text
    row = answer.table.rows[0]
    assert row[0] == "llm:local"
    assert row[4] == "version 1"
    kinds = [cite.kind for cite in answer.citations]
    assert kinds[0] == "example"
    assert "decision" in kinds
    assert say("/why this", here=Here(run.id, example=item)).text == answer.text
    assert say("/why", here=Here(run.id, example=item)).text == answer.text


def test_why_leads_nobody_who_may_be_asked_for_a_second_opinion(run, say):
    item = machine_item(run)
    inbox = Inbox(run.store, run.id)
    inbox.ask([question(0, labels=LABELS, id="again", example=item, checks="second")])
    told = {role: say(f"/why {item}", role=role) for role in ("owner", "annotator", "viewer")}
    assert "llm:local" in str(told["owner"].table)
    for role in ("annotator", "viewer"):
        assert told[role].table is None
        assert "only owners are told" in told[role].text
    inbox.skip("again", who="ann")
    assert say(f"/why {item}", role="viewer").table is not None


def test_an_item_is_named_by_a_unique_beginning(run, say):
    item = machine_item(run)
    ids = run.view().view.ids
    short = next(item[:n] for n in range(1, 40) if sum(x.startswith(item[:n]) for x in ids) == 1)
    assert say(f"/why {short}").text.startswith(item)
    shared = ids[0][0]
    if sum(name.startswith(shared) for name in ids) > 1:
        assert "write more of it" in say(f"/why {shared}").text
    assert "no item 'nosuch'" in say("/why nosuch").text
    assert "none is open" in say("/why this").text


def test_provenance_is_read_by_query_for_one_example(run):
    asked = Inbox(run.store, run.id).all(status="answered")[0]
    found = gather_provenance(run.store, run.id, asked.example)
    assert found.questions[0].id == asked.id
    assert found.label.source == "human"
    assert found.usd > 0
    with pytest.raises(InvalidInput, match="no example"):
        gather_provenance(run.store, run.id, "nobody")


def test_like_finds_what_is_alike(run, say):
    view = run.view().view
    item = view.ids[0]
    rows = say(f"/like {item}").table.rows
    assert item not in [row[0] for row in rows]
    likeness = [float(row[1]) for row in rows]
    assert likeness == sorted(likeness, reverse=True)
    text = view.get([item])[0].text
    assert say(f'/like "{text}"').table.rows[0][0] == item


# ---------------------------------------------------------------- typing


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("status", "begins with /"),
        ("/statsu", "Did you mean 'status'"),
        ("/status now", "it is written /status"),
        ("/budget", "an amount is missing"),
        ("/rounds many", "not a whole number"),
        ("/label paint", "say add, rename or merge"),
        ("/label merge a into a", "say add, rename or merge"),
        ('/ask "x', "not closed"),
        ("/relabel label", "name one label"),
    ],
)
def test_what_cannot_be_read_is_said_with_how_it_is_written(typed, said):
    with pytest.raises(InvalidInput, match=said):
        parse(typed)


def test_arguments_are_read_as_people_write_them():
    assert parse("/BUDGET 5 usd").arguments == {"usd": "5"}
    assert parse("/label rename  a b").arguments == {"do": "rename", "old": "a", "new": "b"}
    merged = parse('/label merge "a b" c into d').arguments
    assert merged == {"do": "merge", "old": ["a b", "c"], "into": "d"}
    assert parse("/guideline It's a tap, isn't it").arguments["text"] == "It's a tap, isn't it"
    assert parse("/guideline remove 2").arguments == {"remove": 2}
    assert parse("/relabel round 3").arguments == {"round": 3}
    assert not parse("/guideline").changes
    assert not parse("/job x").changes
    assert parse("/job cancel x").changes


def test_names_and_values_are_completed(run):
    assert complete("/sp", run.store, run.id) == ["/spend"]
    assert "/strategy entropy" in complete("/strategy ent", run.store, run.id)
    assert complete("/label rename plu", run.store, run.id) == ["/label rename plumbing"]
    assert complete("/relabel label h", run.store, run.id) == ["/relabel label heating"]
    assert "/label merge" in complete("/label m", run.store, run.id)
    item = run.view().view.ids[0]
    assert f"/why {item}" in complete(f"/why {item[:6]}", run.store, run.id)
    assert complete("/decisions ", run.store, run.id) == ["/decisions 0", "/decisions 1"]
    assert complete("hello", run.store, run.id) == []


# ---------------------------------------------------------------- commands


def test_nothing_happens_without_approval_and_then_it_happens_once(run, say):
    talk, box = Talk(run.store, run.id), run.view().mailbox
    before = len(box.all())
    offer = say("/budget 3")
    assert (offer.state, offer.proposal.arguments) == ("open", {"usd": "3"})
    assert "instead of 2.00 USD" in offer.text
    assert len(box.all()) == before
    assert talk.life(offer.id).stage == "open"
    for _ in range(2):
        assert talk.decide(offer.id, "approve", "bob").state == "approved"
    assert len(box.all()) == before + 1
    assert box.all()[-1].who == "bob"
    with pytest.raises(NotOpen, match="approved by bob"):
        talk.decide(offer.id, "reject", "ann")
    assert talk.life(offer.id).stage == "queued"
    drive(run)
    life = talk.life(offer.id)
    assert life.stage == "done"
    assert "Taken in round 1: the budget is 3 USD now" in life.words
    assert run.view().ledger.balance().cap == 3


def test_a_proposal_is_edited_or_rejected(run, say):
    talk = Talk(run.store, run.id)
    offer = say("/budget 9")
    with pytest.raises(InvalidInput, match="other values for usd"):
        talk.decide(offer.id, "edit", "ann", arguments={"nonsense": 1})
    edited = talk.decide(offer.id, "edit", "ann", arguments={"usd": "4"})
    assert edited.proposal.arguments == {"usd": "4"}
    rejected = say("/strategy entropy")
    assert talk.decide(rejected.id, "reject", "ann").state == "rejected"
    assert talk.life(rejected.id).stage == "rejected"
    drive(run)
    assert run.view().ledger.balance().cap == 4
    assert run.view().config.loop.strategy == "auto"


def test_a_command_that_the_loop_refuses_says_why(run, say):
    offer = say("/relabel round 1")
    talk = Talk(run.store, run.id)
    talk.decide(offer.id, "approve", "ann")
    drive(run)
    life = talk.life(offer.id)
    assert life.stage == "refused"
    assert "more rounds first" in life.words


def test_what_is_wrong_for_certain_is_refused_at_once(say):
    for typed, said in [
        ("/budget none", "Expected an amount"),
        ("/strategy nosuch", "nosuch"),
        ("/label rename nosuch x", "no label 'nosuch'"),
        ("/guideline remove 7", "no guideline 7"),
        ("/pause", "is not running"),
        ("/stop", "finished already"),
    ]:
        answer = say(typed)
        assert said in answer.text, typed
        assert answer.proposal is None


@pytest.mark.parametrize("role", ["viewer", "annotator"])
def test_only_an_owner_commands(say, role):
    answer = say("/budget 100", role=role)
    assert answer.proposal is None
    assert "only its owner" in answer.text
    assert say("/status", role=role).citations


def test_a_guideline_by_chat_is_in_the_prompts_and_in_the_provenance(run, say):
    talk = Talk(run.store, run.id)
    for typed in ("/guideline Water is plumbing.", "/rounds 3", "/relabel label plumbing"):
        talk.decide(say(typed).id, "approve", "ann")
    drive(run)
    assert "Water is plumbing." in say("/guideline").table.rows[0][1]
    said = run.view().labelling.annotations()
    item = next(one.example for one in said if one.guideline == 2 and one.who == "llm:local")
    found = gather_provenance(run.store, run.id, item)
    assert found.said[-1].guidelines == ((1, "Water is plumbing."),)
    again = [put.round for put in found.aside]
    if again:
        assert f"annotated anew in round {again[0]}" in say(f"/why {item}").text


def test_an_item_is_asked_by_chat(run, say):
    view = run.view()
    item = next(name for name in view.view.ids if name not in view.labelling.touched())
    talk = Talk(run.store, run.id)
    offer = say("/ask this", here=Here(run.id, example=item))
    assert offer.proposal.arguments == {"examples": [item]}
    talk.decide(offer.id, "approve", "ann")
    drive(run)
    life = talk.life(offer.id)
    if life.stage == "done":
        label = {one.example: one for one in run.view().labelling.labels()}.get(item)
        assert label is None or isinstance(label.answer, Choice)
    assert life.stage in ("done", "refused")


# ---------------------------------------------------------------- what is kept


def test_messages_are_kept_with_citations_rows_and_proposals(run, say):
    answer = say("/spend")
    kept = Talk(run.store, run.id).messages()
    assert kept[-1] == answer
    assert [message.id for message in kept] == sorted(message.id for message in kept)
    assert Talk(run.store, run.id).messages(after=answer.id) == []
    assert Talk(run.store, run.id).messages(most=2)[-1] == answer
    with pytest.raises(InvalidInput, match="proposes nothing"):
        Talk(run.store, run.id).decide(answer.id, "approve", "ann")


def test_the_newest_jobs_are_listed(run, say, tmp_path):
    assert say("/job").text == "There are no jobs."
    with open_store(tmp_path / "jobs") as store:
        Runs(store).create(
            run.id,
            task=run.view().task,
            dataset="d",
            config=dict(run.row.config),
            cap=Decimal(1),
        )
        jobs = Jobs(store)
        handed = [jobs.submit(NewJob("label", f"j{n}", {"n": n}, run.id)) for n in range(12)]
        here = Here(run.id)
        answer = perform(store, run.id, "/job", who="ann", role="owner", here=here)[-1]
    assert answer.text == "12 jobs."
    assert [row[0] for row in answer.table.rows] == [job.id for job in reversed(handed)][:10]


def test_a_server_may_import_it_for_little():
    code = (
        "import json, sys, querist.app.chat;"
        "said = open('/proc/self/status').read().split('VmRSS:')[1];"
        "print(json.dumps([int(said.split()[0]) / 1024,"
        "[m for m in ('torch','langgraph','langchain','langchain_core','chromadb','scipy') "
        "if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    memory, heavy = json.loads(done.stdout)
    assert heavy == []
    assert memory < 120


def test_strategies_are_tried_side_by_side_and_nothing_changes(say, run):
    before = run.view().labelling.worked_on()
    answer = say("/try margin, 0.5*random + 0.5*k_center, random 7")
    assert answer.text.startswith("Batches of 7, chosen now; nothing was changed.")
    assert answer.text.count("share") == 3
    tried = [row[0] for row in answer.table.rows]
    assert tried == ["margin", "0.5*random + 0.5*k_center", "random"]
    assert run.view().labelling.worked_on() == before
    assert say("/try random 7").table.rows == answer.table.rows[2:]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/try", "strategy is missing"),
        ("/try nonsense", "nonsense"),
        ("/try margin 0", "1 to 1,000"),
        ("/try a, b, c, d, e, f", "t most 5"),
        ("/try active_llm", "costs money"),
        ("/cost 100000", "takes at most"),
        ("/cost 1 2 3", "two numbers"),
    ],
)
def test_what_cannot_be_tried_says_why(say, line, words):
    assert words in say(line).text


def test_what_a_round_would_cost_is_told_with_what_it_leaves(say):
    answer = say("/cost 10 10")
    assert "10 texts and 10 questions would cost" in answer.text
    assert "would be left" in answer.text
