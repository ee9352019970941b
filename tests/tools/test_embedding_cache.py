"""The embedding cache: nothing computed twice, nothing half written believed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput, StoreError
from querist.memory.workspace.embeddings import EmbeddingCache

WRITER = """
import sys, numpy as np
from pathlib import Path
from querist.memory.workspace.embeddings import EmbeddingCache
cache, who = EmbeddingCache(Path(sys.argv[1])), sys.argv[2]
for batch in range(int(sys.argv[3])):
    numbers = range(batch * 10, batch * 10 + 10)
    vectors = np.array([[n, n + 1] for n in numbers], dtype=np.float32)
    cache.add("e", [f"{who}-{n}" for n in numbers], vectors=vectors)
    print(batch, flush=True)
"""


def vectors(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def writer(folder: Path, name: str, batches: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name, str(batches)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_what_was_added_is_found_by_another_opening(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).add("e", ["a", "ü\ud800"], vectors=vectors([1, 2], [3, 4]))
    found = EmbeddingCache(tmp_path).lookup("e", ["ü\ud800", "b", "a"], dimensions=2)
    assert found.vectors.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert found.missing.tolist() == [1]


def test_an_empty_cache_misses_everything_and_makes_no_files(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "none")
    assert cache.lookup("e", ["a"], dimensions=2).missing.tolist() == [0]
    assert cache.lookup("e", [], dimensions=2).vectors.shape == (0, 2)
    assert not (tmp_path / "none").exists()


def test_embedders_do_not_mix(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.add("some/model:v1", ["a"], vectors=vectors([1, 2]))
    assert cache.lookup("other", ["a"], dimensions=2).missing.tolist() == [0]
    assert cache.lookup("some/model:v1", ["a"], dimensions=3).missing.tolist() == [0]
    assert cache.count("some/model:v1", dimensions=2) == 1


def test_a_text_added_twice_keeps_its_first_vector(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.add("e", ["a"], vectors=vectors([1, 1]))
    cache.add("e", ["a"], vectors=vectors([2, 2]))
    assert cache.lookup("e", ["a"], dimensions=2).vectors.tolist() == [[1, 1]]


@pytest.mark.parametrize(("file", "extra"), [("vectors", 5), ("vectors", 800), ("keys", 7)])
def test_a_torn_tail_is_not_believed_and_is_cut_off(tmp_path: Path, file: str, extra: int) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.add("e", ["a"], vectors=vectors([1, 2]))
    with (tmp_path / "e-2" / file).open("ab") as torn:
        torn.write(b"x" * extra)
    reopened = EmbeddingCache(tmp_path)
    assert reopened.lookup("e", ["a", "b"], dimensions=2).missing.tolist() == [1]
    reopened.add("e", ["b"], vectors=vectors([3, 4]))
    found = EmbeddingCache(tmp_path).lookup("e", ["a", "b"], dimensions=2)
    assert found.vectors.tolist() == [[1, 2], [3, 4]]
    assert (tmp_path / "e-2" / "vectors").stat().st_size == 16


def test_vectors_that_would_spoil_later_runs_are_refused(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    with pytest.raises(InvalidInput, match="finite"):
        cache.add("e", ["a"], vectors=vectors([1, np.nan]))
    with pytest.raises(InvalidInput, match="shape"):
        cache.add("e", ["a", "b"], vectors=vectors([1, 2]))
    assert cache.count("e", dimensions=2) == 0


def test_a_disk_that_refuses_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="only a cache"):
        EmbeddingCache(tmp_path / "file").add("e", ["a"], vectors=vectors([1, 2]))


def test_a_killed_writer_leaves_only_whole_rows(tmp_path: Path) -> None:
    process = writer(tmp_path, "k", 100_000)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    cache = EmbeddingCache(tmp_path)
    count = cache.count("e", dimensions=2)
    assert count >= 50
    found = cache.lookup("e", [f"k-{n}" for n in range(count)], dimensions=2)
    assert found.missing.tolist() == []
    assert found.vectors[:, 0].tolist() == list(range(count))


def test_two_writers_and_a_reader_do_not_disturb_each_other(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    writers = [writer(tmp_path, name, 25) for name in ("x", "y")]
    while any(process.poll() is None for process in writers):
        found = cache.lookup("e", [f"x-{n}" for n in range(250)], dimensions=2)
        known = np.setdiff1d(np.arange(250), found.missing)
        assert found.vectors[known, 0].tolist() == known.tolist()
    for process in writers:
        assert process.stdout is not None
        process.stdout.close()
    for name in ("x", "y"):
        found = cache.lookup("e", [f"{name}-{n}" for n in range(250)], dimensions=2)
        assert found.vectors[:, 1].tolist() == list(range(1, 251))


def test_a_hundred_thousand_vectors_are_found_again(tmp_path: Path) -> None:
    texts = [str(number) for number in range(100_000)]
    rows = np.arange(800_000, dtype=np.float32).reshape(-1, 8)
    EmbeddingCache(tmp_path).add("e", texts, vectors=rows)
    found = EmbeddingCache(tmp_path).lookup("e", texts[500:600], dimensions=8)
    np.testing.assert_array_equal(found.vectors, rows[500:600])
