"""Any OpenAI-compatible endpoint (OpenAI, vLLM, Ollama, llama.cpp), through the openai SDK.

The hot path: thousands of annotation calls. The SDK's aiohttp transport carries twice as many a
second as a LangChain wrapper does. What the endpoint takes is learnt (`dialect`), what it refuses
is understood (`refusals`), and what it sends is read as far as it can be (`reading`, `usage`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from querist.agents.models.choices import (
    TokenAlternatives,
    answer_tokens,
    choice_probabilities,
    read_steps,
)
from querist.agents.models.port import (
    ChatModel,
    ChatReply,
    ChatRequest,
    Garbled,
    OnDraft,
    ToolsRefused,
    ToolUse,
    Usage,
)
from querist.agents.models.providers.dialect import Dialect, schema_of, tools_of, turn_of
from querist.agents.models.providers.failures import (
    body_of,
    refused,
    translated,
    was_never_sent,
)
from querist.agents.models.providers.pieces import Pieces
from querist.agents.models.providers.refusals import Refusal, error_in, read_refusal
from querist.agents.models.reading import (
    Chosen,
    content_text,
    read_choice,
    thought_aloud,
    without_thoughts,
)
from querist.agents.models.thinking import Room
from querist.agents.models.usage import read_usage
from querist.memory.errors import ModelRefused
from querist.memory.records import Confidence
from querist.tools.money.tokens import TokenCounter, count_messages

_MOST_LESSONS = 16
"""How often one request is rewritten before the endpoint is given up."""


class OpenAICompatible:
    """One model at one endpoint."""

    looks = ("first_token",)
    takes_tools = True
    streams = True

    def __init__(
        self,
        model: str,
        *,
        name: str,
        api_key: str,
        counter: TokenCounter,
        base_url: str | None = None,
        in_flight: int = 32,
        timeout: float = 60.0,
        thinking: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`timeout` in seconds covers one whole attempt; `thinking` is room in tokens.

        `tell` gets in words what was learnt about the endpoint or ignored, each once.
        """
        import openai

        self.name = name
        self.in_flight = in_flight
        self.dialect = Dialect(lambda lesson: tell(f"{name} at {self.identity} {lesson}."))
        self.room = Room(model, configured=thinking)
        self._model = model
        self._counter = counter
        self._base_url = base_url
        self._tell = tell
        self._told: set[str] = set()
        self._sdk = openai
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # the pacer retries, and the ledger knows about it
            timeout=timeout,
            http_client=openai.DefaultAioHttpClient(),
        )
        # Whole, or the SDK would put it together anew for each call: a tenth of a call's time.
        self._path = f"{str(self._client.base_url).rstrip('/')}/chat/completions"

    @property
    def identity(self) -> str:
        """The endpoint."""
        return self._base_url or "openai"

    def count_tokens(self, request: ChatRequest) -> int:
        """Give an upper bound of what the provider will count."""
        messages = [turn_of(turn) for turn in request.messages]
        beside = tools_of(request) or schema_of(request)
        counted = count_messages(messages, counter=self._counter, schema=beside)
        return counted.ceiling

    def most_output(self, request: ChatRequest) -> int:
        """The answer and the room for thoughts, as the endpoint is told."""
        wanted = request.max_tokens + self.room.tokens
        most = self.dialect.options.most
        return wanted if most is None else min(wanted, most)

    def widen(self, usage: Usage) -> bool:
        """Allow for thoughts after a reply was cut off, unless the user set the room."""
        was = self.room.tokens
        if not self.room.widen(usage):
            return False
        self._once(
            f"{self.name} thinks before it answers: up to {self.room.tokens:,} tokens more a "
            f"reply are allowed for and reserved, instead of {was:,} (models.thinking sets them)."
        )
        return True

    async def complete(self, request: ChatRequest, *, on_draft: OnDraft | None = None) -> ChatReply:
        """Answer one request, rewritten until the endpoint takes it."""
        refusal = Refusal(400, "no reason was given")
        for _ in range(_MOST_LESSONS):
            version = self.dialect.version
            pieces = None if on_draft is None else Pieces(on_draft)
            came = await self._send(request, pieces)
            if not isinstance(came, Refusal):
                self.dialect.accepted()
                return self._read(came, request, pieces)
            refusal = came
            if refusal.is_about_text or refusal.is_too_long:
                return _refused_text(refusal)
            if request.tools and _is_about_tools(refusal):
                self.takes_tools = False
                raise ToolsRefused(f"{self.identity} takes no tools: {refusal.message}")
            if refusal.is_exhausted:
                break
            if not self.dialect.learn(refusal, version=version) and not (
                pieces is not None
                and refusal.status in (400, 404, 422, 501)
                and self.dialect.give_up_pieces()
            ):
                break
        raise refused(refusal, self.identity, model=self._model)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(
        self, request: ChatRequest, pieces: Pieces | None
    ) -> Mapping[str, Any] | Refusal:
        """Send a request once: what came back, or what the provider had against it."""
        try:
            came = await self._post(request, pieces)
        except self._sdk.APIStatusError as error:
            return read_refusal(
                error.status_code,
                body_of(error),
                headers=error.response.headers,
                otherwise=str(error),
            )
        except self._sdk.OpenAIError as error:
            raise translated(error, self.identity) from error
        except ValueError as error:
            if was_never_sent(error):
                raise translated(error, self.identity) from error
            # Not JSON, or only the first half of it.
            raise Garbled(
                f"{self.identity} broke off its answer, or it is no JSON. Check that base_url is "
                "that of an OpenAI-compatible service; then go on with: querist resume"
            ) from error
        if (refusal := error_in(came)) is not None:
            return refusal
        if isinstance(came, str) and came.lstrip()[:9].lower().startswith(("<!doc", "<html")):
            raise ModelRefused(
                f"{self.identity} answers with a web page. Check the base_url: that of an "
                "OpenAI-compatible service usually ends in /v1. Nothing was charged."
            )
        if not isinstance(came, Mapping) or "choices" not in came:
            raise Garbled(
                f"{self.identity} answered something that is not a chat completion: "
                f"{str(came)[:120]!r}. Check the base_url (it usually ends in /v1)."
            )
        return came

    async def _post(self, request: ChatRequest, pieces: Pieces | None) -> Any:
        body = self.dialect.write(
            request, model=self._model, room=self.room.tokens, in_pieces=pieces is not None
        )
        # `post` instead of `chat.completions.create`: that walks every value of the request
        # and the reply through type hints, which takes as long as all the rest together.
        post = self._client.post
        if pieces is None or "stream" not in body:
            return await post(self._path, body=body, cast_to=object)
        stream_of: Any = self._sdk.AsyncStream[object]
        stream = await post(
            self._path, body=body, cast_to=object, stream=True, stream_cls=stream_of
        )
        try:
            # Read here, since the SDK gives nothing of an endpoint that ignores `stream`.
            return await pieces.read(stream.response.aiter_bytes())
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(str(error)) from error
        except Exception as error:  # the transport's errors have no common base
            raise self._sdk.APIConnectionError(request=stream.response.request) from error
        finally:
            await stream.response.aclose()

    # ------------------------------------------------------------ what came back

    def _read(
        self, body: Mapping[str, Any], request: ChatRequest, pieces: Pieces | None
    ) -> ChatReply:
        try:
            if pieces is not None and pieces.is_stopped:
                return self._stopped(body, request, pieces)
            return self._reply(body, request)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise Garbled(
                f"{self.identity} answered something that cannot be read: {str(body)[:120]!r}."
            ) from error

    def _stopped(self, body: Mapping[str, Any], request: ChatRequest, pieces: Pieces) -> ChatReply:
        """Read what came before nobody wanted more: billed are the prompt and what was written."""
        counted = self._counter.count(pieces.written).ceiling
        written = min(self.most_output(request), max(pieces.count, counted))
        usage = {"prompt_tokens": self.count_tokens(request), "completion_tokens": written}
        reply = self._reply({"usage": usage, **body}, request)
        return replace(reply, finish="stopped", usage=replace(reply.usage, estimated=True))

    def _reply(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        choice = _first_choice(body)
        message = choice.get("message")
        message = message if isinstance(message, Mapping) else {"content": choice.get("text")}
        called = message.get("tool_calls")
        uses = _uses(called) if request.tools else ()
        text = content_text(message.get("content")) or ("" if uses else _arguments(called))
        usage = self._usage(body, request, has_text=bool(text or uses))
        if thought_aloud(text) or content_text(message.get("reasoning_content")):
            self.room.is_seen = True
            self._once(f"{self.name} thinks aloud; its thoughts are paid for and left out.")
        refusal = content_text(message.get("refusal"))
        finish = str(choice.get("finish_reason") or "stop")
        if refusal or finish == "content_filter":
            note = refusal or "the provider's filter stopped the answer"
            return ChatReply(text, usage, finish="refused", note=note)
        is_cut = finish in {"length", "max_tokens"}
        note = "" if choice else "the provider sent no choices"
        if not request.choices:
            said = without_thoughts(text)
            finished: Literal["length", "stop"] = "length" if is_cut else "stop"
            return ChatReply(said, usage, finish=finished, note=note, uses=uses)
        chosen = read_choice(text, request.choices)
        if chosen is None:
            unread = without_thoughts(text)
            return ChatReply(unread, usage, finish="length" if is_cut else "stop", note=note)
        return self._chosen(chosen, choice, usage, request)

    def _chosen(
        self, chosen: Chosen, choice: Mapping[str, Any], usage: Usage, request: ChatRequest
    ) -> ChatReply:
        probabilities: dict[str, float] | None = None
        spelled: tuple[TokenAlternatives, ...] = ()
        try:
            steps = read_steps(choice.get("logprobs"))
            spelled = tuple(answer_tokens(steps, chosen.spelled))
            probabilities = choice_probabilities(spelled, request.choices) if spelled else None
            # What the label is comes first; numbers that contradict it are worth nothing.
            if probabilities and max(probabilities.values()) <= 0:
                probabilities = None
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
            probabilities = None
        if choice.get("logprobs") and probabilities is None:
            self._once(f"Log-probabilities of {self.name} cannot be read and are ignored.")
        first = spelled[0] if spelled and request.look == "first_token" else None
        return ChatReply(
            chosen.choice,
            usage,
            probabilities,
            Confidence.LOGPROBS if probabilities else Confidence.NONE,
            first_token=_alternatives(first),
        )

    def _usage(self, body: Mapping[str, Any], request: ChatRequest, *, has_text: bool) -> Usage:
        given = body.get("usage")
        # Counting takes longer than all the rest, so it is done only where it is needed.
        most_input = 0 if _is_plain(given) else self.count_tokens(request)
        most_output = self.most_output(request)
        usage = read_usage(given, most_input=most_input, most_output=most_output, has_text=has_text)
        if usage.estimated:
            self._once(
                f"{self.name} does not say what it used ({str(given)[:60]}): calls are charged at "
                "the most that they can have cost, and marked as estimated."
            )
        return usage

    def _once(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            self._tell(words)


def _refused_text(refusal: Refusal) -> ChatReply:
    """Make the reply of a text that the provider will not have: nothing was written or billed."""
    why = "too long for the model" if refusal.is_too_long else "refused by the provider"
    return ChatReply("", Usage(0, 0), finish="refused", note=f"{why}: {refusal.message}")


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else {}


def _arguments(calls: object) -> str:
    """Take the arguments of a tool call: some servers give a JSON answer as one."""
    first = calls[0] if isinstance(calls, list) and calls else None
    function = first.get("function") if isinstance(first, Mapping) else None
    given = function.get("arguments") if isinstance(function, Mapping) else None
    return given if isinstance(given, str) else ""


def _uses(calls: object) -> tuple[ToolUse, ...]:
    """Read what functions a reply calls; what is no call is passed over."""
    found = []
    for position, call in enumerate(calls if isinstance(calls, list) else []):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            continue
        given = function.get("arguments")
        # Some servers send the arguments as an object instead of as text.
        arguments = given if isinstance(given, str) else json.dumps(given or {})
        name = str(call.get("id") or f"call-{position}")
        found.append(ToolUse(name, function["name"], arguments))
    return tuple(found)


def _is_about_tools(refusal: Refusal) -> bool:
    words = refusal.words
    return refusal.status in (400, 404, 422, 500, 501) and bool(
        re.search(r"\btools?\b|function.?call|jinja", words) and "tool_choice" not in words
    )


def _alternatives(step: TokenAlternatives | None) -> dict[str, float] | None:
    return dict(step.alternatives) if step is not None and step.alternatives else None


def _is_plain(given: object) -> bool:
    """Tell whether usage is as it should be."""
    if not isinstance(given, Mapping):
        return False
    counts = (given.get("prompt_tokens"), given.get("completion_tokens"))
    return all(type(count) is int and count > 0 for count in counts)


_: type[ChatModel] = OpenAICompatible
