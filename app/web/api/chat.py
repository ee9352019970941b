"""The chat about a run: what is said, and a person's word on what is proposed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from querist.app.chat import Here, Talk, complete, perform
from querist.app.web.aside import ask_while
from querist.app.web.desk import Desk, Owner, Row, Shared, Viewer, person_of
from querist.memory.workspace.chat import Message
from querist.memory.workspace.people import Person

router = APIRouter(tags=["chat"])


class CiteView(BaseModel):
    """What an answer was read from."""

    kind: str
    id: str


class TableView(BaseModel):
    """Rows that say more than a sentence."""

    columns: list[str]
    rows: list[list[str]]


class ProposalView(BaseModel):
    """A command that waits for a person's word, or what became of it."""

    command: str
    arguments: dict[str, Any]
    words: str
    state: str
    by: str
    stage: str
    """open, rejected, queued, done or refused."""
    life: str


class MessageView(BaseModel):
    """Something that was said; its text may be a model's or a pool's."""

    id: int
    who: str
    role: str
    text: str
    at: datetime
    citations: list[CiteView]
    table: TableView | None
    proposal: ProposalView | None


class Said(BaseModel):
    """What somebody says, and the page they look at."""

    text: str = Field(min_length=1, max_length=4_000)
    example: str = ""
    round: int | None = None


class Word(BaseModel):
    """A person's word on a proposal; an edit gives other arguments."""

    verdict: Literal["approve", "edit", "reject"]
    arguments: dict[str, Any] | None = None


@router.get("/runs/{run}/chat")
def list_messages(
    desk: Shared, _: Viewer, row: Row, after: Annotated[int, Query(ge=0)] = 0
) -> list[MessageView]:
    """List what was said after a message; the last 200 at most."""
    talk = Talk(desk.store, row.id)
    return [_view(talk, message) for message in talk.messages(after, most=200)]


@router.post("/runs/{run}/chat", status_code=201)
async def say(
    request: Request, desk: Shared, person: Viewer, row: Row, said: Said
) -> list[MessageView]:
    """Say something; a slash command is answered at once, and what it would change is proposed.

    Anything else is for a model, where the run has one: it answers as long as the caller stays.
    Only who may command the run may spend its money on that.
    """
    here = Here(run=row.id, example=said.example, round=said.round)
    if not said.text.lstrip().startswith("/") and person.may("owner"):
        return await _supervised(request, desk, person, row.id, said=said)
    return await asyncio.to_thread(_performed, desk, person, row.id, said.text, here)


def _performed(desk: Desk, person: Person, run: str, text: str, here: Here) -> list[MessageView]:
    messages = perform(desk.store, run, text, who=person.name, role=person.role, here=here)
    talk = Talk(desk.store, run)
    return [_view(talk, message) for message in messages]


async def _supervised(
    request: Request, desk: Desk, person: Person, run: str, *, said: Said
) -> list[MessageView]:
    async def is_wanted() -> bool:
        return not await request.is_disconnected()

    asked: list[int] = []

    def hear(told: Mapping[str, Any]) -> None:
        asked[:] = [told["answers"]]
        desk.drafts.put(run, person.name, told["answers"], told["draft"])

    try:
        done = await _asked(desk, person, run, said, is_wanted=is_wanted, hear=hear)
    finally:
        for message in asked:
            desk.drafts.end(message)
    talk = Talk(desk.store, run)
    known = set(done["messages"])
    return [
        _view(talk, known_message)
        for known_message in talk.messages(min(known) - 1)
        if known_message.id in known
    ]


async def _asked(
    desk: Desk,
    person: Person,
    run: str,
    said: Said,
    *,
    is_wanted: Callable[[], Awaitable[bool]],
    hear: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    return await ask_while(
        is_wanted,
        "supervise",
        hear=hear,
        workspace=str(desk.place.workspace),
        database=desk.place.database,
        run=run,
        text=said.text,
        who=person.name,
        role=person.role,
        here={"run": run, "example": said.example, "round": said.round},
    )


@router.get("/runs/{run}/chat/stream", response_class=StreamingResponse)
async def follow_drafts(
    request: Request,
    desk: Shared,
    person: Viewer,
    row: Row,
    last_event_id: Annotated[str, Header(max_length=80)] = "",
) -> StreamingResponse:
    """Send what you are answered while it is written, as server-sent events.

    `draft` adds `text` to the answer to message `answers`, or begins it anew (`is_new`); `said`
    ends it: the answer itself is in the list. Last-Event-ID takes it up where it was.
    """

    async def may_listen() -> bool:
        is_gone = await request.is_disconnected()
        return not is_gone and await asyncio.to_thread(person_of, request) is not None

    body = desk.drafts.follow(row.id, person.name, seen=last_event_id, may_listen=may_listen)
    headers = {"x-accel-buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


@router.post("/runs/{run}/chat/{message}/decision")
def decide(desk: Shared, owner: Owner, row: Row, message: int, word: Word) -> MessageView:
    """Approve, edit or reject what a message proposes; the same again changes nothing."""
    talk = Talk(desk.store, row.id)
    kept = talk.decide(message, word.verdict, owner.name, arguments=word.arguments)
    starts = kept.proposal is not None and kept.proposal.to == "driver"
    if starts and kept.state in {"approved", "edited"}:
        desk.drive(row.id)
    return _view(talk, kept)


@router.get("/runs/{run}/chat/complete")
def complete_line(
    desk: Shared, _: Viewer, row: Row, line: Annotated[str, Query(max_length=4_000)]
) -> list[str]:
    """Complete a slash command: whole lines that could be meant."""
    return complete(line, desk.store, row.id)


def _view(talk: Talk, message: Message) -> MessageView:
    proposal, table = message.proposal, message.table
    life = talk.life(message.id) if proposal is not None else None
    return MessageView(
        id=message.id,
        who=message.who,
        role=message.role,
        text=message.text,
        at=message.at,
        citations=[CiteView(kind=cite.kind, id=cite.id) for cite in message.citations],
        table=None
        if table is None
        else TableView(columns=list(table.columns), rows=[list(row) for row in table.rows]),
        proposal=None
        if proposal is None or life is None
        else ProposalView(
            command=proposal.command,
            arguments=dict(proposal.arguments),
            words=proposal.words,
            state=message.state,
            by=proposal.by,
            stage=life.stage,
            life=life.words,
        ),
    )
