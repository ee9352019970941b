"""What happens in a run, as it happens: server-sent events that can be taken up again.

An event's id is the journal's, so that a browser that reconnects says with Last-Event-ID what it
has seen, and misses nothing, whether the server was restarted meanwhile or not. The journal is
read again at short intervals, since a run may be driven by any process.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from querist.app.web.desk import Row, Shared, Viewer, person_of
from querist.memory.records import Event
from querist.memory.run.journal import Journal

router = APIRouter(tags=["runs"])
_POLL = 0.25
_PULSE = 15.0
"""Seconds after which a line says that the connection lives, where nothing else does."""
_CHECK = 2.0
"""Seconds between two looks whether the person may still listen."""
_MOST = 500


@router.get("/runs/{run}/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    desk: Shared,
    _: Viewer,
    row: Row,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> StreamingResponse:
    """Send the events of a run, from the one after `after` (or Last-Event-ID) on."""
    journal = Journal(desk.store, row.id)
    seen = after if last_event_id is None else last_event_id
    body = _follow(request, journal, seen)
    headers = {"x-accel-buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


async def _follow(request: Request, journal: Journal, seen: int) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    quiet = 0.0
    checked = time.monotonic()
    while not await request.is_disconnected():
        if time.monotonic() - checked >= _CHECK:
            # Who is shut out meanwhile hears no more.
            if await asyncio.to_thread(person_of, request) is None:
                return
            checked = time.monotonic()
        found = await asyncio.to_thread(journal.page, after=seen, limit=_MOST)
        for event in found:
            yield _frame(event)
            seen = event.id
        if found:
            quiet = 0.0
            continue
        await asyncio.sleep(_POLL)
        quiet += _POLL
        if quiet >= _PULSE:
            quiet = 0.0
            yield ": still here\n\n"


def _frame(event: Event) -> str:
    body = json.dumps({"kind": event.kind, "at": event.at.isoformat(), "data": dict(event.data)})
    return f"id: {event.id}\ndata: {body}\n\n"
