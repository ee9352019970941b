"""A workspace with questions, served on loopback, and a browser that is installed here."""

import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest
import uvicorn

from querist.app.terminal.place import Place
from querist.app.web.desk import Desk
from querist.app.web.drivers import Drivers
from querist.app.web.server import create_app
from querist.graph.config import make_config
from querist.memory.asking.inbox import Inbox
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import ExampleId, Question, RunId
from querist.memory.run.runs import Runs

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FEW = ("billing", "bug", "praise")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _lacks():
    if find_spec("playwright") is None:
        return "playwright is not installed (pip install playwright)"
    if not Path(CHROMIUM).is_file():
        return "there is no chromium (apt-get install chromium)"
    return None


# A mark, because skips by marks are told in one line a file.
NEEDS_BROWSER = [pytest.mark.skip(reason=what) for what in [_lacks()] if what]


class NotedDrivers(Drivers):
    """Notes which runs would be driven."""

    def __init__(self, place):
        super().__init__(place)
        self.driven = []

    def drive(self, run):
        self.driven.append(run)


def config_of(labels=FEW, **sections):
    """The configuration of a run, as it is kept."""
    task = {"name": "task", "labels": dict.fromkeys(labels, ""), **sections.pop("task", {})}
    data = {"pool": "pool.jsonl", "text": "text", **sections.pop("data", {})}
    body = {"task": task, "data": data, "budget": {"usd": "4"}, **sections}
    return make_config(body, source="test")


def question(number, labels=FEW, **changes):
    """A question that is the more valuable the smaller its number."""
    values = {
        "id": f"q-{number:06d}",
        "example": ExampleId(f"e{number}"),
        "payload": QuestionPayload(
            fields={"text": f"text number {number}"},
            options=tuple(map(Option, labels)),
            model_says=labels[1],
            p_correct=0.6,
            likely=(labels[1],),
        ),
        "answer_schema": {"kind": "choice", "enum": list(labels)},
        "reason": "doubtful: the annotator is 60% sure",
        "value": 1.0 - number / 1_000_000,
        "purpose": "escalation",
        "round": 1,
    }
    return Question(**{**values, **changes})


def put_run(store, *, run="run", questions=(), config=None, status=None):
    """Put a run with questions into a workspace; nobody drives it."""
    config, runs = config or config_of(), Runs(store)
    runs.create(
        RunId(run),
        task=config.as_task(),
        dataset="d",
        config=config.model_dump(mode="json"),
        cap=Decimal(4),
    )
    if status:
        lease = runs.take(RunId(run))
        runs.set_status(lease, status)
        runs.give_up(lease)
    Inbox(store, run).ask(questions)


@dataclass
class Served:
    """A server of a workspace on loopback."""

    url: str
    desk: Desk
    drivers: NotedDrivers = field(repr=False)

    @property
    def store(self):
        return self.desk.store

    def inbox(self, run="run"):
        return Inbox(self.store, run)

    def token(self, name, role="annotator"):
        """Invite somebody; the secret serves as a bearer token and in `link`."""
        return self.desk.people.invite(name, role)

    def headers(self, name, role="annotator"):
        return {"Authorization": f"Bearer {self.token(name, role)}"}

    def link(self, name, role="annotator", to="/"):
        """The address by which somebody comes in."""
        return f"{self.url}/login?token={self.token(name, role)}&to={to}"

    def owner_link(self, to="/"):
        return f"{self.url}/login?token={self.desk.owner_secret}&to={to}"


def wait_for(what, seconds=60.0):
    """Wait until something is so, and give it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@contextmanager
def serving_desk(store, *, port=0):
    """Serve an open workspace from a thread, without any processes."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    port = listening.getsockname()[1]
    place = Place(store.folder)
    drivers = NotedDrivers(place)
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
    desk = Desk(store, place, owner="olga", hosts=hosts, drivers=drivers)
    config = uvicorn.Config(
        create_app(desk, works=False),
        log_level="warning",
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield Served(f"http://127.0.0.1:{port}", desk, drivers)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
