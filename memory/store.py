"""The durable home: one SQLite file per workspace, or a PostgreSQL database by URL.

Everything that must survive a crash goes through `Store.write`; a write made for a run names its
lease, and is refused when another process has taken the run over in the meantime.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError

from querist.memory import schema
from querist.memory.errors import DiskFull, InvalidInput, LeaseLost, NewerWorkspace, StoreError
from querist.memory.records import utc_now

DATABASE = "querist.db"
_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_MS = 30_000
_KEPT = 20
"""Connections that stay open once they were needed at the same moment; a new one takes long."""
_NO_ROOM = 2**20
"""Bytes below which a disk counts as full: SQLite wants more than a page at a time."""
_CHUNK = 500  # ids per IN list; SQLite's default limit of variables is far above


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive a run: whoever holds the highest fencing number may write."""

    run: str
    fencing: int

    @property
    def may_write(self) -> bool:
        """Tell this from the lease of who only looks at a run, which has no number."""
        return self.fencing >= 0

    @classmethod
    def to_look(cls, run: str) -> Lease:
        """Make the lease of who only looks; every write with it is refused."""
        return cls(run, -1)


class Store:
    """A workspace's database and folder. Cheap to open; safe to share between threads.

    Close it, or use it as a context manager.
    """

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        """Use `open_store`."""
        self.engine = engine
        self.folder = folder
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def write(self, lease: Lease | None = None) -> Iterator[sa.Connection]:
        """Give a transaction that is committed at the end, or rolled back on any error.

        Raises `LeaseLost` when the lease is stale and `StoreError` when the disk or server fails.
        """
        engine = self.engine.execution_options(write=True)
        with _translated(self.folder), self._connected(engine) as connection, connection.begin():
            if lease is not None:
                _check_lease(connection, lease)
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection for reading."""
        with _translated(self.folder), self._connected(self.engine) as connection:
            yield connection

    def now(self) -> datetime:
        """Tell the time by a clock that everybody who uses the database shares."""
        if self.engine.dialect.name != "postgresql":
            return utc_now()  # a file: whoever uses it is on this machine
        with self.read() as connection:
            return database_time(connection)

    def close(self) -> None:
        """Close all connections; one that another thread is using is closed when it is done."""
        self._is_closed = True
        self.engine.dispose()

    @contextlib.contextmanager
    def _connected(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        if self._is_closed:
            raise StoreError(
                f"The workspace {self.folder} was closed while it was still in use. Open it again "
                "with open_store."
            )
        with engine.connect() as connection:
            try:
                yield connection
            finally:
                # The pool that it came from is gone, and nobody else would close it.
                if self._is_closed:
                    connection.invalidate()


def open_store(folder: Path | str, *, url: str | None = None) -> Store:
    """Open a workspace, making or upgrading it first.

    `url` names a PostgreSQL database (`postgresql+psycopg://...`); without it the folder holds a
    SQLite file. Raises `NewerWorkspace` if a later version of Querist wrote it.
    """
    folder = Path(folder)
    with _translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        engine = _engine(url or f"sqlite:///{folder / DATABASE}")
        try:
            _upgrade(engine, folder)
        except BaseException:
            engine.dispose()
            raise
    return Store(engine, folder)


def database_time(connection: sa.Connection) -> datetime:
    """Tell the time by the clock of the database's machine, in a transaction too."""
    if connection.dialect.name != "postgresql":
        return utc_now()
    # Not now(): that is when the transaction began, which may have waited long for a lock.
    at: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return at.astimezone(UTC)


def _check_lease(connection: sa.Connection, lease: Lease) -> None:
    """Refuse to go on when another process has taken the run over; locks the run's row."""
    found = connection.execute(
        sa.select(schema.runs.c.fencing).where(schema.runs.c.id == lease.run).with_for_update()
    ).scalar()
    if found != lease.fencing:
        raise LeaseLost(
            f"Run {lease.run} was taken over by another process. Nothing was written by this one; "
            f"watch the run with: querist status {lease.run}"
        )


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    replace: bool = True,
) -> None:
    """Insert rows; where the primary key exists, replace the row, or keep the old one."""
    if not rows:
        return
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = build(table)
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    if replace and others:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, list(rows))


def in_chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut a long list of ids for IN clauses."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def disk_full(folder: Path) -> DiskFull:
    """Say that there is no room left."""
    return DiskFull(
        f"The disk of the workspace {folder} is full. Free some space, then go on with `querist "
        "resume` or `querist job resume`: nothing that was settled is lost."
    )


def is_full(folder: Path, reason: str) -> bool:
    """Tell whether what a database complains about is that there is no room left."""
    if "disk is full" in reason or "No space left" in reason:
        return True
    # SQLite says no more than this where it was an index in shared memory that found no room.
    if "disk I/O error" not in reason:
        return False
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < _NO_ROOM
    return False


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(folder) from error
        raise StoreError(
            f"The workspace {folder} cannot be used ({error.strerror or error}). Check the path, "
            "its permissions and the free disk space, or choose another with --workspace."
        ) from error
    except OverflowError as error:
        raise InvalidInput("A number is larger than a database keeps.") from error
    except (DataError, IntegrityError, ProgrammingError) as error:
        if "NUL (0x00)" in str(error.orig):
            raise InvalidInput("A text has the character NUL in it; take it out.") from error
        raise  # our mistake, not the disk's
    except DatabaseError as error:
        reason = str(error.orig).strip().split("\n")[0]
        if is_full(folder, reason):
            raise disk_full(folder) from error
        raise StoreError(
            f"The workspace {folder} cannot be read or written ({reason}). Free some disk space, "
            "make it writable, or start its database server; then run `querist resume`: nothing "
            "that was settled is lost. Another place: --workspace DIR."
        ) from error


def _engine(url: str) -> sa.Engine:
    if url.startswith("postgresql"):
        from querist.memory.extras import need

        need("psycopg", extra="postgres")
        return sa.create_engine(url, pool_pre_ping=True, pool_size=_KEPT)
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_MS / 1000}, pool_size=_KEPT, poolclass=sa.QueuePool
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        # NORMAL survives a killed process; only a power cut can lose the last commits.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # IMMEDIATE, because a read that turns into a write can fail with SQLITE_BUSY at once.
        writes = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _upgrade(engine: sa.Engine, folder: Path) -> None:
    with engine.connect() as connection:
        current = _revision(connection)
    # Alembic takes a quarter of a second to import, and every command would wait for it.
    if current == _newest_revision():
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    try:
        if current is not None:
            script.get_revision(current)
    except CommandError:
        raise NewerWorkspace(
            f"The workspace {folder} was written by a newer Querist (schema {current}). "
            "Upgrade Querist (pip install -U querist), or choose another --workspace. "
            "Nothing was changed."
        ) from None
    with engine.execution_options(write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _newest_revision() -> str:
    """Tell the last migration's number, from its file's name: `m0010_caps.py` is 0010."""
    return max(path.name[1:5] for path in (_MIGRATIONS / "versions").glob("m[0-9]*.py"))


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
