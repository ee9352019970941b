"""A whole afternoon at two terminals: run, answer, see it learn, extend it, use the model.

Both terminals are real pseudo-terminals, and nothing in between is replaced.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 90.0
"""Seconds for anything to happen, on a busy machine."""
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")
QUESTION = re.compile(r"asked because:.*?ticket (\d+):", re.DOTALL)


def _own_terminal() -> None:
    """Make the pseudo-terminal the one that Ctrl-C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command in a pseudo-terminal, as a person has it before them."""

    def __init__(self, *words: object) -> None:
        self._screen, child = pty.openpty()
        command = [sys.executable, "-m", "querist.app.terminal.cli", *map(str, words)]
        env = os.environ | {"TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
        self.process = subprocess.Popen(
            command,
            stdin=child,
            stdout=child,
            stderr=child,
            env=env,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509, no thread runs here
        )
        os.close(child)
        self.text = ""

    def look(self, seconds: float = 0.1) -> None:
        """Read what has appeared."""
        while select.select([self._screen], [], [], seconds)[0]:
            try:
                raw = os.read(self._screen, 65_536)
            except OSError:  # the other side is closed
                return
            if not raw:
                return
            self.text += CODES.sub("", raw.decode("utf-8", "replace"))
            seconds = 0

    def wait_for(self, pattern: str) -> None:
        """Look until something is on the screen."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            self.look()
            assert time.monotonic() < end, f"no {pattern!r} in:\n{self.text[-3000:]}"
            if self.process.poll() is not None:
                self.look()
                assert re.search(pattern, self.text), f"no {pattern!r} in:\n{self.text[-3000:]}"

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._screen, keys.encode())

    def leave(self) -> int:
        """Read to the end and give the exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self.look()
            assert time.monotonic() < end, self.text[-3000:]
        self.look()
        return self.process.returncode

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._screen)


@contextmanager
def terminal(*words: object) -> Iterator[Terminal]:
    opened = Terminal(*words)
    try:
        yield opened
    finally:
        opened.close()


def truth(number: int) -> str:
    return "praise" if number % 2 else "bug"


def write_tickets(path: Path, count: int, *, start: int = 0) -> Path:
    said = {"praise": "thank you, it works great", "bug": "it crashed again with an error"}
    rows = [
        {"text": f"ticket {i}: {said[truth(i)]}", "label": truth(i)}
        for i in range(start, start + count)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def answer_all(person: Terminal, *, until: Terminal) -> int:
    """Answer whatever is asked, by its key, until the run at the other terminal has ended."""
    seen = answered = 0
    end = time.monotonic() + PATIENCE
    while person.process.poll() is None:
        person.look()
        until.look(0)
        for found in list(QUESTION.finditer(person.text, seen)):
            seen = found.end()
            person.press({"bug": "1", "praise": "2"}[truth(int(found[1]))])
            answered += 1
            end = time.monotonic() + PATIENCE
        assert time.monotonic() < end, f"{until.text[-2000:]}\n-----\n{person.text[-2000:]}"
    person.look()
    return answered


@pytest.mark.slow
def test_an_afternoon_at_two_terminals(tmp_path: Path) -> None:
    work, pool = tmp_path / "work", write_tickets(tmp_path / "tickets.jsonl", 120)
    keys = (
        "data.embedder=hashing", "annotator.enabled=false", "loop.rounds=2", "loop.batch=15",
        "loop.plateau_window=9",
    )  # fmt: skip
    changes = [word for key in keys for word in ("--set", key)]
    run = ("run", "--pool", pool, "--labels", "bug,praise", "--people", "inbox")
    with terminal(*run, "--budget", "1.5", *changes, "-w", work) as loop:
        # It waits, and says what for.
        loop.wait_for("Waiting for people: 0 of .* questions are answered")
        assert loop.process.poll() is None
        with terminal("inbox", "-w", work, "--name", "ann") as person:
            answered = answer_all(person, until=loop)
            assert person.leave() == 0
            assert f"{answered} answers" in person.text
        assert loop.leave() == 0
    # It went on by itself, trained on what was answered, and measured it.
    assert "All 2 rounds are done" in loop.text
    assert re.search(r"Quality +\d", loop.text)
    assert re.search(rf"Labels +{answered} of 120 examples: {answered} by", loop.text)
    assert answered >= 25

    # The run that had ended goes on, with more money and more rounds.
    with terminal("resume", "-w", work, "--budget", "3", "--rounds", "4") as loop:
        loop.wait_for("Waiting for people")
        with terminal("inbox", "-w", work, "--name", "bob") as person:
            more = answer_all(person, until=loop)
            assert person.leave() == 0
        assert loop.leave() == 0
    assert more >= 20
    assert "All 4 rounds are done" in loop.text
    assert f"{answered + more} by" in loop.text
    assert re.search(r"Money +\d+\.\d+ USD of 3\.00 USD", loop.text)

    # And the model is of use on texts that nobody has seen.
    name = next((work / "runs").iterdir()).name
    new, out = write_tickets(tmp_path / "new.jsonl", 40, start=1_000), tmp_path / "out.csv"
    with terminal("predict", name, new, "-o", out, "-w", work) as predict:
        assert predict.leave() == 0
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == [truth(i) for i in range(1_000, 1_040)]
    right = sum(row["predicted"] == row["label"] for row in rows)
    assert right >= 38


@pytest.mark.slow
def test_a_person_who_leaves_the_run_waiting_finds_it_again(tmp_path: Path) -> None:
    work, pool = tmp_path / "work", write_tickets(tmp_path / "tickets.jsonl", 60)
    keys = ("data.embedder=hashing", "annotator.enabled=false", "loop.rounds=1")
    changes = [word for key in keys for word in ("--set", key)]
    run = ("run", "--pool", pool, "--labels", "bug,praise", "--people", "inbox", "--budget", "0.6")
    with terminal(*run, *changes, "-w", work) as loop:
        loop.wait_for("Waiting for people")
        loop.press("\x03")
        assert loop.leave() == 130
        assert "querist inbox" in loop.text
    with terminal("inbox", "-w", work, "--name", "ann") as person:
        answered = answer_all(person, until=loop)
        assert "Let the run use them with: querist resume" in person.text
    with terminal("resume", "-w", work) as loop:
        assert loop.leave() == 0
    assert re.search(rf"Labels +{answered} of 60 examples", loop.text)
    assert re.search(r"Quality +\d", loop.text)
