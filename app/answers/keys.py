"""Single key presses from a terminal, or characters from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import select

KEYS = "123456789abcdeghijklnoptvwyzABCDEGH"
"""The keys of labels, in their order; the letters of commands are left out. Where there are more
labels than keys, they are found by typing their names. The page has the same."""
END = ""
"""What is read when nothing more will come."""
_ESCAPE = "\x1b"
_HANG_UP = frozenset({"\x03", "\x04"})
"""Ctrl-C and Ctrl-D, where the terminal hands them to us."""

ReadKey = Callable[[], str]


@contextmanager
def keyboard() -> Iterator[ReadKey]:
    """Give a function that waits for one key, and put the terminal back afterwards."""
    try:
        import termios
        import tty
    except ImportError:  # Windows: keys count when Enter follows
        yield _from_pipe
        return
    if not sys.stdin.isatty():
        yield _from_pipe
        return
    terminal = sys.stdin.fileno()
    former = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield lambda: _from_terminal(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, former)


def _from_pipe() -> str:
    return sys.stdin.read(1)


def _from_terminal(terminal: int) -> str:
    raw = os.read(terminal, 1)
    if raw == _ESCAPE.encode():
        # Arrows and function keys send more at once; none of it is an answer.
        while select([terminal], [], [], 0.02)[0]:
            os.read(terminal, 32)
        return _ESCAPE
    while raw and _is_begun(raw):
        raw += os.read(terminal, 1)
    key = raw.decode("utf-8", "replace")
    return END if key in _HANG_UP else key


def _is_begun(raw: bytes) -> bool:
    """Tell whether a UTF-8 character is not complete yet."""
    lead = raw[0]
    length = 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    return len(raw) < length
