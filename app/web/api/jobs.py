"""Jobs: quoted, handed in, watched, stopped, taken."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, Field

from querist.app.views.job_progress import JobView, facts, look
from querist.app.views.state.decision_view import DecisionView, decision_view
from querist.app.web.aside import ask_aside
from querist.app.web.desk import Desk, Owner, Shared, Viewer
from querist.app.web.job_requests import (
    ask_about_files,
    names_of_files,
    with_names,
    with_paths,
)
from querist.app.web.uploads import Uploads
from querist.app.web.work.quoting import create_quote
from querist.graph.jobs.extending import extend as extend_job
from querist.graph.jobs.request import CreateRequest, read_request
from querist.memory.asking.checks import Checks
from querist.memory.errors import NotFound
from querist.memory.records import ExampleId, Job
from querist.memory.run.journal import Journal
from querist.memory.workspace.creations import CreatedRow, Creations
from querist.memory.workspace.jobs import Jobs

router = APIRouter(tags=["jobs"])


class JobLine(BaseModel):
    """A job in a list."""

    id: str
    kind: str
    name: str
    status: str
    reason: str
    run: str
    wanted: int
    accepted: int
    spent: Decimal
    cap: Decimal
    words: str
    at: datetime
    changed: datetime


class GateView(BaseModel):
    """What a gate looked at, and let pass."""

    name: str
    seen: int
    passed: int


class JobDetail(JobLine):
    """A job in full."""

    written: int
    each: Decimal | None
    """What an accepted row has cost."""
    seconds_left: float | None
    gates: list[GateView]
    novelty: list[float | None]
    """Share of new rows, wave by wave."""
    wish: str


class RowView(BaseModel):
    """A row that was written."""

    id: str
    record: dict[str, Any]
    label: str | None
    attributes: dict[str, str]
    gate: str
    reason: str
    scores: dict[str, float]
    usd: Decimal
    writer: str
    is_hidden: bool = False
    """People are asked for its label unseen, so that only owners are told."""


class Decisions(BaseModel):
    """What was decided in some waves; ask for those before `next` for earlier ones, if any."""

    decisions: list[DecisionView]
    next: int | None


class QuoteView(BaseModel):
    """What a job would take."""

    forecast: Decimal
    cap: Decimal
    seconds: float | None
    lines: list[tuple[str, str, str, str]]
    """Who, for what, forecast and at most, where that is known."""
    advice: str
    told: list[str]
    """What was noticed about the data."""


class HandedIn(BaseModel):
    """A job that is in the queue."""

    job: str
    told: list[str]


class UploadView(BaseModel):
    """A file that was handed in, and how its first rows are read."""

    file: str
    """What a request calls it."""
    name: str
    size: int
    columns: list[str]
    text_columns: list[str]
    """Columns of words, that with most of them first."""
    rows: list[list[str]]
    notes: list[str]


class More(BaseModel):
    """What a job that goes on gets."""

    usd: Decimal | None = None


class Extension(More):
    """What a job that is extended gets."""

    rounds: int | None = Field(default=None, ge=1)
    """How many it may have in all."""
    rows: str | None = None
    """An upload with more to label, as `upload:ID`."""


@router.get("/jobs")
def list_jobs(desk: Shared, _: Viewer) -> list[JobLine]:
    """List jobs, newest first."""
    return [_line(look(desk.store, job)) for job in Jobs(desk.store).all()]


@router.get("/jobs/{job}")
def get_job(desk: Shared, _: Viewer, job: str) -> JobDetail:
    """Tell where a job stands."""
    view = look(desk.store, _find(desk, job))
    return JobDetail(
        **_line(view).model_dump(),
        written=view.written,
        each=view.each,
        seconds_left=view.seconds_left if view.is_worked_on else None,
        gates=[GateView(name=n, seen=seen, passed=ok) for n, (seen, ok) in view.gates.items()],
        novelty=list(view.novelty),
        wish=view.job.wish,
    )


@router.get("/jobs/{job}/rows")
def list_rows(
    desk: Shared,
    person: Viewer,
    job: str,
    status: Literal["accepted", "rejected"] = "accepted",
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> list[RowView]:
    """List the newest rows of a job that creates some, accepted or rejected with the reason."""
    run = _find(desk, job).run
    found = Creations(desk.store, run).newest(status, limit=limit)
    hidden: set[ExampleId] = set()
    if not person.may("owner"):
        hidden = Checks(desk.store, run).sampled([ExampleId(row.id) for row in found])
    return [_row(row, is_hidden=row.id in hidden) for row in found]


@router.get("/jobs/{job}/decisions")
def list_decisions(
    desk: Shared,
    _: Viewer,
    job: str,
    before: Annotated[int | None, Query(ge=0)] = None,
    waves: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Decisions:
    """List what agents decided in the last waves, or rounds, before one; the newest wave first."""
    made = Journal(desk.store, _find(desk, job).run).decided_before(before, rounds=waves)
    made.sort(key=lambda decision: (-decision.round, decision.turn))
    numbers = {decision.round for decision in made}
    return Decisions(
        decisions=[decision_view(decision) for decision in made],
        next=min(numbers) if len(numbers) == waves else None,
    )


@router.post("/jobs/quote")
def quote(desk: Shared, _: Owner, body: dict[str, Any]) -> QuoteView:
    """Forecast a job; nothing is spent, and nothing is kept."""
    request = with_paths(desk, body)
    place = {"workspace": str(desk.place.workspace), "database": desk.place.database}
    if request.get("kind") == "create":
        with names_of_files(desk):
            wanted = read_request(request, source="the job")
            assert isinstance(wanted, CreateRequest)
            # What reads a run loads more than the server does without.
            if wanted.seeds.run is None:
                return QuoteView(**with_names(desk, create_quote(wanted)))
    return QuoteView(**ask_about_files(desk, "quote", request=request, **place))


@router.post("/jobs", status_code=201)
def hand_in(
    desk: Shared,
    _: Owner,
    body: dict[str, Any],
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> HandedIn:
    """Check a job, import what it needs, and put it into the queue; under one key it is one job."""
    request = with_paths(desk, body)
    place = {"workspace": str(desk.place.workspace), "database": desk.place.database}
    return HandedIn(
        **ask_about_files(desk, "submit", request=request, key=idempotency_key, **place)
    )


@router.post("/jobs/{job}/pause")
def pause(desk: Shared, _: Owner, job: str) -> JobLine:
    """Pause a job at its next step."""
    return _line(look(desk.store, Jobs(desk.store).pause(_find(desk, job).id)))


@router.post("/jobs/{job}/cancel")
def cancel(desk: Shared, _: Owner, job: str) -> JobLine:
    """End a job for good; what it made so far can still be taken."""
    return _line(look(desk.store, Jobs(desk.store).cancel(_find(desk, job).id)))


@router.post("/jobs/{job}/resume")
def resume(desk: Shared, _: Owner, job: str, more: More | None = None) -> JobLine:
    """Put a job that stopped back into the queue, with another cap if one is given."""
    found = _find(desk, job)
    if more is None or more.usd is None:
        found = Jobs(desk.store).resume(found.id)
    else:
        found = extend_job(desk.store, found, usd=more.usd)
    return _line(look(desk.store, found))


@router.post("/jobs/{job}/extend")
def extend(desk: Shared, _: Owner, job: str, more: Extension) -> HandedIn:
    """Give a job more rows, money or rounds, and put it back into the queue."""
    found = _find(desk, job)
    given = more.model_dump(mode="json", exclude_none=True)
    if more.rows is not None:
        given["rows"] = Uploads(desk.place.workspace).path_of(more.rows)
    place = {"workspace": str(desk.place.workspace), "database": desk.place.database}
    return HandedIn(**ask_about_files(desk, "extend", job=found.id, more=given, **place))


@router.post("/uploads", status_code=201)
async def upload(
    request: Request, desk: Shared, _: Owner, name: Annotated[str, Query(max_length=300)]
) -> UploadView:
    """Take a file as the body of the request, and show how its first rows are read."""
    import asyncio

    kept = await Uploads(desk.place.workspace).keep(name, request.stream())
    seen = await asyncio.to_thread(ask_aside, "preview", path=str(kept.path))
    return UploadView(file=f"upload:{kept.id}", name=kept.name, size=kept.size, **seen)


def _find(desk: Desk, job: str) -> Job:
    found = Jobs(desk.store).get(job)
    if found.id != job:
        raise NotFound(f"There is no job {job!r} here.")
    return found


def _line(view: JobView) -> JobLine:
    job = view.job
    return JobLine(
        id=job.id,
        kind=job.kind,
        name=job.name,
        status=view.status,
        reason=job.reason,
        run=job.run,
        wanted=view.wanted,
        accepted=view.accepted,
        spent=view.spent,
        cap=view.cap,
        words=", ".join(facts(view)),
        at=job.at,
        changed=job.changed,
    )


def _row(row: CreatedRow, *, is_hidden: bool) -> RowView:
    return RowView(
        id=row.id,
        record=dict(row.record),
        label=None if is_hidden else row.label,
        attributes=dict(row.attributes),
        gate=row.gate,
        reason=row.reason,
        scores={} if is_hidden else dict(row.scores),
        usd=row.usd,
        writer=row.writer,
        is_hidden=is_hidden,
    )
