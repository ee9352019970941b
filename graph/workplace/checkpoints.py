"""The file of LangGraph's checkpoints: disposable, since the store alone is enough to go on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from querist.memory.errors import StoreError
from querist.memory.files import RunFiles
from querist.memory.store import disk_full, is_full

CHECKPOINTS = "checkpoints.db"


@contextlib.asynccontextmanager
async def opened(files: RunFiles) -> AsyncIterator[AsyncSqliteSaver]:
    """Open a run's checkpoints; other machines get them when they are closed."""
    with files.lend(CHECKPOINTS) as path:
        _set_aside_if_damaged(path)
        try:
            async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
                # A killed process loses nothing by it; a power cut costs a step.
                await saver.conn.execute("PRAGMA synchronous=NORMAL")
                yield saver
        except sqlite3.OperationalError as error:
            # Those of the database are translated where they arise.
            if is_full(path.parent, str(error)):
                raise disk_full(path.parent) from error
            raise StoreError(f"{path} cannot be read or written ({error}).") from error


def _set_aside_if_damaged(path: Path) -> None:
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA quick_check").fetchone()
    except sqlite3.DatabaseError:
        path.rename(path.with_suffix(".damaged"))
