"""What every request passes before any handler sees it, and what every answer carries.

Host is checked against a list, so that a name that was pointed at this machine (DNS rebinding)
gets nothing. A write that a cookie vouches for must say by Origin that it comes from our own
pages: browsers always say so. A bearer token is not sent by browsers on their own, so it needs
none.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 512 * 2**20
"""Bytes of an upload; more is refused before it is read."""
_MOST_JSON = 8 * 2**20
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_UPLOADS = "/api/uploads"
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",  # the first address holds a secret
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class _TooLong(Exception):
    """More was sent than is taken."""


class Guard:
    """ASGI middleware: hosts, origins, sizes, headers."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], scheme: str) -> None:
        """`hosts` with their port, as a Host header names them."""
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"{scheme}://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = MOST_BODY if scope["path"].startswith(_UPLOADS) else _MOST_JSON
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers, most)
        answer = _dressed(scope, send)
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        try:
            await self._app(scope, _counted(receive, most), answer)
        except _TooLong:
            await _refuse(413, f"More than {most // 2**20} MB were sent.")(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers, most: int) -> JSONResponse | None:
        if headers.get("host", "").lower() not in self._hosts:
            return _refuse(421, "This server is not known by that name.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > most:
            return _refuse(413, f"At most {most // 2**20} MB can be sent here.")
        if scope["method"] in _SAFE:
            return None
        origin = headers.get("origin")
        if origin is None and "authorization" in headers:
            return None
        if origin is None or origin.lower() not in self._origins:
            return _refuse(403, "This was not sent by a page of this server.")
        return None


def _refuse(status: int, words: str) -> JSONResponse:
    return JSONResponse({"error": {"code": "refused", "message": words}}, status)


def _counted(receive: Receive, most: int) -> Receive:
    """Count what comes without a length, too."""
    seen = 0

    async def count() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _TooLong
        return message

    return count


def _dressed(scope: Scope, send: Send) -> Send:
    """Put the headers on whatever is answered."""
    is_static = scope["path"].startswith("/static/")

    async def dress(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if not is_static:
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return dress
