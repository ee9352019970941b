"""The numerics under other matrix kernels than this machine's: what other processors would do.

OpenBLAS has a kernel for every family of processors, and they sum in other orders. An older kernel
runs on a newer processor, so most can be tried wherever the tests run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

HERE = Path(__file__).parent
# What the processor must be able to do, as Linux spells it; the oldest is cheap to have, too.
NEEDS = {
    "Prescott": {"pni"},
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
# Builds of OpenBLAS with few kernels let some families share one.
ALSO_CALLED = {"Zen": "Haswell", "Prescott": "Katmai"}
FILES = [
    "test_geometry.py",
    "test_uncentred.py",
    "test_clustering.py",
    "test_neighbours.py",
    "test_diversity.py",
    "test_greedy_cover.py",
    "test_strategies.py",
    "test_strategies_worked.py",
]
# Draws that are counted by the thousand, a clock, what trains with torch, what has no digits.
SLOW = ("thinned", "draws_follow", "take_no_time", "discriminative", "degenerate", "linkage_cuts")
LEFT_OUT = " and ".join(f"not {name}" for name in SLOW)
SEEN = """
import numpy, sys
from threadpoolctl import threadpool_info
blas = [one for one in threadpool_info() if one["internal_api"] == "openblas"]
numpys = [one for one in blas if "numpy" in one["filepath"]] or blas
print([(one["architecture"], one["num_threads"]) for one in numpys], file=sys.stderr)
assert all(one["architecture"] in KERNELS and one["num_threads"] == THREADS for one in numpys)
"""


@cache
def flags() -> frozenset[str]:
    """What this processor can do; nothing where Linux does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    said = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(said.partition(":")[2].split())


def under(kernel: str, threads: int, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script under a kernel, after making sure that it is in force."""
    np.ones((2, 2)) @ np.ones((2, 2))
    if not any(library["internal_api"] == "openblas" for library in threadpool_info()):
        pytest.skip("NumPy does not multiply by OpenBLAS here, whose kernels can be chosen.")
    if not NEEDS[kernel] <= flags():
        pytest.skip(f"This processor cannot run OpenBLAS's kernel for {kernel}.")
    known = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    threaded = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    called = (kernel, ALSO_CALLED.get(kernel, kernel))
    return subprocess.run(
        [sys.executable, "-c", f"KERNELS, THREADS = {called!r}, {threads}\n{SEEN}\n{script}"],
        env={**known, **threaded, "OPENBLAS_CORETYPE": kernel},
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("kernel", "threads"), [("Haswell", 1), ("SkylakeX", 2)])
def test_the_numerics_hold_under_every_kernel(kernel: str, threads: int) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", LEFT_OUT]
    arguments = [*options, *(str(HERE / name) for name in FILES)]
    done = under(kernel, threads, f"import pytest\nsys.exit(pytest.main({arguments!r}))")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_kernel_picks_the_same() -> None:
    script = "import kernel_picks\nkernel_picks.main()"
    picks = {}
    for kernel in (name for name, needs in NEEDS.items() if needs <= flags()):
        done = under(kernel, 1 + len(picks) % 2, script)
        assert done.returncode == 0, done.stderr[-2000:]
        picks[kernel] = json.loads(done.stdout.splitlines()[-1])
    if len(picks) < 2:
        pytest.skip("This processor runs fewer than two of OpenBLAS's kernels.")
    first, *others = picks
    for other in others:
        differing = [name for name, rows in picks[first].items() if picks[other][name] != rows]
        assert not differing, f"{other} picks otherwise than {first}: {', '.join(differing)}"
