"""Look at a model before it is relied on: what it takes, what it tells, how fast it is.

A handful of small questions with known answers, each through the metered port like any other call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from querist.agents.models.metered import MeteredModel, MeteredReply
from querist.agents.models.port import ChatRequest, Message
from querist.agents.models.structured import parse
from querist.memory.errors import QueristError

State = Literal["good", "fair", "bad"]
_COLOURS = ("red", "green", "blue")
_QUESTIONS = {
    "Fresh grass in spring": "green",
    "Blood": "red",
    "The sky on a clear day": "blue",
    "A leaf in June": "green",
    "A ripe tomato": "red",
    "The open sea on a map": "blue",
    "A cucumber": "green",
    "A fire engine": "red",
}
_RULES = "Which colour does each thing have? Labels: red, green, blue. Answer with one label."


class _Dated(BaseModel):
    city: str
    year: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    words: str


async def examine(model: MeteredModel) -> list[Finding]:
    """Ask a model a few questions; an error that stops the look is a finding, too."""
    try:
        began = time.monotonic()
        first = await model.complete(_question("Fresh grass in spring"))
        waited = time.monotonic() - began
        others = [_question(thing) for thing in list(_QUESTIONS)[1:]]
        began = time.monotonic()
        replies = await model.complete_all(others)
        rate = len(others) / (time.monotonic() - began)
    except QueristError as error:
        return [Finding("answers", "bad", str(error))]
    paid = [first, *(reply for reply in replies if isinstance(reply, MeteredReply))]
    findings = [*_about_replies(paid), *_about_options(model), *_about_bills(paid)]
    findings.append(await _structured(model))
    speed = f"{waited:.1f} s for the first answer, then {rate:.1f} a second"
    findings.append(Finding("speed", "good" if rate > 0.5 else "fair", speed))
    return findings


def _question(thing: str) -> ChatRequest:
    messages = (Message("system", _RULES), Message("user", f"Thing: {thing}"))
    return ChatRequest(messages, max_tokens=32, choices=_COLOURS)


def _about_replies(paid: Sequence[MeteredReply]) -> Iterator[Finding]:
    replies = [metered.reply for metered in paid]
    read = [reply for reply in replies if reply.text in _COLOURS]
    right = sum(
        reply.text == colour for reply, colour in zip(replies, _QUESTIONS.values(), strict=False)
    )
    total = len(_QUESTIONS)
    if len(read) < total / 2:
        lost = next(reply for reply in replies if reply.text not in _COLOURS)
        why = {
            "length": "it was cut off before an answer: allow for more (models.thinking=8000)",
            "refused": f"it was refused: {lost.note}",
        }.get(lost.finish, "no label could be read in it")
        shown = lost.text[:120] or "nothing"
        words = f"{len(read)} of {total} replies could be read. One was {shown!r}: {why}"
        yield Finding("answers", "bad", words)
        return
    words = f"{len(read)} of {total} replies could be read, {right} of them are right"
    yield Finding("answers", "good" if right >= total - 2 else "fair", words)
    sure = [reply for reply in read if reply.probabilities]
    if sure:
        yield Finding("confidence", "good", "from log-probabilities")
    else:
        words = "no log-probabilities: three samples an example show how sure it is"
        yield Finding("confidence", "fair", words)


def _about_options(model: MeteredModel) -> Iterator[Finding]:
    dialect = getattr(model.model, "dialect", None)
    if dialect is not None:
        lessons = "; ".join(dialect.lessons)
        state: State = "fair" if lessons else "good"
        yield Finding("options", state, lessons or "it takes all that Querist sends")
        forms = {"json_schema": "held to a JSON schema", "json_object": "asked for as JSON"}
        words = forms.get(dialect.options.form, "asked for in words and read leniently")
        yield Finding("form", "good" if dialect.options.form == "json_schema" else "fair", words)
    room = getattr(model.model, "room", None)
    if room is not None:
        thinks = f"up to {room.tokens:,} tokens of thoughts a reply are allowed and reserved"
        seen = "it thinks aloud, within its answer" if room.is_seen else "none that was seen"
        yield Finding("thinking", "good", thinks if room.tokens else seen)
    header = getattr(model.model, "header", None)
    if header is not None:
        words = "its own chat template" if header.template else "plain text (a base model)"
        yield Finding("form", "good", words)


def _about_bills(paid: Sequence[MeteredReply]) -> Iterator[Finding]:
    usages = [metered.reply.usage for metered in paid]
    tokens = f"{sum(u.input_tokens for u in usages):,} tokens in, "
    tokens += f"{sum(u.output_tokens for u in usages):,} out"
    if any(usage.estimated for usage in usages):
        words = "not told, or not readable: every call is charged at the most it can have cost"
        yield Finding("usage", "fair", words)
    else:
        yield Finding("usage", "good", f"told with each reply ({tokens} so far)")


async def _structured(model: MeteredModel) -> Finding:
    asked = "Name the city and the year of the first modern Olympic Games."
    request = ChatRequest(
        (Message("system", "Reply with JSON only."), Message("user", asked)),
        max_tokens=64,
        schema=_Dated.model_json_schema(),
    )
    try:
        metered = await asyncio.wait_for(model.complete(request), timeout=120)
        parse(_Dated, metered.reply.text)
    except (QueristError, ValueError, TimeoutError) as error:
        words = f"it does not keep to a JSON schema ({str(error)[:120]}): agents decide by rules"
        return Finding("structured output", "fair", words)
    return Finding("structured output", "good", "it keeps to a JSON schema")
