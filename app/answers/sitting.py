"""One person's time at the inbox: questions one by one, answered by a key or by a typed name."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from querist.app.answers.keys import END, KEYS, ReadKey
from querist.app.answers.kinds import USUAL, Answering
from querist.app.answers.typeahead import MOST_SHOWN, TypeAhead
from querist.app.terminal.screen import Screen, clean, plural
from querist.memory.answers import name_of
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput, NotOpen
from querist.memory.questions import Option
from querist.memory.records import Question

_HELP = "keys: answer   s skip   u undo   m show the guess   q quit   ? help"
_MORE_HELP = """\
  press the key beside a label to answer; the next question comes at once
  s  skip: put the question aside for good (it costs nothing)
  u  undo: take back your last answer or skip, as long as the loop has not used it
  m  show our guess; it is hidden at first, because it would pull you along
  q  quit: what you have answered is kept"""
_TYPED_HELP = (
    "type a part of a label, then its digit or Enter   "
    ":s skip   :u undo   :m guess   :q quit   ? labels"
)
_COMMANDS = frozenset("sumq?")
_POLL = 0.5
"""Seconds between two looks for new questions while the loop is at work."""


@dataclass(slots=True)
class Sitting:
    """What a person has done since they sat down."""

    inbox: Inbox
    screen: Screen
    who: str = field(kw_only=True)
    is_at_work: Callable[[], bool] = field(default=lambda: False, kw_only=True)
    """Tells whether the loop may ask more; while it does, the person is kept waiting for it."""
    answering: Answering = field(default=USUAL, kw_only=True)
    sleep: Callable[[float], None] = field(default=time.sleep, kw_only=True)
    settles: bool = field(default=False, kw_only=True)
    """They settle disputes, and answer nothing else."""
    answered: int = 0
    skipped: int = 0
    history: list[str] = field(default_factory=list)

    def work(self, read_key: ReadKey) -> None:
        """Ask until nothing more comes, the person quits, or the input ends."""
        again: Question | None = None
        while True:
            claimed = [again] if again else self._claim()
            again = None
            if not claimed:
                if self._wait():
                    continue
                return
            try:
                key = self._ask(claimed[0], read_key)
            except BaseException:
                self.inbox.release(claimed[0].id, who=self.who)
                raise
            if key in {"q", END}:
                # What is on the screen is free for others at once.
                self.inbox.release(claimed[0].id, who=self.who)
                return
            if key == "u":
                again = self._undo() or claimed[0]

    def _claim(self) -> list[Question]:
        return self.inbox.claim(self.who, disputes=self.settles)

    def _wait(self) -> bool:
        """Stay while the loop is at work; tell whether there is a question again."""
        others = [
            f"{who} has {plural(count, 'question')} until {until.astimezone():%H:%M}"
            for who, (count, until) in self.inbox.holders().items()
            if who != self.who
        ]
        held = f" {'; '.join(others)}." if others else ""
        if not self.is_at_work():
            self.screen.line(f"No questions are open for you.{held}")
            return False
        self.screen.line(f"The loop is at work; its next questions come here (Ctrl-C quits).{held}")
        while self.is_at_work():
            if self.inbox.has_free(self.who, disputes=self.settles):
                return True
            self.sleep(_POLL)
        return self.inbox.has_free(self.who, disputes=self.settles)

    # ------------------------------------------------------------ one question

    def _ask(self, question: Question, read_key: ReadKey) -> str:
        """Show a question until it is dealt with; return the key that did it."""
        labels = _labels(question)
        is_typed = len(labels) > len(KEYS)
        self._show(question, labels, is_typed=is_typed)
        if is_typed:
            return self._ask_for_name(question, [name for name, _ in labels], read_key)
        while True:
            key = read_key()
            place = KEYS.find(key) if key else -1
            if 0 <= place < len(labels):
                self._close(question, labels[place][0])
                return key
            if key == END or (key in _COMMANDS and self._obey(key, question, labels)):
                return key
            if key not in _COMMANDS and not key.isspace():
                self.screen.line(f"  {_HELP}", style="dim")

    def _ask_for_name(self, question: Question, names: Sequence[str], read_key: ReadKey) -> str:
        finder = TypeAhead(names, question.payload.likely)
        is_command = False
        while True:
            key = read_key()
            if key == END:
                return END
            if is_command or (key == "?" and not finder.typed):
                is_command = False
                labels = [(name, "") for name in names]
                if key in _COMMANDS and self._obey(key, question, labels, is_typed=True):
                    return key
                continue
            if key == ":" and not finder.typed:
                is_command = True
                continue
            label = finder.press(key)
            if label is not None:
                self.screen.line()
                self._close(question, label)
                return key
            self._show_matches(finder)

    def _obey(
        self,
        key: str,
        question: Question,
        labels: Sequence[tuple[str, str]],
        *,
        is_typed: bool = False,
    ) -> bool:
        """Do what a command says; tell whether the question is done with for now."""
        if key == "s":
            self._close(question, None)
        elif key == "m":
            self.screen.line(f"  {_guess(question)}", style="yellow")
        elif key == "?" and is_typed:
            self.screen.line(
                "  " + ", ".join(sorted((name for name, _ in labels), key=str.casefold))
            )
            self.screen.line(f"  {_TYPED_HELP}", style="dim")
        elif key == "?":
            self.screen.line(_MORE_HELP)
        return key in {"s", "u", "q"}

    def _show(
        self, question: Question, labels: Sequence[tuple[str, str]], *, is_typed: bool
    ) -> None:
        counts, holders = self.inbox.counts(), self.inbox.holders()
        others = ", ".join(f"{n} with {who}" for who, (n, _) in holders.items() if who != self.who)
        left = f"{counts.get('open', 0):,} open" + (f" ({others})" if others else "")
        self.screen.line()
        due = f"; due {question.due.astimezone():%a %H:%M}" if question.due else ""
        self.screen.line(f"{left}; asked because: {question.reason}{due}", style="dim")
        for line in self.answering.lines(question.payload):
            self.screen.line(line, style="bold")
        for said in self._reasons(question):
            self.screen.line(f"  {said}")
        if is_typed:
            self.screen.line(f"  {plural(len(labels), 'label')}: {_TYPED_HELP}", style="dim")
            return
        for key, (label, words) in zip(KEYS, labels, strict=False):
            self.screen.line(f"  {key}  {label}" + (f": {words}" if words else ""))
        self.screen.line(f"  {_HELP}", style="dim")

    def _reasons(self, question: Question) -> list[str]:
        """Say why each of two people answered as they did, where they said so."""
        if question.checks != "adjudication":
            return []
        asked = self.inbox.about(question.example)
        return sorted(
            f"{name_of(said.answer)}: {said.rationale}"
            for said in asked
            if said.answer is not None and said.rationale and said.checks in ("", "second")
        )

    def _show_matches(self, finder: TypeAhead) -> None:
        matches = finder.matches
        shown = "  ".join(f"{i} {name}" for i, name in enumerate(matches[:MOST_SHOWN], start=1))
        if len(matches) > MOST_SHOWN:
            shown += f"  and {len(matches) - MOST_SHOWN} more"
        if finder.typed and not matches:
            shown = "no label has that in it"
        self.screen.rewrite(f"  {clean(finder.typed)}_   {shown}")

    # ------------------------------------------------------------ what is done with it

    def _close(self, question: Question, label: str | None) -> None:
        try:
            if label is None:
                self.inbox.skip(question.id, who=self.who)
            else:
                self.inbox.answer(
                    question.id,
                    self.answering.answer(label),
                    who=self.who,
                    settles=self.settles,
                )
        except NotOpen as error:
            self.screen.line(f"  {error}", style="yellow")
            return
        self.history.append(question.id)
        self.skipped += label is None
        self.answered += label is not None
        self.screen.line(f"  -> {label or 'skipped'}", style="green")

    def _undo(self) -> Question | None:
        """Take the last answer of this sitting back; the question is asked again at once."""
        if not self.history:
            self.screen.line("  There is nothing to undo in this sitting.", style="yellow")
            return None
        name = self.history[-1]
        was_skipped = self.inbox.get(name).status == "skipped"
        try:
            self.inbox.reopen(name, who=self.who)
        except NotOpen as error:
            self.screen.line(f"  {error}", style="yellow")
            return None
        self.history.pop()
        self.skipped -= was_skipped
        self.answered -= not was_skipped
        return self.inbox.get(name)


def _labels(question: Question) -> Sequence[Option]:
    if not question.payload.options:
        raise InvalidInput(
            f"Question {question.id} does not want one of several labels; it cannot be answered "
            "here."
        )
    return question.payload.options


def _guess(question: Question) -> str:
    guess, sure = question.payload.model_says, question.payload.p_correct
    if guess is None:
        return "There is no guess to show on this one."
    how = "" if sure is None else f" ({100 * sure:.0f} % sure)"
    return f"Our guess: {guess}{how}."
