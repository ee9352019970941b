"""The store tests run on SQLite and on a real PostgreSQL server of their own."""

import pytest
from tests_postgres_support import SKIPS, empty_database, postgres_server

from querist.memory.records import LabelClass, RunId, Task
from querist.memory.run.runs import Runs
from querist.memory.store import open_store

TASK = Task("t", "classification", (LabelClass("a"), LabelClass("b")))


@pytest.fixture(scope="session")
def postgres():
    """Start a server in a folder of its own, reached through a socket; give its URL."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=SKIPS)])
def url(request):
    """The URL of an empty PostgreSQL database; None for a file."""
    if request.param == "sqlite":
        yield None
        return
    with empty_database(request.getfixturevalue("postgres")) as url:
        yield url


@pytest.fixture
def store(url, tmp_path):
    """A fresh workspace on either database."""
    with open_store(tmp_path / "work", url=url) as store:
        yield store


@pytest.fixture
def run(store):
    """A run with a budget of one dollar, and the lease to drive it."""
    from decimal import Decimal

    runs = Runs(store)
    runs.create(RunId("run"), task=TASK, dataset="d", config={}, cap=Decimal(1))
    return runs.take(RunId("run"))
