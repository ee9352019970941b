"""Where runs are kept, and how to get at one of them."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from querist.memory.errors import InvalidInput
from querist.memory.run.runs import RunRow, Runs
from querist.memory.store import DATABASE, Store, open_store

if TYPE_CHECKING:
    from querist.graph.run import Run


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace folder, and the PostgreSQL database that holds its rows, if one does."""

    workspace: Path
    database: str | None = None

    @contextmanager
    def open(self, *, must_exist: bool = True) -> Iterator[Store]:
        """Open the store for a while; looking must not make a workspace where there is none."""
        path = self.workspace / DATABASE
        if must_exist and self.database is None and not path.is_file():
            raise InvalidInput(
                f"There is no workspace in {self.workspace} yet. Make one with `querist demo` or "
                "`querist run task.toml`, or name another with --workspace."
            )
        with open_store(self.workspace, url=self.database) as store:
            yield store

    def environment(self) -> dict[str, str]:
        """Make the environment in which a command works here.

        An address may hold a password, which a command line would show to everybody.
        """
        place = {"QUERIST_WORKSPACE": str(self.workspace)}
        if self.database:
            place["QUERIST_DATABASE"] = self.database
        return {**os.environ, **place}

    def command(self, words: str) -> str:
        """Write a command that the user may type next, with the options that lead here."""
        options = "" if str(self.workspace) == ".querist" else f" --workspace {self.workspace}"
        return f"querist {words}{options}{' --database ...' if self.database else ''}"


@contextmanager
def opened_run(
    place: Place, name: str | None, *, or_search: bool = False, or_job: bool = False
) -> Iterator[Run]:
    """Open a run by id or beginning of it; the newest without one.

    A search, or the run of a job that creates rows, only if it may be.
    """
    from querist.graph.run import Run

    with place.open() as store:
        run = Run.open(store, name)
        if run.row.kind == "choice" and not or_search:
            raise InvalidInput(
                f"{run.id} is a search, no run of the loop. See what came of it with: "
                f"{place.command(f'status {run.id}')}; to go on with it, repeat the `querist "
                "choose` command that began it."
            )
        if run.row.kind == "create" and not or_job:
            raise InvalidInput(
                f"{run.id} belongs to a job that creates rows. See: {place.command('job list')}"
            )
        yield run


def find_run(store: Store, name: str | None) -> str:
    """Find the run of the loop that is meant, in full; the newest without a name."""
    runs = Runs(store)
    if name is None:
        rows = [row for row in runs.all() if row.kind == "loop"]
        if not rows:
            raise InvalidInput(f"There is no run here yet in {store.folder}. See: querist status")
        return rows[0].id
    row = runs.get(name)
    if row.kind != "loop":
        raise InvalidInput(f"{row.id} is no run of the loop. See: querist status {row.id}")
    return row.id


def status_of(row: RunRow, runs: Runs) -> str:
    """Tell where a run stands; one whose process died is `interrupted`, whatever it wrote last."""
    if runs.is_driven(row):
        return "waiting" if row.status == "waiting" else "running"
    return "interrupted" if row.status == "running" else row.status


def user_name() -> str:
    """Name the person at the keyboard."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return "somebody"
