"""What one endpoint takes: learnt from its refusals, remembered, and said once.

Every provider calls itself OpenAI-compatible and refuses something: `max_tokens`, `temperature`,
twenty alternatives, a JSON schema, a system message. A refusal names what it will not have; that
is renamed, made smaller or left out, and the request is sent again. Refusals are not billed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

from querist.agents.models.port import ChatRequest, Message, without_system
from querist.agents.models.providers.refusals import Refusal

Form = Literal["json_schema", "json_object", "words"]
_TOP_LOGPROBS = (20, 5, 0)
LIMITS = ("max_tokens", "max_completion_tokens", "")

_FORMAT = re.compile(
    r"response_?format|json_?schema|json_?object|json mode|structured output|grammar|guided"
    r"|schema|\bstrict\b",
    re.IGNORECASE,
)
_SYSTEM = re.compile(
    r"system (role|message|prompt|instruction)s?[^.]{0,40}(not|un)\s?(support|allow|enabled)"
    r"|(not|un)\s?(support|allow)[^.]{0,30}system|roles? must alternate|developer instruction",
    re.IGNORECASE,
)
_AT_MOST = re.compile(
    r"(?:at most|less than or equal to|<=|no more than|maximum(?: value)?(?: of| is)?|exceeds?"
    r"|between \d+ and|up to|range of \[\d+,)\D{0,20}(\d[\d,]*)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Options:
    """How requests are written now."""

    limit: str = "max_tokens"
    """What the endpoint calls the most that may be written; "" if it takes no limit."""
    most: int | None = None
    """The largest limit that it takes."""
    temperature: bool = True
    logprobs: bool = True
    top_logprobs: int = _TOP_LOGPROBS[0]
    form: Form = "json_schema"
    system: bool = True
    tool_choice: str = "required"
    stream: Literal["usage", "plain", ""] = "usage"
    """Whether answers come in pieces, and whether the endpoint can be asked to tell the usage."""


class Dialect:
    """How to write requests so that one model at one endpoint takes them."""

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """`tell` gets each lesson in words, once."""
        self.options = _Options()
        self.lessons: list[str] = []
        self.version = 0
        """Rises with each lesson: a refusal of an older version teaches nothing new."""
        self._tell = tell
        self._accepted = False
        self._guesses = 0
        self._before_guesses: _Options | None = None

    def write(
        self, request: ChatRequest, *, model: str, room: int = 0, in_pieces: bool = False
    ) -> dict[str, Any]:
        """Write a request's body; `room` are tokens beyond the answer."""
        now = self.options
        body: dict[str, Any] = {"model": model, "messages": self._messages(request)}
        if now.limit:
            wanted = request.max_tokens + room
            body[now.limit] = wanted if now.most is None else min(wanted, now.most)
        if now.temperature:
            body["temperature"] = request.temperature
        schema = schema_of(request)
        if schema is not None and now.form == "json_schema":
            described = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        elif schema is not None and now.form == "json_object":
            body["response_format"] = {"type": "json_object"}
        if request.choices and now.logprobs:
            body["logprobs"] = True
            if now.top_logprobs:
                body["top_logprobs"] = now.top_logprobs
        if request.tools:
            body |= {"tools": tools_of(request), "tool_choice": now.tool_choice}
        if in_pieces and now.stream:
            body["stream"] = True
            if now.stream == "usage":
                body["stream_options"] = {"include_usage": True}
        return body

    def accepted(self) -> None:
        """Note that the endpoint took a request as it is written now."""
        if not self._accepted:
            self._accepted = True
            if self._guesses:
                self._learnt(f"only plain requests ({', '.join(self._left_out())} left out)")

    def learn(self, refusal: Refusal, *, version: int) -> bool:
        """Take a lesson from a refusal; True if the request is worth sending again, rewritten."""
        if version != self.version:
            return True
        before = copy(self.options)
        lesson = self._named(refusal)
        if lesson:
            self._learnt(lesson)
            return True
        self.options = before
        return refusal.status in (400, 422) and self._guess()

    def give_up_pieces(self) -> bool:
        """Ask for whole answers from now on; False if they were whole already."""
        if not self.options.stream:
            return False
        self.options.stream = ""
        self._learnt("no request for pieces of an answer: answers come whole")
        return True

    def _messages(self, request: ChatRequest) -> list[dict[str, Any]]:
        messages = request.messages if self.options.system else without_system(request.messages)
        turns = [turn_of(turn) for turn in messages]
        if self.options.form != "json_schema" and (words := form_in_words(request)):
            turns[-1]["content"] += f"\n\n{words}"
        return turns

    def _named(self, refusal: Refusal) -> str:
        """Find the option that a refusal names, change it, and say how; "" if it names none."""
        words, now = refusal.words, self.options
        if re.search(r"max_(completion_)?tokens|max_output_tokens|max_new_tokens", words):
            return self._relimit(words)
        if "logprobs" in words and now.logprobs:
            return self._fewer_logprobs(words)
        if "tool_choice" in words and now.tool_choice != "auto":
            now.tool_choice = "auto"
            return "no demand that a tool be called: it is asked for in words"
        if "stream_options" in words and now.stream == "usage":
            now.stream = "plain"
            return "no stream_options: what a streamed answer used may be unknown"
        if re.search(r"\btemperature\b", words) and now.temperature:
            now.temperature = False
            return "no temperature: its own is used"
        if _SYSTEM.search(words) and now.system:
            now.system = False
            return "no system message: the instructions go in front of the first text"
        if _FORMAT.search(words) and now.form != "words":
            now.form = "json_object" if now.form == "json_schema" else "words"
            kind = "JSON schema" if now.form == "json_object" else "response_format"
            return f"no {kind}: what an answer must look like is said in the prompt"
        return ""

    def _relimit(self, words: str) -> str:
        now = self.options
        told = _AT_MOST.search(words)
        most = int(told.group(1).replace(",", "")) if told else 0
        if most > 0 and (now.most is None or most < now.most):
            now.most = most
            return f"at most {most:,} tokens of output"
        if not now.limit:
            return ""
        now.limit = LIMITS[LIMITS.index(now.limit) + 1]
        if now.limit:
            return f"{now.limit} instead of max_tokens"
        return "no limit of output at all, so what a call may cost is not bounded by it"

    def _fewer_logprobs(self, words: str) -> str:
        now = self.options
        if "top_logprobs" in words and now.top_logprobs:
            told = _AT_MOST.search(words)
            most = int(told.group(1).replace(",", "")) if told else _TOP_LOGPROBS[1]
            fewer = min(most, _TOP_LOGPROBS[1]) if most >= now.top_logprobs else most
            now.top_logprobs = fewer if fewer < now.top_logprobs else 0
            return f"at most {now.top_logprobs} alternatives a token"
        now.logprobs = False
        return "no log-probabilities: samples show how sure it is"

    def _guess(self) -> bool:
        """Leave options out one after another while an endpoint says no without saying to what."""
        if self._accepted:
            return False
        if self._before_guesses is None:
            self._before_guesses = copy(self.options)
        now = self.options
        steps: tuple[Callable[[], None], ...] = (
            lambda: setattr(now, "logprobs", False),
            lambda: setattr(now, "form", "words"),
            lambda: setattr(now, "temperature", False),
            lambda: setattr(now, "system", False),
            lambda: setattr(now, "limit", LIMITS[1]),
        )
        if self._guesses == len(steps):
            # It was something else, perhaps this one text: the next is asked as before.
            self.options, self._guesses = self._before_guesses, 0
            self._before_guesses = None
            return False
        steps[self._guesses]()
        self._guesses += 1
        self.version += 1
        return True

    def _left_out(self) -> list[str]:
        now = self.options
        gone = {
            "log-probabilities": not now.logprobs,
            "response_format": now.form == "words",
            "temperature": not now.temperature,
            "the system message": not now.system,
        }
        return [name for name, is_gone in gone.items() if is_gone]

    def _learnt(self, lesson: str) -> None:
        self.version += 1
        self.lessons.append(lesson)
        self._tell(f"takes {lesson}")


def turn_of(turn: Message) -> dict[str, Any]:
    """Write a turn as the OpenAI API has it."""
    written: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.uses:
        written["tool_calls"] = [
            {
                "id": use.id,
                "type": "function",
                "function": {"name": use.name, "arguments": use.arguments},
            }
            for use in turn.uses
        ]
    if turn.answers:
        written["tool_call_id"] = turn.answers
    return written


def tools_of(request: ChatRequest) -> list[dict[str, Any]]:
    """Write the functions on offer as the OpenAI API has them."""
    return [
        {
            "type": "function",
            "function": {
                "name": offer.name,
                "description": offer.description,
                "parameters": dict(offer.parameters),
            },
        }
        for offer in request.tools
    ]


def schema_of(request: ChatRequest) -> dict[str, Any] | None:
    """Give the JSON schema that a reply must satisfy, if there is one."""
    if request.choices:
        return {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": list(request.choices)}},
            "required": ["answer"],
            "additionalProperties": False,
        }
    return None if request.schema is None else dict(request.schema)


def form_in_words(request: ChatRequest) -> str:
    """Say in the prompt what a reply must look like, for endpoints that take no schema."""
    if request.choices:
        names = json.dumps(list(request.choices), ensure_ascii=False)
        return f'Reply with JSON only: {{"answer": one of {names}}}'
    if request.schema is not None:
        schema = json.dumps(dict(request.schema), ensure_ascii=False)
        return f"Reply with JSON only, matching this schema: {schema}"
    return ""
