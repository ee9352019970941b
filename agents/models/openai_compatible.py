"""Any OpenAI-compatible endpoint (OpenAI, vLLM, Ollama, llama.cpp), through the openai SDK.

The hot path: thousands of annotation calls. The SDK's aiohttp transport carries twice as many a
second as a LangChain wrapper does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from querist.agents.models.choices import (
    TokenAlternatives,
    answer_tokens,
    choice_probabilities,
)
from querist.agents.models.port import (
    ChatModel,
    ChatReply,
    ChatRequest,
    Garbled,
    Overloaded,
    Unreachable,
    Usage,
)
from querist.memory.errors import ModelError, ModelRefused
from querist.memory.records import Confidence
from querist.tools.tokens import TokenCounter, count_messages

TOP_LOGPROBS = 20


class OpenAICompatible:
    """One model at one endpoint."""

    looks = ("first_token",)

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
    ) -> None:
        """`timeout` in seconds covers one whole attempt."""
        import openai

        self.name = name
        self.in_flight = in_flight
        self._model = model
        self._counter = counter
        self._base_url = base_url
        self._without: set[str] = set()  # options this endpoint has refused
        self._sdk = openai
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # the pacer retries, and the ledger knows about it
            timeout=timeout,
            http_client=openai.DefaultAioHttpClient(),
        )

    @property
    def identity(self) -> str:
        """The endpoint."""
        return self._base_url or "openai"

    def count_tokens(self, request: ChatRequest) -> int:
        """Give an upper bound of what the provider will count."""
        messages = [{"role": one.role, "content": one.content} for one in request.messages]
        counted = count_messages(messages, counter=self._counter, schema=_schema(request))
        return counted.ceiling

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request; options the endpoint does not know are dropped and remembered."""
        body = self._body(request)
        try:
            # `post` instead of `chat.completions.create`: that walks every value of the request
            # and the reply through type hints, which takes as long as all the rest together.
            reply = await self._client.post("/chat/completions", body=body, cast_to=object)
        except self._sdk.BadRequestError as error:
            refused = [key for key in ("logprobs", "response_format") if key in str(error)]
            news = [key for key in refused if key in body]
            if not news:
                raise self._refused(error) from error
            self._without.update(news)
            return await self.complete(request)
        except self._sdk.OpenAIError as error:
            raise self._translated(error) from error
        except ValueError as error:  # not JSON, or only the first half of it
            raise Garbled(
                f"{self.identity} broke off its answer, or it is no JSON. Check that base_url is "
                "that of an OpenAI-compatible service; then go on with: querist resume"
            ) from error
        return self._reply(reply, request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        schema = _schema(request)
        if schema is not None and "response_format" not in self._without:
            described = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        if request.choices and "logprobs" not in self._without:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return body

    def _reply(self, body: Any, request: ChatRequest) -> ChatReply:
        try:
            choice = body["choices"][0]
            text = choice["message"].get("content") or ""
            used = body.get("usage") or {}
            details = used.get("prompt_tokens_details") or {}
            usage = Usage(
                int(used.get("prompt_tokens", self.count_tokens(request) if not used else 0)),
                int(used.get("completion_tokens", request.max_tokens if not used else 0)),
                int(details.get("cached_tokens") or 0),
            )
            finish = choice.get("finish_reason")
            refusal = choice["message"].get("refusal")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise Garbled(
                f"{self.identity} answered something that is not a chat completion: "
                f"{str(body)[:120]!r}. Check the base_url (it usually ends in /v1)."
            ) from error
        if refusal or finish == "content_filter":
            return ChatReply(refusal or text, usage, finish="refused")
        if not request.choices:
            return ChatReply(text, usage, finish="length" if finish == "length" else "stop")
        answer = read_choice(text, request.choices)
        probabilities = _probabilities(choice, answer, request.choices)
        source = Confidence.LOGPROBS if probabilities else Confidence.NONE
        spelled = _tokens(choice, answer) if answer and request.look == "first_token" else ()
        first = dict(spelled[0].alternatives) if spelled else None
        return ChatReply(answer or text, usage, probabilities, source, first_token=first)

    def _translated(self, error: Exception) -> ModelError:
        sdk = self._sdk
        if isinstance(error, sdk.APIStatusError):
            status = error.status_code
            if status in (408, 409, 429) or status >= 500:
                after = error.response.headers.get("retry-after", "")
                wish = float(after) if after.replace(".", "", 1).isdigit() else None
                return Overloaded(f"{self.identity} answered {status}.", retry_after=wish)
            return self._refused(error)
        cause = error.__cause__ or error
        if not _before_sending(cause):
            return Garbled(
                f"{self.identity} broke off its answer ({cause}). What was labelled is kept; go on "
                "with: querist resume"
            )
        return Unreachable(
            f"{self.identity} cannot be reached ({cause}). Check base_url and the network."
        )

    def _refused(self, error: Any) -> ModelRefused:
        status = int(getattr(error, "status_code", 0))
        remedy = {
            401: "Check the API key (OPENAI_API_KEY, or api_key_env in [models]).",
            403: "This key may not use the model.",
            404: f"Check the model's name ({self._model!r}) and the base_url.",
        }.get(status, "See the provider's message above.")
        return ModelRefused(f"{self.identity} refused the request ({status}): {error}. {remedy}")


def read_choice(text: str, choices: tuple[str, ...]) -> str | None:
    """Find the choice in a reply: `{"answer": ...}`, or the bare words, whatever their case."""
    try:
        body = json.loads(text)
        text = str(body.get("answer", "")) if isinstance(body, dict) else str(body)
    except ValueError:
        pass
    plain = text.strip().strip("\"'.").casefold()
    return next((choice for choice in choices if choice.casefold() == plain), None)


def _schema(request: ChatRequest) -> dict[str, Any] | None:
    if request.choices:
        return {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": list(request.choices)}},
            "required": ["answer"],
            "additionalProperties": False,
        }
    return None if request.schema is None else dict(request.schema)


def _probabilities(
    choice: dict[str, Any], answer: str | None, choices: tuple[str, ...]
) -> dict[str, float] | None:
    if answer is None or not (choice.get("logprobs") or {}).get("content"):
        return None
    return choice_probabilities(_tokens(choice, answer), choices)


def _tokens(choice: dict[str, Any], answer: str) -> Sequence[TokenAlternatives]:
    """Read the tokens that spell the answer, with what competed with them."""
    steps = (choice.get("logprobs") or {}).get("content") or []
    tokens = [
        TokenAlternatives(
            step["token"],
            {step["token"]: step["logprob"]}
            | {other["token"]: other["logprob"] for other in step.get("top_logprobs") or ()},
        )
        for step in steps
    ]
    return answer_tokens(tokens, answer)


def _before_sending(cause: BaseException | None) -> bool:
    import aiohttp

    while cause is not None:
        if isinstance(cause, (aiohttp.ClientConnectorError, ConnectionRefusedError)):
            return True
        if "Connect" in type(cause).__name__ and "Timeout" not in type(cause).__name__:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


_: type[ChatModel] = OpenAICompatible
