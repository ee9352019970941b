"""How the mock server sends an answer in pieces, and how that goes wrong with real endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

_LENGTH = 5
"""Characters of a piece."""


def is_streamed(body: Mapping[str, Any], manner: str) -> bool:
    """Tell whether a request is answered in pieces."""
    return bool(body.get("stream")) and manner != "ignores_stream"


async def stream(
    request: web.Request,
    reply: Mapping[str, Any],
    body: Mapping[str, Any],
    *,
    manner: str,
    pace: float,
) -> web.StreamResponse:
    """Send a reply as server-sent events, `pace` seconds before each piece of what is said.

    Letters of several bytes are cut in two, as networks do.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):  # whoever asked has had enough
        await _stream(request, response, reply, body, manner=manner, pace=pace)
    return response


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    reply: Mapping[str, Any],
    body: Mapping[str, Any],
    *,
    manner: str,
    pace: float,
) -> None:
    asks_usage = (body.get("stream_options") or {}).get("include_usage")
    deltas = list(_deltas(reply["choices"][0]))
    for place, (delta, finish) in enumerate(deltas):
        await asyncio.sleep(pace)
        if manner == "breaks_stream" and place > len(deltas) // 2:
            assert request.transport is not None
            request.transport.abort()
            return
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        await _send(response, {"id": "mock", "choices": [choice]}, manner)
    if asks_usage and reply.get("usage") is not None:
        await _send(response, {"id": "mock", "choices": [], "usage": reply["usage"]}, manner)
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()


async def _send(response: web.StreamResponse, event: Mapping[str, Any], manner: str) -> None:
    raw = f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
    if manner == "invalid_utf8":
        raw = raw.replace("é".encode(), b"\xff")
    cut = next((place + 1 for place, byte in enumerate(raw) if byte > 0x7F), len(raw) // 2)
    await response.write(raw[:cut])
    await asyncio.sleep(0)
    await response.write(raw[cut:])


def _deltas(choice: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str | None]]:
    message = choice["message"]
    yield {"role": "assistant", "content": ""}, None
    for name in ("reasoning_content", "content"):
        for part in _cut(message.get(name) or ""):
            yield {name: part}, None
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        begun = {"name": function["name"], "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call["id"], "function": begun}]}, None
        for part in _cut(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}, None
    yield {}, choice["finish_reason"]


def _cut(text: str) -> list[str]:
    return [text[start : start + _LENGTH] for start in range(0, len(text), _LENGTH)]
