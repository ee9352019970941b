"""Whole ways through the server on SQLite and on PostgreSQL: in, answers, two at once, killed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from tests_postgres_support import SKIPS, empty_database, postgres_server
from tests_web_support import FEW, NEEDS_BROWSER, put_run, question, serving_desk, wait_for

from querist.memory.asking.inbox import Inbox
from querist.memory.store import open_store
from querist.memory.workspace.people import People

needs_browser = NEEDS_BROWSER[0] if NEEDS_BROWSER else lambda test: test
SERVER = """
import sys
from pathlib import Path
from querist.app.actions.serving import Address, serve
from querist.app.terminal.place import Place
place = Place(Path(sys.argv[1]), sys.argv[2] or None)
serve(place, Address(port=int(sys.argv[3])), opens=False, works=False)
"""


@pytest.fixture(scope="module")
def postgres():
    with postgres_server() as url:
        yield url


POSTGRES = [pytest.param("postgresql", marks=SKIPS)]


@pytest.fixture(params=["sqlite", *POSTGRES])
def url(request):
    """The URL of an empty PostgreSQL database; None for a file."""
    if request.param == "sqlite":
        yield None
        return
    with empty_database(request.getfixturevalue("postgres")) as url:
        yield url


@pytest.fixture
def store(url, tmp_path):
    with open_store(tmp_path / "work", url=url) as store:
        put_run(store, questions=[question(number) for number in range(300)])
        yield store


@pytest.fixture
def server(store):
    with serving_desk(store) as served:
        yield served


class Caller:
    """Somebody who answers by the API, and notes what was accepted."""

    def __init__(self, root, secret):
        self.http = httpx.Client(
            base_url=f"{root}/api/runs/run/inbox",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=20,
        )
        self.accepted = {}

    def claim(self, count):
        said = self.http.post("/claim", json={"count": count}).raise_for_status()
        return [one["id"] for one in said.json()["questions"]]

    def answer(self, names):
        replies = [
            {"client_id": f"c-{name}", "question": name, "answer": FEW[int(name[2:]) % 3]}
            for name in names
        ]
        for said in self.http.post("/answers", json=replies).raise_for_status().json():
            if said["outcome"] == "accepted":
                self.accepted[said["question"]] = FEW[int(said["question"][2:]) % 3]


@pytest.fixture
def call():
    with ExitStack() as opened:

        def make(root, secret):
            caller = Caller(root, secret)
            opened.enter_context(caller.http)
            return caller

        yield make


def kept(store):
    found = Inbox(store, "run").all(status="answered")
    return {one.id: (one.answered_by, one.answer.value) for one in found}


def test_a_link_lets_in_until_it_is_taken_back(server):
    link = server.link("ann", to="/runs/run/inbox")
    with httpx.Client(follow_redirects=True) as browser:
        assert "/runs/run/inbox" in browser.get(link).text
        assert browser.get(f"{server.url}/api/runs/run/inbox").json()["open"] == 300
        assert browser.get(f"{server.url}/api/people").status_code == 403
        server.desk.people.revoke("ann")
        assert browser.get(f"{server.url}/api/runs/run/inbox").status_code == 401
    assert httpx.get(f"{server.url}/login?token=nonsense").status_code in {401, 403}


@needs_browser
@pytest.mark.parametrize("url", POSTGRES, indirect=True)  # test_inbox_page.py has it on SQLite
def test_answers_by_keys_are_kept_in_order(server, browse):
    page = browse(server.link("ann", to="/runs/run/inbox"))
    for number in range(9):
        page.wait_for_selector(f'#desk[data-painted="q-{number:06d}"]')
        page.keyboard.press(str(number % 3 + 1))
    wait_for(lambda: len(kept(server.store)) == 9)
    assert kept(server.store) == {f"q-{n:06d}": ("ann", FEW[n % 3]) for n in range(9)}
    page.keyboard.press("u")
    wait_for(lambda: len(kept(server.store)) == 8)


def test_two_people_at_once_never_meet_and_each_answer_is_kept_once(server, call):
    callers = {name: call(server.url, server.token(name)) for name in ("ann", "bob")}

    def work(caller):
        while names := caller.claim(20):
            for start in range(0, len(names), 4):
                caller.answer(names[start : start + 4])

    with ThreadPoolExecutor(2) as at_once:
        list(at_once.map(work, callers.values()))
    said = {
        question: (name, label)
        for name, caller in callers.items()
        for question, label in caller.accepted.items()
    }
    assert len(said) == sum(len(caller.accepted) for caller in callers.values()) == 300
    assert kept(server.store) == said


@contextmanager
def process(store, url, port):
    words = [sys.executable, "-c", SERVER, str(store.folder), url or "", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _is_up(port))
        yield server
    finally:
        if server.poll() is None:
            server.terminate()
        server.wait(20)


def _is_up(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/login").status_code
    except httpx.HTTPError:
        return 0


@pytest.mark.parametrize("url", POSTGRES, indirect=True)  # test_inbox_page.py has it on SQLite
def test_nothing_is_lost_where_the_server_is_killed(store, url, call, unused_port):
    ann = call(f"http://127.0.0.1:{unused_port}", People(store).invite("ann", "annotator"))
    with process(store, url, unused_port) as first, ThreadPoolExecutor(1) as aside:
        names = ann.claim(120)
        done = aside.submit(_answer_until_it_ends, ann, names)
        wait_for(lambda: len(ann.accepted) > 30)
        os.kill(first.pid, signal.SIGKILL)
        done.result(30)
    told = dict(ann.accepted)
    assert 0 < len(told) < 120
    assert told.keys() <= kept(store).keys()
    with serving_desk(store, port=unused_port):
        ann.answer(names)  # as a browser's outbox does, whatever it heard before
    assert kept(store) == {name: ("ann", FEW[int(name[2:]) % 3]) for name in names}


def _answer_until_it_ends(caller, names):
    for name in names:
        try:
            caller.answer([name])
        except httpx.HTTPError:
            return
