"""`querist serve`: pages, API and one worker on this machine."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import socket
import sys
import threading
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from querist.app.terminal.place import Place, user_name
from querist.app.terminal.screen import Screen
from querist.memory.errors import InvalidInput

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ARENA_MAX = -8
"""What glibc's `mallopt` calls the number of places that memory is taken from."""
_SWITCH = 0.0005
"""Seconds; Python's own is 0.005."""
_GRACE = 3
"""Seconds that open streams have to end."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and how browsers reach it."""

    host: str = "127.0.0.1"
    port: int = 8765
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""
    """How browsers call it, with the port if it is not the usual one, where a proxy stands before
    it or it listens to more than this machine."""
    is_proxied: bool = False

    @property
    def is_secure(self) -> bool:
        """Whether browsers speak HTTPS to it."""
        return self.certificate is not None or self.is_proxied

    def check(self) -> None:
        """Refuse to be reached from elsewhere in the clear."""
        if (self.certificate is None) != (self.key is None):
            raise InvalidInput("A certificate needs its key: give both --tls-cert and --tls-key.")
        if self.host not in _LOOPBACK and not self.is_secure:
            raise InvalidInput(
                f"{self.host} can be reached from other machines, and what is sent there could be "
                "read on the way. Give --tls-cert and --tls-key, or say --behind-proxy where a "
                "proxy before it speaks HTTPS."
            )
        if (self.host not in _LOOPBACK or self.is_proxied) and not self.name:
            raise InvalidInput(
                "Say how browsers call this server, as in --name labels.example.org: requests by "
                "another name are refused."
            )

    def names(self) -> frozenset[str]:
        """Say which Host headers are ours."""
        local = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        return frozenset(local | ({self.name.lower()} if self.name else set()))

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        scheme = "https" if self.is_secure else "http"
        return f"{scheme}://{self.name or f'127.0.0.1:{self.port}'}"


def serve(place: Place, address: Address, *, opens: bool = True, works: bool = True) -> None:
    """Serve a workspace until Ctrl-C."""
    import uvicorn

    from querist.app.web.desk import Desk
    from querist.app.web.drivers import Drivers
    from querist.app.web.server import create_app

    address.check()
    screen = Screen()
    listening = _listen(address)
    with place.open(must_exist=False) as store:
        desk = Desk(
            store,
            place,
            owner=user_name(),
            hosts=address.names(),
            drivers=Drivers(place),
            is_secure=address.is_secure,
        )
        link = f"{address.url}/login?token={desk.owner_secret}"
        screen.line(f"Querist serves {place.workspace} at {address.url}. Stop it with Ctrl-C.")
        screen.line("Come in by this link, which is yours alone:")
        screen.code(f"  {link}")
        config = uvicorn.Config(
            create_app(desk, works=works),
            log_level="warning",
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=address.certificate,
            ssl_keyfile=address.key,
            server_header=False,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        if opens:
            threading.Thread(target=_open, args=(server, link), daemon=True).start()
        _settle_process()
        server.run(sockets=[listening])
    screen.line("Stopped.")


def _settle_process() -> None:
    """Make a server that has loaded its modules and not yet begun small, and quick to answer."""
    # An answer takes Python's lock a dozen times; each time it waits so long at most for a thread
    # that writes out two hundred questions.
    sys.setswitchinterval(_SWITCH)
    # What is loaded stays: looking through it for garbage holds an answer up for 0.1 s.
    gc.collect()
    gc.freeze()
    # glibc gives each thread a place of its own to take memory from, and none of it back.
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def _listen(address: Address) -> socket.socket:
    """Take the port before anything is said about it."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
    except OSError as error:
        listening.close()
        raise InvalidInput(
            f"{address.host}:{address.port} cannot be listened on ({error.strerror or error}). "
            "Another server may be there: choose another port with --port."
        ) from error
    return listening


def _open(server: object, link: str) -> None:
    while not getattr(server, "started", False):
        time.sleep(0.05)
    webbrowser.open(link)
