"""One step of a mind: the function that it calls next, in the form that its model can speak.

`tools`: the provider's own tool calls. `steps`: the tool is chosen among their names, then its
arguments are written to its JSON schema. `page`: nothing to choose but the ruling.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from querist.agents.deliberation.allowance import Account
from querist.agents.mind import DeliberationFailed
from querist.agents.models.port import (
    ChatModel,
    ChatReply,
    ChatRequest,
    Message,
    ToolOffer,
    ToolUse,
    takes_tools,
)
from querist.agents.models.reading import read_object

Speech = Literal["tools", "steps", "page"]
_MOST_TOKENS = 700
"""Of one reply: a ruling with its reason, or a few calls."""
_MOST_USES = 4
_MOST_ASKED = 2
"""How often a tool with arguments is offered to a model that chooses among names."""
_LONGEST_ARGUMENTS = 4_000
"""Characters; a ruling or a question that is longer is no honest one."""


def speech_of(model: ChatModel) -> Speech:
    """Tell which way of speaking a model bears, before anything was tried on it."""
    if takes_tools(model):
        return "tools"
    header = getattr(model, "header", None)
    is_base_model = header is not None and not header.template
    return "page" if is_base_model else "steps"


def is_narrow(model: ChatModel, speech: Speech) -> bool:
    """Tell whether a model is asked for the usual values alone, with a short reason.

    Embedded models are: they are small, and one of 1.5B goes on in a free field until it is cut
    off, or names strategies that there are not.
    """
    return speech == "page" or getattr(model, "header", None) is not None


async def next_uses(
    messages: Sequence[Message], offers: Sequence[ToolOffer], *, account: Account, speech: Speech
) -> tuple[str, tuple[ToolUse, ...]]:
    """Ask what to call next; the last offer is the ruling. Raises `DeliberationFailed`."""
    if account.calls_left <= (1 if speech == "tools" else 2):
        offers = offers[-1:]  # it is time to rule
    if speech == "tools":
        request = ChatRequest(tuple(messages), max_tokens=_MOST_TOKENS, tools=tuple(offers))
        reply = _usable(await account.complete(request))
        uses = reply.uses or _written_out(reply.text, offers[-1])
        if not uses:
            said = " ".join(reply.text.split())[:120] or "nothing"
            raise DeliberationFailed(f"it called no tool and gave no ruling, but said: {said!r}")
        return reply.text if reply.uses else "", tuple(map(_checked, uses[:_MOST_USES]))
    turns = _plain(messages)
    offers = [offer for offer in offers[:-1] if not _is_told(offer, messages)] + [offers[-1]]
    offer = offers[0]
    if len(offers) > 1:
        offer = await _chosen(turns, offers, account=account)
    return "", (await _filled(turns, offer, account=account, is_ruling=offer is offers[-1]),)


def _is_told(offer: ToolOffer, messages: Sequence[Message]) -> bool:
    """Tell whether a tool has said what it can; small models else ask it until no call is left."""
    asked = [use.arguments for said in messages for use in said.uses if use.name == offer.name]
    return len(asked) >= (_MOST_ASKED if offer.parameters.get("properties") else 1)


async def _chosen(
    turns: Sequence[Message], offers: Sequence[ToolOffer], *, account: Account
) -> ToolOffer:
    lines = [f"- {offer.name}: {offer.description.splitlines()[0]}" for offer in offers]
    question = "What do you do next? One of:\n" + "\n".join(lines)
    names = tuple(offer.name for offer in offers)
    asked = ChatRequest(_asked(turns, question), max_tokens=32, choices=names)
    reply = _usable(await account.complete(asked))
    by_name = {offer.name: offer for offer in offers}
    if reply.text not in by_name:
        raise DeliberationFailed(f"it chose none of its tools, but said: {reply.text[:80]!r}")
    return by_name[reply.text]


async def _filled(
    turns: Sequence[Message], offer: ToolOffer, *, account: Account, is_ruling: bool
) -> ToolUse:
    name = f"step-{account.calls}"
    if not offer.parameters.get("properties"):
        return ToolUse(name, offer.name, "{}")
    what = "your ruling" if is_ruling else f"the arguments of {offer.name}"
    asked = ChatRequest(
        _asked(turns, f"Write {what} as JSON."),
        max_tokens=_MOST_TOKENS if is_ruling else 200,
        schema=offer.parameters,
    )
    reply = await account.complete(asked)
    if reply.finish == "length" and not is_ruling:
        # Small models write digits without end; the tool says what it wants, and all goes on.
        return ToolUse(name, offer.name, "{}")
    return _checked(ToolUse(name, offer.name, _usable(reply).text))


def _usable(reply: ChatReply) -> ChatReply:
    if reply.finish == "refused":
        raise DeliberationFailed(f"the model refused: {reply.note or reply.text[:200]}")
    if reply.finish == "length" and not reply.uses:
        raise DeliberationFailed("its reply was cut off before there was a ruling")
    return reply


def _checked(use: ToolUse) -> ToolUse:
    if len(use.arguments) > _LONGEST_ARGUMENTS:
        raise DeliberationFailed(
            f"it called {use.name[:40]!r} with {len(use.arguments):,} characters of arguments"
        )
    return use


def _written_out(text: str, ruling: ToolOffer) -> tuple[ToolUse, ...]:
    """Take a ruling that was written as JSON in the reply instead of being called."""
    body = read_object(text)
    if body is None or "reason" not in body:
        return ()
    return (ToolUse("written", ruling.name, json.dumps(body)),)


def _plain(messages: Sequence[Message]) -> list[Message]:
    """Write a conversation without tool calls, users' and assistant's turns by turns."""
    turns: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            calls = [f"{use.name} {use.arguments}" for use in message.uses]
            turns.append(Message("assistant", "\n".join([message.content, *calls]).strip()))
            continue
        role = "user" if message.role == "tool" else message.role
        if turns and turns[-1].role == role:
            turns[-1] = replace(turns[-1], content=f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(Message(role, message.content))
    return turns


def _asked(turns: Sequence[Message], question: str) -> tuple[Message, ...]:
    *before, last = turns
    if last.role != "user":
        return (*turns, Message("user", question))
    return (*before, replace(last, content=f"{last.content}\n\n{question}"))
