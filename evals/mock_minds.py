"""What the mock server says when it is asked to take an agent's decision: calls, then a ruling."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Script:
    """What a mind does: each call in its turn, the last one for ever."""

    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """Functions with their arguments; a ruling is one of them."""


def speak(body: Mapping[str, Any], script: Script) -> dict[str, Any] | None:
    """Answer a request for a decision; None for any other."""
    if not script.calls:
        return None
    made = sum(turn["role"] == "tool" for turn in body["messages"])
    name, arguments = script.calls[min(made, len(script.calls) - 1)]
    if body.get("tools"):
        offered = [tool["function"]["name"] for tool in body["tools"]]
        name, arguments = next(
            ((n, a) for n, a in script.calls if n in offered and offered == [n]), (name, arguments)
        )
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        call = {"id": "call", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return _completion(body, message, finish="tool_calls")
    form = (body.get("response_format") or {}).get("json_schema") or {}
    properties = form.get("schema", {}).get("properties", {})
    last, ruling = script.calls[-1]
    if last in properties.get("answer", {}).get("enum", ()):
        return _completion(body, _said({"answer": last}))
    return _completion(body, _said(ruling)) if "reason" in properties else None


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": json.dumps(content)}


def _completion(
    body: Mapping[str, Any], message: Mapping[str, Any], *, finish: str = "stop"
) -> dict[str, Any]:
    length = len(json.dumps(body["messages"]))
    return {
        "id": "mock",
        "object": "chat.completion",
        "model": body.get("model", "mock"),
        "choices": [{"index": 0, "finish_reason": finish, "message": dict(message)}],
        "usage": {
            "prompt_tokens": length // 4 + 1,
            "completion_tokens": len(json.dumps(message)) // 4,
        },
    }


def fill(schema: Mapping[str, Any], draw: Callable[[str], float], path: str = "") -> Any:
    """Make a value that satisfies a JSON schema; its texts differ from request to request."""
    if "enum" in schema:
        return schema["enum"][int(draw(path) * len(schema["enum"]))]
    kind = schema.get("type", "string")
    if kind == "object":
        parts: Mapping[str, Any] = schema.get("properties", {})
        return {name: fill(part, draw, f"{path}.{name}") for name, part in parts.items()}
    if kind == "array":
        count = max(1, min(int(schema.get("maxItems", 2)), 4))
        return [fill(schema.get("items", {}), draw, f"{path}.{i}") for i in range(count)]
    if kind in {"number", "integer"}:
        return schema.get("minimum", 0)
    return kind == "boolean" or f"A new text about matter {int(draw(path) * 10**9)}."
