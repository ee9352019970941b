"""The inbox's API: leases, answers that come twice, undoing, pages, look-alikes."""

import asyncio
import itertools
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
from tests_web_support import FEW, config_of, question, wait_for

from querist.app.web.intake import Batch, Claim, Intake
from querist.memory.answers import Choice
from querist.memory.asking.replies import Reply
from querist.memory.questions import Option, QuestionPayload
from querist.memory.workspace.embeddings import EmbeddingCache


class Caller:
    """Somebody who uses the API."""

    def __init__(self, server, name, role="annotator"):
        self.base = f"{server.url}/api/runs/run/inbox"
        self.http = httpx.Client(base_url=self.base, headers=server.headers(name, role))

    def claim(self, count=5, **more):
        said = self.http.post("/claim", json={"count": count, **more})
        assert said.status_code == 200, said.text
        return said.json()

    def ids(self, count=5, **more):
        return [one["id"] for one in self.claim(count, **more)["questions"]]

    def say(self, *replies):
        body = [
            {"client_id": client, "question": name, "answer": what, "took_ms": 900}
            for client, name, what in replies
        ]
        said = self.http.post("/answers", json=body)
        assert said.status_code == 200, said.text
        return [one["outcome"] for one in said.json()]

    def counts(self):
        return self.http.get(self.base).json()


@pytest.fixture
def caller():
    opened = []

    def make(*arguments):
        opened.append(Caller(*arguments))
        return opened[-1]

    yield make
    for one in opened:
        one.http.close()


def test_questions_come_by_value_with_their_options_once_and_without_a_guess(served, caller):
    ann = caller(served(9), "ann")
    got = ann.claim(3)
    assert [one["id"] for one in got["questions"]] == ["q-000000", "q-000001", "q-000002"]
    assert [option["name"] for option in got["option_lists"][0]] == list(FEW)
    assert len(got["option_lists"]) == 1
    first = got["questions"][0]
    assert first["fields"] == [{"name": "", "text": "text number 0"}]
    assert first["guess"] is None
    assert first["likely"] == []
    assert "bug" not in str(first)


def test_guesses_are_shown_to_who_asks_but_never_where_they_would_bend_a_measure(served, caller):
    purposes = ("escalation", "seed", "audit")
    asked = [question(number, purpose=purpose) for number, purpose in enumerate(purposes)]
    got = caller(served(asked), "ann").claim(guesses=True)["questions"]
    assert [one["guess"] for one in got] == ["bug", None, None]
    assert [one["likely"] for one in got] == [["bug"], [], []]


def test_two_people_never_get_the_same_question(served, caller):
    server = served(400)
    people = [caller(server, f"p{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as at_once:
        got = list(at_once.map(lambda who: who.ids(40), people))
    flat = [name for names in got for name in names]
    assert len(flat) == len(set(flat)) == 320


def test_what_is_on_hand_is_kept_and_not_served_again(served, caller):
    server = served(6)
    ann, bob = caller(server, "ann"), caller(server, "bob")
    mine = ann.ids(2)
    assert ann.ids(2) == mine, "a page that was loaded again goes on where it was"
    more = ann.claim(2, have=mine)
    assert [one["id"] for one in more["questions"]] == ["q-000002", "q-000003"]
    assert more["lost"] == []
    theirs = bob.ids(2)
    assert ann.claim(0, have=[*mine, *theirs])["lost"] == theirs
    ann.http.post("/release", json={"questions": [*mine, *theirs]})
    assert bob.ids(3) == [*theirs, mine[0]], "others' questions are not released"


def test_a_page_that_its_caller_left_before_it_came_is_free_for_others(served, caller):
    server = served(6)
    ann = caller(server, "ann")
    mine = ann.ids(2)
    body = json.dumps({"count": 4, "have": mine[:1]}).encode()
    port = int(server.url.rpartition(":")[2])
    token = ann.http.headers["Authorization"]
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as left:
            left.sendall(
                b"POST /api/runs/run/inbox/claim HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                b"Authorization: %s\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (port, token.encode(), len(body), body)
            )
        wait_for(lambda: server.inbox().holders()["ann"][0] == 2)
    # What they had before, another page of theirs may show.
    assert server.inbox().held("ann") == set(mine)
    assert caller(server, "bob").ids(9) == [f"q-{number:06d}" for number in range(2, 6)]


def test_an_answer_that_is_sent_twice_counts_once_and_is_told_the_same(served, caller):
    server = served(3)
    ann = caller(server, "ann")
    names = ann.ids(3)
    replies = [(f"c{place}", name, "bug") for place, name in enumerate(names)]
    assert ann.say(*replies) == ["accepted"] * 3
    assert ann.say(*replies, ("c0", names[0], "praise")) == ["accepted"] * 4
    assert {one.answer for one in server.inbox().all()} == {Choice("bug")}
    assert ann.say(("new", names[0], "praise")) == ["taken"]
    assert ann.counts()["people"] == [{"who": "ann", "answered": 3, "skipped": 0, "seconds": 0.9}]


def test_each_answer_is_told_by_itself_whether_it_counts(served, caller):
    server = served(5)
    ann, bob = caller(server, "ann"), caller(server, "bob")
    mine, theirs = ann.ids(2), bob.ids(1)
    said = ann.say(
        ("1", mine[0], "bug"),
        ("2", theirs[0], "bug"),
        ("3", mine[1], "nonsense"),
        ("4", "q-unknown", "bug"),
        ("5", "q-000004", "praise"),
        ("6", mine[1], {"flag": True}),
    )
    assert said == ["accepted", "taken", "invalid", "gone", "accepted", "invalid"]
    assert server.inbox().get(mine[1]).status == "open"
    assert server.inbox().get(theirs[0]).answered_by == ""


def test_another_persons_name_for_a_reply_says_nothing_about_mine(served, caller):
    server = served(2)
    ann, bob = caller(server, "ann"), caller(server, "bob")
    assert ann.say(("same", "q-000000", "bug")) == ["accepted"]
    assert bob.say(("same", "q-000001", "praise")) == ["accepted"]
    assert [one.answered_by for one in server.inbox().all()] == ["ann", "bob"]


def test_undoing_in_the_same_batch_and_later_until_the_loop_has_used_it(served, caller):
    server = served(2)
    ann, bob, inbox = caller(server, "ann"), caller(server, "bob"), server.inbox()
    name = ann.ids(1)[0]
    said = ann.say(("1", name, "bug"), ("2", name, {"undo": True}), ("3", name, "praise"))
    assert said == ["accepted"] * 3
    assert inbox.get(name).answer == Choice("praise")
    assert bob.say(("b", name, {"undo": True})) == ["taken"]
    assert ann.say(("4", name, {"undo": True})) == ["accepted"]
    assert inbox.get(name).answer is None
    assert name not in bob.ids(2), "it is still on the screen of who took it back"
    ann.say(("5", name, {"skip": True}))
    inbox.folded([name])
    assert ann.say(("6", name, {"undo": True})) == ["taken"]
    counts = ann.counts()
    assert counts["people"] == [{"who": "ann", "answered": 0, "skipped": 1, "seconds": 0.9}]
    assert counts["today"] == 0


def test_reasons_marks_and_labels_that_do_not_fit_are_kept(served, caller):
    server = served(3)
    ann = caller(server, "ann")
    first, second, third = ann.ids(3)
    ann.say(
        ("1", first, {"label": "bug", "rationale": " It crashes. ", "flag": True}),
        ("2", second, {"does_not_fit": True, "rationale": "Two at once."}),
        ("3", third, {"skip": True}),
    )
    kept = {one.id: one for one in server.inbox().all()}
    assert (kept[first].rationale, kept[first].is_flagged) == ("It crashes.", True)
    assert (kept[second].status, kept[second].is_unfit) == ("skipped", True)
    assert (kept[third].status, kept[third].is_unfit) == ("skipped", False)
    counts = ann.counts()
    assert (counts["answered"], counts["skipped"], counts["unfit"]) == (1, 2, 1)
    page = ann.http.get("/questions", params={"status": "skipped"}).json()
    assert [one["is_unfit"] for one in page["questions"]] == [True, False]
    assert page["questions"][0]["rationale"] == "Two at once."


def test_questions_are_grouped_by_reason_and_can_be_taken_by_it(served, caller):
    asked = [question(number) for number in range(4)]
    asked += [question(9, reason="the annotator gave no answer: filtered")]
    ann = caller(served(asked), "ann")
    assert ann.counts()["reasons"] == [
        {"reason": "doubtful", "count": 4},
        {"reason": "the annotator gave no answer", "count": 1},
    ]
    assert ann.ids(3, reason="the annotator gave no answer") == ["q-000009"]


def test_pages_go_on_behind_the_last_question(served, caller):
    asked = [question(number, value=float(number % 3)) for number in range(10)]
    ann, seen, after = caller(served(asked), "ann", "viewer"), [], ""
    while after is not None:
        page = ann.http.get("/questions", params={"limit": 4, "after": after}).json()
        seen += [one["id"] for one in page["questions"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 10
    assert ann.http.get("/questions", params={"after": "nonsense"}).status_code == 400


def test_a_viewer_looks_and_answers_nothing(served, caller):
    eve = caller(served(1), "eve", "viewer")
    assert eve.http.get(eve.base).status_code == 200
    assert eve.http.post("/claim", json={}).status_code == 403
    body = [{"client_id": "1", "question": "q-000000", "answer": "bug"}]
    assert eve.http.post("/answers", json=body).status_code == 403
    assert eve.http.get("/q-000000/alike").status_code == 403


def test_the_session_says_who_answers_and_not_the_sender(served, caller):
    server = served(1)
    body = {"client_id": "1", "question": "q-000000", "answer": "bug", "who": "boss"}
    assert caller(server, "ann").http.post("/answers", json=[body]).status_code == 200
    assert server.inbox().get("q-000000").answered_by == "ann"


@pytest.mark.parametrize("body", [
    [], [{}], [{"client_id": "a\x00b", "question": "q", "answer": "x"}],
    [{"client_id": "1", "question": "q", "answer": {"rationale": "\ud800"}}],
    [{"client_id": str(i), "question": "q", "answer": "x"} for i in range(501)],
    [{"client_id": "1", "question": "q", "answer": "x", "took_ms": -1}],
])  # fmt: skip
def test_what_cannot_be_read_is_refused(served, caller, body):
    import json

    ann = caller(served(1), "ann")
    said = ann.http.post(
        "/answers", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert said.status_code == 422


def test_a_run_that_waits_and_that_nobody_drives_goes_on_after_an_answer(served, caller):
    server = served(2, status="waiting")
    ann = caller(server, "ann")
    assert ann.say(("1", "q-unknown", "bug")) == ["gone"]
    assert server.drivers.driven == []
    ann.say(("2", "q-000000", "bug"))
    assert server.drivers.driven == ["run"]


def test_a_run_that_does_not_wait_is_left_alone(served, caller):
    server = served(2, status="paused")
    caller(server, "ann").say(("1", "q-000000", "bug"))
    assert server.drivers.driven == []


def test_a_preference_is_answered_by_its_letter_and_shown_side_by_side(served, caller):
    fields = {"prompt": "Say hello.", "one": "Hello.", "two": "Hi."}
    options = tuple(map(Option, ("a", "b", "tie")))
    asked = replace(
        question(1),
        payload=QuestionPayload(fields=fields, options=options),
        answer_schema={"kind": "preference", "enum": ["a", "b", "tie"]},
    )
    config = config_of((), task={"kind": "preference"}, data={"text": ["prompt", "one", "two"]})
    server = served([asked], config=config)
    ann = caller(server, "ann")
    got = ann.claim()["questions"][0]
    assert got["beside"] == 2
    assert [field["name"] for field in got["fields"]] == ["prompt", "a", "b"]
    assert ann.say(("1", asked.id, "b")) == ["accepted"]
    assert server.inbox().get(asked.id).answer.kind == "preference"


def test_look_alikes_are_found_by_the_vectors_on_disk(served, caller):
    server = served(6)
    ann, bob = caller(server, "ann"), caller(server, "bob")
    assert ann.http.get("/q-000000/alike").json()["alike"] == []
    vectors = np.eye(6, 8, dtype=np.float32)
    vectors[3] = vectors[0] + 0.1
    vectors[5] = vectors[0] + 0.3
    cache = EmbeddingCache(server.store.folder / "embeddings")
    texts = [f"text number {number}" for number in range(6)]
    cache.add("hashing", texts, vectors=vectors)
    found = ann.http.get("/q-000000/alike").json()["alike"]
    assert [one["question"]["id"] for one in found] == ["q-000003", "q-000005"]
    assert found[0]["similarity"] > found[1]["similarity"] > 0.5
    assert bob.ids(4) == [f"q-{number:06d}" for number in range(4)]
    held = ann.http.get("/q-000000/alike").json()["alike"]
    assert [one["question"]["id"] for one in held] == ["q-000005"], "what another person holds"
    assert ann.http.get("/q-unknown/alike").status_code == 404


def test_who_begins_does_not_wait_for_those_who_stock_up(served, monkeypatch):
    is_free, serve = threading.Event(), Intake._serve

    def slowly(intake, claim):
        if claim.count > 50:
            assert is_free.wait(20)
        return serve(intake, claim)

    async def begin(store):
        monkeypatch.setattr(Intake, "_serve", slowly)
        intake = Intake(store)
        stocking = [
            asyncio.ensure_future(intake.claim(Claim("run", f"p{n}", 60, None, ())))
            for n in range(2)
        ]
        await asyncio.sleep(0)
        first = await asyncio.wait_for(intake.claim(Claim("run", "new", 30, None, ())), 60)
        assert not any(claim.done() for claim in stocking)
        is_free.set()
        pages = [first, *await asyncio.wait_for(asyncio.gather(*stocking), 20)]
        assert len({asked.id for page in pages for asked in page.questions}) == 30 + 60 + 60

    asyncio.run(begin(served(400).store))


def test_pages_are_handed_out_without_a_pause_until_people_answer(served):
    ticks = itertools.count(step=60)  # a minute passes at each look at the clock

    async def begin(store):
        intake = Intake(store, clock=lambda: next(ticks))
        claims = [Claim("run", f"p{n}", 60, None, ()) for n in range(4)]
        pages = await asyncio.wait_for(asyncio.gather(*map(intake.claim, claims)), 60)
        assert [len(page.questions) for page in pages] == [60, 60, 60, 60]
        assert len({asked.id for page in pages for asked in page.questions}) == 240

        async def answer():
            for number in itertools.count():
                reply = Reply(
                    who="p0", client=f"c{number}", question=pages[0].questions[0].id, deed="undo"
                )
                await intake.take_in(Batch("run", (reply,)))

        answering = asyncio.gather(answer(), answer())
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(intake.claim(Claim("run", "p9", 60, None, ())), 3)
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)

    asyncio.run(begin(served(400).store))
