"""A slash command from the line that somebody types to what they are answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from querist.app.chat.parts import Here, Look
from querist.app.chat.slash import Parsed, parse
from querist.app.chat.talk import Talk
from querist.memory.errors import InvalidInput, QueristError
from querist.memory.store import Store
from querist.memory.workspace.chat import Message, Proposal
from querist.memory.workspace.people import Role

SUPERVISOR = "querist"
"""Who answers where no model does."""


def perform(
    store: Store, run_id: str, text: str, *, who: str, role: Role, here: Here
) -> list[Message]:
    """Answer a slash command, or propose what it would change; both are kept in the chat.

    Gives the two messages, what was typed and the answer. Nothing is changed: an open proposal
    needs `Talk.decide`. What is wrong with a command is its answer, never an error.
    """
    talk = Talk(store, run_id)
    asked = talk.say(who, text)
    try:
        answer = act(talk, store, parse(text), role, here)
    except QueristError as error:
        answer = talk.say(SUPERVISOR, _sentence(str(error)), "tool")
    return [asked, answer]


def act(
    talk: Talk, store: Store, parsed: Parsed, role: Role, here: Here, *, said: str = ""
) -> Message:
    """Do what a parsed command says, and keep the answer; `said` goes before it."""
    if parsed.slash.needs(parsed.arguments) == "owner" and role != "owner":
        words = f"/{parsed.slash.name} changes the run, and only its owner may: you are {role}."
        return talk.say(SUPERVISOR, words, "tool")
    outcome = parsed.act(Look(store, talk.run), replace(here, is_blind=role != "owner"))
    words = outcome.words if isinstance(outcome, Proposal) else outcome.text
    before = f"{said}\n" if said else ""
    return talk.say(SUPERVISOR, f"{before}{words}", "tool", outcome=outcome)


def revise(store: Store, run_id: str, offer: Message, text: str) -> Mapping[str, Any]:
    """Read an edited slash command as the arguments that an open proposal gets instead of its own.

    Raises `InvalidInput` where it cannot be read, or is another command than was proposed.
    """
    line = text.strip()
    outcome = parse(line if line.startswith("/") else f"/{line}").act(Look(store, run_id), Here())
    before = offer.proposal
    if not isinstance(outcome, Proposal) or before is None or outcome.command != before.command:
        raise InvalidInput("an edit keeps the command; reject it, and say the other one")
    return outcome.arguments


def _sentence(words: str) -> str:
    """Begin with a capital letter and end with a full stop."""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '?', '!')) else '.'}"
