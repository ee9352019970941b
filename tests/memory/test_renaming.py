"""Stored answers under the names of today, labels that are put aside, and the chat; on both."""

from decimal import Decimal

import pytest
import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Choice, Choices, Span, Spans, answer_now
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import Action, Annotation, Example, Label, Question, Verdict
from querist.memory.run.history import History
from querist.memory.run.labelling import Labelling
from querist.memory.run.pool import Pool
from querist.memory.run.runs import Runs
from querist.memory.workspace.chat import Chat, Cite, Proposal, Table

NAMES = {"a": "c", "b": "c"}


@pytest.fixture
def stored(store, run):
    """A run that stored something under names that its labels have no more."""
    lease = run if hasattr(run, "fencing") else Runs(store).take(run)
    labelling = Labelling(store, lease.run, lease=lease)
    labelling.open_batch(0, ["e1", "e2", "e3"])
    chances = {"a": 0.5, "b": 0.3, "d": 0.2}
    said = [
        Annotation(name, "llm:m", Choice("a"), 0, probabilities=chances, usd=Decimal("0.1"))
        for name in ("e1", "e2", "e3")
    ]
    labelling.annotated(0, said)
    verdicts = [
        Verdict(name, 0, 0, Choice("b"), 0.9, Action.ACCEPT, "", likely=("a", "b", "d"))
        for name in ("e1", "e2", "e3")
    ]
    labels = [
        Label("e1", Choice("a"), "llm", "llm:m", 0.9, 0.9, 0, chances),
        Label("e2", Choice("d"), "llm", "llm:m", 0.9, 0.9, 0),
        Label("e3", Choice("b"), "human", "human:ann", 1.0, 1.0, 0),
    ]
    labelling.judged(0, verdicts, labels)
    options = tuple(Option(name, f"means {name}") for name in ("a", "b", "d"))
    question = Question(
        id="q1",
        example="e9",
        payload=QuestionPayload({"text": "x"}, options, "b", likely=("a", "b")),
        answer_schema={"kind": "choice", "enum": ["a", "b", "d"]},
        reason="",
        value=1.0,
        purpose="escalation",
        round=0,
    )
    Inbox(store, lease.run).ask([question], lease=lease)
    row = Runs(store).get(lease.run)
    Pool(store, dataset=row.dataset, run=lease.run).add(
        [Example("e1", {"text": "x"}, gold=Choice("b")), Example("e10", {"text": "y"})]
    )
    return lease


def rename(store, lease):
    Runs(store).set_config(lease, {"task": {"renamed": NAMES}})


def test_whatever_reads_answers_reads_them_under_the_names_of_today(store, stored):
    rename(store, stored)
    labelling = Labelling(store, stored.run)
    assert {said.answer for said in labelling.annotations()} == {Choice("c")}
    assert labelling.annotations()[0].probabilities == {"c": 0.8, "d": 0.2}
    assert [label.answer.value for label in labelling.labels()] == ["c", "d", "c"]
    assert labelling.labels()[0].probabilities == {"c": 0.8, "d": 0.2}
    assert labelling.verdicts()[0].likely == ("c", "d")
    row = Runs(store).get(stored.run)
    pool = Pool(store, dataset=row.dataset, run=stored.run)
    assert pool.get(["e1"])[0].gold == Choice("c")
    assert Pool(store, dataset=row.dataset).get(["e1"])[0].gold == Choice("b"), "others' names stay"
    question = Inbox(store, stored.run).get("q1")
    assert [option.name for option in question.payload.options] == ["c", "d"]
    assert question.answer_schema["enum"] == ["c", "d"]
    assert (question.payload.model_says, question.payload.likely) == ("c", ("c",))
    history = History(store, stored.run, "e1")
    assert history.label().answer == Choice("c")
    assert history.annotations()[0].answer == Choice("c")
    assert history.verdicts()[0].answer == Choice("c")
    assert [place.round for place in history.places()] == [0]


def test_an_answer_by_an_earlier_name_is_taken(store, stored):
    rename(store, stored)
    inbox = Inbox(store, stored.run)
    with pytest.raises(InvalidInput, match="not one of the labels"):
        inbox.answer("q1", Choice("z"), who="ann")
    assert inbox.answer("q1", Choice("b"), who="ann").answer == Choice("c")


def test_open_questions_can_offer_more(store, stored):
    inbox = Inbox(store, stored.run)
    options = [Option("a"), Option("b"), Option("d"), Option("e", "new")]
    schema_ = {"kind": "choice", "enum": ["a", "b", "d", "e"]}
    assert inbox.offer(options, schema_, lease=stored) == 1
    assert inbox.answer("q1", Choice("e"), who="ann").answer == Choice("e")
    assert inbox.offer(options, schema_, lease=stored) == 0


def test_several_names_in_one_answer_are_one_after_a_merge():
    assert answer_now(Choices(("a", "d", "b")), NAMES) == Choices(("c", "d"))
    spans = answer_now(Spans((Span(0, 1, "a"), Span(2, 3, "d"))), NAMES)
    assert [span.label for span in spans.values] == ["c", "d"]


def test_machines_labels_are_put_aside_and_kept(store, stored):
    labelling = Labelling(store, stored.run, lease=stored)
    for _ in range(2):
        labelling.put_aside(["e1", "e3"], command=7, who="ann")
    assert [label.example for label in labelling.labels()] == ["e2", "e3"]
    assert labelling.aside() == ["e1"]
    kept = History(store, stored.run, "e1").aside()
    assert [(put.label.answer, put.who, put.round) for put in kept] == [(Choice("a"), "ann", None)]
    labelling.open_batch(1, ["e1", "e5"])
    assert labelling.aside() == []
    assert History(store, stored.run, "e1").aside()[0].round == 1
    labelling.abandon(1)
    assert labelling.aside() == ["e1"], "what nobody looked at waits for another round"


def test_ids_are_found_by_their_beginning(store, stored):
    row = Runs(store).get(stored.run)
    pool = Pool(store, dataset=row.dataset, run=stored.run)
    assert pool.beginning("e1") == ["e1", "e10"]
    assert pool.beginning("e10") == ["e10"]
    assert pool.beginning("E1") == []


def test_the_chat_is_kept_and_a_proposal_decided_once(store, stored):
    chat = Chat(store, stored.run)
    table = Table(("x",), (("1",),))
    first = chat.add("ann", "hello", role="person", citations=[Cite("round", "1")], table=table)
    offer = Proposal("budget", {"usd": "5"}, "more")
    second = chat.add("querist", "more", role="tool", proposal=offer)
    assert chat.all() == [first, second]
    assert chat.all(after=first.id) == [second]
    assert chat.all(most=1) == [second]
    assert (first.table, first.citations, second.state) == (table, (Cite("round", "1"),), "open")
    assert chat.settle(second.id, "approved", offer)
    assert not chat.settle(second.id, "rejected", offer)
    assert chat.get(second.id).state == "approved"
    assert Chat(store, "another").all() == []
    with pytest.raises(InvalidInput, match="no message"):
        Chat(store, "another").get(second.id)
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.chat)).scalar() == 2
