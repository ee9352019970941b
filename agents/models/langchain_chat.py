"""Every provider that LangChain's `init_chat_model` knows, behind the same port.

Slower than the direct client, and without log-probabilities: confidence then comes from samples.
"""

from __future__ import annotations

import json
from typing import Any

from querist.agents.models.openai_compatible import read_choice
from querist.agents.models.port import ChatReply, ChatRequest, Overloaded, Usage
from querist.memory.errors import MissingExtra, ModelRefused, ModelUnavailable
from querist.tools.tokens import TokenCounter, count_messages, counter_for


class LangChainModel:
    """A LangChain chat model."""

    def __init__(self, chat: Any, *, name: str, in_flight: int = 16) -> None:
        """`chat` is a LangChain `BaseChatModel`; see `by_name` for opening one."""
        self.name = name
        self.in_flight = in_flight
        self._chat = chat
        self._counter: TokenCounter = counter_for(name)

    @classmethod
    def by_name(cls, name: str, **options: Any) -> LangChainModel:
        """Open `provider:model` with `init_chat_model`."""
        from langchain.chat_models import init_chat_model

        try:
            chat = init_chat_model(name, max_retries=0, **options)
        except ImportError as error:
            raise MissingExtra(f"The model {name!r} needs another package: {error}") from error
        except Exception as error:
            raise ModelRefused(
                f"The model {name!r} cannot be opened: {error} "
                "Models are called local, local:/path.gguf, openai:NAME, or what LangChain's "
                "init_chat_model knows (anthropic:NAME, mistralai:NAME, ...)."
            ) from error
        return cls(chat, name=name)

    @property
    def identity(self) -> str:
        """The provider."""
        return type(self._chat).__name__

    def count_tokens(self, request: ChatRequest) -> int:
        """Give an upper bound of what the provider will count."""
        messages = [{"role": one.role, "content": one.content} for one in request.messages]
        counted = count_messages(messages, counter=self._counter, schema=_format(request))
        return counted.ceiling

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request."""
        messages = [(message.role, message.content) for message in request.messages]
        if form := _format(request):
            role, content = messages[-1]
            messages[-1] = (role, f"{content}\n\n{form}")
        try:
            reply = await self._chat.bind(
                temperature=request.temperature, max_tokens=request.max_tokens
            ).ainvoke(messages)
        except Exception as error:
            raise _translated(self.name, error) from error
        used = reply.usage_metadata or {}
        usage = Usage(
            used.get("input_tokens", self.count_tokens(request)),
            used.get("output_tokens", request.max_tokens),
            (used.get("input_token_details") or {}).get("cache_read", 0) or 0,
        )
        text = str(reply.text)
        return ChatReply(read_choice(text, request.choices) or text, usage)

    async def aclose(self) -> None:
        """LangChain models own nothing that must be closed."""


def _format(request: ChatRequest) -> str:
    if request.choices:
        return f'Reply with JSON only: {{"answer": one of {json.dumps(list(request.choices))}}}'
    if request.schema is not None:
        return f"Reply with JSON only, matching this schema: {json.dumps(dict(request.schema))}"
    return ""


def _translated(name: str, error: Exception) -> Exception:
    status = getattr(error, "status_code", None) or getattr(
        getattr(error, "response", None), "status_code", None
    )
    if status in (400, 401, 403, 404):
        return ModelRefused(f"{name} refused the request ({status}): {error}")
    if status is not None or isinstance(error, (ConnectionError, TimeoutError)):
        return Overloaded(f"{name} answered {status or error}.")
    return ModelUnavailable(f"{name} failed: {error}")
