"""`querist chat`: lines in, answers out; what would change the run is approved by a key."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from querist.app.chat import Here, Talk, complete, perform, supervise
from querist.app.chat.performing import revise
from querist.app.terminal.place import Place, find_run, user_name
from querist.app.terminal.screen import Screen
from querist.memory.errors import QueristError
from querist.memory.store import Store
from querist.memory.workspace.chat import Message

_PROMPT = "> "
_HINT = "Commands begin with / (/help); an empty line or Ctrl-D ends."
_ASKED = "y approve, e edit, n reject: "


def chat_about(place: Place, name: str | None, *, once: str | None, yes: bool) -> None:
    """Talk about a run until the lines end; `once` says one thing, and `yes` approves it."""
    with place.open() as store:
        sitting = _Sitting(store, find_run(store, name))
        if once is not None:
            answer = sitting.say(once)
            if answer.state == "open" and (yes or sitting.screen.is_terminal):
                sitting.settle(answer, "y" if yes else None)
            elif answer.state == "open":
                sitting.screen.line("Nothing is done yet: say it again with --yes.")
            return
        sitting.go_on()


class _Sitting:
    """One person at a terminal."""

    def __init__(self, store: Store, run: str) -> None:
        self.store, self.run = store, run
        self.talk, self.screen, self.who = Talk(store, run), Screen(), user_name()
        self._sent: list[int] = []

    def go_on(self) -> None:
        """Take lines until there are no more."""
        self.screen.line(f"Run {self.run}. {_HINT}")
        with _completing(lambda prefix: complete(prefix, self.store, self.run)):
            while (line := self._read(_PROMPT)) is not None and line:
                answer = self.say(line)
                if answer.state == "open":
                    self.settle(answer, None)
                self._tell_news()

    def say(self, line: str) -> Message:
        """Say something and show the answer."""
        here = Here(self.run)
        if line.startswith("/"):
            said = perform(self.store, self.run, line, who=self.who, role="owner", here=here)
            self._show(said[-1])
            return said[-1]
        with _stopping() as stop, self.screen.drafting("Reading ...") as show:
            said = asyncio.run(
                supervise(
                    self.store,
                    self.run,
                    line,
                    who=self.who,
                    role="owner",
                    here=here,
                    is_stopped=stop.is_set,
                    on_text=lambda _, text: show(text),
                )
            )
        for message in said[1:]:
            self._show(message)
        proposed = [message for message in said if message.state == "open"]
        return proposed[-1] if proposed else said[-1]

    def settle(self, offer: Message, word: str | None) -> None:
        """Ask for a person's word on a proposal, until there is one."""
        said = word or self._read(_ASKED)
        try:
            match (said or "n").casefold()[:1]:
                case "y":
                    self.talk.decide(offer.id, "approve", self.who)
                case "e":
                    written = self._read("the command, as it should be: ") or ""
                    arguments = revise(self.store, self.run, offer, written)
                    self.talk.decide(offer.id, "edit", self.who, arguments=arguments)
                case _:
                    self.talk.decide(offer.id, "reject", self.who)
        except QueristError as error:
            self.screen.line(str(error))
            return
        life = self.talk.life(offer.id)
        self.screen.line(life.words)
        if life.stage == "queued":
            self._sent.append(offer.id)

    def _tell_news(self) -> None:
        """Say what became of commands that were sent before."""
        for offer in list(self._sent):
            life = self.talk.life(offer)
            if life.stage != "queued":
                self._sent.remove(offer)
                self.screen.line(life.words, style="bold")

    def _show(self, message: Message) -> None:
        self.screen.line(message.text)
        if message.table is not None:
            self.screen.table(message.table.columns, message.table.rows)

    def _read(self, prompt: str) -> str | None:
        """Read a line; None where there are no more."""
        if not (self.screen.is_terminal and sys.stdin.isatty()):
            line = sys.stdin.readline()
            return line.strip() if line else None
        try:
            return input(prompt).strip()
        except EOFError:
            return None


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Let Ctrl-C stop the answer, not the chat, while the block runs."""
    stop = threading.Event()
    former = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def _completing(find: Callable[[str], list[str]]) -> Iterator[None]:
    """Complete lines by Tab where the terminal can."""
    try:
        import readline
    except ImportError:  # not on every system
        yield
        return

    def candidate(_: str, place: int) -> str | None:
        try:
            found = find(readline.get_line_buffer())
        except QueristError:
            return None
        return found[place] if place < len(found) else None

    before, stops = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(candidate)
    readline.set_completer_delims("")  # whole lines are completed
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(before)
        readline.set_completer_delims(stops)
