"""A typed client of the API that `querist serve` has, sync and async.

    from querist.app.client import Client

    with Client("http://127.0.0.1:8765/login?token=...") as client:
        for run in client.runs():
            print(run.id, client.run(run.id).now)

Methods are described once, in `routes.py`; both clients have them all, and what they give are the
same models as the API's. Every answer that is no success is an `ApiError`.
"""

from __future__ import annotations

from querist.app.client.asks import ApiError
from querist.app.client.routes import Routes
from querist.app.client.senders import AsyncSender, SyncSender

__all__ = ["ApiError", "AsyncClient", "Client"]


class Client(Routes, SyncSender):
    """Calls wait for their answer. Use it as a `with` block; not from several threads at once."""


class AsyncClient(Routes, AsyncSender):
    """Calls are awaited, lists that come in pages are gone through by `async for`."""
