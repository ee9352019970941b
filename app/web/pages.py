"""Pages: a frame with a rail, which a script of its own fills from the API.

What is written into a page here is escaped by Jinja; what scripts write is text, never markup.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from querist.app.web.desk import Desk, desk_of, person_of, run_of
from querist.memory.errors import NotFound
from querist.memory.run.runs import Runs
from querist.memory.workspace.people import Person, Role

pages = APIRouter(include_in_schema=False)
_templates = Jinja2Templates(directory=Path(__file__).parent / "templates")


@pages.get("/")
def home(request: Request) -> Response:
    """Lead to the newest run of the loop, or to the list where there is none."""
    runs = [row for row in Runs(desk_of(request).store).all() if row.kind == "loop"]
    return RedirectResponse(f"/runs/{runs[0].id}" if runs else "/runs", status_code=303)


@pages.get("/runs", response_class=HTMLResponse)
def list_of_runs(request: Request) -> Response:
    """Show all runs."""
    return _page(request, "runs", "Runs")


@pages.get("/jobs", response_class=HTMLResponse)
def jobs(request: Request) -> Response:
    """Show jobs, and forms for new ones."""
    return _page(request, "jobs", "Jobs")


@pages.get("/lessons", response_class=HTMLResponse)
def lessons(request: Request) -> Response:
    """Show what runs learnt for later ones."""
    return _page(request, "lessons", "Lessons")


@pages.get("/people", response_class=HTMLResponse)
def people(request: Request) -> Response:
    """Show who may use the pages."""
    return _page(request, "people", "People", role="owner")


@pages.get("/runs/{run}", response_class=HTMLResponse)
def loop(request: Request, run: str) -> Response:
    """Show the loop of a run."""
    return _page(request, "loop", "Loop", run=run)


@pages.get("/runs/{run}/data", response_class=HTMLResponse)
def data(request: Request, run: str) -> Response:
    """Show the examples of a run with what stands for them."""
    return _page(request, "data", "Data", run=run)


@pages.get("/runs/{run}/inbox", response_class=HTMLResponse)
def inbox(request: Request, run: str) -> Response:
    """Show the questions of a run, one at a time."""
    return _page(request, "inbox", "Inbox", run=run, role="annotator")


@pages.get("/runs/{run}/inbox/disputes", response_class=HTMLResponse)
def disputes(request: Request, run: str) -> Response:
    """Show what two people answered differently, and how far people agree."""
    return _page(request, "disputes", "Agreement", run=run, role="annotator")


def _page(
    request: Request, name: str, title: str, *, run: str = "", role: Role = "viewer"
) -> Response:
    desk, person = desk_of(request), person_of(request)
    if person is None:
        return refuse(request, "Log in", _LOG_IN, 401)
    if not person.may(role):
        return refuse(request, "Not yours", f"This page needs the role {role}.", 403, person)
    if run:
        try:
            run_of(request, run)
        except NotFound as error:
            return refuse(request, "Not there", str(error), 404, person)
    here = {"name": name, "title": title, "run": run, "person": person}
    return _templates.TemplateResponse(request, f"{name}.html", {**here, **_rail(desk)})


_LOG_IN = (
    "Open the link that you were given, or that the terminal shows in which `querist serve` runs."
)


def refuse(
    request: Request, title: str, words: str, status: int, person: Person | None = None
) -> Response:
    """Say in a page why there is none."""
    here = {"name": "refused", "title": title, "words": words, "run": "", "person": person}
    return _templates.TemplateResponse(request, "refused.html", here, status_code=status)


def _rail(desk: Desk) -> dict[str, Any]:
    return {"workspace": str(desk.place.workspace)}
