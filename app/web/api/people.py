"""Who may use the pages: inviting, and shutting out."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from querist.app.web.desk import Owner, Shared, Viewer
from querist.memory.errors import InvalidInput
from querist.memory.workspace.people import Role

router = APIRouter(tags=["people"])


class PersonView(BaseModel):
    """Somebody who may use the pages, or might once."""

    name: str
    role: Role
    at: datetime | None
    revoked: bool


class Me(BaseModel):
    """Who is asking."""

    name: str
    role: Role


class Invitation(BaseModel):
    """Whom to let in."""

    name: str = Field(min_length=1, max_length=80)
    role: Role = "annotator"


class Invited(BaseModel):
    """The path of the link; it is shown once, and can be made anew."""

    name: str
    role: Role
    path: str


@router.get("/me")
def me(person: Viewer) -> Me:
    """Tell who is asking."""
    return Me(name=person.name, role=person.role)


@router.get("/people")
def list_people(desk: Shared, _: Owner) -> list[PersonView]:
    """List who may use the pages, and who might once."""
    return [
        PersonView(name=person.name, role=person.role, at=person.at, revoked=person.revoked)
        for person in desk.people.all()
    ]


@router.post("/people", status_code=201)
def invite(desk: Shared, owner: Owner, invitation: Invitation) -> Invited:
    """Make a link for somebody; one that they had before ends, with its sessions."""
    name = " ".join(invitation.name.split())
    _refuse_own(name, desk.owner, owner.name)
    secret = desk.people.invite(name, invitation.role)
    return Invited(name=name, role=invitation.role, path=f"/login?token={secret}")


@router.delete("/people/{name:path}", status_code=204)
def revoke(desk: Shared, owner: Owner, name: str) -> None:
    """Shut somebody out at once."""
    _refuse_own(name, desk.owner, owner.name)
    desk.people.revoke(name)


def _refuse_own(name: str, *own: str) -> None:
    if name in own:
        raise InvalidInput(f"{name} is yourself, or started the server: nothing was changed.")
