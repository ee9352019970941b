"""Who may answer what: nobody is asked twice about an example, and only others settle disputes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from querist.memory.answers import Choice
from querist.memory.asking.checks import Checks
from querist.memory.asking.inbox import Inbox
from querist.memory.asking.replies import Replies, Reply
from querist.memory.errors import NotOpen
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import ExampleId, Question

FIRST = Question(
    id="q-first",
    example=ExampleId("e"),
    payload=QuestionPayload({"text": "x"}, (Option("a"), Option("b"))),
    answer_schema={"kind": "choice", "enum": ["a", "b"]},
    reason="part of the random sample",
    value=0.5,
    purpose="audit",
    round=0,
)
SECOND = replace(FIRST, id="q-second", checks="second", value=0.9)
DISPUTE = replace(FIRST, id="q-dispute", checks="adjudication", reason="two people differ: a or b")
GOLD = replace(FIRST, id="q-gold", checks="gold")


@pytest.fixture
def inbox(store):
    inbox = Inbox(store, "run")
    inbox.ask([FIRST])
    inbox.answer("q-first", Choice("a"), who="ann")
    inbox.folded(["q-first"])
    return inbox


def ids(questions):
    return [question.id for question in questions]


def say(store, who, question, deed="answer", label="b", **more):
    reply = Reply(who, f"{who}-{question}-{deed}", question, deed, Choice(label), **more)
    return Replies(store, "run").take_in([reply])[0].outcome


def test_a_second_opinion_is_never_for_who_answered_first(store, inbox):
    inbox.ask([SECOND])
    assert inbox.claim("ann", count=9) == []
    assert inbox.texts(free_for="ann", limit=9) == []
    assert not inbox.has_free("ann")
    assert inbox.renew("ann", ["q-second"]) == set()
    assert inbox.not_for("ann") == 1
    with pytest.raises(NotOpen, match="your own answer"):
        inbox.answer("q-second", Choice("b"), who="ann")
    assert say(store, "ann", "q-second") == "taken"
    assert say(store, "ann", "q-second", "skip") == "taken"
    assert inbox.get("q-second").status == "open"
    assert ids(inbox.claim("bob", count=9)) == ["q-second"]
    assert say(store, "bob", "q-second") == "accepted"
    assert say(store, "bob", "q-second", "undo") == "accepted"
    assert say(store, "bob", "q-second", "answer", "a") == "accepted", "his own does not bar him"


def test_no_round_waits_for_what_checks_people(inbox):
    inbox.ask([SECOND, GOLD])
    assert inbox.progress() == (1, 1)
    assert inbox.progress(0) == (1, 1)
    assert inbox.examples("audit") == {"e"}
    inbox.ask([replace(GOLD, id="q-other", example=ExampleId("f"))])
    assert inbox.examples("audit") == {"e"}, "a gold check measures no model"


def test_disputes_are_served_apart_and_settled_by_others_or_an_owner(store, inbox):
    inbox.ask([SECOND])
    inbox.answer("q-second", Choice("b"), who="bob")
    inbox.ask([DISPUTE])
    assert [inbox.claim(who) for who in ("ann", "bob", "cleo")] == [[], [], []]
    assert [say(store, who, "q-dispute") for who in ("ann", "bob")] == ["taken", "taken"]
    assert say(store, "ann", "q-dispute", "skip", settles=True) == "accepted"
    inbox.reopen("q-dispute", who="ann")
    assert ids(inbox.claim("bob", disputes=True)) == ["q-dispute"]
    inbox.release("q-dispute", who="bob")
    assert say(store, "cleo", "q-dispute") == "accepted"


def test_what_was_said_of_an_example_is_found_together(store, inbox):
    inbox.ask([SECOND, replace(FIRST, id="q-alone", example=ExampleId("g"))])
    [said] = Checks(store, "run").opinions()
    assert (said.first.id, said.second.id, said.adjudication, said.gold) == (
        "q-first",
        "q-second",
        None,
        None,
    )
    assert said.pair is None
    inbox.answer("q-second", Choice("b"), who="bob")
    [said] = Checks(store, "run").opinions()
    assert ids(said.pair) == ["q-first", "q-second"]
    checks = Checks(store, "run")
    assert checks.answered() == 0, "the loop did not take it in yet"
    inbox.folded(["q-second"])
    assert checks.answered() == 1
    assert [answer.question for answer in checks.first_answers()] == ["q-first"]


def test_overdue_questions_are_served_before_more_valuable_ones(store):
    inbox = Inbox(store, "run")
    early, late = (store.now() + timedelta(hours=hours) for hours in (-2, -1))
    inbox.ask([
        replace(FIRST, id="q-dear", example=ExampleId("1"), value=0.9),
        replace(FIRST, id="q-later", example=ExampleId("2"), value=0.8, due=late),
        replace(FIRST, id="q-sooner", example=ExampleId("3"), value=0.1, due=early),
        replace(FIRST, id="q-in-time", example=ExampleId("4"), value=0.95,
                due=store.now() + timedelta(hours=1)),
    ])  # fmt: skip
    assert ids(inbox.claim("ann", count=3)) == ["q-sooner", "q-later", "q-in-time"]
    assert inbox.get("q-sooner").due == early
    assert ids(inbox.claim("bob", count=3)) == ["q-dear"], "what somebody holds is theirs"
