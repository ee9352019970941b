"""What the loop keeps in files: damaged ones are named, former places are read, leases hold."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from querist.graph.round.model_files import current_model
from querist.graph.target.delivering import deliver_last
from querist.graph.workplace.context import Context
from querist.graph.workplace.strategy_state import load_state, save_state
from querist.memory.errors import LeaseLost, StoreError
from querist.memory.run.runs import Runs
from querist.tools.training.weights import CONFIG

ROOT = Path(__file__).resolve().parents[2]
NEWEST, BEFORE = "heads/round-0001.npz", "heads/round-0000.npz"


@pytest.fixture
def context(scripted):
    """A driver's context after two rounds."""
    run, model = scripted(loop={"rounds": 2})
    asyncio.run(run.drive())
    return Context(run.store, run.row, Runs(run.store).take(run.id), models={"local": model})


def test_a_damaged_model_is_named_and_the_one_before_it_stands_in(context):
    path = context.files.path(NEWEST)
    for body in (path.read_bytes()[:500], b"nonsense", context.files.read(BEFORE)[:-300]):
        path.write_bytes(body)
        with pytest.raises(StoreError, match=r"Delete .*round-0001\.npz to go on with the one"):
            current_model(context.files)
    path.unlink()
    assert current_model(context.files) is not None
    context.files.delete(BEFORE)
    assert current_model(context.files) is None


def test_models_are_found_where_earlier_versions_kept_them(context):
    expected = current_model(context.files).coefficients
    context.files.path(NEWEST).rename(context.files.path("model/round-0001.npz"))
    np.testing.assert_array_equal(current_model(context.files).coefficients, expected)


def test_damaged_memories_of_strategies_are_named(context):
    state = {"mine/file": np.arange(3.0), "file": np.ones((2, 2))}
    save_state(context.files, state, number=7)
    again = load_state(context.files, number=8)
    assert list(again) == list(state), "a strategy may name its arrays as it likes"
    assert again["file"].tolist() == [[1, 1], [1, 1]]
    path = context.files.path("strategies/round-0007.npz")
    for body in (path.read_bytes()[:-100], b"", context.files.read(NEWEST)):
        path.write_bytes(body)
        with pytest.raises(StoreError, match=r"Delete .*round-0007\.npz to let them start"):
            load_state(context.files, number=8)
    assert load_state(context.files, number=7) == {}


def test_who_lost_the_run_does_not_write_the_folder_that_people_take_home(context):
    runs = Runs(context.store)
    runs.give_up(context.lease)
    runs.take(context.run.id)
    config = context.files.path(f"model/{CONFIG}")
    config.unlink()
    with pytest.raises(LeaseLost):
        asyncio.run(deliver_last(context))
    assert not config.exists()


def test_arrays_are_read_and_written_in_one_place():
    folders = ("memory", "tools", "agents", "graph", "app")
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for call in ("np.load(", "np.save(", "np.savez")
        if call in path.read_text()
    }
    assert found == {"memory/files.py"}
