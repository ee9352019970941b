"""People check people over the web: who sees what of whom, and disputes settled by keys."""

from dataclasses import replace

import pytest
from tests_web_support import NEEDS_BROWSER, question

from querist.app.client import Client
from querist.app.web.inbox_view import ReplyBody
from querist.memory.answers import Choice, name_of

PAGE = "/runs/run/inbox/disputes"


def again(first, checks, **changes):
    """What is asked again about a question's example."""
    return replace(first, id=f"{first.id}-{checks}", checks=checks, **changes)


@pytest.fixture
def disputed(served):
    """Serve a run: two answers on each of five questions; they differ on three."""
    firsts = [question(number, purpose="audit") for number in range(5)]
    server = served(firsts)
    inbox = server.inbox()
    for number, first in enumerate(firsts):
        inbox.answer(first.id, Choice("bug"), who="ann")
        inbox.ask([again(first, "second")])
        inbox.answer(f"{first.id}-second", Choice("bug" if number > 2 else "praise"), who="bob")
    inbox.folded([asked.id for asked in inbox.unfolded()])
    inbox.ask([again(first, "adjudication", reason="two people differ: bug or praise")
               for first in firsts[:3]])  # fmt: skip
    return server


@pytest.fixture
def as_(disputed):
    """Call the API as somebody."""
    opened = []

    def make(name, role="annotator"):
        opened.append(Client(disputed.url, disputed.token(name, role)))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


def test_owners_see_how_everybody_does_and_others_themselves(as_):
    every = as_("olive", "owner").agreement("run")
    assert [(one.who, one.answered) for one in every.people] == [("ann", 5), ("bob", 5)]
    assert (every.agreement.value, every.agreement.n, every.disputes) == (0.4, 5, 3)
    assert every.people[0].agreement.value == 0.4
    assert every.people[0].gold is None
    # Of bug 7 times and praise 3 times, 3 of 5 pairs differ: 1 - 9 * 6 / (100 - 58).
    assert every.alpha == pytest.approx(1 - 9 * 6 / 42)
    assert "agree on 2 of 5 texts answered twice" in every.words
    assert [one.who for one in as_("ann").agreement("run").people] == ["ann"]
    assert as_("vic", "viewer").agreement("run").people == []
    counts = as_("cleo").inbox("run")
    assert (counts.agreement, counts.disputes, counts.free) == (every.alpha, 3, 0)


def test_gold_checks_count_for_who_answers_and_change_no_label(disputed, as_):
    first = question(4)
    disputed.inbox().ask([again(first, "gold", value=0.1)])
    for name in ("ann", "bob"):
        assert as_(name).claim("run").questions == []
        assert as_(name).inbox("run").not_yours == 1
    cleo = as_("cleo")
    [seen] = cleo.claim("run").questions
    assert (seen.purpose, seen.reason) == (first.purpose, first.reason)
    assert "gold" not in seen.model_dump_json().replace(seen.id, "")
    [receipt] = cleo.answer("run", [ReplyBody(client_id="a", question=seen.id, answer="praise")])
    assert receipt.outcome == "accepted"
    [one] = [one for one in cleo.agreement("run").people if one.who == "cleo"]
    assert (one.gold.value, one.gold.n) == (0.0, 1)


def test_disputes_show_both_answers_without_names_to_those_who_may_settle_them(disputed, as_):
    cleo = as_("cleo")
    page = cleo.disputes("run")
    assert [one.question.id for one in page.disputes] == [
        f"q-{number:06d}-adjudication" for number in range(3)
    ]
    assert [one.answer for one in page.disputes[0].answers] == ["bug", "praise"]
    assert "ann" not in page.model_dump_json()
    assert "bob" not in page.model_dump_json()
    ann = as_("ann").disputes("run")
    assert (ann.disputes, ann.not_yours) == ([], 3)
    first, second, third = (one.question.id for one in page.disputes)

    def settle(name, role, question, client):
        reply = ReplyBody(client_id=client, question=question, answer="praise")
        return as_(name, role).answer("run", [reply])[0].outcome

    assert settle("ann", "annotator", first, "1") == "taken"
    assert settle("bob", "owner", first, "2") == "accepted", "an owner settles their own, too"
    assert settle("cleo", "annotator", second, "3") == "accepted"
    assert settle("cleo", "annotator", second, "3") == "accepted", "sent twice, counted once"
    assert settle("dora", "annotator", second, "4") == "taken"
    assert [one.question.id for one in as_("cleo").disputes("run").disputes] == [third]


@pytest.mark.parametrize("keys", [pytest.param("3s1", marks=NEEDS_BROWSER)])
def test_disputes_are_settled_by_keys(keys, disputed, browse):
    inbox = disputed.inbox()
    page = browse(disputed.link("cleo", to=PAGE))
    for number, key in enumerate(keys):
        page.wait_for_function(
            "id => document.getElementById('desk').dataset.painted === id",
            arg=f"q-{number:06d}-adjudication",
        )
        if not number:
            assert page.locator("#given strong").all_inner_texts() == ["bug", "praise"]
            assert "text number 0" in page.inner_text("#item")
            assert "agree on 2 of 5 texts answered twice" in page.inner_text("#figures")
        page.keyboard.press(key)
    page.wait_for_selector("#nothing:not([hidden])")
    kept = [inbox.get(f"q-{number:06d}-adjudication") for number in range(3)]
    assert [name_of(one.answer) if one.answer else one.status for one in kept] == [
        "praise",
        "skipped",
        "billing",
    ]
    assert {one.assignee for one in kept} == {"cleo"}
    page.wait_for_selector("#people td:text-is('cleo')")
    assert "ann" not in page.inner_text("#people")
