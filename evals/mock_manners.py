"""Oddities of real OpenAI-compatible endpoints, as their users reported them in public.

Each has a name. Some refuse a request (`refuse`), the others answer in a shape of their own
(`reply_oddly`); the answer itself is always right, so a client that copes loses no label.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

Body = Mapping[str, Any]
FILTERED = "please filter this"
"""A text with these words is refused by the filters."""
_TOO_LONG = 3_000
"""Characters from which a prompt is too long."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is none."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def _error(status: int, message: str, code: str = "", **headers: str) -> Refused:
    body = {"error": {"message": message, "code": code}}
    return Refused(status, body, {key.replace("_", "-"): value for key, value in headers.items()})


def _unless_absent(option: str, refused: Refused) -> Callable[[Body, int], Refused | None]:
    return lambda body, _: refused if option in body else None


def _last(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def _few_alternatives(body: Body, _: int) -> Refused | None:
    if body.get("top_logprobs", 0) > 5:
        return _error(400, "Invalid value for 'top_logprobs': must be less than or equal to 5.")
    return None


def _object_only(body: Body, _: int) -> Refused | None:
    if (body.get("response_format") or {}).get("type") == "json_schema":
        return _error(400, "'json_schema' is not supported; use json_object", "invalid_request")
    return None


def _plain_only(body: Body, _: int) -> Refused | None:
    extra = set(body) - {"model", "messages", "max_tokens", "max_completion_tokens"}
    return Refused(400, {"error": "bad request"}) if extra else None


_MUST_RENAME = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
_ONE_HEAT = "Unsupported value: 'temperature' does not support 0 with this model."
_UNKNOWN = {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs not permitted"}]}

_REFUSALS: Mapping[str, Callable[[Body, int], Refused | None]] = {
    "reasoner": lambda body, number: (
        _error(400, _MUST_RENAME)
        if "max_tokens" in body
        else _unless_absent("temperature", _error(400, _ONE_HEAT))(body, number)
    ),
    "rf422": _unless_absent("response_format", Refused(422, _UNKNOWN)),
    "object_only": _object_only,
    "few_alternatives": _few_alternatives,
    "no_logprobs": _unless_absent("logprobs", _error(400, "logprobs is not supported")),
    "no_tools": _unless_absent("tools", _error(400, "tools are not supported by this model")),
    "no_system": lambda body, _: (
        _error(400, "System role not supported")
        if body["messages"][0]["role"] == "system"
        else None
    ),
    "plain_only": _plain_only,
    "no_stream": _unless_absent("stream", _error(400, "bad request")),
    "no_stream_options": _unless_absent(
        "stream_options", _error(400, "Unknown parameter: 'stream_options'.")
    ),
    "small_limit": lambda body, _: (
        _error(400, "max_tokens must be less than or equal to 12")
        if body.get("max_tokens", 0) > 12
        else None
    ),
    "filter": lambda body, _: (
        _error(400, "The prompt was filtered.", "content_filter")
        if FILTERED in _last(body)
        else None
    ),
    "too_long": lambda body, _: (
        _error(400, "This model's maximum context length is 900 tokens.", "context_length")
        if len(_last(body)) > _TOO_LONG
        else None
    ),
    "web_page": lambda *_: Refused(200, "<!DOCTYPE html><html>Welcome</html>"),
    "slow_down": lambda *_: _error(429, "slow down", Retry_After="3600"),
    "quota": lambda *_: _error(429, "You exceeded your current quota.", "insufficient_quota"),
    "date": lambda _, number: (
        _error(429, "slow down", Retry_After=formatdate(time.time() + 1, usegmt=True))
        if number % 7 == 3
        else None
    ),
    "err200": lambda _, number: (
        Refused(200, {"error": {"message": "rate limited", "code": 429}})
        if number % 5 == 4
        else None
    ),
}


def refuse(manner: str, body: Body, number: int) -> Refused | None:
    """Refuse a request as this manner does; None where it is answered."""
    rule = _REFUSALS.get(manner)
    return rule(body, number) if rule else None


# ---------------------------------------------------------------- odd answers


def _content(change: Callable[[str], Any]) -> Callable[[dict[str, Any], Body], None]:
    def apply(reply: dict[str, Any], _: Body) -> None:
        message = reply["choices"][0]["message"]
        message["content"] = change(message["content"])

    return apply


def _label(content: str) -> str:
    body = json.loads(content)
    return str(body.get("answer", content)) if isinstance(body, dict) else content


def _cut_off(reply: dict[str, Any], _: Body) -> None:
    choice = reply["choices"][0]
    choice["finish_reason"] = "length"
    choice["message"] |= {"content": None, "reasoning_content": "hm " * 30}


def _thinks_long(reply: dict[str, Any], body: Body) -> None:
    """Answer only where there is room for a thousand tokens of thoughts."""
    room = body.get("max_tokens") or body.get("max_completion_tokens") or 10**6
    reply["usage"]["completion_tokens"] = min(room, 1_000)
    if room < 1_000:
        _cut_off(reply, body)


def _usage(used: Any) -> Callable[[dict[str, Any], Body], None]:
    def apply(reply: dict[str, Any], _: Body) -> None:
        reply["usage"] = used

    return apply


def _logprobs(given: Any) -> Callable[[dict[str, Any], Body], None]:
    def apply(reply: dict[str, Any], _: Body) -> None:
        label = _label(reply["choices"][0]["message"]["content"])
        reply["choices"][0]["logprobs"] = given(label) if callable(given) else given

    return apply


def _bills_more(reply: dict[str, Any], _: Body) -> None:
    reply["usage"]["completion_tokens"] = 1_500


def _calls_a_tool(reply: dict[str, Any], _: Body) -> None:
    message = reply["choices"][0]["message"]
    function = {"name": "answer", "arguments": message["content"]}
    message["tool_calls"] = [{"id": "1", "type": "function", "function": function}]
    message["content"] = None
    reply["choices"][0]["finish_reason"] = "tool_calls"


def _no_choices(reply: dict[str, Any], body: Body) -> None:
    if FILTERED in _last(body):
        reply["choices"] = []


def _surrogates(reply: dict[str, Any], _: Body) -> None:
    """Write half of a pair that no UTF-8 has into whatever is said."""
    message = reply["choices"][0]["message"]
    for call in message.get("tool_calls", ()):
        function = call["function"]
        function["arguments"] = function["arguments"].replace("reason", "reason\ud800")
    message["content"] = f"{message['content'] or ''}\ud800"


_ODDITIES: Mapping[str, Callable[[dict[str, Any], Body], None]] = {
    "think": _content(lambda text: f"<think>Is it {{this}}? Let me see.</think>\n{text}"),
    "end_of_thought": _content(lambda text: f"It may be anything.</think>{text}"),
    "fence": _content(lambda text: f"```json\n{text}\n```"),
    "bold": _content(lambda text: f"**{_label(text)}**"),
    "said": _content(lambda text: f"Answer: `{_label(text)}`."),
    "explains": _content(lambda text: f"{_label(text)}, because it reads like that."),
    "single_quotes": _content(lambda text: f"{{'answer': '{_label(text)}'}} I hope that helps!"),
    "shouts": _content(lambda text: _label(text).upper()),
    "parts": _content(lambda text: [{"type": "text", "text": text}]),
    "empty": _cut_off,
    "thinks_long": _thinks_long,
    "babbles": _content(lambda _: "I would rather not say."),
    "lplist": _logprobs(lambda label: [{"token": label, "logprob": -0.1}]),
    "lptext": _logprobs("none"),
    "lpnulls": _logprobs({"content": [{"token": None, "logprob": None, "top_logprobs": None}]}),
    "lpolder": _logprobs(
        lambda label: {
            "tokens": [label],
            "token_logprobs": [-0.2],
            "top_logprobs": [{label: -0.2}],
        }
    ),
    "nulls": _usage({"prompt_tokens": None, "completion_tokens": None}),
    "no_usage": _usage(None),
    "usage_text": _usage("about 90"),
    "usage_zero": _usage({"prompt_tokens": 0, "completion_tokens": 0}),
    "usage_hidden": _usage({"prompt_tokens": 90, "completion_tokens": 9, "total_tokens": 500}),
    "big": _bills_more,
    "calls_a_tool": _calls_a_tool,
    "no_choices": _no_choices,
    "surrogates": _surrogates,
    "invalid_utf8": lambda *_: None,  # which is done to the bytes
    "ignores_stream": lambda *_: None,
    "breaks_stream": lambda *_: None,
}
MANNERS = (*_REFUSALS, *_ODDITIES)


def reply_oddly(manner: str, reply: Body, body: Body) -> dict[str, Any]:
    """Bring a right answer into the shape that this manner gives it."""
    changed = deepcopy(dict(reply))
    if manner in _ODDITIES:
        _ODDITIES[manner](changed, body)
    return changed
