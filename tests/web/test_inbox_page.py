"""The inbox in a browser: keys land in the store, in order, once, and only for what was seen."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests_web_support import FEW, NEEDS_BROWSER, config_of, put_run, question

from querist.memory.answers import name_of
from querist.memory.questions import Option, QuestionPayload
from querist.memory.store import open_store
from querist.memory.workspace.embeddings import EmbeddingCache

pytestmark = NEEDS_BROWSER
SCRIPTS = Path(__file__).with_name("scripts")
INBOX = "/runs/run/inbox"


def painted(page):
    """Wait until the question on the screen may be answered; give its id."""
    return page.wait_for_function(
        "() => { const desk = document.getElementById('desk');"
        " return !desk.hidden && desk.dataset.painted }"
    ).json_value()


def press(page, *keys):
    """Press keys, each for a question that was seen; give the questions' ids."""
    seen = []
    for key in keys:
        seen.append(painted(page))
        page.keyboard.press(key)
    return seen


def sent(page):
    """Wait until nothing is on its way."""
    page.wait_for_function(
        "() => !Object.keys(localStorage).some(key => key.startsWith('querist:out:'))"
    )


def answers(server):
    return {one.id: name_of(one.answer) for one in server.inbox().all(status="answered")}


def test_fifty_answers_by_keys_are_kept_in_order_with_the_right_labels(served, browse):
    server = served(80)
    page = browse(server.link("ann", to=INBOX))
    keys = [str(1 + number % 3) for number in range(50)]
    seen = press(page, *keys)
    sent(page)
    assert seen == [f"q-{number:06d}" for number in range(50)]
    assert answers(server) == dict(zip(seen, (FEW[int(key) - 1] for key in keys), strict=True))
    assert {one.answered_by for one in server.inbox().all(status="answered")} == {"ann"}
    assert "50 answers in this sitting" in page.inner_text("#pause")


def test_undoing_several_steps_skipping_and_putting_aside(served, browse):
    server = served(9)
    page = browse(server.link("ann", to=INBOX))
    first, second = press(page, "1", "2")
    press(page, "u", "u")
    assert painted(page) == first
    page.keyboard.press("3")
    press(page, "s", "x")
    sent(page)
    kept = {one.id: one for one in server.inbox().all()}
    assert name_of(kept[first].answer) == "praise"
    assert (kept[second].status, kept[second].answer) == ("skipped", None)
    assert kept["q-000002"].is_unfit
    assert "labels do not fit" in page.inner_text("#said")


def test_after_a_reload_answers_are_taken_back_unless_the_loop_has_used_them(served, browse):
    server = served(5)
    page = browse(server.link("ann", to=INBOX))
    first, second, third = press(page, "1", "2", "3")
    page.reload()
    painted(page)
    sent(page)
    server.inbox().folded([first, second])
    page.keyboard.press("u")
    assert painted(page) == third
    press(page, "1")
    sent(page)
    assert answers(server)[third] == "billing"
    press(page, "u", "u")  # the third once more, then the second, which is used
    page.wait_for_function(
        "() => document.getElementById('said').textContent.includes('cannot be taken back')"
    )
    assert painted(page) == third
    sent(page)
    assert answers(server) == {first: "billing", second: "bug"}
    page.reload()
    assert painted(page) == third
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_the_last_answer_of_all_is_taken_back(served, browse):
    server = served(1)
    page = browse(server.link("ann", to=INBOX))
    [only] = press(page, "1")
    page.locator("#nothing h2").wait_for()
    sent(page)
    page.reload()
    page.locator("#nothing h2").wait_for()
    page.keyboard.press("u")
    assert painted(page) == only
    press(page, "2")
    sent(page)
    assert answers(server) == {only: "bug"}


def test_a_reason_and_a_flag_go_with_the_answer(served, browse):
    server = served(3)
    page = browse(server.link("ann", to=INBOX))
    press(page, "r")
    page.keyboard.type("1 word says it")
    page.keyboard.press("Enter")
    page.keyboard.press("f")
    page.keyboard.press("2")
    sent(page)
    kept = server.inbox().get("q-000000")
    assert (kept.rationale, kept.is_flagged, name_of(kept.answer)) == (
        "1 word says it",
        True,
        "bug",
    )


def test_guesses_are_hidden_until_asked_for_and_enter_takes_one(served, browse):
    server = served(3)
    page = browse(server.link("ann", to=INBOX))
    painted(page)
    assert page.locator("#guess").is_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("m")
    page.wait_for_selector("#guess:not([hidden])")
    assert "bug" in page.inner_text("#guess")
    painted(page)
    page.keyboard.press("Enter")
    sent(page)
    assert answers(server) == {"q-000000": "bug"}
    page.reload()
    page.wait_for_selector("#guess:not([hidden])")


def test_two_people_never_meet(served, browse):
    server = served(500)
    ann = browse(server.link("ann", to=INBOX))
    bob = browse(server.link("bob", to=INBOX))
    seen = {"ann": [], "bob": []}
    for _ in range(10):
        seen["ann"] += press(ann, "1")
        seen["bob"] += press(bob, "2")
    sent(ann)
    sent(bob)
    assert not set(seen["ann"]) & set(seen["bob"])
    by = {one.id: one.answered_by for one in server.inbox().all(status="answered")}
    assert by == dict.fromkeys(seen["ann"], "ann") | dict.fromkeys(seen["bob"], "bob")


def test_two_tabs_of_one_person_show_different_questions(served, browse):
    server = served(450)
    page = browse(server.link("ann", to=INBOX))
    mine = painted(page)
    other = page.context.new_page()
    other.goto(server.url + INBOX)
    assert painted(other) != mine
    other.keyboard.press("1")
    sent(other)
    page.bring_to_front()
    page.keyboard.press("2")
    sent(page)
    assert sorted(answers(server).values()) == ["billing", "bug"]


def test_keys_in_fast_pairs_never_label_what_was_not_seen(served, browse):
    server = served(120)
    page = browse(server.link("ann", to=INBOX))

    def late(route):
        time.sleep(0.08)
        route.continue_()

    page.route("**/api/**", late)
    painted(page)
    # What is on the screen when a key goes down, told by the page itself before it acts.
    page.evaluate("""() => {
        window.pressed = [];
        window.shown = {};
        const text = () => document.querySelector('#item .text')?.textContent;
        const look = () => { window.shown[text()] = true; requestAnimationFrame(look); };
        requestAnimationFrame(look);
        window.pair = () => { for (const key of ['1', '2']) {
            document.getElementById('desk').dispatchEvent(
                new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true})); } };
    }""")
    for _ in range(400):
        page.evaluate("window.pair()")
        page.wait_for_timeout(40)
        if int(page.inner_text("#figures").split()[0]) >= 15:
            break
    sent(page)
    shown = set(page.evaluate("Object.keys(window.shown)"))
    kept = server.inbox().all(status="answered")
    assert len(kept) >= 15
    assert {name_of(one.answer) for one in kept} == {"billing"}, "the second key saw nothing"
    assert {one.payload.fields["text"] for one in kept} <= shown


def test_held_and_modified_keys_and_keys_elsewhere_do_nothing(served, browse):
    server = served(5)
    page = browse(server.link("ann", to=INBOX))
    painted(page)
    for held in ("Control", "Alt", "Meta"):
        page.keyboard.press(f"{held}+1")
    page.evaluate("""() => document.getElementById('desk').dispatchEvent(
        new KeyboardEvent('keydown', {key: '1', repeat: true, bubbles: true}))""")
    page.locator("#reason").focus()
    page.keyboard.press("1")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("1")
    page.wait_for_timeout(100)
    assert server.inbox().counts() == {"open": 5}


def test_keys_can_be_turned_off_and_stay_so(served, browse):
    server = served(5)
    page = browse(server.link("ann", to=INBOX))
    painted(page)
    page.get_by_label("Single keys").uncheck()
    page.locator("#desk").focus()
    page.keyboard.press("1")
    page.reload()
    painted(page)
    assert not page.get_by_label("Single keys").is_checked()
    page.locator("#desk").focus()
    page.keyboard.press("1")
    page.wait_for_timeout(80)
    assert server.inbox().counts() == {"open": 5}
    page.get_by_role("button", name="bug").click()
    sent(page)
    assert list(answers(server).values()) == ["bug"]


def test_what_is_in_texts_labels_and_reasons_is_text(served, browse):
    evil = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    labels = (f"a {evil}", "b")
    asked = [
        replace(
            question(number, labels),
            payload=QuestionPayload(
                {"text": evil}, (Option(labels[0], evil), Option("b")), labels[0]
            ),
            reason=evil,
        )
        for number in range(3)
    ]
    server = served(asked)
    page = browse(server.link("<b>eve</b>", to=INBOX))
    painted(page)
    page.keyboard.press("m")
    page.wait_for_selector("#guess:not([hidden])")
    assert page.inner_text("#item .text") == evil
    painted(page)
    page.keyboard.press("1")
    sent(page)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, .rail b").count() == 0
    assert list(answers(server).values()) == [labels[0]]


def test_with_many_labels_they_are_found_by_typing(served, browse):
    labels = (*(f"topic {i:02d}" for i in range(77)), "refund request", "request for a refund")
    server = served(4, labels=labels, config=config_of(labels))
    page = browse(server.link("ann", to=INBOX))
    for typed in ("41", "refund req", "refund"):
        painted(page)
        page.keyboard.type(typed)
        page.keyboard.press("2" if typed == "refund" else "Enter")
    press(page, ":")
    page.keyboard.press("s")
    sent(page)
    assert list(answers(server).values()) == ["topic 41", "refund request", "request for a refund"]
    assert server.inbox().counts() == {"answered": 3, "skipped": 1}


def test_letters_follow_the_digits_and_commands_keep_theirs(served, browse):
    labels = tuple(f"label {number}" for number in range(30))
    server = served(3, labels=labels, config=config_of(labels))
    page = browse(server.link("ann", to=INBOX))
    press(page, "a", "g", "s")
    sent(page)
    assert list(answers(server).values()) == ["label 9", "label 14"]


def test_a_preference_is_shown_side_by_side(served, browse):
    fields = {"prompt": "Say hello.", "one": "Hello.", "two": "Hi."}
    asked = replace(
        question(1),
        payload=QuestionPayload(fields, tuple(map(Option, ("a", "b", "tie")))),
        answer_schema={"kind": "preference", "enum": ["a", "b", "tie"]},
    )
    config = config_of((), task={"kind": "preference"}, data={"text": ["prompt", "one", "two"]})
    server = served([asked], config=config)
    page = browse(server.link("ann", to=INBOX))
    painted(page)
    boxes = [box.bounding_box() for box in page.locator(".beside .field").all()]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert page.locator(".beside h2").all_inner_texts() == ["a", "b"]
    page.keyboard.press("2")
    sent(page)
    assert answers(server) == {asked.id: "b"}


def test_a_long_text_is_folded_and_an_empty_one_says_so(served, browse):
    texts = ("many words " * 2000, "", "שלום עולם")
    asked = [
        replace(question(number), payload=QuestionPayload({"text": text}, tuple(map(Option, FEW))))
        for number, text in enumerate(texts)
    ]
    page = browse(served(asked).link("ann", to=INBOX))
    painted(page)
    assert page.locator("#item").bounding_box()["height"] < 400
    page.keyboard.press(".")
    assert page.locator("#item").bounding_box()["height"] > 2000
    page.keyboard.press("1")
    painted(page)
    assert "empty" in page.inner_text("#item")
    assert page.locator("#unfold").is_hidden()
    page.keyboard.press("1")
    painted(page)
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#item .text')).direction") == "rtl"
    )


def test_a_bare_inbox_says_why_and_new_questions_come_by_themselves(served, browse):
    server = served(1)
    server.inbox().claim("bob")
    page = browse(server.link("ann", to=INBOX))
    page.wait_for_selector("#nothing:not([hidden])")
    page.wait_for_function(
        "() => document.getElementById('nothing').textContent.includes('bob has 1 question on')"
    )
    server.inbox().ask([question(7)])
    assert painted(page) == "q-000007"
    page.keyboard.press("1")
    sent(page)
    assert answers(server) == {"q-000007": "billing"}


def test_an_answer_that_somebody_else_gave_meanwhile_is_told(served, browse):
    server = served(2)
    page = browse(server.link("ann", to=INBOX))
    claimed = []
    page.on("requestfinished", lambda asked: asked.url.endswith("/claim") and claimed.append(asked))
    page.reload()
    name = painted(page)
    # It asks for more at once, and a claim on its way would hear of what is done to it here.
    while len(claimed) < 2:
        page.wait_for_timeout(50)
    painted(page)
    server.inbox().release(name, who="ann")
    server.inbox().claim("bob")
    page.keyboard.press("1")
    page.wait_for_function(
        "() => document.getElementById('said').textContent.includes('does not count')"
    )
    assert server.inbox().get(name).status == "open"


def test_leaving_hands_back_what_was_not_answered(served, browse):
    server = served(20)
    page = browse(server.link("ann", to=INBOX))
    painted(page)
    assert server.inbox().holders()["ann"][0] == 20
    page.goto(server.url + "/runs")
    page.wait_for_selector("#runs table")
    until = time.monotonic() + 60
    while server.inbox().holders() and time.monotonic() < until:
        page.wait_for_timeout(50)
    assert server.inbox().holders() == {}


SERVER = """
import sys, uvicorn
from pathlib import Path
from querist.app.terminal.place import Place
from querist.app.web.desk import Desk
from querist.app.web.drivers import Drivers
from querist.app.web.server import create_app
from querist.memory.store import open_store
folder, port = Path(sys.argv[1]), int(sys.argv[2])
with open_store(folder) as store:
    place = Place(folder)
    desk = Desk(store, place, "olga", frozenset({f"127.0.0.1:{port}"}), Drivers(place))
    uvicorn.run(create_app(desk, works=False), port=port, log_level="warning")
"""


class Killable:
    """A server in a process of its own, on one port for all its lives."""

    def __init__(self, folder, port):
        self.url = f"http://127.0.0.1:{port}"
        self._words = [sys.executable, "-c", SERVER, str(folder), str(port)]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._words)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                httpx.get(self.url + "/login")
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_nothing_is_lost_when_the_server_is_killed_and_comes_again(tmp_path, browse, unused_port):
    with open_store(tmp_path / "work") as store:
        put_run(store, questions=[question(number) for number in range(60)])
        from querist.memory.workspace.people import People

        token = People(store).invite("ann", "annotator")
    server = Killable(tmp_path / "work", unused_port)
    try:
        page = browse(f"{server.url}/login?token={token}&to={INBOX}")
        seen = press(page, *["1"] * 5)
        sent(page)
        seen += press(page, "2")  # it may be on its way at the very moment
        server.kill()
        seen += press(page, *["3"] * 10)
        page.wait_for_selector("#unsent:not([hidden])")
        assert re.search(r"1[01] answers are kept", page.inner_text("#unsent"))
        server.start()
        sent(page)
        page.wait_for_selector("#unsent", state="hidden")
        seen += press(page, "1")
        sent(page)
    finally:
        server.kill()
    with open_store(tmp_path / "work") as store:
        from querist.memory.asking.inbox import Inbox

        kept = {one.id: name_of(one.answer) for one in Inbox(store, "run").all(status="answered")}
    labels = ["billing"] * 5 + ["bug"] + ["praise"] * 10 + ["billing"]
    assert kept == dict(zip(seen, labels, strict=True))


def test_twelve_tabs_load(served, browse):
    server = served(3000)
    page = browse(server.link("ann", to=INBOX))
    first = {painted(page)}
    for _ in range(11):
        tab = page.context.new_page()
        tab.goto(server.url + INBOX)
        first.add(painted(tab))
    assert len(first) == 12


def test_one_answer_goes_to_what_reads_alike_but_not_to_what_was_taken_out(served, browse):
    server = served(8)
    vectors = np.ones((8, 4), dtype=np.float32)
    vectors[5] = (1, 0.4, 0.4, 0.4)  # still near, but less so than the others
    vectors[7] = (-1, 1, 0, 0)
    texts = [f"text number {number}" for number in range(8)]
    EmbeddingCache(server.store.folder / "embeddings").add("h", texts, vectors=vectors)
    page = browse(server.link("ann", to=INBOX))
    press(page, "2")
    sent(page)
    press(page, "+")
    page.wait_for_selector("#alike[data-seen=yes]")
    assert page.locator(".like").count() == 6
    assert page.locator(".like[aria-pressed=false]").all_inner_texts() == [
        "6 less alike\ntext number 5"
    ]
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    sent(page)
    names = [f"q-{number:06d}" for number in (0, 2, 3, 4, 6)]
    assert answers(server) == dict.fromkeys(names, "bug")
    page.keyboard.press("1")  # for what was taken out, which is still on the screen
    sent(page)
    assert answers(server)["q-000001"] == "billing"
    assert painted(page) == "q-000005", "of those left"


def test_an_answer_makes_a_run_that_waits_go_on(served, browse):
    server = served(3, status="waiting")
    page = browse(server.link("ann", to=INBOX))
    press(page, "1")
    sent(page)
    assert server.drivers.driven == ["run"]


def test_everything_on_the_page_has_a_name_and_a_language(served, browse):
    page = browse(served(3).link("ann", to=INBOX))
    painted(page)
    page.keyboard.press("?")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == 1
    nameless = page.evaluate("""() => [...document.querySelectorAll(
            'button, a, input, select, textarea, [role=progressbar], section, nav, aside')]
        .filter(one => !(one.textContent.trim() || one.getAttribute('aria-label')
            || [...(one.labels ?? [])].some(label => label.textContent.trim())))
        .map(one => one.outerHTML)""")
    assert not nameless
    assert page.locator("[role=status]").count() >= 1


def _luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one, other):
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_lines_can_be_told_from_the_ground(served, browse, scheme):
    page = browse(served(1).link("ann", to=INBOX), color_scheme=scheme)
    names = ("ground", "card", "shade", "ink", "muted", "known", "against", "good", "warn", "focus")
    colour = page.evaluate(
        """names => { const style = getComputedStyle(document.documentElement);
        const of = name => [name, style.getPropertyValue('--' + name).trim()];
        return Object.fromEntries(names.map(of)) }""",
        names,
    )
    grounds = ("ground", "card")
    texts = ("ink", "muted", "known", "against", "good", "warn")
    low = {
        (text, ground): round(_contrast(colour[text], colour[ground]), 2)
        for text in texts
        for ground in grounds
        if _contrast(colour[text], colour[ground]) < 4.5
    }
    assert not low
    assert all(_contrast(colour["focus"], colour[ground]) >= 3 for ground in grounds)


def test_on_a_phone_the_answers_are_in_the_lower_half(served, browse):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    server = served(3)
    page = browse(server.link("ann", to=INBOX), **phone)
    painted(page)
    button = page.get_by_role("button", name="bug")
    box = button.bounding_box()
    assert box["y"] > 844 / 2
    assert box["y"] + box["height"] <= 844
    assert box["height"] >= 44
    button.tap()
    sent(page)
    assert list(answers(server).values()) == ["bug"]


def test_a_viewer_is_told_that_this_is_not_theirs(served, browse):
    server = served(1)
    page = browse(server.link("eve", "viewer", to=INBOX))
    assert "needs the role annotator" in page.inner_text("main")


def test_what_another_site_sends_is_refused(served):
    server = served(1)
    with httpx.Client(base_url=server.url) as http:
        http.get(server.link("ann").removeprefix(server.url))
        body = [{"client_id": "1", "question": "q-000000", "answer": "bug"}]
        path = "/api/runs/run/inbox/answers"
        for origin in ("http://evil.example", "null", None):
            headers = {} if origin is None else {"origin": origin}
            assert http.post(path, json=body, headers=headers).status_code == 403
        assert server.inbox().counts() == {"open": 1}
        assert http.post(path, json=body, headers={"origin": server.url}).status_code == 200


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_the_scripts_pass_their_own_tests():
    done = subprocess.run(
        ["node", "--test", str(SCRIPTS)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
