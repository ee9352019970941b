"""Ctrl-C and SIGTERM while a run is driven: once pauses it, twice leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

FOLLOWS = "QUERIST_FOLLOWS"
"""Set by a server for the processes that it starts: they end when their standard input does."""
_SHOW_CURSOR = "\x1b[?25h"


@dataclass(slots=True)
class Interrupts:
    """What signals came in so far."""

    count: int = 0
    number: int = 0

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + self.number if self.number else 0


@contextmanager
def pausing(drain: Callable[[], None], say: Callable[[str], None]) -> Iterator[Interrupts]:
    """Ask for a pause at the first signal and exit at the second, while the block runs."""
    seen = Interrupts()

    def handle(number: int, _: FrameType | None) -> None:
        seen.count += 1
        seen.number = number
        if seen.count > 1 and number == signal.SIGINT:
            # A hard end is safe: whatever was written is whole, and a resume goes on from there.
            if sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR.encode())
            os.write(2, b"\nLeft at once; nothing is lost. How to go on: querist status\n")
            os._exit(seen.exit_code)
        drain()
        # The signal may have come in the middle of a write to the same stream.
        with suppress(RuntimeError):
            say(
                "Pausing at the next step. Ctrl-C again leaves at once; nothing is lost either way."
            )

    if FOLLOWS in os.environ:
        threading.Thread(target=_follow, name="querist-follow", daemon=True).start()
    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _follow() -> None:
    """Pause when who started this process is gone, in whatever way it went."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
