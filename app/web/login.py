"""Coming in by a link, and leaving."""

from __future__ import annotations

import html
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from querist.app.web.desk import Shared
from querist.app.web.pages import refuse
from querist.memory.workspace.people import SESSION

_GO_ON = (
    '<!doctype html><html lang="en"><title>Querist</title>'
    '<link rel="icon" href="/static/icon.svg">'
    '<meta http-equiv="refresh" content="0;url={to}"><a href="{to}">Go on</a>'
)
login = APIRouter(include_in_schema=False)


@login.get("/login")
def enter(desk: Shared, request: Request, token: str = "", to: str = "/") -> Response:
    """Turn the secret of a link into a session; the address with the secret is left at once."""
    person = desk.enter(token) if token else None
    if person is None:
        words = (
            "This link is not known, or was revoked. Ask for a new one, or look into the terminal "
            "that the server runs in."
        )
        return refuse(request, "Not known", words, 401)
    if person.name == desk.owner:  # who needs no invitation, but a name for sessions
        desk.people.keep(person.name, person.role)
    # A session that was handed in is not taken over: somebody else may have put it there.
    if old := request.cookies.get(desk.cookie):
        desk.people.log_out(old)
    # Not a redirect: a browser that came from elsewhere would follow it without the new cookie.
    answer = HTMLResponse(_GO_ON.format(to=html.escape(_inside(to))))
    answer.set_cookie(
        desk.cookie,
        desk.people.log_in(person.name),
        max_age=int(SESSION.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=desk.is_secure,
    )
    return answer


@login.post("/logout")
def leave(desk: Shared, request: Request, to: Annotated[str, Form()] = "/") -> Response:
    """End the session."""
    if secret := request.cookies.get(desk.cookie):
        desk.people.log_out(secret)
    answer = RedirectResponse(_inside(to), status_code=303)
    answer.delete_cookie(desk.cookie)
    return answer


def _inside(to: str) -> str:
    """Lead nowhere but to this server's own pages."""
    is_ours = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable()
    return to if is_ours else "/"
