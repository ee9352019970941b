"""How the arguments of slash commands are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from querist.memory.errors import InvalidInput
from querist.tools.calls import split_outside

JOB_VERBS = ("pause", "resume", "cancel")
_QUOTES = {'"': '"', "“": "”", "„": "“"}


@dataclass(frozen=True, slots=True)
class Words:
    """What stands behind a command's name."""

    text: str

    @property
    def parts(self) -> list[str]:
        """The words; what stands in double quotation marks is one. An apostrophe is a letter."""
        found: list[str] = []
        word, until, is_open = "", "", False
        for letter in self.text:
            if until:
                word, until = (word, "") if letter == until else (word + letter, until)
            elif letter in _QUOTES and not word:
                until, is_open = _QUOTES[letter], True
            elif letter.isspace():
                found += [word] if word or is_open else []
                word, is_open = "", False
            else:
                word += letter
        if until:
            raise InvalidInput("a quotation mark is not closed")
        return [*found, word] if word or is_open else found


def nothing(said: Words) -> dict[str, Any]:
    """Take no arguments."""
    if said.text:
        raise InvalidInput(f"it takes nothing, and {said.text!r} was said")
    return {}


def item(said: Words) -> dict[str, Any]:
    """Take an item; `this` without one."""
    parts = said.parts or ["this"]
    if len(parts) > 1:
        raise InvalidInput("it takes one item")
    return {"item": parts[0]}


def items(said: Words) -> dict[str, Any]:
    """Take items; `this` without any."""
    return {"examples": said.parts or ["this"]}


def like(said: Words) -> dict[str, Any]:
    """Take an item, or a text in quotation marks or of several words."""
    parts = said.parts or ["this"]
    is_text = len(parts) > 1 or said.text[:1] in _QUOTES
    return {"item": " ".join(parts), "is_text": is_text}


def maybe_round(said: Words) -> dict[str, Any]:
    """Take a round, or none."""
    return {"round": _whole(said.text)} if said.text else {}


def maybe_name(said: Words) -> dict[str, Any]:
    """Take a command's name, or none."""
    return {"name": said.text.removeprefix("/")} if said.text else {}


def budget(said: Words) -> dict[str, Any]:
    """Take an amount."""
    amount = said.text.upper().removesuffix("USD").strip()
    return {"usd": _some(amount, "an amount")}


def rounds(said: Words) -> dict[str, Any]:
    """Take a number of rounds."""
    return {"rounds": _whole(_some(said.text, "a number"))}


def strategy(said: Words) -> dict[str, Any]:
    """Take a strategy, with its parameters."""
    return {"name": _some(said.text, "a strategy")}


def strategies(said: Words) -> dict[str, Any]:
    """Take strategies, with commas between them, and how many texts each is to choose."""
    text, count = said.text, None
    before, _, last = text.rpartition(" ")
    if last.isdecimal():
        text, count = before.rstrip().removesuffix(","), int(last)
    named = [name.strip() for name in split_outside(_some(text, "a strategy"), ",")]
    return {"strategies": [name for name in named if name], "count": count}


def maybe_round_size(said: Words) -> dict[str, Any]:
    """Take how many texts a round has and how many of them people are asked about, or neither."""
    found = [_whole(part) for part in said.parts]
    if len(found) > 2 or any(number < 0 for number in found):
        raise InvalidInput("it takes two numbers at most")
    return dict(zip(("batch", "questions"), found, strict=False))


def guideline(said: Words) -> dict[str, Any]:
    """Take a text, or the number of a guideline to take back, or nothing."""
    first, _, rest = said.text.partition(" ")
    if first.casefold() == "remove" and rest.strip().isdecimal():
        return {"remove": int(rest)}
    return {"text": said.text} if said.text else {}


def relabel(said: Words) -> dict[str, Any]:
    """Take items, or a label, or a round."""
    parts = said.parts
    match parts:
        case ["label", name]:
            return {"label": name}
        case ["round", number]:
            return {"round": _whole(number)}
        case ["label" | "round", *_]:
            raise InvalidInput(f"name one {parts[0]} (in quotation marks if it has blanks)")
    return {"examples": parts or ["this"]}


def label(said: Words) -> dict[str, Any]:
    """Take what to do with which labels."""
    match said.parts:
        case ["add", name, *meaning]:
            return {"do": "add", "name": name, "description": " ".join(meaning)}
        case ["rename", old, new] | ["rename", old, "to" | "->", new]:
            return {"do": "rename", "old": old, "new": new}
        case ["merge", *old, "into", into] if len({*old, into}) > 1:
            return {"do": "merge", "old": old, "into": into}
    raise InvalidInput("say add, rename or merge, with names (in quotation marks if with blanks)")


def job(said: Words) -> dict[str, Any]:
    """Take a job, and what to do with it."""
    match said.parts:
        case []:
            return {}
        case [verb, name] if verb in JOB_VERBS:
            return {"do": verb, "job": name}
        case [name] if name not in JOB_VERBS:
            return {"job": name}
    raise InvalidInput("name a job")


def _some(text: str, what: str) -> str:
    if not text:
        raise InvalidInput(f"{what} is missing")
    return text


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a whole number") from error
