"""Processes that the server keeps: a worker for jobs, and one for each run that it drives.

The loop needs torch and more; a server that never imports them stays small, answers at once while
a model trains, and lives on when a run's process dies. A process that the server started ends with
it, also when it is killed: its standard input is then at an end, which it takes as a wish to pause.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from querist.app.terminal.interrupts import FOLLOWS
from querist.app.terminal.place import Place

_GRACE = 20.0
"""Seconds in which a process may hand back what it holds before it is killed."""
_WORKER = "worker"


class Drivers:
    """The processes of one server. Safe to use from several threads."""

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self) -> None:
        """Keep a worker at work, and drive again what a killed server drove."""
        noted = self._noted()  # before anything that is started is noted over it
        self._start(_WORKER, ["worker"])
        for run in noted:
            self.drive(run)

    def drive(self, run: str) -> None:
        """Drive a run up to its end, staying while it waits for people."""
        self._start(run, ["resume", run, "--stay"])

    def tend(self) -> None:
        """Start the worker again if it died; forget runs whose process has ended."""
        self._start(_WORKER, ["worker"])
        with self._lock:
            if not self._is_closed:
                self._note()

    def is_alive(self, name: str) -> bool:
        """Tell whether the process of a run, or the `worker`, lives."""
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def log(self, name: str) -> Path:
        """Where a process writes what it says."""
        return self._logs / f"{name}.log"

    def close(self) -> None:
        """Let every process hand back what it holds, and end."""
        with self._lock:
            self._is_closed = True
            for process in self._running.values():
                process.terminate()
            for process in self._running.values():
                try:
                    process.wait(_GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                if process.stdin is not None:
                    process.stdin.close()
            self._running.clear()
            self._note()

    def _start(self, name: str, words: Sequence[str]) -> None:
        with self._lock:
            if self._is_closed or self.is_alive(name):
                return
            if (old := self._running.pop(name, None)) is not None and old.stdin is not None:
                old.stdin.close()
            self._logs.mkdir(parents=True, exist_ok=True)
            with self.log(name).open("ab") as output:
                self._running[name] = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", "querist.app.terminal.cli", *words],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**self._place.environment(), FOLLOWS: "1"},
                    start_new_session=True,  # Ctrl-C is the server's, which ends them in order
                )
            self._note()

    # ------------------------------------------------------------ what is driven, on disk

    @property
    def _logs(self) -> Path:
        return self._place.workspace / "logs"

    def _note(self) -> None:
        runs = [name for name in self._running if name != _WORKER and self.is_alive(name)]
        path = self._logs / "driven.json"
        if runs or path.exists():
            whole = path.with_suffix(".new")
            whole.write_text(json.dumps(sorted(runs)))
            whole.replace(path)

    def _noted(self) -> list[str]:
        try:
            runs = json.loads((self._logs / "driven.json").read_text())
        except (OSError, ValueError):
            return []
        return [run for run in runs if isinstance(run, str)] if isinstance(runs, list) else []
