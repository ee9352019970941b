"""What the handlers of one server share, and who is asking."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from querist.app.terminal.place import Place
from querist.app.web.drafts import Drafts
from querist.app.web.drivers import Drivers
from querist.memory.errors import NotFound
from querist.memory.records import JobStatus, content_id
from querist.memory.run.runs import RunRow, Runs
from querist.memory.store import Store
from querist.memory.workspace.jobs import Jobs
from querist.memory.workspace.people import People, Person, Role


@dataclass(frozen=True, slots=True)
class Desk:
    """A workspace that is served."""

    store: Store
    place: Place
    owner: str
    """The name of who started the server."""
    hosts: frozenset[str]
    """What a request may call this server in its Host header, with the port."""
    drivers: Drivers
    is_secure: bool = False
    """Whether browsers reach it by HTTPS."""
    drafts: Drafts = field(default_factory=Drafts, repr=False)
    """What the chat's supervisor is writing."""
    owner_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """Lets the owner in; it is never kept, and ends with the server."""

    @property
    def people(self) -> People:
        """Who may use the pages."""
        return People(self.store)

    def drive(self, run: str) -> None:
        """Have a run go on: by the worker if it is a job's, else by a process of its own."""
        jobs = Jobs(self.store)
        job = jobs.of_run(run)
        if job is None:
            self.drivers.drive(run)
        elif job.status not in {JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.WAITING}:
            jobs.resume(job.id)

    @property
    def cookie(self) -> str:
        """The session's cookie: browsers share cookies between the ports of a machine."""
        return f"querist-{content_id(str(self.place.workspace.resolve()), size=8)}"

    def enter(self, secret: str) -> Person | None:
        """Tell whom a link's secret lets in."""
        if secrets.compare_digest(secret.encode(), self.owner_secret.encode()):
            return Person(self.owner, "owner")
        return self.people.invited(secret)


def desk_of(request: Request) -> Desk:
    """Find what the handlers share."""
    desk: Desk = request.app.state.desk
    return desk


def person_of(request: Request) -> Person | None:
    """Tell who is asking, by their session's cookie or a bearer token."""
    desk = desk_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return desk.enter(token.strip())
    secret = request.cookies.get(desk.cookie)
    return desk.people.session(secret) if secret else None


def needs(role: Role) -> Callable[[Request], Person]:
    """Make a dependency that lets nobody through whose role is less than `role`."""

    def check(request: Request) -> Person:
        person = person_of(request)
        if person is None:
            raise HTTPException(401, "Log in with the link that you were given.")
        if not person.may(role):
            raise HTTPException(403, f"This needs the role {role}; yours is {person.role}.")
        return person

    return check


def run_of(request: Request, run: str) -> RunRow:
    """Find the run that a path names, in full; a part of a name is not enough here."""
    row = Runs(desk_of(request).store).get(run)
    if row.id != run:
        raise NotFound(f"There is no run {run!r} here.")
    return row


async def _shared(request: Request) -> Desk:
    # Async, because FastAPI would call anything else in a thread, which costs more than the call.
    return desk_of(request)


Shared = Annotated[Desk, Depends(_shared)]
Viewer = Annotated[Person, Depends(needs("viewer"))]
Annotator = Annotated[Person, Depends(needs("annotator"))]
Owner = Annotated[Person, Depends(needs("owner"))]
Row = Annotated[RunRow, Depends(run_of)]
