"""Slash commands: what each is called, takes, needs and does. They work without any model.

A command is read without looking at a run (`parse`), and completed with what a run has
(`complete`). One that reads gives a `Reply`; one that changes something gives a `Proposal`, which
does nothing until a person approves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from querist.app.chat import words
from querist.app.chat.changing import PROPOSERS
from querist.app.chat.parts import Here, Look, Outcome, Reply
from querist.app.chat.reading import READERS
from querist.memory.errors import InvalidInput
from querist.memory.store import Store
from querist.memory.workspace.chat import Table
from querist.memory.workspace.people import Role
from querist.tools.strategies import STRATEGIES
from querist.tools.wording import suggest

_MOST_COMPLETIONS = 20

_Source = Literal["item", "label", "round", "strategy", "job", "command", ""]


@dataclass(frozen=True, slots=True)
class Slash:
    """A slash command."""

    name: str
    usage: str
    """Its arguments, as people write them."""
    help: str
    read: Callable[[words.Words], dict[str, Any]]
    """Makes arguments of what stands behind the name; raises `InvalidInput`."""
    takes: _Source = ""
    """What its first argument names."""
    fixed: tuple[str, ...] = ()
    """Words that may stand there instead."""
    always_changes: bool = False

    def needs(self, arguments: Mapping[str, Any]) -> Role:
        """Tell who may give it at least."""
        return "owner" if self.changes(arguments) else "viewer"

    def changes(self, arguments: Mapping[str, Any]) -> bool:
        """Tell whether it would change something, which only an owner may."""
        return self.always_changes or (
            self.name in _SOMETIMES and any(arguments.get(key) for key in _SOMETIMES[self.name])
        )


_SOMETIMES = {"guideline": ("text", "remove"), "job": ("do",)}
"""Commands that read or change, and the arguments that make them change something."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A slash command with its arguments."""

    slash: Slash
    arguments: Mapping[str, Any]

    @property
    def changes(self) -> bool:
        """Whether it would change something."""
        return self.slash.changes(self.arguments)

    def act(self, look: Look, here: Here) -> Outcome:
        """Read the answer, or make the proposal; raises `InvalidInput`."""
        name = self.slash.name
        if name == "help":
            return _help(self.arguments.get("name"))
        source = PROPOSERS if self.changes or name not in READERS else READERS
        return source[name](look, here, self.arguments)


_ALL = (
    Slash("status", "", "where the run stands", words.nothing),
    Slash("why", "ITEM", "where an item's label comes from", words.item, takes="item"),
    Slash("spend", "", "what was spent on what", words.nothing),
    Slash("curve", "", "what each round led to", words.nothing),
    Slash("questions", "", "what people are asked", words.nothing),
    Slash("decisions", "[ROUND]", "what agents decided, and why", words.maybe_round, takes="round"),
    Slash("lessons", "", "what is known from earlier rounds and runs", words.nothing),
    Slash("like", 'ITEM | "TEXT"', "the items that are most alike", words.like, takes="item"),
    Slash(
        "try",
        "STRATEGY, STRATEGY ... [COUNT]",
        "what strategies would choose now, side by side; nothing changes",
        words.strategies,
        takes="strategy",
    ),
    Slash(
        "cost",
        "[TEXTS [QUESTIONS]]",
        "what a round would cost and leave, and what rounds gained before",
        words.maybe_round_size,
    ),
    Slash("pause", "", "pause at the next step", words.nothing, always_changes=True),
    Slash("resume", "", "go on", words.nothing, always_changes=True),
    Slash("stop", "", "end the run", words.nothing, always_changes=True),
    Slash("proceed", "", "go on without missing answers", words.nothing, always_changes=True),
    Slash("budget", "USD", "change the budget", words.budget, always_changes=True),
    Slash("rounds", "N", "change how many rounds there are", words.rounds, always_changes=True),
    Slash(
        "strategy",
        "NAME",
        "select by another strategy",
        words.strategy,
        takes="strategy",
        always_changes=True,
    ),
    Slash(
        "guideline",
        "[TEXT | remove N]",
        "tell annotators something, take it back, or list what they are told",
        words.guideline,
        fixed=("remove",),
    ),
    Slash(
        "relabel",
        "ITEM ... | label NAME | round N",
        "have machines' answers given anew",
        words.relabel,
        takes="item",
        fixed=("label", "round"),
        always_changes=True,
    ),
    Slash(
        "label",
        "add NAME [MEANING] | rename OLD NEW | merge A B ... into C",
        "change the labels",
        words.label,
        fixed=("add", "rename", "merge"),
        always_changes=True,
    ),
    Slash(
        "ask", "ITEM ...", "put items to people now", words.items, takes="item", always_changes=True
    ),
    Slash(
        "job",
        "[JOB | pause JOB | resume JOB | cancel JOB]",
        "see jobs, or steer one",
        words.job,
        takes="job",
        fixed=words.JOB_VERBS,
    ),
    Slash("help", "[COMMAND]", "what there is", words.maybe_name, takes="command"),
)
SLASHES: Mapping[str, Slash] = {slash.name: slash for slash in _ALL}
"""Every slash command by its name."""


def parse(text: str) -> Parsed:
    """Read a slash command; raises `InvalidInput` with what is wrong and how it is written."""
    line = text.strip()
    if not line.startswith("/"):
        raise InvalidInput("a command begins with /; see /help")
    name, _, rest = line[1:].partition(" ")
    slash = SLASHES.get(name.casefold())
    if slash is None:
        raise InvalidInput(f"there is no /{name}.{suggest(name, SLASHES)} See /help")
    try:
        return Parsed(slash, slash.read(words.Words(rest.strip())))
    except InvalidInput as error:
        written = f"/{slash.name} {slash.usage}".strip()
        raise InvalidInput(f"{error}; it is written {written}") from None


def complete(prefix: str, store: Store, run: str) -> list[str]:
    """Complete the last word of what was typed: whole lines that could be meant, at most 20."""
    if not prefix.startswith("/"):
        return []
    name, blank, rest = prefix[1:].partition(" ")
    if not blank:
        return [f"/{known}" for known in SLASHES if known.startswith(name)]
    slash = SLASHES.get(name)
    if slash is None:
        return []
    before, _, last = rest.rpartition(" ")
    found = _values(Look(store, run), slash, before.split(), last)
    start = f"/{name} {before} " if before else f"/{name} "
    return [start + _written(value) for value in found if value.startswith(last)][
        :_MOST_COMPLETIONS
    ]


def _values(look: Look, slash: Slash, before: Sequence[str], last: str) -> list[str]:
    """Give what may come next."""
    takes: _Source = slash.takes
    fixed: Sequence[str] = () if before else slash.fixed
    if before and before[0] == "label":
        takes = "label"
    elif before and before[0] == "round":
        takes = "round"
    elif slash.name == "label":
        takes = "label" if before and before[0] != "add" else ""
    elif before and slash.name not in ("ask", "relabel", "job"):
        takes = ""
    return [*fixed, *_named(look, takes, last)]


def _named(look: Look, takes: _Source, last: str) -> list[str]:
    match takes:
        case "item":
            return list(look.pool.beginning(last, most=_MOST_COMPLETIONS))
        case "label":
            return list(look.task.names)
        case "round":
            return [str(done.number) for done in look.journal.rounds()]
        case "strategy":
            return ["auto", *(entry.name for entry in STRATEGIES.entries())]
        case "job":
            from querist.memory.workspace.jobs import Jobs

            return [job.id for job in Jobs(look.store).all()]
        case "command":
            return list(SLASHES)
    return []


def _written(value: str) -> str:
    return f'"{value}"' if " " in value else value


def _help(name: str | None) -> Reply:
    if name is not None:
        slash = SLASHES.get(str(name).removeprefix("/"))
        if slash is None:
            raise InvalidInput(f"there is no /{name}.{suggest(str(name), SLASHES)} See /help")
        asks = " It asks before it changes anything." if slash.always_changes else ""
        return Reply(f"/{slash.name} {slash.usage}: {slash.help}.{asks}")
    rows = tuple((f"/{slash.name}", slash.usage, slash.help) for slash in _ALL)
    text = "Commands that change something ask first. An item is named by its id or its beginning."
    return Reply(text, table=Table(("command", "with", "for"), rows))
