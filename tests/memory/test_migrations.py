"""Workspaces of earlier versions open as they are; on both databases."""

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from querist import memory
from querist.memory.answers import Choice
from querist.memory.records import LabelClass, Origin, RunId, Split, Task
from querist.memory.run.pool import Pool
from querist.memory.run.runs import Runs
from querist.memory.store import DATABASE, open_store

AT = datetime(2026, 11, 1, tzinfo=UTC)
RUNS = {"choice.prompt.0f": "choice", "choices-1126-abcd": "loop", "run": "loop"}
TASK = Task("t", "classification", (LabelClass("a"), LabelClass("b")))


@pytest.fixture
def first_version(url, tmp_path):
    """A workspace with the first version's tables: call it to fill one of them."""
    (tmp_path / "work").mkdir()
    engine = sa.create_engine(url or f"sqlite:///{tmp_path / 'work' / DATABASE}")
    config = Config()
    folder = Path(memory.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    def fill(name, rows):
        table = sa.Table(name, sa.MetaData(), autoload_with=engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(table), rows)

    yield fill
    engine.dispose()


def test_choices_are_known_as_such(first_version, url, tmp_path):
    rest = {"task": "t", "dataset": "d", "config": {}, "status": "finished", "reason": ""}
    numbers = {"cap": 1, "settled": 0, "fencing": 1, "at": AT}
    first_version("runs", [{"id": name, "owner": "box:1:2", **rest, **numbers} for name in RUNS])
    with open_store(tmp_path / "work", url=url) as store:
        runs = Runs(store)
        assert {row.id: row.kind for row in runs.all()} == RUNS
        runs.create(RunId("new"), task=TASK, dataset="d", config={}, cap=Decimal(1), kind="choice")
        assert runs.get("new").kind == "choice"
        assert runs.take(RunId("run")).fencing == 2


def test_labels_of_a_file_and_classes_that_texts_were_written_as_are_answers(
    first_version, url, tmp_path
):
    rest = {"dataset": "d", "split": "pool", "run": "", "fields": {"text": "x"}, "parents": []}
    first_version(
        "examples",
        [
            {"id": "1", "position": 0, "origin": "pool", "gold": "a", **rest},
            {"id": "2", "position": 1, "origin": "pool", "gold": None, **rest},
            {"id": "3", "position": 2, "origin": "generated", "gold": "b", **rest},
        ],
    )
    with open_store(tmp_path / "work", url=url) as store:
        given, unknown, written = Pool(store, dataset="d", run="").all(Split.POOL)
    assert (given.gold, unknown.gold, written.gold) == (Choice("a"), None, None)
    assert written.origin is Origin.GENERATED
    assert written.written_as == Choice("b")


def test_an_upgraded_workspace_is_opened_without_alembic(store, url, monkeypatch):
    # It takes longer to import than most commands to run.
    config = Config()
    config.set_main_option("script_location", str(Path(memory.__file__).parent / "migrations"))
    with store.read() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert found == ScriptDirectory.from_config(config).get_current_head()
    monkeypatch.setitem(sys.modules, "alembic", None)
    with open_store(store.folder, url=url):
        pass
