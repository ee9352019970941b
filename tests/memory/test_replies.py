"""Replies that come in batches, some of them twice; on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from querist.memory.answers import Choice
from querist.memory.asking.inbox import LEASE, Inbox
from querist.memory.asking.replies import Replies, Reply
from querist.memory.questions import QuestionPayload
from querist.memory.records import ExampleId, Question, utc_now

SCHEMA = {"kind": "choice", "enum": ["yes", "no"]}


def question(name: str, value: float, reason="doubtful: 60% sure") -> Question:
    example = ExampleId(name)
    return Question(f"q-{name}", example, QuestionPayload(), SCHEMA, reason, value, "seed", 1)


def reply(client, name, deed="answer", who="ann", answer="yes", **more):
    said = Choice(answer) if deed == "answer" else None
    return Reply(who=who, client=client, question=f"q-{name}", deed=deed, answer=said, **more)


@pytest.fixture
def inbox(store, run):
    found = Inbox(store, "run")
    found.ask([question(str(number), number / 100) for number in range(40)], lease=run)
    return found


@pytest.fixture
def replies(store, inbox):
    return Replies(store, "run")


def outcomes(receipts):
    return [receipt.outcome for receipt in receipts]


def test_of_many_who_answer_the_same_at_once_one_is_taken_in(replies, inbox):
    with ThreadPoolExecutor(6) as people:
        said = people.map(
            lambda who: outcomes(
                replies.take_in([reply(f"c{n}", str(n), who=f"p{who}") for n in range(20)])
            ),
            range(6),
        )
    every = [outcome for some in said for outcome in some]
    assert every.count("accepted") == 20
    assert every.count("taken") == 100
    assert inbox.counts() == {"answered": 20, "open": 20}


def test_one_batch_that_is_sent_by_many_at_once_counts_once(replies, inbox):
    batch = [reply(f"c{number}", str(number)) for number in range(20)]
    with ThreadPoolExecutor(4) as tabs:
        for said in tabs.map(lambda _: replies.take_in(batch), range(4)):
            assert outcomes(said) == ["accepted"] * 20
    assert inbox.by_person() == {"ann": {"answered": 20}}


def test_a_lease_of_another_person_holds_until_it_runs_out(store, replies, inbox):
    held = inbox.claim("bob")[0].id.removeprefix("q-")
    assert outcomes(replies.take_in([reply("1", held)])) == ["taken"]
    later = Replies(store, "run", clock=lambda: utc_now() + LEASE + timedelta(seconds=1))
    assert outcomes(later.take_in([reply("2", held)])) == ["accepted"]
    assert outcomes(later.take_in([reply("1", held)])) == ["taken"], "told as the first time"


def test_what_a_person_said_beside_the_label_is_kept(replies, inbox):
    replies.take_in([
        reply("1", "1", rationale="It leaks.", is_flagged=True, ms=900),
        reply("2", "2", "unfit", rationale="Two at once.", ms=100),
        reply("3", "3", ms=500_000),
    ])  # fmt: skip
    first, second = inbox.get("q-1"), inbox.get("q-2")
    assert (first.rationale, first.is_flagged) == ("It leaks.", True)
    assert (second.status, second.is_unfit, second.rationale) == ("skipped", True, "Two at once.")
    assert inbox.unfit() == 1
    assert replies.seconds() == {"ann": (0.9 + 120) / 2}, "who went away was not looking"


def test_answers_since_a_time_are_those_that_stand(replies):
    begun = utc_now() - timedelta(minutes=1)
    replies.take_in([reply("1", "1"), reply("2", "2"), reply("3", "2", "undo")])
    replies.take_in([reply("4", "2", answer="no"), reply("5", "3", "skip")])
    assert replies.answered("ann", since=begun) == 2
    assert replies.answered("ann", since=begun + timedelta(hours=1)) == 0
    assert replies.answered("bob", since=begun) == 0


def test_what_is_on_hand_is_kept_and_served_no_more(inbox):
    first = [one.id for one in inbox.claim("ann", count=3)]
    assert first == ["q-39", "q-38", "q-37"]
    assert inbox.renew("ann", [*first, "q-0"]) == set(first), "q-0 is nobody's"
    assert inbox.renew("bob", first) == set()
    more = [one.id for one in inbox.claim("ann", count=3, but=first[:2])]
    assert more == ["q-37", "q-36", "q-35"], "their own come first"
    inbox.release(*first, who="ann")
    assert inbox.renew("ann", first) == set(), "it was on its way when the page was left"
    assert [one.id for one in inbox.claim("bob", count=2)] == first[:2]


def test_questions_of_one_reason_are_claimed_by_it(inbox, run):
    inbox.ask([question("odd", 0.0, "nobody could label it")], lease=run)
    assert inbox.by_reason() == {"doubtful": 40, "nobody could label it": 1}
    assert [one.id for one in inbox.claim("ann", count=5, reason="nobody could label it")] == [
        "q-odd"
    ]


def test_pages_go_on_where_values_are_equal(inbox, run):
    inbox.ask([question(f"same{number}", 0.5) for number in range(7)], lease=run)
    seen, after = [], None
    while page := inbox.page(limit=5, after=after):
        seen += [one.id for one in page]
        after = (page[-1].value, page[-1].id)
    assert len(seen) == len(set(seen)) == 47
    assert seen == [one.id for one in inbox.all()]
