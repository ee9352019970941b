"""Attributes of jobs that create rows, found in the seeds by the model that writes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from querist.app.web.aside import ask_while
from querist.app.web.desk import Owner, Shared
from querist.app.web.job_requests import names_of_files, with_names, with_paths

router = APIRouter(tags=["jobs"])


class Search(BaseModel):
    """In which job's seeds to look, and what that may cost."""

    request: dict[str, Any]
    """The job, as it would be handed in."""
    sample: int = Field(default=24, ge=5, le=500)
    """Seeds that are looked at."""
    most: int = Field(default=3, ge=1, le=8)
    """Attributes at most."""
    usd: Decimal = Field(default=Decimal("0.10"), gt=0, le=1_000)


class ValuesView(BaseModel):
    """The values of an attribute, and how often seeds have each."""

    values: list[str]
    shares: list[float]


class FoundView(BaseModel):
    """What seeds vary in; `attributes` is that of a job's request."""

    attributes: dict[str, ValuesView]
    sample: int
    placed: dict[str, int]
    """How many of the sample have a value of each attribute."""
    usd: Decimal
    run: str
    """In whose account the calls are."""
    told: list[str]
    """What was noticed about the data."""


@router.post("/jobs/attributes")
async def find_attributes(asked: Request, desk: Shared, _: Owner, search: Search) -> FoundView:
    """Let the writer name what the seeds vary in: one call, and one more for each seed.

    It goes on as long as the caller stays, ten minutes at most; nothing is kept but the account.
    """

    async def is_wanted() -> bool:
        return not await asked.is_disconnected()

    with names_of_files(desk):
        found = await ask_while(
            is_wanted,
            "attributes",
            workspace=str(desk.place.workspace),
            database=desk.place.database,
            **search.model_dump(mode="json", exclude={"request"}),
            request=with_paths(desk, search.request),
        )
    return FoundView(**with_names(desk, found))
