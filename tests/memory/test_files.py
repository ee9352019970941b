"""A run's files: whole or not at all, written only by who drives the run; on both databases."""

import contextlib
import io
import resource

import numpy as np
import pytest

from querist.memory.errors import InvalidInput, LeaseLost, StoreError
from querist.memory.files import RunFiles, pack, unpack, write_whole
from querist.memory.records import RunId
from querist.memory.run.runs import Runs
from querist.memory.store import Lease

KEY = "heads/round-0003.npz"
TOLD = {"what": "The head", "without": "train it again"}


@pytest.fixture
def files(store, run):
    return RunFiles(store, "run", lease=run)


@contextlib.contextmanager
def a_full_disk(room=64):
    """Let no file grow beyond `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(files, folder="heads"):
    return sorted(path.name for path in files.path(folder).iterdir())


def test_a_file_is_read_listed_and_deleted_by_its_key(files):
    assert files.read(KEY) is None
    assert files.keys("heads/") == []
    files.write(KEY, b"one")
    files.write(KEY, b"two")
    files.write("heads/round-0002.npz", b"")
    files.write("pseudo/round-0002.npz", b"")
    assert files.read(KEY) == b"two"
    assert files.keys("heads/round-") == ["heads/round-0002.npz", KEY]
    files.delete(KEY)
    files.delete(KEY)
    assert files.read(KEY) is None
    assert files.path("heads/round-0002.npz").is_file()


def test_who_lost_the_lease_changes_nothing_any_more(store, run, files):
    files.write(KEY, b"mine")
    runs = Runs(store)
    runs.give_up(run)
    newer = RunFiles(store, "run", lease=runs.take(RunId("run")))
    newer.write(KEY, b"theirs")
    with pytest.raises(LeaseLost):
        files.write(KEY, b"late")
    with pytest.raises(LeaseLost):
        files.delete(KEY)
    with pytest.raises(LeaseLost), files.fenced():
        pytest.fail("the block must not be entered")
    assert files.read(KEY) == b"theirs"
    assert names(files) == ["round-0003.npz"], "no draft is left"


def test_who_only_looks_reads_and_does_not_write(store, run, files):
    files.write(KEY, b"kept")
    looker = RunFiles(store, "run", lease=Lease.to_look("run"))
    assert looker.read(KEY) == b"kept"
    with pytest.raises(LeaseLost):
        looker.write(KEY, b"changed")


def test_a_write_that_fails_leaves_what_was_there(files):
    files.write(KEY, b"kept")
    with a_full_disk(), pytest.raises(OSError, match="large"):
        files.write(KEY, b"x" * 1000)
    assert files.read(KEY) == b"kept"
    assert names(files) == ["round-0003.npz"]


def test_what_a_killed_process_left_half_written_is_no_file(files):
    files.write(KEY, b"whole")
    files.path("heads/round-0004.npz.4711.tmp").write_bytes(b"hal")
    assert files.keys("heads/") == [KEY]


@pytest.mark.parametrize("key", ["../other/model", "/etc/passwd", "heads/../../x"])
def test_a_key_does_not_lead_out_of_the_run(files, key):
    with pytest.raises(InvalidInput, match="no name of a file"):
        files.path(key)


def test_arrays_come_back_by_name(files):
    arrays = {"names": np.array(["ä", "b"]), "rows": np.arange(6.0).reshape(2, 3)}
    files.write_arrays(KEY, arrays, what="The head")
    found = files.read_arrays(KEY, **TOLD)
    assert list(found) == ["names", "rows"]
    np.testing.assert_array_equal(found["rows"], arrays["rows"])
    assert found["names"].tolist() == ["ä", "b"]
    assert files.read_arrays("heads/none.npz", **TOLD) is None


def one_array():
    body = io.BytesIO()
    np.save(body, np.arange(3))
    return body.getvalue()


def pickled():
    body = io.BytesIO()
    np.savez(body, a=np.array([{"x": 1}], dtype=object))
    return body.getvalue()


@pytest.mark.parametrize(
    "damaged",
    [b"", b"half a fi", pack({"a": np.arange(999)})[:-200], one_array(), pickled()],
    ids=["empty", "other", "cut off", "one array", "pickled"],
)
def test_damaged_arrays_are_one_error_with_the_remedy(files, damaged):
    files.write(KEY, damaged)
    with pytest.raises(StoreError, match="The head cannot be read") as caught:
        files.read_arrays(KEY, **TOLD)
    assert f"Delete {files.path(KEY)} to train it again, then: querist resume" in str(caught.value)


def test_one_flipped_bit_is_noticed():
    body = bytearray(pack({"a": np.arange(999)}))
    body[1000] ^= 1
    with pytest.raises(ValueError, match="CRC"):
        unpack(bytes(body))


def test_a_disk_that_takes_no_arrays_is_one_error(files):
    with a_full_disk(), pytest.raises(StoreError, match=r"cannot be written .* Free some disk"):
        files.write_arrays(KEY, {"a": np.arange(999)}, what="The head")


def test_objects_are_refused_when_they_are_written_and_not_when_they_are_read():
    with pytest.raises(InvalidInput, match="'a' holds Python objects"):
        pack({"a": np.array([{}], dtype=object)})


def test_a_file_outside_of_a_run_is_written_whole_too(tmp_path):
    path = tmp_path / "report.html"
    write_whole(path, b"first")
    with a_full_disk(), pytest.raises(OSError, match="large"):
        write_whole(path, b"x" * 1000)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
