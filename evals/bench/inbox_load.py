"""Fifty people at one inbox: how long an answer takes to be kept, and whether each is kept once.

    python -m querist.evals.bench.inbox_load [--people 50] [--seconds 60] [--database URL]

The server runs in a process of its own, as in use; the people share another. Each claims a page of
questions as the browser does, answers twice a second and sends every answer at once.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import aiohttp

from querist.graph.config import make_config
from querist.memory.asking.inbox import Inbox
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import ExampleId, Question, RunId
from querist.memory.run.runs import Runs
from querist.memory.store import Store, open_store
from querist.memory.workspace.people import People

_LABELS = ("billing", "bug", "praise")
_FIRST, _PAGE, _LOW = 30, 200, 60
_SERVER = """
import sys
from pathlib import Path
from querist.app.actions.serving import Address, serve
from querist.app.terminal.place import Place
place = Place(Path(sys.argv[1]), sys.argv[2] or None)
serve(place, Address(port=int(sys.argv[3])), opens=False, works=False)
"""


@dataclass(slots=True)
class Person:
    """Somebody who answers, and what came of it."""

    name: str
    secret: str
    on_hand: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    """By question, what was accepted."""
    answers_ms: list[float] = field(default_factory=list)
    claims_ms: list[float] = field(default_factory=list)
    refused: int = 0


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=2, help="answers a second and person")
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--database", default="", help="an empty PostgreSQL database")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(Path(folder), url=options.database or None) as store,
    ):
        fill(store, options.questions)
        invite = People(store).invite
        people = [
            Person(name, invite(name, "annotator"))
            for name in (f"person-{number}" for number in range(options.people))
        ]
        with Server(Path(folder), options.database) as server:
            asyncio.run(_work(server.url, people, options.rate, options.seconds))
            memory = server.memory()
        _report(store, people, memory)


def fill(store: Store, count: int, *, labels: tuple[str, ...] = _LABELS) -> None:
    """Make a run named `run` with open questions."""
    config = make_config(
        {
            "task": {"name": "bench", "labels": dict.fromkeys(labels, "")},
            "data": {"pool": "pool.jsonl", "text": "text"},
            "budget": {"usd": "1"},
        },
        source="bench",
    )
    Runs(store).create(
        RunId("run"),
        task=config.as_task(),
        dataset="d",
        config=config.model_dump(mode="json"),
        cap=Decimal(1),
    )
    options = tuple(map(Option, labels))
    questions = [
        Question(
            id=f"q-{number:07d}",
            example=ExampleId(f"e{number}"),
            payload=QuestionPayload({"text": f"Text number {number} is about this."}, options),
            answer_schema={"kind": "choice", "enum": list(labels)},
            reason=f"doubtful: the annotator is {number % 100}% sure",
            value=1 - number / count,
            purpose="escalation",
            round=1,
        )
        for number in range(count)
    ]
    for start in range(0, count, 5000):
        Inbox(store, "run").ask(questions[start : start + 5000])


class Server:
    """The server in a process of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        """`database` is empty for a file in the folder."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        words = [sys.executable, "-c", _SERVER, str(folder), database, str(self._port)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def __enter__(self) -> Self:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.05)
        raise TimeoutError("the server does not listen")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    @property
    def root(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """Where the inbox of its run is reached."""
        return f"{self.root}/api/runs/run/inbox"

    def memory(self) -> int:
        """Measure its largest size (MB)."""
        return self._size("VmHWM")

    def memory_now(self) -> int:
        """Measure its size (MB)."""
        return self._size("VmRSS")

    def _size(self, what: str) -> int:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) // 1024
        return 0


async def _work(url: str, people: list[Person], rate: float, seconds: float) -> None:
    until = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=2 * len(people))
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(
            *(
                _sit(_Caller(session, url, person), person, until, 1 / rate, place / len(people))
                for place, person in enumerate(people)
            )
        )


@dataclass(frozen=True, slots=True)
class _Caller:
    session: aiohttp.ClientSession
    url: str
    person: Person

    async def post(self, path: str, body: Any) -> tuple[Any, float]:
        """Send and read JSON; tell how many milliseconds it took."""
        begun = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.person.secret}"}
        async with self.session.post(self.url + path, json=body, headers=headers) as said:
            said.raise_for_status()
            return await said.json(), 1000 * (time.perf_counter() - begun)


async def _sit(caller: _Caller, person: Person, until: float, pause: float, offset: float) -> None:
    await asyncio.sleep(offset * pause)
    fetching: asyncio.Task[None] | None = None
    sending: list[asyncio.Task[None]] = []
    number, due = 0, time.monotonic()
    while time.monotonic() < until:
        if len(person.on_hand) < _LOW and (fetching is None or fetching.done()):
            fetching = asyncio.create_task(_fetch(caller, person))
        if person.on_hand:
            number += 1
            name, label = person.on_hand.pop(0), _LABELS[number % len(_LABELS)]
            sending.append(asyncio.create_task(_send(caller, person, name, label)))
        due += pause
        await asyncio.sleep(max(0, due - time.monotonic()))
    await asyncio.gather(*sending, *([fetching] if fetching else []))


async def _fetch(caller: _Caller, person: Person) -> None:
    have = [*person.on_hand, *(name for name, said in person.given.items() if said == "sent")]
    body = {"count": _PAGE if person.given or person.on_hand else _FIRST, "have": have}
    got, ms = await caller.post("/claim", body)
    person.claims_ms.append(ms)
    known = {*person.on_hand, *person.given}
    person.on_hand += [
        question["id"] for question in got["questions"] if question["id"] not in known
    ]


async def _send(caller: _Caller, person: Person, name: str, label: str) -> None:
    person.given[name] = "sent"
    reply = {"client_id": f"{person.name}-{name}", "question": name, "answer": label}
    got, ms = await caller.post("/answers", [reply])
    person.answers_ms.append(ms)
    if got[0]["outcome"] == "accepted":
        person.given[name] = label
    else:
        person.refused += 1


def _report(store: Store, people: list[Person], memory: int) -> None:
    sent = sum(len(person.answers_ms) for person in people)
    kept = {
        question.id: (question.answered_by, str(getattr(question.answer, "value", "")))
        for question in Inbox(store, "run").all(status="answered")
    }
    given = {
        name: (person.name, label) for person in people for name, label in person.given.items()
    }
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{len(people)} people, {store.engine.dialect.name}\n\n| what | measured |\n|---|---|")
    for what, times in (
        ("an answer", [ms for person in people for ms in person.answers_ms]),
        ("a page of questions", [ms for person in people for ms in person.claims_ms]),
    ):
        print(f"| {what}: p50 / p95 / p99 / worst (ms) | {figures(times)} |")
    print(f"| answers sent / kept / refused | {sent} / {len(kept)} / {_refused(people)} |")
    print(f"| each kept once, with its label and person | {given == kept} |")
    print(f"| largest size of the server / of the people (MB) | {memory} / {own} |")


def _refused(people: list[Person]) -> int:
    return sum(person.refused for person in people)


def figures(times: list[float]) -> str:
    """Write p50 / p95 / p99 / worst of some times."""
    ordered = sorted(times)
    return " / ".join(
        f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.1f}"
        for share in (0.5, 0.95, 0.99, 1)
    )


if __name__ == "__main__":
    main()
