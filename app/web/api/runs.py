"""Runs: where they stand, what was decided, and what people want of them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field

from querist.app.views.state.decision_view import DecisionView, decision_view
from querist.app.views.state.run_view import (
    RoundView,
    RunLine,
    RunView,
    round_view,
    run_line,
    run_view,
)
from querist.app.web.desk import Owner, Row, Shared, Viewer
from querist.memory.errors import InvalidInput
from querist.memory.records import Command, JobStatus
from querist.memory.run.journal import Journal
from querist.memory.run.mailbox import Mailbox
from querist.memory.run.runs import Runs
from querist.memory.workspace.jobs import Jobs

router = APIRouter(tags=["runs"])
_MOST = 500


class EventView(BaseModel):
    """Something that happened."""

    id: int
    kind: str
    at: datetime
    data: dict[str, Any]


class Events(BaseModel):
    """A page of events; ask for those after `next` for the next page, if there is one."""

    events: list[EventView]
    next: int | None


class CommandView(BaseModel):
    """What somebody wants of a run, and what became of it."""

    id: int
    name: str
    arguments: dict[str, Any]
    who: str
    status: str
    result: str


class Wish(BaseModel):
    """A command to a run."""

    name: str = Field(examples=["pause", "stop", "proceed", "budget", "set", "strategy"])
    arguments: dict[str, Any] = {}


@router.get("/runs")
def list_runs(desk: Shared, _: Viewer) -> list[RunLine]:
    """List the runs, newest first."""
    runs = Runs(desk.store)
    return [run_line(desk.store, row, runs) for row in runs.all()]


@router.get("/runs/{run}")
def get_run(desk: Shared, _: Viewer, row: Row) -> RunView:
    """Tell where a run stands."""
    return run_view(desk.store, row)


@router.get("/runs/{run}/rounds")
def list_rounds(desk: Shared, _: Viewer, row: Row) -> list[RoundView]:
    """List the rounds in order: the learning curve."""
    return [round_view(done) for done in Journal(desk.store, row.id).rounds()]


@router.get("/runs/{run}/decisions")
def list_decisions(
    desk: Shared,
    _: Viewer,
    row: Row,
    number: Annotated[int | None, Query(alias="round")] = None,
    agent: str | None = None,
) -> list[DecisionView]:
    """List decisions, oldest first; of a round or an agent if asked."""
    made = Journal(desk.store, row.id).decisions(number=number, agent=agent)
    return [decision_view(decision) for decision in sorted(made, key=lambda taken: taken.turn)]


@router.get("/runs/{run}/events")
def list_events(
    desk: Shared,
    _: Viewer,
    row: Row,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
) -> Events:
    """List events with a higher id than `after`, oldest first."""
    found = Journal(desk.store, row.id).page(after=after, limit=limit)
    return Events(
        events=[EventView(id=e.id, kind=e.kind, at=e.at, data=dict(e.data)) for e in found],
        next=found[-1].id if len(found) == limit else None,
    )


@router.get("/runs/{run}/commands")
def list_commands(desk: Shared, _: Viewer, row: Row) -> list[CommandView]:
    """List what people wanted of the run, and what became of it."""
    return [_command(command) for command in Mailbox(desk.store, row.id).all()]


@router.post("/runs/{run}/commands", status_code=202)
def post_command(
    desk: Shared,
    owner: Owner,
    row: Row,
    wish: Wish,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> CommandView:
    """Hand a command to whoever drives the run; under one key it is one command.

    A pause of a run that nobody drives is refused: it would pause the next start at once.
    """
    runs = Runs(desk.store)
    if wish.name == "pause" and not runs.is_driven(row):
        raise InvalidInput(f"Run {row.id} is not running, so nothing can pause.")
    token = idempotency_key or uuid.uuid4().hex
    mailbox = Mailbox(desk.store, row.id)
    mailbox.post(wish.name, who=owner.name, token=token, arguments=wish.arguments)
    posted = mailbox.find(token)
    assert posted is not None
    return _command(posted)


@router.post("/runs/{run}/resume", status_code=202)
def resume(desk: Shared, _: Owner, row: Row) -> RunLine:
    """Drive a run in a process of its own; one that is driven already goes on."""
    if row.kind != "loop":
        raise InvalidInput(f"{row.id} is no run of the loop, so it cannot go on from here.")
    runs = Runs(desk.store)
    job = Jobs(desk.store).of_run(row.id)
    if job is not None and job.status is JobStatus.WAITING:
        raise InvalidInput(
            "The job waits for people. Answer its questions, or let it go on without the answers."
        )
    if not runs.is_driven(row):
        desk.drive(row.id)
    return run_line(desk.store, row, runs)


def _command(command: Command) -> CommandView:
    return CommandView(
        id=command.id,
        name=command.name,
        arguments=dict(command.arguments),
        who=command.who,
        status=command.status,
        result=command.result,
    )
