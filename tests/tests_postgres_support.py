"""A PostgreSQL server of the tests' own, where one is installed."""

import os
import shutil
import subprocess
import uuid
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest


def _server_commands() -> Path | None:
    found = shutil.which("initdb") and shutil.which("pg_ctl")
    if found:
        return Path(shutil.which("initdb")).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


def _lacks():
    """What is missing for a server of our own, if anything is."""
    if _server_commands() is None:
        return "PostgreSQL (initdb, pg_ctl) is not installed"
    if find_spec("psycopg") is None:
        return "psycopg is not installed (pip install 'querist[postgres]')"
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv to start it otherwise"
    return None


# A mark, because skips by marks are told in one line a file.
SKIPS = [pytest.mark.skip(reason=f"{what}: tried on SQLite only") for what in [_lacks()] if what]


@contextmanager
def postgres_server():
    """Start a server in a folder of its own, reached through a socket; give its URL."""
    commands = _server_commands()
    assert commands is not None
    folder = Path("/tmp") / f"querist-pg-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    # The server refuses to run as root, so as root it is started for an ordinary user.
    as_user = []
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
        as_user = ["setpriv", "--reuid=nobody", "--clear-groups"]
    data = folder / "data"

    def call(*arguments: str) -> None:
        subprocess.run([*as_user, *arguments], check=True, capture_output=True, cwd=folder)

    call(str(commands / "initdb"), "-D", str(data), "-U", "querist", "-A", "trust", "-E", "UTF8")
    settings = {
        "listen_addresses": "''",
        "unix_socket_directories": f"'{folder}'",
        "fsync": "off",
        # A log of a gigabyte is for servers that live longer.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "min_wal_size": "32MB",
        "max_wal_size": "64MB",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    call(
        str(commands / "pg_ctl"),
        "-D",
        str(data),
        "-o",
        options,
        "-l",
        str(folder / "log"),
        "-w",
        "start",
    )
    try:
        yield f"postgresql+psycopg://querist@/postgres?host={folder}"
    finally:
        call(str(commands / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def empty_database(server_url):
    """Make a database on a server and give its URL; dropped after it, for each has 8 MB."""
    import sqlalchemy as sa

    name = f"w{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield server_url.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def server(kind):
    """Give the address of an empty database; None for a file."""
    if kind == "sqlite":
        yield None
        return
    with postgres_server() as url:
        yield url
