"""A model that answers from a function: for unit tests and for trying things out without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from querist.agents.models.port import ChatReply, ChatRequest, Usage
from querist.memory.records import Confidence


class ScriptedModel:
    """Answers by what is asked, never by order, so concurrency cannot change what it says.

    The function returns a reply's text, a ready reply, probabilities over the request's choices,
    or raises.
    """

    looks = ("first_token", "input")

    def __init__(
        self,
        reply: Callable[[ChatRequest], str | ChatReply | dict[str, float]],
        *,
        name: str = "scripted",
        in_flight: int = 8,
        delay: float = 0.0,
        takes_tools: bool = True,
    ) -> None:
        """`delay` in seconds is what every reply takes."""
        self.takes_tools = takes_tools
        self.name = name
        self.in_flight = in_flight
        self.calls: list[ChatRequest] = []
        self._reply = reply
        self._delay = delay

    @property
    def identity(self) -> str:
        """Scripts of one name are taken to be one model."""
        return "scripted"

    def count_tokens(self, request: ChatRequest) -> int:
        """Count words; enough for a synthetic price."""
        return sum(len(message.content.split()) + 4 for message in request.messages)

    def most_output(self, request: ChatRequest) -> int:
        """Write the answer and nothing else."""
        return request.max_tokens

    def widen(self, usage: Usage) -> bool:  # noqa: ARG002
        """Never think."""
        return False

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request."""
        self.calls.append(request)
        await asyncio.sleep(self._delay)
        said = self._reply(request)
        if isinstance(said, ChatReply):
            return said
        usage = Usage(self.count_tokens(request), 1)
        if isinstance(said, str):
            return ChatReply(said, usage)
        best = max(said, key=lambda choice: said[choice])
        return ChatReply(best, usage, said, Confidence.LOGPROBS)

    async def aclose(self) -> None:
        """Nothing to free."""
