"""Caps on what all runs and jobs of the workspace spend, together and a day."""

from __future__ import annotations

from decimal import Decimal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from querist.app.web.desk import Owner, Shared, Viewer
from querist.memory.store import Store
from querist.memory.workspace.caps import CapName, Caps

router = APIRouter(tags=["spend"])


class CapView(BaseModel):
    """A cap over all runs and jobs: of the workspace, or of the day (UTC)."""

    name: CapName
    usd: Decimal
    settled: Decimal
    reserved: Decimal
    remaining: Decimal


class CapWish(BaseModel):
    """What a cap is to be, in US dollars; null takes it away."""

    usd: Decimal | None = Field(ge=0, le=1_000_000, allow_inf_nan=False)


@router.get("/caps")
def list_caps(desk: Shared, _: Viewer) -> list[CapView]:
    """List the caps that are set, with what is left of them."""
    return list_caps_of(desk.store)


@router.post("/caps/{name}")
def put_cap(desk: Shared, owner: Owner, name: CapName, wish: CapWish) -> list[CapView]:
    """Set a cap, or take it away; runs and jobs that it paused go on when it allows more."""
    Caps(desk.store).put(name, wish.usd, who=f"human:{owner.name}")
    return list_caps_of(desk.store)


def list_caps_of(store: Store) -> list[CapView]:
    """List the caps of a workspace."""
    return [
        CapView(
            name=cap.name,
            usd=cap.usd,
            settled=cap.settled,
            reserved=cap.reserved,
            remaining=cap.remaining,
        )
        for cap in Caps(store).all()
    ]
