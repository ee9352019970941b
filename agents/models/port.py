"""The chat-model port: what every provider is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from querist.memory.codec import to_json
from querist.memory.errors import ModelRefused, ModelUnavailable
from querist.memory.records import CallKey, Confidence, content_id


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A function that a model may call, with a JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A model's call of a function; `arguments` as it wrote them, JSON or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. Text from a pool never goes into the system role."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    uses: tuple[ToolUse, ...] = field(default=(), repr=False)
    """What an assistant's turn called."""
    answers: str = field(default="", repr=False)
    """Of a tool's turn: the id of the call whose result it is."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question to a model. `choices` asks for exactly one of them, with probabilities."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    choices: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    """A JSON schema that the reply must satisfy; not used together with `choices`."""
    sample: int = 0
    """Which of several samples of the same prompt; equal requests are answered once."""
    look: Literal["", "first_token", "input"] = ""
    """What else to tell: with `first_token` the log-probabilities at the answer's first token, as
    the provider lists them; with `input` those of the last message's own tokens, and no answer: of
    an assistant's message as the answer to those before it, of any other by itself.
    A model that can has them in a tuple `looks`; others must not be asked."""
    tools: tuple[ToolOffer, ...] = field(default=(), repr=False)
    """Functions of which the model has to call one. Only where `takes_tools(model)`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; `cached_tokens` are a part of `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    estimated: bool = False
    """The provider did not say, or said nonsense: the most that it can have been stands here."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A model's answer."""

    text: str
    usage: Usage
    probabilities: Mapping[str, float] | None = None
    """Over the request's choices, summing to one, if the provider gave log-probabilities."""
    confidence_from: Confidence = Confidence.NONE
    finish: Literal["stop", "length", "refused", "stopped"] = "stop"
    """`stopped`: nobody wanted more of it; it is paid for, and never replayed."""
    first_token: Mapping[str, float] | None = None
    """Log-probabilities by token over the whole vocabulary: the most likely ones of them."""
    input_tokens: tuple[float, ...] | None = None
    """Log-probability of each token of the text that was looked at."""
    note: str = ""
    """Why there is no answer, in the provider's own words."""
    uses: tuple[ToolUse, ...] = ()
    """The functions that the model calls."""
    replayed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a model has written of a reply so far, without its thoughts."""

    text: str
    uses: tuple[ToolUse, ...] = ()
    """The calls as far as they are written; arguments may end anywhere."""


OnDraft = Callable[[Draft], bool]
"""Hears a reply as it comes: all of it so far, each time. False ends it: what came is paid for."""


class Overloaded(ModelUnavailable):
    """The provider asks us to slow down (429) or is failing (5xx): not billed, try again."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """`retry_after` is the provider's own wish, in seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(Overloaded):
    """No connection came about, so nothing was billed; the address may be wrong."""


class Garbled(ModelUnavailable):
    """Something came back, but no usable answer: it may have been billed."""


class ToolsRefused(ModelRefused):
    """The endpoint takes no tools; the same may be asked in another way. Not billed."""


class RowRefused(ModelRefused):
    """The provider will not have this one request; others may be answered. Not billed."""


class ChatModel(Protocol):
    """A provider's model. Implementations raise `ModelUnavailable` or `ModelRefused`."""

    @property
    def name(self) -> str:
        """What prices, ledgers and annotations call it, for example `openai:gpt-5-mini`."""

    @property
    def identity(self) -> str:
        """What its answers depend on besides the request: endpoint, weights."""

    @property
    def in_flight(self) -> int:
        """How many requests may run at once."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request; one attempt, no retries.

        A model with `streams` true takes `on_draft` as well (see `OnDraft`).
        """

    def count_tokens(self, request: ChatRequest) -> int:
        """Give an upper bound of the request's input tokens."""

    def most_output(self, request: ChatRequest) -> int:
        """Tell how many tokens the model may write now: the answer, and room for its thoughts."""

    def widen(self, usage: Usage) -> bool:
        """Allow for more output after a reply was cut off; False if that is not to be tried."""

    async def aclose(self) -> None:
        """Free connections and memory."""


def call_key(model: ChatModel, request: ChatRequest) -> CallKey:
    """Name a call by all that its answer depends on; equal keys are never paid for twice."""
    body = to_json(request)
    # Calls were paid for before there were such fields, and keep their keys.
    for name in ("look", "tools"):
        if not body[name]:
            del body[name]
    for turn in body["messages"]:
        for name in ("uses", "answers"):
            if not turn[name]:
                del turn[name]
    return CallKey(content_id(model.name, model.identity, body, size=32))


def takes_tools(model: ChatModel) -> bool:
    """Tell whether a model can be asked to call functions in its provider's own form."""
    return bool(getattr(model, "takes_tools", False))


async def answer_as_it_comes(
    model: ChatModel, request: ChatRequest, on_draft: OnDraft | None
) -> ChatReply:
    """Answer one request; `on_draft` hears the whole reply at least, and drafts if it streams.

    An attempt that failed and is made again begins its drafts anew.
    """
    if on_draft is None:
        return await model.complete(request)
    more: dict[str, Any] = {"on_draft": on_draft} if getattr(model, "streams", False) else {}
    reply = await model.complete(request, **more)
    on_draft(Draft(reply.text, reply.uses))
    return reply


def without_system(messages: Sequence[Message]) -> list[Message]:
    """Put the instructions in front of the first text."""
    first, *rest = messages
    if first.role != "system" or not rest:
        return list(messages)
    return [replace(rest[0], content=f"{first.content}\n\n{rest[0].content}"), *rest[1:]]
