"""One FastAPI application for one workspace: pages, API, events."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from querist.app.web.api import ROUTERS
from querist.app.web.desk import Desk
from querist.app.web.errors import Refusal, add_errors
from querist.app.web.guard import Guard
from querist.app.web.intake import Intake
from querist.app.web.login import login
from querist.app.web.pages import pages
from querist.app.web.tags import Tags
from querist.app.web.uploads import Uploads
from querist.graph.names import open_registries
from querist.memory.errors import QueristError
from querist.memory.workspace.jobs import Jobs

STATIC = Path(__file__).parent / "static"
_TEND = 5.0
"""Seconds between two looks at the processes."""
_SWEEP = 720
"""Looks between two at the files that were handed in: an hour."""


def create_app(desk: Desk, *, works: bool = True) -> FastAPI:
    """Make the application; with `works` it keeps a worker and drives runs in processes."""

    @contextlib.asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        tending = asyncio.create_task(_tend(desk)) if works else None
        try:
            yield
        finally:
            if tending is not None:
                tending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await tending
                await asyncio.to_thread(desk.drivers.close)

    app = FastAPI(
        title="Querist",
        summary="Watch and steer active-learning runs, answer questions, hand in jobs.",
        lifespan=live,
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses={"4XX": {"model": Refusal}, "5XX": {"model": Refusal}},
    )
    app.state.desk = desk
    app.state.intake = Intake(desk.store)
    add_errors(app)
    app.include_router(login)
    for router in ROUTERS:
        app.include_router(router, prefix="/api")
    app.include_router(pages)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Tags)
    scheme = "https" if desk.is_secure else "http"
    app.add_middleware(Guard, hosts=desk.hosts, scheme=scheme)
    return app


async def _tend(desk: Desk) -> None:
    await asyncio.to_thread(desk.drivers.open)
    # Else the first who asks why would wait for it.
    await asyncio.to_thread(open_registries)
    for look in itertools.count():
        if look % _SWEEP == 0:
            await asyncio.to_thread(_sweep, desk)
        await asyncio.sleep(_TEND)
        await asyncio.to_thread(desk.drivers.tend)


def _sweep(desk: Desk) -> None:
    """Remove uploads that nobody needs; what cannot be removed now is so an hour later."""
    with contextlib.suppress(OSError, QueristError):
        Uploads(desk.place.workspace).sweep(Jobs(desk.store).all(), now=desk.store.now())
