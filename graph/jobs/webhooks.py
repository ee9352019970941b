"""Telling others: a signed POST for each message of the outbox, at least once.

The signature is that of most services: `Querist-Signature: t=TIME,v1=HEX`, where HEX is the
HMAC-SHA256, under the secret, of `TIME.BODY`. The id of the message stays the same when it is
repeated (`Querist-Id`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from querist.graph.jobs.request import WebhookSection, is_private_number, private_words
from querist.memory.records import Job
from querist.memory.store import Store
from querist.memory.workspace.outbox import Message, Outbox

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

_SECONDS = 10.0
"""For a whole try: an address that hangs holds nothing up for longer."""
_REFUSED = 400


def message_of(job: Job, event: str, *, once: str, facts: Mapping[str, Any]) -> Message | None:
    """Make the message about an event; None where nobody wants to be told.

    `once` is the same in what must not be told twice. The request is not read anew: that it cannot
    be read any more is among what is told.
    """
    hook = job.request.get("webhook")
    if not isinstance(hook, Mapping):
        return None
    told = {"event": event, "job": job.id, "name": job.name, "kind": job.kind, **facts}
    body = {"hook": dict(hook), "told": told}
    return Message(f"{job.id}/{once}", job.id, body)


class _PrivateAddressError(Exception):
    """No `OSError`, so that it comes out of aiohttp with its own words."""


class _CheckedResolver:
    """Finds addresses and refuses private ones; the connection goes to what was checked.

    What aiohttp calls an `AbstractResolver`.
    """

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not self._private and not ipaddress.ip_address(address).is_global:
                raise _PrivateAddressError(private_words(host, address))
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": family,
                "proto": 0,
                "flags": 0,
            }
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


async def send(message: Message, *, seconds: float = _SECONDS) -> str:
    """Send one message; return why it was not taken, or "" if it was."""
    # Nine megabytes, which servers that only look at jobs do without.
    import aiohttp

    # As it was handed in: what is not allowed is said below, and stops no worker.
    given: Any = message.body["hook"]
    hook = WebhookSection.model_construct(**given)
    body = json.dumps(message.body["told"], ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "querist",
        "Querist-Id": message.token,
        **_signed(body, os.environ.get(hook.secret_env, "")),
    }
    host = urlsplit(hook.url).hostname or ""
    # An address in numbers is never looked up, so the resolver does not see it.
    if not hook.private and is_private_number(host):
        return private_words(host, host)
    resolver: Any = _CheckedResolver(private=hook.private)
    connector = aiohttp.TCPConnector(resolver=resolver, family=socket.AF_INET)
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            # A redirect could lead to where we may not go.
            session.post(hook.url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except (OSError, aiohttp.ClientError, _PrivateAddressError) as error:
        return str(error) or type(error).__name__
    return "" if status < 300 else f"answered {status}"


def _signed(body: bytes, secret: str) -> dict[str, str]:
    """Sign a body; without a secret there is no signature."""
    if not secret:
        return {}
    import time

    stamp = str(int(time.time()))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Querist-Signature": f"t={stamp},v1={digest}"}


async def send_due(store: Store, *, seconds: float = _SECONDS) -> int:
    """Send all that is due now; return how many were tried."""
    outbox, tried = Outbox(store), 0
    while (message := await asyncio.to_thread(outbox.take)) is not None:
        tried += 1
        trouble = await send(message, seconds=seconds)
        if not trouble:
            await asyncio.to_thread(outbox.sent, message)
            continue
        # What was refused for good is not asked again: it answered, and does not want it.
        is_final = trouble in {f"answered {code}" for code in (400, 401, 403, 404, 410)}
        is_final = is_final or "private address" in trouble
        await asyncio.to_thread(outbox.failed, message, trouble, is_final=is_final)
    return tried
