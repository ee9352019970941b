"""Quotes of jobs that create rows, in the API's words."""

from __future__ import annotations

from typing import Any

from querist.graph.jobs.quoting import quote_create
from querist.graph.jobs.request import CreateRequest
from querist.memory.store import Store


def create_quote(request: CreateRequest, *, store: Store | None = None) -> dict[str, Any]:
    """Forecast a job that creates rows; one whose seeds are of a run needs the workspace."""
    told: list[str] = []
    found = quote_create(request, store=store, tell=told.append)
    people = str(found.people)
    if found.affordable < found.rows:
        advice = f"The cap pays for about {found.affordable:,} of {found.rows:,} rows."
    else:
        advice = (
            f"If {found.acceptance:.0%} of the rows are accepted; nobody knows before some were "
            "written."
        )
    return {
        "forecast": str(found.forecast),
        "cap": str(found.cap),
        "seconds": found.seconds,
        "lines": [
            ("writer", f"{found.writer_calls:,} calls, {found.tokens:,} tokens", "", ""),
            ("checker", f"{found.checker_calls:,} calls", "", ""),
            ("people", f"{request.people.sample:,} rows", people, people),
        ],
        "advice": advice,
        "told": told,
    }
