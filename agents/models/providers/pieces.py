"""A reply that comes in pieces, as server-sent events, put together as if it had come whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from querist.agents.models.port import Draft, OnDraft, ToolUse
from querist.agents.models.reading import content_text, without_thoughts

_WHOLE = (b"{", b"[", b"<", b'"')
"""How a body begins that is no stream: JSON, or a web page."""


class Pieces:
    """What came of one reply so far."""

    def __init__(self, on_draft: OnDraft) -> None:
        """`on_draft` hears all that came, again with each piece, until it says False."""
        self.is_stopped = False
        self.count = 0
        """Pieces with something written in them: as many tokens at least."""
        self._on_draft = on_draft
        self._parts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "refusal": []}
        self._calls: dict[int, dict[str, str]] = {}
        self._finish = ""
        self._is_done = False
        self._rest: dict[str, Any] = {}

    @property
    def written(self) -> str:
        """All that the model wrote: text, thoughts, and arguments of calls."""
        calls = (f"{call['name']}{call['arguments']}" for call in self._calls.values())
        return "".join([*("".join(part) for part in self._parts.values()), *calls])

    async def read(self, chunks: AsyncIterator[bytes]) -> Any:
        """Give the body of the whole reply, also of an endpoint that does not stream.

        Raises `ValueError` where it breaks off, and that or a `LookupError`, `TypeError` or
        `AttributeError` where it cannot be read.
        """
        rest, is_whole = b"", False
        async for chunk in chunks:
            rest += chunk
            is_whole = is_whole or (not self.count and rest.lstrip().startswith(_WHOLE))
            if is_whole:
                continue
            # A line is whole, so no letter is cut in two, wherever the chunks were.
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if (body := self._take(line)) is not None:
                    return body
                if self.is_stopped or self._is_done:
                    return self._body()
        if is_whole:
            return json.loads(rest)
        if rest and (body := self._take(rest)) is not None:
            return body
        if not (self._is_done or self._finish):
            raise ValueError("the stream ended before the answer did")
        return self._body()

    def _take(self, line: bytes) -> Any:
        """Take a line of the stream; gives a body that stands for the whole reply: an error."""
        name, _, data = line.decode(errors="replace").strip().partition(":")
        data = data.strip()
        if name != "data" or not data:
            return None  # a comment, or the name of an event
        if data == "[DONE]":
            self._is_done = True
            return None
        event = json.loads(data)
        if not isinstance(event, Mapping):
            raise TypeError("a piece is no object")
        if event.get("error") and not event.get("choices"):
            if self.count:
                raise ValueError(f"it failed in the middle: {str(event['error'])[:200]}")
            return event
        self._add(event)
        return None

    def _add(self, event: Mapping[str, Any]) -> None:
        if event.get("usage"):
            self._rest["usage"] = event["usage"]
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        self._finish = str(choice.get("finish_reason") or self._finish)
        delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        has_more = False
        for name, part in self._parts.items():
            given = delta.get(name) or (delta.get("reasoning") if "reason" in name else None)
            if more := content_text(given):
                part.append(more)
                has_more = True
        for position, call in enumerate(delta.get("tool_calls") or ()):
            has_more = True
            self._add_call(call, int(call.get("index") or position))
        if has_more:
            self.count += 1
            self.is_stopped = not self._on_draft(self._draft())

    def _add_call(self, piece: Mapping[str, Any], index: int) -> None:
        call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] = str(piece.get("id") or call["id"])
        function = piece.get("function") or {}
        # A name comes whole; some servers repeat it in every piece.
        call["name"] = str(function.get("name") or call["name"])
        given = function.get("arguments")
        if given is not None:
            call["arguments"] += given if isinstance(given, str) else json.dumps(given)

    def _draft(self) -> Draft:
        uses = (ToolUse(call["id"], call["name"], call["arguments"]) for call in self._in_order())
        return Draft(without_thoughts("".join(self._parts["content"])), tuple(uses))

    def _in_order(self) -> list[dict[str, str]]:
        return [self._calls[index] for index in sorted(self._calls)]

    def _body(self) -> dict[str, Any]:
        message: dict[str, Any] = {name: "".join(part) for name, part in self._parts.items()}
        if self._calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in self._in_order()
            ]
        choice = {"index": 0, "finish_reason": self._finish or "stop", "message": message}
        return {"choices": [choice], **self._rest}
