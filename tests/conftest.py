"""Every test: no network but loopback, no traces, a workspace of its own, nothing left open."""

import ipaddress
import os
import socket
import sqlite3
import sys
import traceback
from pathlib import Path

import pytest

os.environ["LANGSMITH_TRACING"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("OPENAI_API_KEY", None)
# The embedded model is put together once for all tests: 250 MB a workspace would fill the disk.
os.environ.setdefault("QUERIST_CACHE", str(Path(__file__).resolve().parents[1] / "build" / "cache"))


def pytest_addoption(parser):
    parser.addoption(
        "--write-golden", action="store_true", help="write tests/graph/golden_labels.json anew"
    )


_real_lookup = socket.getaddrinfo
_real_connect = socket.socket.connect


def _is_loopback(host) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def _guarded_lookup(host, *args, **kwargs):
    if not _is_loopback(host):
        raise OSError(f"tests may not look up {host!r}")
    return _real_lookup(host, *args, **kwargs)


def _guarded_connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
        raise OSError(f"tests may not connect to {address!r}")
    return _real_connect(self, address)


socket.getaddrinfo = _guarded_lookup
socket.socket.connect = _guarded_connect


_connections: list[tuple[sqlite3.Connection, str]] = []


def _note_connection(event, arguments):
    if event == "sqlite3.connect/handle":
        frames = [
            frame for frame in traceback.extract_stack() if "site-packages" not in frame.filename
        ]
        _connections.append((arguments[0], "".join(traceback.format_list(frames[-6:-1]))))


# Python warns of connections that nobody closed from 3.13 on, and in whatever test happens to run
# when they are thrown away. So they are counted here, in every version, in the test that left them.
sys.addaudithook(_note_connection)


def _is_open(connection):
    try:
        _ = connection.total_changes
    except sqlite3.ProgrammingError:
        return False
    return True


@pytest.fixture(autouse=True)
def _every_connection_is_closed():
    _connections.clear()
    yield
    left = [where for connection, where in _connections if _is_open(connection)]
    _connections.clear()
    assert not left, f"{len(left)} SQLite connections were left open; one was opened at:\n{left[0]}"


@pytest.fixture
def data() -> Path:
    """The shared data sets; the test is skipped where they are absent."""
    here = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("QUERIST_DATA", here.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the data sets are not at {folder} (set QUERIST_DATA)")
    return folder
