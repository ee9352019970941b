"""Every provider that LangChain's `init_chat_model` knows, behind the same port.

Slower than the direct client, and without log-probabilities: confidence then comes from samples.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from querist.agents.models.port import (
    ChatReply,
    ChatRequest,
    Garbled,
    Overloaded,
    RowRefused,
    Usage,
)
from querist.agents.models.providers.dialect import Dialect, form_in_words
from querist.agents.models.providers.refusals import Refusal, read_refusal
from querist.agents.models.reading import content_text, read_choice, without_thoughts
from querist.agents.models.thinking import Room
from querist.agents.models.usage import read_usage
from querist.memory.errors import MissingExtra, ModelRefused, ModelUnavailable, QueristError
from querist.tools.money.tokens import TokenCounter, count_messages, counter_for

_MOST_LESSONS = 8


class LangChainModel:
    """A LangChain chat model."""

    def __init__(
        self,
        chat: Any,
        *,
        name: str,
        in_flight: int = 16,
        thinking: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`chat` is a LangChain `BaseChatModel`; see `by_name` for opening one."""
        self.name = name
        self.in_flight = in_flight
        self.room = Room(name, configured=thinking)
        self.dialect = Dialect(lambda lesson: tell(f"{name} {lesson}."))
        # Providers differ too much in their schemas for a common one: it is said in the prompt.
        self.dialect.options.form = "words"
        self.dialect.options.logprobs = False
        self._tell = tell
        self._told: set[str] = set()
        self._chat = chat
        self._counter: TokenCounter = counter_for(name)

    @classmethod
    def by_name(cls, name: str, **options: Any) -> LangChainModel:
        """Open `provider:model` with `init_chat_model`."""
        from langchain.chat_models import init_chat_model

        own = {key: options.pop(key) for key in ("thinking", "tell") if key in options}
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
        return cls(chat, name=name, **own)

    @property
    def identity(self) -> str:
        """The provider."""
        return type(self._chat).__name__

    def count_tokens(self, request: ChatRequest) -> int:
        """Give an upper bound of what the provider will count."""
        messages = [
            {"role": message.role, "content": message.content} for message in request.messages
        ]
        counted = count_messages(messages, counter=self._counter, schema=form_in_words(request))
        return counted.ceiling

    def most_output(self, request: ChatRequest) -> int:
        """The answer, and room for thoughts."""
        wanted = request.max_tokens + self.room.tokens
        most = self.dialect.options.most
        return wanted if most is None else min(wanted, most)

    def widen(self, usage: Usage) -> bool:
        """Allow for thoughts after a reply was cut off, unless the user set the room."""
        return self.room.widen(usage)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request, rewritten until the provider takes it."""
        refusal = Refusal(400, "no reason was given")
        for _ in range(_MOST_LESSONS):
            version = self.dialect.version
            try:
                reply = await self._send(request)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # every provider's package has its own tree of errors
                refusal = _refusal(error)
                if refusal.is_about_text or refusal.is_too_long:
                    why = "too long for the model" if refusal.is_too_long else "refused"
                    note = f"{why}: {refusal.message}"
                    return ChatReply("", Usage(0, 0), finish="refused", note=note)
                learnt = not refusal.is_exhausted and self.dialect.learn(refusal, version=version)
                if not learnt:
                    raise _translated(self.name, refusal, error) from error
            else:
                self.dialect.accepted()
                return self._reply(reply, request)
        raise _translated(self.name, refusal, None)

    async def aclose(self) -> None:
        """LangChain models own nothing that must be closed."""

    async def _send(self, request: ChatRequest) -> Any:
        body = self.dialect.write(request, model=self.name, room=self.room.tokens)
        messages = [(turn["role"], turn["content"]) for turn in body["messages"]]
        options = {key: value for key, value in body.items() if key not in {"model", "messages"}}
        return await self._chat.bind(**options).ainvoke(messages)

    def _reply(self, reply: Any, request: ChatRequest) -> ChatReply:
        text = content_text(getattr(reply, "content", ""))
        metadata = getattr(reply, "response_metadata", None) or {}
        finish = str(metadata.get("finish_reason") or metadata.get("stop_reason") or "").lower()
        usage = read_usage(
            getattr(reply, "usage_metadata", None),
            most_input=self.count_tokens(request),
            most_output=self.most_output(request),
            has_text=bool(text),
        )
        if usage.estimated and "usage" not in self._told:
            self._told.add("usage")
            self._tell(f"{self.name} does not say what it used: calls are charged at the most.")
        if finish in {"content_filter", "safety", "refusal"}:
            return ChatReply(text, usage, finish="refused", note=f"the provider says {finish}")
        chosen = read_choice(text, request.choices) if request.choices else None
        said = without_thoughts(text) if chosen is None else chosen.choice
        is_cut = chosen is None and finish in {"length", "max_tokens"}
        return ChatReply(said, usage, finish="length" if is_cut else "stop")


def _refusal(error: Exception) -> Refusal:
    """Bring a provider package's error to one shape; status 0 where it has none."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    headers = getattr(response, "headers", None)
    body = getattr(error, "body", None)
    number = status if isinstance(status, int) else 0
    return read_refusal(number, body, headers=headers, otherwise=str(error))


def _translated(name: str, refusal: Refusal, error: Exception | None) -> QueristError:
    said = f"{name} refused ({refusal.status}): {refusal.message}"
    if isinstance(error, QueristError):
        return error
    if refusal.is_exhausted:
        return ModelRefused(f"{said} The account has no money left: add credit, then resume.")
    if refusal.may_pass:
        words = f"{name} answered {refusal.status}: {refusal.message}"
        return Overloaded(words, retry_after=refusal.retry_after)
    if refusal.status in (401, 403, 404):
        return ModelRefused(f"{said} Check the key in the environment and the model's name.")
    if refusal.status:
        return RowRefused(said)
    if isinstance(error, TimeoutError):
        return Garbled(f"{name} did not answer in time; go on with: querist resume")
    if isinstance(error, ConnectionError):
        return Overloaded(f"{name} cannot be reached ({error}).")
    return ModelUnavailable(f"{name} failed: {refusal.message}")
