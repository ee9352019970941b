"""Let a language model pick numbers from a list: shuffle, ask, read, repair once, fall back.

Numbers are shown in a seeded random order, because models prefer what stands at the beginning and
the end. What a reply lacks after one repair is chosen at random and counted: never "the first".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from querist.agents.models.port import ChatReply, ChatRequest
from querist.agents.models.reading import read_object
from querist.agents.prompts.selection import PickPrompt, repair
from querist.agents.selector.advice.advisor import Advisor, Reply

Fallback = Callable[[int, Sequence[int], int], Sequence[int]]
"""Which menu, its positions that are still free, how many: returns so many of the positions."""

_LIST = re.compile(r"\[[^\[\]]*\]")
_MARKER = re.compile(
    r"\b(?:final|answer|answers|ids|pick|picks|choose|choice|select|selection|selected)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Menu:
    """Texts to choose from, quoted already, and how to ask."""

    texts: Sequence[str]
    prompt: PickPrompt
    barred: frozenset[int] = frozenset()
    """Positions that are shown and must not be picked."""
    shuffle: bool = True


@dataclass(slots=True)
class Picks:
    """What was picked of each menu, as positions in its texts, best first."""

    positions: list[list[int]] = field(default_factory=list)
    n_repaired: int = 0
    n_fallback: int = 0
    places: Counter[int] = field(default_factory=Counter)
    """How often each place in the order shown was picked by the model: its position bias."""

    def diagnostics(self) -> dict[str, Any]:
        """Give the counts a strategy reports."""
        return {
            "n_repaired": self.n_repaired,
            "n_fallback": self.n_fallback,
            "places": dict(sorted(self.places.items())),
        }


def pick(
    menus: Sequence[Menu],
    *,
    advisor: Advisor,
    rng: np.random.Generator,
    fallback: Fallback | None = None,
) -> Picks:
    """Pick from every menu; all first calls go together, and so do all repairs.

    Each menu gives min(want, what may be picked of it) different positions.
    """
    done = Picks()
    tables = [_Table(menu, rng) for menu in menus]
    requests = [table.request for table in tables]
    for table, reply in zip(tables, advisor.ask(requests), strict=True):
        table.take(reply)
    short = [table for table in tables if table.missing and table.was_answered]
    repairs = [table.repair() for table in short]
    done.n_repaired = len(repairs)
    for table, reply in zip(short, advisor.ask(repairs), strict=True):
        table.take(reply)
    draw = fallback or (lambda _, free, count: list(rng.permutation(free)[:count]))
    for index, table in enumerate(tables):
        picked = [table.order[number - 1] for number in table.accepted]
        done.places.update(table.accepted)
        if table.missing:
            free = [position for position in table.open if position not in picked]
            filled = [int(position) for position in draw(index, free, table.missing)]
            done.n_fallback += len(filled)
            picked += filled
        done.positions.append(picked)
    return done


class _Table:
    """One menu on its way through the protocol."""

    def __init__(self, menu: Menu, rng: np.random.Generator) -> None:
        size = len(menu.texts)
        self.menu = menu
        self.order = [
            int(position) for position in (rng.permutation(size) if menu.shuffle else range(size))
        ]
        self.open = [position for position in range(size) if position not in menu.barred]
        self.want = min(menu.prompt.want, len(self.open))
        self.accepted: list[int] = []
        self.was_answered = False
        self.request: ChatRequest = menu.prompt.request(
            [menu.texts[position] for position in self.order]
        )
        self._said = ""

    @property
    def missing(self) -> int:
        return self.want - len(self.accepted)

    def take(self, reply: Reply) -> None:
        self.was_answered = isinstance(reply, ChatReply)
        if not isinstance(reply, ChatReply):
            return
        self._said = reply.text
        for number in read_numbers(reply.text, most=len(self.order)):
            is_open = self.order[number - 1] not in self.menu.barred
            if is_open and number not in self.accepted and self.missing:
                self.accepted.append(number)

    def repair(self) -> ChatRequest:
        return repair(self.request, self._said, accepted=self.accepted, want=self.want)


def read_numbers(text: str, *, most: int) -> list[int]:
    """Find the chosen numbers in a reply: different ones between 1 and `most`, in their order.

    A JSON list counts first (bare, or in an object, under `ids` if there is such a key); then the
    last bracketed list; then the integers after the last word that announces a choice; then those
    of the last line.
    """
    found = _from_json(text)
    if found is None:
        found = _from_brackets(text)
    if found is None:
        found = _from_words(text)
    return list(dict.fromkeys(number for number in found if 1 <= number <= most))


def _from_json(text: str) -> list[int] | None:
    body = read_object(text)
    if body is not None:
        return _numbers(body)
    start, end = text.find("["), text.rfind("]")
    try:
        return _numbers(json.loads(text[start : end + 1])) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None


def _numbers(value: Any) -> list[int] | None:
    """Find a list of numbers in a JSON value."""
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        value = value.get("ids", lists[-1] if lists else None)
    if not isinstance(value, list):
        return None
    numbers = [_integer(item) for item in value]
    return [number for number in numbers if number is not None]


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value):
        return int(value)
    return None


def _from_brackets(text: str) -> list[int] | None:
    for found in reversed(_LIST.findall(text)):
        numbers = [int(digits) for digits in re.findall(r"\d{1,9}", found)]
        if numbers:
            return numbers
    return None


def _from_words(text: str) -> list[int]:
    markers = list(_MARKER.finditer(text))
    lines = text.strip().splitlines() or [""]
    tail = text[markers[-1].end() :] if markers else lines[-1]
    if not re.search(r"\d", tail):
        tail = lines[-1]
    return [int(digits) for digits in re.findall(r"(?<![\d.])\d{1,9}(?![\d])", tail)]
