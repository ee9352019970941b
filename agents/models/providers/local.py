"""The embedded model: a small GGUF model in this process, through llama.cpp.

An instruct model is asked in the form that it was trained on: its file carries a chat template. The
packaged Gemma 3 270M is a base model without one, so messages become one plain text that it
continues. Instructions and demonstrations come first: their tokens stay in the cache from call to
call, and only the new example is computed.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from querist.agents.models.choices import normalise, unlisted
from querist.agents.models.port import ChatReply, ChatRequest, Message, Usage, without_system
from querist.agents.models.providers.gguf import GgufHeader, read_header
from querist.agents.models.reading import without_thoughts
from querist.memory.errors import InvalidInput, ModelUnavailable
from querist.memory.extras import need
from querist.memory.records import Confidence

_CONTEXT = 4_096
_ALTERNATIVES = 200
LONGEST_LOOK = 128
"""Tokens whose likelihood is asked for, one call each; the rest of a longer text is left out."""
_WORTH_A_LOOK = 0.02
"""A branch of the choices with less mass than this is not looked into."""


class LocalModel:
    """A GGUF model run by `xllamacpp` on the CPU, one request at a time."""

    in_flight = 1
    looks = ("first_token", "input")
    context = _CONTEXT
    """Tokens that a prompt and its answer may have together."""

    def __init__(self, weights: Path, *, name: str = "local", threads: int | None = None) -> None:
        """Load lazily: weights are read at the first request."""
        self.name = name
        self._weights = weights
        # One core is left to the rest of the loop: llama.cpp's threads wait by spinning, and
        # on a busy machine as many threads as cores are slower than one.
        self._threads = threads or max(1, (os.cpu_count() or 2) - 1)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="querist-llama")

    @cached_property
    def header(self) -> GgufHeader:
        """What the file says of itself: its chat template, its control tokens."""
        return read_header(self._weights)

    @cached_property
    def identity(self) -> str:
        """The weights' name and size, and the form of the prompt.

        Reading 250 MB to hash them would cost a second.
        """
        form = ":chat" if self.header.template else ""
        return f"{self._weights.name}:{self._weights.stat().st_size}{form}"

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request."""
        return await asyncio.get_running_loop().run_in_executor(
            self._worker, self._complete, request
        )

    def count_tokens(self, request: ChatRequest) -> int:
        """Count with the model's own tokenizer."""
        return len(self._tokens(self._prompt(request.messages)))

    def most_output(self, request: ChatRequest) -> int:
        """Write the answer; output costs nothing here."""
        return request.max_tokens

    def widen(self, usage: Usage) -> bool:  # noqa: ARG002
        """Stay with the limit."""
        return False

    async def aclose(self) -> None:
        """Unload the weights."""
        self._worker.shutdown()
        self.__dict__.pop("_server", None)

    @cached_property
    def _server(self) -> Any:
        llama = need("xllamacpp", extra="local")
        if not self._weights.is_file():
            raise InvalidInput(f"There are no model weights at {self._weights}.")
        params = llama.CommonParams()
        params.model.path = str(self._weights)
        params.n_ctx = _CONTEXT
        params.n_parallel = 1
        params.n_threads_http = 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.verbosity = -1
        params.warmup = False
        # Gemma's sliding window forgets old tokens, and with them the cached instructions.
        params.swa_full = True
        try:
            return llama.Server(params)
        except Exception as error:
            raise InvalidInput(f"{self._weights} cannot be loaded as a GGUF model.") from error

    def _complete(self, request: ChatRequest) -> ChatReply:
        if request.look == "input":
            return self._look_at(request)
        prompt = self._prompt(request.messages)
        if request.choices:
            return self._choose(prompt, request.choices, request)
        body = {
            "prompt": prompt,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.sample + 1,
        }
        if request.schema is not None:
            body |= {"json_schema": dict(request.schema)}
        elif not self.header.template:
            # A base model would go on with the next example.
            body |= {"stop": ["\n\n", "\nText:"]}
        choice, usage = self._call(body)
        is_cut = choice["finish_reason"] == "length"
        text = without_thoughts(choice["text"])
        return ChatReply(text, usage, finish="length" if is_cut else "stop")

    def _prompt(self, messages: Sequence[Message]) -> str:
        """Write a conversation in the model's own form, up to where its answer begins."""
        plain = [replace(turn, content=self._defused(turn.content)) for turn in messages]
        if not self.header.template:
            return _as_text(plain)
        try:
            return self._templated(plain)
        except urllib.error.HTTPError:
            # Some templates take no system message: the instructions go before the first text.
            return self._templated(without_system(plain))

    def _templated(self, messages: Sequence[Message]) -> str:
        turns = [{"role": turn.role, "content": turn.content} for turn in messages]
        # Thoughts would come before the label, where they cannot be weighed against others.
        body = {"messages": turns, "chat_template_kwargs": {"enable_thinking": False}}
        return str(self._post("/apply-template", body)["prompt"])

    def _defused(self, text: str) -> str:
        """Break what would be read as a control token: a text must not end its own turn."""
        if self._controls is None:
            return text
        return self._controls.sub(lambda found: f"{found[0][0]}\u200b{found[0][1:]}", text)

    @cached_property
    def _controls(self) -> re.Pattern[str] | None:
        words = sorted(self.header.control, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, words))) if words else None

    @property
    def _gap(self) -> str:
        """What stands between prompt and answer: after `Answer:` a blank, after a template none."""
        return "" if self.header.template else " "

    def _choose(self, prompt: str, choices: Sequence[str], request: ChatRequest) -> ChatReply:
        """Walk down the tree of the choices' tokens, into every branch that is likely enough."""
        mass = dict.fromkeys(choices, 0.0)
        used = [0, 0, 0]
        floor = 1e-9
        open_nodes: list[tuple[str, list[str], float]] = [("", list(choices), 1.0)]
        first: dict[str, float] = {}
        while open_nodes:
            prefix, live, share = open_nodes.pop()
            branches, listed = self._branches(prompt, prefix, live, used)
            if not prefix:
                floor, first = max(floor, unlisted(listed.values())), listed
            total = sum(weight for _, weight in branches.values()) or 1.0
            for text, (reached, weight) in branches.items():
                part = share * weight / total
                if len(reached) > 1 and part > _WORTH_A_LOOK and text not in reached:
                    open_nodes.append((text, reached, part))
                else:
                    for choice in reached:
                        mass[choice] += part / len(reached)
        probabilities = normalise(mass, floor=floor)
        if request.temperature > 0:
            text = _draw(probabilities, request)
        else:
            text = max(choices, key=lambda choice: probabilities[choice])
        return ChatReply(
            text,
            _usage(used),
            probabilities,
            Confidence.LOGPROBS,
            first_token=first if request.look == "first_token" else None,
        )

    def _look_at(self, request: ChatRequest) -> ChatReply:
        """Tell how likely each token of the last message is after those before it.

        An answer is read as the answer to the messages before it, any other text by itself. The
        server tells the log-probability of the token that it wrote, before any bias: so each token
        of the text is made to be written, one call each, with all before it cached.
        """
        known, tokens = self._split(request)
        found: list[float] = []
        used = [0, 0, 0]
        for token in tokens:
            body = {
                "prompt": list(known),
                "max_tokens": 1,
                "logprobs": 1,
                "temperature": 0.0,
                "logit_bias": [[token, 1_000.0]],
            }
            choice, usage = self._call(body)
            _add(used, usage)
            found.append(float(choice["logprobs"]["content"][0]["logprob"]))
            known.append(token)
        return ChatReply("", _usage(used), input_tokens=tuple(found))

    def _split(self, request: ChatRequest) -> tuple[list[int], list[int]]:
        """Give the tokens that are taken as read, and those to look at."""
        *before, last = request.messages
        if before and last.role == "assistant":
            prompt = self._prompt(before)
            # The space is part of an answer's first token, as when the model writes it itself.
            answer = self._tokens(f"{self._gap}{last.content.strip()}")
            return self._tokens(prompt, special=True), answer[:LONGEST_LOOK]
        tokens = self._tokens(last.content, special=True)[:LONGEST_LOOK]
        return tokens[:1], tokens[1:]

    def _branches(
        self, prompt: str, prefix: str, live: Sequence[str], used: list[int]
    ) -> tuple[dict[str, tuple[list[str], float]], dict[str, float]]:
        body = {
            "prompt": f"{prompt}{self._gap}{prefix}" if prefix else prompt,
            "max_tokens": 1,
            "logprobs": _ALTERNATIVES,
            "temperature": 0.0,
        }
        choice, usage = self._call(body)
        _add(used, usage)
        steps = choice["logprobs"]["content"]
        alternatives = steps[0]["top_logprobs"] if steps else []
        branches: dict[str, tuple[list[str], float]] = {}
        for alternative in alternatives:
            text = (prefix + alternative["token"]) if prefix else alternative["token"].lstrip()
            reached = [choice for choice in live if choice.startswith(text)]
            # Some tokens are empty text (control tokens): they lead nowhere, again and again.
            if len(text) > len(prefix) and reached:
                weight = branches.get(text, (reached, 0.0))[1] + math.exp(alternative["logprob"])
                branches[text] = (reached, weight)
        return branches, _sum_by_token(alternatives)

    def _call(self, body: dict[str, Any]) -> tuple[dict[str, Any], Usage]:
        try:
            reply = self._server.handle_completions(body | {"cache_prompt": True})
        except RuntimeError as error:
            raise ModelUnavailable(f"The local model failed: {error}") from error
        if "choices" not in reply:
            message = reply.get("message") or reply.get("error") or reply
            raise ModelUnavailable(f"The local model refused a prompt: {message}")
        used = reply["usage"]
        cached = used.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        usage = Usage(used["prompt_tokens"], used["completion_tokens"], cached)
        return reply["choices"][0], usage

    def _tokens(self, text: str, *, special: bool = False) -> list[int]:
        body = {"content": text, "add_special": special}
        tokens: list[int] = self._post("/tokenize", body)["tokens"]
        return tokens

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own server in this process
            f"{self._server.listening_address}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            loaded: dict[str, Any] = json.load(response)
        return loaded


def _as_text(messages: Sequence[Message]) -> str:
    """Write a conversation as text for a base model to continue.

    A text from the pool is kept on its own lines; it cannot close the example it stands in.
    """
    parts: list[str] = []
    for message in messages:
        content = message.content.strip()
        if message.role == "assistant":
            parts[-1] += f"\nAnswer: {content}"
        else:
            parts.append(content)
    return "\n\n".join(parts) + "\nAnswer:"


def _usage(used: Sequence[int]) -> Usage:
    return Usage(used[0], used[1], used[2])


def _add(used: list[int], usage: Usage) -> None:
    for index, count in enumerate((usage.input_tokens, usage.output_tokens, usage.cached_tokens)):
        used[index] += count


def _sum_by_token(alternatives: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Write alternatives as a mapping; control tokens may share a text, and then their mass."""
    mass: dict[str, float] = {}
    for alternative in alternatives:
        mass[alternative["token"]] = mass.get(alternative["token"], 0.0) + math.exp(
            alternative["logprob"]
        )
    return {token: math.log(max(value, 1e-30)) for token, value in mass.items()}


def _draw(probabilities: dict[str, float], request: ChatRequest) -> str:
    import random

    heat = 1.0 / request.temperature
    weights = [value**heat for value in probabilities.values()]
    seed = f"{request.sample}:{request.messages[-1].content}"
    return random.Random(seed).choices(list(probabilities), weights)[0]  # noqa: S311
