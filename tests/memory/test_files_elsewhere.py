"""Run files under an address of fsspec: two machines that share a database and no disk."""

from decimal import Decimal

import numpy as np
import pytest

from querist.memory.errors import InvalidInput, LeaseLost, StoreError
from querist.memory.files import RunFiles, place_of, put_place
from querist.memory.records import LabelClass, RunId, Task
from querist.memory.run.runs import Runs
from querist.memory.store import open_store

pytest.importorskip("fsspec")
KEY = "heads/round-0003.npz"
RUN = RunId("run")
TASK = Task("t", "classification", (LabelClass("a"), LabelClass("b")))


@pytest.fixture(params=["file", "memory"])
def address(request, tmp_path):
    """An address; what is in memory is emptied at the end."""
    if request.param == "file":
        yield f"file://{tmp_path}/elsewhere"
        return
    import fsspec

    yield f"memory://{tmp_path}"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def machines(tmp_path, address):
    """The stores of two machines with one database."""
    url = f"sqlite:///{tmp_path}/shared.db"
    with open_store(tmp_path / "a", url=url) as a, open_store(tmp_path / "b", url=url) as b:
        put_place(a, address, who="ann")
        Runs(a).create(RUN, task=TASK, dataset="d", config={}, cap=Decimal(1))
        yield a, b


def test_what_one_machine_wrote_another_reads_whole(machines):
    a, b = machines
    assert place_of(b) == place_of(a) != ""
    mine = RunFiles(a, RUN, lease=Runs(a).take(RUN))
    theirs = RunFiles(b, RUN)
    assert theirs.read(KEY) is None
    assert theirs.keys("heads/") == []
    for body in (b"one", b"two"):
        mine.write(KEY, body)
        assert theirs.read(KEY) == body
    mine.write_arrays("heads/round-0002.npz", {"x": np.arange(3)}, what="The head")
    found = theirs.read_arrays("heads/round-0002.npz", what="The head", without="")
    assert found["x"].tolist() == [0, 1, 2]
    mine.write("pseudo/round-0002.npz", b"")
    assert theirs.keys("heads/round-") == ["heads/round-0002.npz", KEY]
    mine.delete(KEY)
    mine.delete(KEY)
    assert theirs.keys("heads/") == ["heads/round-0002.npz"]
    assert not (a.folder / "runs").exists()


def test_who_lost_the_lease_changes_nothing_there(machines):
    a, b = machines
    runs = Runs(a)
    lease = runs.take(RUN)
    mine = RunFiles(a, RUN, lease=lease)
    mine.write(KEY, b"mine")
    runs.give_up(lease)
    RunFiles(b, RUN, lease=Runs(b).take(RUN)).write(KEY, b"theirs")
    for change in (lambda: mine.write(KEY, b"late"), lambda: mine.delete(KEY)):
        with pytest.raises(LeaseLost):
            change()
    assert mine.read(KEY) == b"theirs"
    assert mine.keys("heads/") == [KEY], "no draft is left"


def test_a_folder_is_handed_over_and_replaced(machines):
    a, b = machines
    mine, theirs = RunFiles(a, RUN, lease=Runs(a).take(RUN)), RunFiles(b, RUN)
    assert not theirs.fetch("model").exists()
    for names in (["config.json", "weights/old"], ["config.json", "weights/new"]):
        for name in names:
            path = mine.path("model") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        (mine.path("model") / "weights/old").unlink(missing_ok="weights/old" not in names)
        mine.share("model")
        got = theirs.fetch("model")
        files = sorted(p.relative_to(got).as_posix() for p in got.rglob("*") if p.is_file())
        assert files == (names if "weights/new" in names else ["config.json"])
    (got / "config.json").write_text("kept")
    assert (theirs.fetch("model") / "config.json").read_text() == "kept", "fetched only if newer"


def _die(files):
    with files.lend("checkpoints.db") as path:
        assert path.read_bytes() == b"first"
        path.write_bytes(b"killed here")
        raise ZeroDivisionError


def test_a_file_that_was_not_handed_over_is_never_used_again(machines):
    a, b = machines
    mine = RunFiles(a, RUN, lease=Runs(a).take(RUN))
    with mine.lend("checkpoints.db") as path:
        path.write_bytes(b"first")
    Runs(a).give_up(mine._lease)
    theirs = RunFiles(b, RUN, lease=Runs(b).take(RUN))
    with pytest.raises(ZeroDivisionError):
        _die(theirs)
    # Both have a file, and neither is where the run stands.
    for files in (mine, theirs):
        assert files.path("checkpoints.db").exists()
        Runs(b).give_up(theirs._lease)
        theirs = RunFiles(files._store, RUN, lease=Runs(b).take(RUN))
        with theirs.lend("checkpoints.db") as path:
            assert not path.exists()


def test_a_place_is_chosen_before_the_first_run_and_must_be_writable(machines, tmp_path):
    a, _ = machines
    with pytest.raises(InvalidInput, match="before the first run"):
        put_place(a, "", who="ann")
    with open_store(tmp_path / "new") as store:
        with pytest.raises(StoreError, match="cannot be read or written") as failed:
            put_place(store, "nowhere://ann:secret@host/bucket", who="ann")
        assert "secret" not in str(failed.value).split("(")[0]
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="cannot be read or written"):
            put_place(store, f"file://{tmp_path}/file", who="ann")
        assert place_of(store) == ""
