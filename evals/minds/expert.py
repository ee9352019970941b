"""A scripted expert: a mind that tries its options with its tools and takes the best, no model.

It speaks as a capable model does, through the same agent, tools, checks and ledger, so what it
gains over the rules is what looking before leaping is worth here. What it goes by: ask people as
long as the money lasts, shared out evenly over the rounds; the way of asking that is right most
often on what people labelled; the threshold that lets few mistakes through; of the strategies, the
one whose batch the model is expected to label most evenly.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from querist.agents.models.port import ChatReply, ChatRequest, ToolUse, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.agents.selector.rules import MIXED, TYPICAL

NAME = "openai:scripted-expert"
"""A provider's name, so that whatever asks for it takes it for a model that takes tools."""

PRICE = {"input": 0.25, "output": 2.0}
"""USD a million tokens, as a small model of a provider costs: its deliberations take of a budget
what they would."""

_Call = tuple[str, Mapping[str, Any]]
_RULE = ""
"""Stands for the ruling among the functions that may be called."""
_BALANCED = (MIXED, TYPICAL, "margin")
_WAYS = ((8, 0), (0, 8), (0, 0))
_TRIED = 20
_THRESHOLDS = (0.6, 0.7, 0.8, 0.9, 0.95)
_GOOD = 0.7
"""Where nothing was measured and the annotator is good."""
_EARLY = ("That is few labels a class", "which is most of them", "There is no trained model")
"""What speaks for typical texts."""
_ENOUGH = {
    "does not pay for labels of a full batch": "The money does not pay for a full batch.",
    "The curve has levelled off": "The curve has levelled off, so more labels gain little.",
}
"""What speaks for stopping."""
_MOST_WRONG = 0.1
"""Of what a threshold lets through."""


def model() -> ScriptedModel:
    """Give the mind as a model."""
    return ScriptedModel(_answer, name=NAME)


def _answer(request: ChatRequest) -> ChatReply:
    """Make the next call: try the options, then rule."""
    page = next(message.content for message in request.messages if message.role == "user")
    told = [message.content for message in request.messages if message.role == "tool"]
    ruling = request.tools[-1]
    bounds = ruling.parameters["properties"]
    make, offered = _BY_RULING[ruling.name], {offer.name for offer in request.tools}
    name, arguments = make(page, told, bounds)
    results = told
    while name and name not in offered:  # it must do without
        results = [*results, ""]
        name, arguments = make(page, results, bounds)
    name = name or ruling.name
    use = ToolUse(f"call-{len(told)}", name, json.dumps(dict(arguments)))
    length = sum(len(turn.content) for turn in request.messages)
    return ChatReply("", Usage(length // 4, 60), uses=(use,))


def _plan(page: str, told: list[str], bounds: Mapping[str, Any]) -> _Call:
    """Share the money for people out over the rounds that are left; stop on a flat curve."""
    batch, most = bounds["batch"]["maximum"], bounds["questions"]["maximum"]
    if reason := next((why for words, why in _ENOUGH.items() if words in page), ""):
        return _RULE, {"action": "finish", "batch": batch, "questions": 0, "reason": reason}
    if not told:
        return "what_would_a_round_cost", {"batch": batch, "questions": most}
    pays = _figure(r"pay for ([\d,]+) answers?", page, most)
    last = _figure(r"At most (\d+) rounds", page, 0)
    left = max(1, last - _figure(r"next is round (\d+)", page, 0))
    # Half of it at once: early answers teach more, and what is not asked is not lost.
    questions = min(most, max(math.ceil(pays / left), pays // 2))
    reason = "People's answers are shared out over the rounds that are left, the early ones first."
    return _RULE, {"action": "select", "batch": batch, "questions": questions, "reason": reason}


def _selection(page: str, told: list[str], bounds: Mapping[str, Any]) -> _Call:
    """Take the strategy whose batch is expected to be labelled most evenly; typical ones early."""
    count = min(_figure(r"the round may take (\d+)", page, 1), bounds["count"]["maximum"])
    if any(words in page for words in _EARLY):
        reason = "Few labels a class, or most of one class: typical texts teach most."
        return _RULE, {"strategy": TYPICAL, "count": count, "reason": reason}
    if not told:
        return "try_strategies", {"strategies": list(_BALANCED), "count": count}
    best = max(_BALANCED, key=lambda name: _evenness(_row_of(name, told[-1])))
    reason = "Of the batches that were tried, this one is expected to have its labels spread most "
    return _RULE, {"strategy": best, "count": count, "reason": reason + "evenly."}


def _annotating(page: str, told: list[str], bounds: Mapping[str, Any]) -> _Call:
    """Try three ways of asking on what people labelled; take the one that is right most often."""
    bank = _figure(r"together are at most (\d+)", page, 0)
    ways = [(min(shared, bank), min(nearest, bank)) for shared, nearest in _WAYS]
    if len(told) < len(ways):
        shared, nearest = ways[len(told)]
        return "try_prompt", {"shared": shared, "nearest": nearest, "count": _TRIED}
    right = [_figure(r"(\d+) of \d+ right", words, 0) for words in told]
    return _RULE, _asked(ways[right.index(max(right[: len(ways)]))], page, bounds)


def _asked(way: tuple[int, int], page: str, bounds: Mapping[str, Any]) -> dict[str, Any]:
    votes = 1 if "one vote is enough" in page else bounds["votes"]["maximum"]
    return {
        "votes": votes,
        "shared": way[0],
        "nearest": way[1],
        "calibrate": bounds["calibrate"]["enum"][0],
        "reason": "Of the ways that were tried on people's labels this was right most often.",
    }


def _verification(page: str, told: list[str], bounds: Mapping[str, Any]) -> _Call:
    """Take the lowest threshold that lets few mistakes through; ask whatever may be asked."""
    if not told:
        return "try_thresholds", {"accept_at": list(_THRESHOLDS)}
    wrong = {value: _wrong(_row_of(f"{value:g}", told[-1])) for value in _THRESHOLDS}
    few = [value for value, share in wrong.items() if share is not None and share <= _MOST_WRONG]
    unknown = _GOOD if "a good annotator" in page else _THRESHOLDS[-1]
    return _RULE, _held(few[0] if few else unknown, bounds)


def _held(accept: float, bounds: Mapping[str, Any]) -> dict[str, Any]:
    drop = bounds["drop_below"]["maximum"] / 2
    return {
        "accept_at": accept,
        "reannotate_below": min(drop, bounds["reannotate_below"]["maximum"]),
        "drop_below": drop,
        "questions": bounds["questions"]["maximum"],
        "reason": "The lowest threshold that lets few mistakes through on what people labelled.",
    }


def _generation(page: str, _: list[str], bounds: Mapping[str, Any]) -> _Call:
    """Write of the thinnest class alone."""
    most = _figure(r"At most (\d+) texts may be written", page, 1)
    thinnest = next(iter(re.findall(r"<<<(.+?)>>>", page)), "")
    names = list(bounds["targets"]["properties"])
    name = thinnest if thinnest in names else names[0]
    reason = "All texts are for the class that has the fewest labels."
    method = {"method": bounds["method"]["enum"][0]} if "method" in bounds else {}
    return _RULE, {"targets": {name: most}, "duplicate_at": 0.9, "reason": reason, **method}


_BY_RULING: Mapping[str, Callable[[str, list[str], Mapping[str, Any]], _Call]] = {
    "Plan": _plan,
    "Selection": _selection,
    "Annotating": _annotating,
    "Verification": _verification,
    "Generation": _generation,
}


def _figure(pattern: str, text: str, default: int) -> int:
    found = re.search(pattern, text)
    return int(found.group(1).replace(",", "")) if found else default


def _row_of(name: str, told: str) -> list[str]:
    """Give the cells of the row of a table that begins with a name; [] where there is none."""
    for line in told.splitlines():
        cells = [cell.strip() for cell in re.split(r"\s{2,}|\|", line.strip().strip("|"))]
        if cells and cells[0] == name:
            return cells
    return []


def _evenness(cells: list[str]) -> float:
    """Entropy of the labels that a batch is expected to have, in nats; 0 where it is unknown."""
    counts = [int(count) for count in re.findall(r">>> (\d+)", cells[-1] if cells else "")]
    total = sum(counts)
    return -sum(n / total * math.log(n / total) for n in counts if n) if total else 0.0


def _wrong(cells: list[str]) -> float | None:
    """The share of mistakes among what a threshold let through; None where it let none through."""
    found = re.search(r"\((\d+)%\)", " ".join(cells))
    return int(found.group(1)) / 100 if found else None
