"""Questions to people: served by value, leased to one, answered once; on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from querist.memory import schema
from querist.memory.answers import Choice
from querist.memory.asking.inbox import LEASE, Inbox
from querist.memory.errors import InvalidInput, NotOpen
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import ExampleId, Question, utc_now

SCHEMA = {"kind": "choice", "enum": ["yes", "no"]}


def question(name: str, value: float, purpose="escalation") -> Question:
    return Question(
        f"q-{name}", ExampleId(name), QuestionPayload(), SCHEMA, "doubtful", value, purpose, 1
    )


@pytest.fixture
def inbox(store, run):
    found = Inbox(store, "run")
    found.ask([question("a", 0.1), question("b", 0.9), question("c", 0.5, "seed")], lease=run)
    return found


def ids(questions):
    return [question.id for question in questions]


def test_questions_are_asked_once_and_served_by_value(inbox):
    inbox.ask([question("b", 0.0)])
    assert ids(inbox.all()) == ["q-b", "q-c", "q-a"]
    assert ids(inbox.claim("ann", count=2)) == ["q-b", "q-c"]


def test_what_a_person_is_shown_is_stored_under_the_names_of_every_version(store, inbox):
    payload = QuestionPayload(
        {"text": "Leaks again."}, (Option("yes", "of course"), Option("no")), "yes", 0.75, ("yes",)
    )
    inbox.ask([replace(question("new", 2.0), payload=payload)])
    kept = {
        "fields": {"text": "Leaks again."},
        "labels": [["yes", "of course"], ["no", ""]],
        "model_says": "yes",
        "p_correct": 0.75,
        "likely": ["yes"],
    }
    table = schema.questions
    with store.read() as connection:
        body = connection.execute(sa.select(table.c.body).where(table.c.id == "q-new")).scalar_one()
    assert body["payload"] == kept
    assert inbox.get("q-new").payload == payload
    inbox.answer("q-new", Choice("yes"), who="ann")
    assert inbox.get("q-new").payload == payload


def test_a_question_that_an_earlier_version_asked_is_read(store, inbox):
    table, older = schema.questions, {"fields": {"text": "x"}, "labels": [["yes", ""]]}
    with store.write() as connection:
        mine = sa.and_(table.c.run == "run", table.c.id == "q-a")
        body = connection.execute(sa.select(table.c.body).where(mine)).scalar_one()
        changed = {**body, "payload": older}
        connection.execute(sa.update(table).where(mine).values(body=changed))
    assert inbox.get("q-a").payload == QuestionPayload({"text": "x"}, (Option("yes"),))


def test_two_people_never_meet_and_one_is_served_their_own_first(inbox):
    assert ids(inbox.claim("ann")) == ["q-b"]
    assert ids(inbox.claim("bob", count=9)) == ["q-c", "q-a"]
    inbox.ask([question("d", 2.0)])
    assert ids(inbox.claim("ann", count=2)) == ["q-b", "q-d"]
    with pytest.raises(NotOpen, match="taken by somebody else"):
        inbox.answer("q-b", Choice("yes"), who="bob")
    inbox.release("q-b", who="ann")
    assert ids(inbox.claim("bob", count=9)) == ["q-c", "q-a", "q-b"]


def test_a_lease_that_has_run_out_frees_the_question(store, inbox):
    inbox.claim("ann")
    later = Inbox(store, "run", clock=lambda: utc_now() + LEASE + timedelta(seconds=1))
    assert ids(later.claim("bob")) == ["q-b"]


def test_of_many_who_claim_at_once_each_gets_others(inbox):
    inbox.ask([question(f"x{i}", 1.0) for i in range(20)])
    with ThreadPoolExecutor(8) as people:
        served = list(people.map(lambda i: ids(inbox.claim(f"p{i}", count=2)), range(8)))
    flat = [question_id for some in served for question_id in some]
    assert len(flat) == len(set(flat)) == 16


def test_a_question_is_answered_once(inbox):
    with ThreadPoolExecutor(6) as people:

        def answer(number: int) -> bool:
            try:
                inbox.answer("q-a", Choice("yes"), who=f"p{number}")
            except NotOpen:
                return False
            return True

        assert sum(people.map(answer, range(6))) == 1
    assert inbox.get("q-a").answer == Choice("yes")


def test_an_answer_outside_the_schema_leaves_the_question_open(inbox):
    with pytest.raises(InvalidInput, match="'maybe' is not one of the labels"):
        inbox.answer("q-a", Choice("maybe"), who="ann")
    assert inbox.counts() == {"open": 3}


def test_what_is_taken_back_can_be_answered_by_anybody(inbox):
    inbox.answer("q-a", Choice("yes"), who="ann")
    with pytest.raises(NotOpen):
        inbox.reopen("q-a", who="bob")
    inbox.reopen("q-a", who="ann")
    assert inbox.get("q-a").answer is None
    inbox.answer("q-a", Choice("no"), who="bob")
    assert inbox.get("q-a").answered_by == "bob"


def test_what_the_loop_took_in_cannot_be_taken_back(inbox, run):
    inbox.answer("q-a", Choice("yes"), who="ann")
    inbox.skip("q-b", who="ann")
    assert ids(inbox.unfolded()) == ["q-a", "q-b"]
    inbox.folded(["q-a", "q-b"], lease=run)
    assert inbox.unfolded() == []
    with pytest.raises(NotOpen, match="in use already"):
        inbox.reopen("q-a", who="ann")
    assert inbox.counts() == {"open": 1, "answered": 1, "skipped": 1}


def test_examples_are_found_by_purpose_and_questions_by_name(inbox):
    assert inbox.examples("seed") == {"c"}
    assert inbox.examples("escalation") == {"a", "b"}
    assert inbox.examples("audit") == set()
    assert inbox.known(["q-a", "q-z"]) == {"q-a"}
