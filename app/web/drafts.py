"""Answers of the chat while they are written: in memory only, and gone when they are kept.

A draft is known by the message that it answers. Its events can be taken up again: an event's id
says which draft, which of its versions and how many characters of it were seen.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

_POLL = 0.05
_PULSE = 15.0
_CHECK = 2.0
"""Seconds between two looks whether the person may still listen."""


@dataclass(slots=True)
class _Draft:
    run: str
    who: str
    """Who asked, and is told."""
    version: int = 0
    """Rises where it is not the former one with something added."""
    text: str = ""


class Drafts:
    """All that are written now. Used from the server's event loop alone."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._open: dict[int, _Draft] = {}

    def put(self, run: str, who: str, answered: int, text: str) -> None:
        """Take the answer to a message as far as it is written."""
        draft = self._open.setdefault(answered, _Draft(run, who))
        if not text.startswith(draft.text):
            draft.version += 1
        draft.text = text

    def end(self, answered: int) -> None:
        """Forget a draft: the answer is kept in the chat, or there is none."""
        self._open.pop(answered, None)

    async def follow(
        self, run: str, who: str, *, seen: str, may_listen: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[str]:
        """Send what somebody is answered in a run, from the event with the id `seen` on."""
        yield "retry: 500\n\n"
        known = _read_ids(seen)
        sent = checked = time.monotonic()
        while True:
            now = time.monotonic()
            if now - checked >= _CHECK:
                if not await may_listen():
                    return
                checked = now
            frames = self.news(run, who, known)
            for frame in frames:
                yield frame
            if frames:
                sent = now
            elif now - sent >= _PULSE:
                sent = now
                yield ": still here\n\n"
            await asyncio.sleep(_POLL)

    def news(self, run: str, who: str, known: dict[int, tuple[int, int]]) -> list[str]:
        """Write what changed since `known`, which holds the versions and lengths that were seen."""
        frames = []
        mine = {
            answered: draft
            for answered, draft in self._open.items()
            if (draft.run, draft.who) == (run, who)
        }
        for answered in known.keys() - mine.keys():
            del known[answered]
            frames.append(_frame("said", f"{answered}:0:0", {"answers": answered}))
        for answered, draft in mine.items():
            version, length = known.get(answered, (-1, 0))
            is_new = version != draft.version
            if not is_new and length == len(draft.text):
                continue
            body = {"answers": answered, "is_new": is_new, "text": draft.text}
            if not is_new:
                body["text"] = draft.text[length:]
            known[answered] = (draft.version, len(draft.text))
            frames.append(_frame("draft", f"{answered}:{draft.version}:{len(draft.text)}", body))
        return frames


def _frame(event: str, name: str, body: object) -> str:
    return f"event: {event}\nid: {name}\ndata: {json.dumps(body)}\n\n"


def _read_ids(seen: str) -> dict[int, tuple[int, int]]:
    """Read the id of the last event that somebody saw; nothing where it is none of ours."""
    parts = seen.split(":")
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 19 for part in parts):
        return {}
    answered, version, length = map(int, parts)
    return {answered: (version, length)}
