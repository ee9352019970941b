"""Money: where a run's budget stands, who spent it, and the account line by line."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from querist.app.views.state.run_view import Spent, forecast_of, spent_by_agent
from querist.app.web.api.caps import CapView, list_caps_of
from querist.app.web.desk import Row, Shared, Viewer
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger

router = APIRouter(tags=["spend"], prefix="/runs/{run}/spend")
_MOST = 500


class TokensView(BaseModel):
    """The tokens of an agent's settled calls."""

    agent: str
    input: int
    output: int


class SpendView(BaseModel):
    """Where a budget stands, in US dollars."""

    cap: Decimal
    settled: Decimal
    reserved: Decimal
    """Set aside for what is under way."""
    in_doubt: Decimal
    """Set aside by a process that died; the calls may have been billed."""
    remaining: Decimal
    forecast: Decimal | None
    """What the planned rounds will have cost, going by the newest."""
    by_agent: list[Spent]
    tokens: list[TokensView]
    caps: list[CapView]
    """Those that hold beside the run's own."""


class LineView(BaseModel):
    """A line of the account: money set aside (reserve), paid (settle) or given back (release)."""

    id: int
    at: datetime
    round: int
    entry: Literal["reserve", "settle", "release"]
    kind: str
    agent: str
    call_key: str
    amount: Decimal
    detail: dict[str, Any]
    """Quantities and unit prices."""


class Lines(BaseModel):
    """A page of lines; ask for those after `next` for the next page, if there is one."""

    lines: list[LineView]
    next: int | None


@router.get("")
def get_spend(desk: Shared, _: Viewer, row: Row) -> SpendView:
    """Tell where a run's budget stands, and who spent what."""
    ledger, rounds = Ledger(desk.store, row.id), Journal(desk.store, row.id).rounds()
    balance = ledger.balance()
    planned = int(row.config.get("loop", {}).get("rounds", 0))
    return SpendView(
        cap=balance.cap,
        settled=balance.settled,
        reserved=balance.reserved - balance.in_doubt,
        in_doubt=balance.in_doubt,
        remaining=balance.remaining,
        forecast=forecast_of(rounds, balance.settled, planned),
        by_agent=spent_by_agent(ledger),
        tokens=[
            TokensView(agent=agent, input=read, output=written)
            for agent, (read, written) in sorted(ledger.tokens().items())
        ],
        caps=list_caps_of(desk.store),
    )


@router.get("/lines")
def list_lines(
    desk: Shared,
    _: Viewer,
    row: Row,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
) -> Lines:
    """List the account line by line, oldest first."""
    found = Ledger(desk.store, row.id).page(after=after, limit=limit)
    return Lines(
        lines=[
            LineView(
                id=entry.id,
                at=entry.at,
                round=entry.line.round,
                entry=entry.line.entry,
                kind=entry.line.kind,
                agent=entry.line.agent,
                call_key=entry.line.call_key,
                amount=entry.line.amount,
                detail=dict(entry.line.detail),
            )
            for entry in found
        ],
        next=found[-1].id if len(found) == limit else None,
    )
