"""The inbox in the terminal: one question at a time, one key an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from querist.app.keys import END, ReadKey, keyboard
from querist.app.place import Place, opened_run, status_of, user_name
from querist.app.screen import Screen, plural
from querist.memory.errors import InvalidInput, NotOpen
from querist.memory.inbox import Inbox
from querist.memory.records import Choice, Question
from querist.memory.runs import Runs

if TYPE_CHECKING:
    from querist.graph.run import Run

# Without s, u, q and m, which are commands.
KEYS = "123456789abcdefghijklnoprtvwxyzABCDEFGHIJKLNOPRTVWXYZ"
LONGEST_NAME = 60
HELP = "keys: answer   s skip   u undo   m what the model says   q quit   ? help"
MORE_HELP = """\
  press the key beside a label to answer; the next question comes at once
  s  skip: put the question aside for good (it costs nothing)
  u  undo: take back your last answer or skip, as long as the loop has not used it
  m  show what the model thinks; it is hidden at first, because it would pull you along
  q  quit: what you have answered is kept"""


def sit_down(place: Place, name: str | None, *, who: str = "") -> None:
    """Answer the questions of a run until there are none left or the person quits."""
    screen = Screen()
    with opened_run(place, name) as run:
        sitting = Sitting(Inbox(run.store, run.id), screen, who=_checked(who or user_name()))
        with keyboard() as read_key:
            try:
                sitting.work(read_key)
            except KeyboardInterrupt:
                screen.line()
        _say_goodbye(run, sitting, screen, place)


def _checked(who: str) -> str:
    who = who.strip()
    if not who or len(who) > LONGEST_NAME or not who.isprintable():
        raise InvalidInput(f"--name {who!r}: expected 1 to {LONGEST_NAME} visible characters.")
    return who


def _say_goodbye(run: Run, sitting: Sitting, screen: Screen, place: Place) -> None:
    left = sitting.inbox.counts().get("open", 0)
    screen.line(
        f"{plural(sitting.answered, 'answer')}, {sitting.skipped} skipped; "
        f"{plural(left, 'question')} of run {run.id} still open."
    )
    status = status_of(run.row, Runs(run.store))
    if sitting.answered and status not in {"running", "finished"}:
        screen.line(f"Let the run use them with: {place.command(f'resume {run.id}')}")


@dataclass(slots=True)
class Sitting:
    """One person's time at the inbox."""

    inbox: Inbox
    screen: Screen
    who: str = field(kw_only=True)
    answered: int = 0
    skipped: int = 0
    history: list[str] = field(default_factory=list)

    def work(self, read_key: ReadKey) -> None:
        """Ask until nothing is open, the person quits, or the input ends."""
        again: Question | None = None
        while True:
            claimed = [again] if again else self.inbox.claim(self.who)
            again = None
            if not claimed:
                self.screen.line("No questions are open for you.")
                return
            key = self._ask(claimed[0], read_key)
            if key in {"q", END}:
                return
            if key == "u":
                again = self._undo() or claimed[0]

    def _ask(self, question: Question, read_key: ReadKey) -> str:
        """Show a question until it is dealt with; return the key that did it."""
        labels = _labels(question)
        if len(labels) > len(KEYS):
            raise InvalidInput(
                f"There are {len(labels)} labels, but only {len(KEYS)} keys. Export the questions "
                "and answer them elsewhere, or split the task into groups of labels."
            )
        self._show(question, labels)
        while True:
            key = read_key()
            place = KEYS.find(key) if key else -1
            if 0 <= place < len(labels):
                self._close(question, labels[place][0])
                return key
            if key == "s":
                self._close(question, None)
                return key
            if key in {"q", "u", END}:
                return key
            if key == "m":
                self.screen.line(f"  {_guess(question)}", style="yellow")
            elif key == "?":
                self.screen.line(MORE_HELP)
            elif not key.isspace():
                self.screen.line(f"  {HELP}", style="dim")

    def _show(self, question: Question, labels: Sequence[tuple[str, str]]) -> None:
        fields = question.payload.get("fields")
        texts = fields if isinstance(fields, Mapping) else {}
        left = self.inbox.counts().get("open", 0)
        self.screen.line()
        self.screen.line(f"{left:,} open; asked because: {question.reason}", style="dim")
        for name, text in texts.items():
            prefix = f"{name}: " if len(texts) > 1 else ""
            self.screen.line(f"{prefix}{text}", style="bold")
        for key, (label, words) in zip(KEYS, labels, strict=False):
            self.screen.line(f"  {key}  {label}" + (f": {words}" if words else ""))
        self.screen.line(f"  {HELP}", style="dim")

    def _close(self, question: Question, label: str | None) -> None:
        try:
            if label is None:
                self.inbox.skip(question.id, who=self.who)
            else:
                self.inbox.answer(question.id, Choice(label), who=self.who)
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


def _labels(question: Question) -> list[tuple[str, str]]:
    given = question.payload.get("labels")
    if not isinstance(given, list) or not given:
        raise InvalidInput(
            f"Question {question.id} does not want one of several labels; it cannot be answered "
            "here."
        )
    return [(str(name), str(words)) for name, words in given]


def _guess(question: Question) -> str:
    guess, sure = question.payload.get("model_says"), question.payload.get("p_correct")
    if guess is None:
        return "The model has no opinion to show on this one."
    how = f" ({100 * sure:.0f} % sure)" if isinstance(sure, int | float) else ""
    return f"The model says {guess}{how}."
