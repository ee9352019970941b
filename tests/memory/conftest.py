"""The store tests run on SQLite and on a real PostgreSQL server of their own."""

import uuid

import pytest
from tests_postgres_support import SKIPS, postgres_server

from querist.memory.records import LabelClass, RunId, Task
from querist.memory.runs import Runs
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
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")
        import sqlalchemy as sa

        name = f"w{uuid.uuid4().hex[:12]}"
        admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        admin.dispose()
        url = url.replace("/postgres?", f"/{name}?")
    return url


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
