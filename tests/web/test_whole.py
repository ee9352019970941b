"""The three uses in a browser, on real processes and the embedded model."""

import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from tests_graph_support import EXAMPLE
from tests_web_support import NEEDS_BROWSER, wait_for

pytestmark = [
    # Two minutes: too long for every run of the suite.
    pytest.mark.skipif("QUERIST_WHOLE" not in os.environ, reason="set QUERIST_WHOLE=1 to run it"),
    *NEEDS_BROWSER,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason="no embedded model"),
    pytest.mark.timeout(600),
]
KEYS = "123456789"
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
LABELS = {
    "plumbing": "taps, toilets, drains, leaks",
    "heating": "radiators, boilers, cold rooms",
    "electrical": "power, sockets, lights",
    "access": "keys, locks, doors",
    "noise": "loud neighbours, music, building work",
    "billing": "rent, deposits, charges",
}


class Serve:
    """`querist serve` as people start it, on one port for all its lives."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.base = f"http://127.0.0.1:{port}"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "querist.app.terminal.cli", "serve", "--no-open",
             "--port", str(self.port), "--workspace", str(self.folder)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        for line in self.process.stdout:
            if found := re.search(r"http://\S+/login\S+", line):
                break
        self.link = found.group()
        wait_for(lambda: is_up(self.port))

    def kill(self, *, with_its_processes):
        """Kill it with SIGKILL; else its processes see that it is gone, and pause by themselves."""
        server = self.process.pid
        # They are listed by the thread that started them.
        tasks = Path(f"/proc/{server}/task").glob("*/children")
        children = [int(pid) for path in tasks for pid in path.read_text().split()]
        assert children
        for pid in [server, *(children if with_its_processes else ())]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            self.process.stdout.close()

    def get(self, path, **query):
        """Ask the API, as the owner."""
        token = {"Authorization": f"Bearer {self.link.split('token=')[1]}"}
        return httpx.get(f"{self.base}/api{path}", headers=token, timeout=120, params=query)

    def read(self, path, **query):
        return self.get(path, **query).json()


@pytest.fixture
def serve(tmp_path, unused_port):
    serve = Serve(tmp_path / "work", unused_port)
    yield serve
    serve.stop()


def is_up(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pool_of(path, count):
    rows = [json.loads(line) for line in (EXAMPLE / "pool.jsonl").read_text().splitlines()]
    with path.open("w") as stream:
        for row in rows[:count]:
            stream.write(json.dumps({"id": row["id"], "text": row["text"]}) + "\n")
    return {row["text"]: row["label"] for row in rows}


def hand_in(page, serve, pool):
    """Hand a job in after its quote; give it when it waits for people."""
    page.goto(f"{serve.base}/jobs")
    form = page.locator("#label")
    form.locator("input[type=file]").set_input_files(pool)
    labels = "\n".join(f"{name}: {words}" for name, words in LABELS.items())
    form.get_by_label("Labels, one a line").fill(labels)
    form.get_by_label("US dollars at most").fill("4")
    button = form.get_by_role("button", name="Hand it in")
    wait_for(button.is_enabled, 120)
    assert "USD" in form.locator(".quote").inner_text()
    button.click()
    job = wait_for(lambda: serve.read("/jobs"), 120)[0]
    wait_for(lambda: serve.read("/jobs")[0]["status"] == "waiting", 180)
    return job


def answer(page, gold, seen, count):
    """Answer by keys what is asked; `seen` holds the texts that were answered."""
    item = page.locator("#item .text").first
    for _ in range(count):
        wait_for(lambda: item.is_visible() and item.inner_text() != seen[-1], 10)
        seen.append(item.inner_text())
        page.evaluate(PAINTED)  # what nobody can have seen is not labelled
        page.keyboard.press(KEYS[list(LABELS).index(gold[seen[-1].strip()])])


def test_a_job_is_handed_in_answered_steered_and_taken_away(serve, tmp_path, browse):
    """The server is killed three times on the way: at the answers, at work, and with a command
    under way. Whatever was said, once, is there at the end.
    """
    gold = pool_of(tmp_path / "pool.jsonl", 60)
    page = browse(serve.link)
    run = hand_in(page, serve, tmp_path / "pool.jsonl")["run"]

    page.goto(f"{serve.base}/runs/{run}/inbox")
    asked, seen = serve.read(f"/runs/{run}")["open_questions"], [""]
    assert asked >= 20
    answer(page, gold, seen, 8)
    serve.kill(with_its_processes=False)
    answer(page, gold, seen, 5)  # kept in the browser meanwhile
    serve.start()
    answer(page, gold, seen, asked - 13)
    wait_for(lambda: serve.read(f"/runs/{run}")["questions"].get("answered", 0) >= asked, 30)
    begun = time.monotonic()
    wait_for(lambda: serve.read("/jobs")[0]["status"] != "waiting", 60)
    assert time.monotonic() - begun < 20  # 5 s, and the new server's worker has to load

    wait_for(lambda: serve.read("/jobs")[0]["status"] == "running", 60)
    serve.kill(with_its_processes=True)
    serve.start()

    # The curve reacts, and the chat tells why something was asked and steers.
    page.goto(f"{serve.base}/runs/{run}")
    wait_for(lambda: page.locator("#curve svg").count(), 240)
    found = serve.read(f"/runs/{run}/examples", standing="labelled")
    example = found["examples"][0]["id"]
    page.keyboard.press("/")
    line = page.get_by_label("Say something")

    def say(words):
        line.fill(words)
        line.press("Enter")

    say(f"/why {example}")
    page.locator("#chat .message", has_text=f"{example}:").first.wait_for()
    say("/guideline A dog that barks is noise.")
    page.get_by_role("button", name="Approve").click()
    commands = wait_for(lambda: serve.read(f"/runs/{run}/commands"))
    assert commands[-1]["name"] == "guideline"
    serve.kill(with_its_processes=False)
    serve.start()
    wait_for(lambda: serve.read(f"/runs/{run}/commands")[-1]["status"] == "done", 240)
    assert [command["name"] for command in serve.read(f"/runs/{run}/commands")] == ["guideline"]
    assert "A dog that barks" in serve.read(f"/runs/{run}")["instructions"]

    # The labels can be taken away: each answer once, as it was given.
    said = serve.get(f"/runs/{run}/export", format="csv")
    rows = list(csv.DictReader(io.StringIO(said.text)))
    people = [row for row in rows if row["source"] == "human"]
    assert len({row["text"] for row in people}) == len(people)
    assert {text.strip() for text in seen[1:]} <= {row["text"].strip() for row in people}
    assert all(row["label"] == gold[row["text"]] for row in people)
