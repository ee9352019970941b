"""Runs with fixed seeds label the same examples with the same classes as they always did.

`golden_labels.json` was written before the code was moved into rooms. Write it again, where a
behaviour changes on purpose, with: python -m pytest tests/graph/test_golden.py --write-golden
"""

import os
import subprocess
import sys
from pathlib import Path

RUNS = Path(__file__).with_name("golden_runs.py")
# What every x86-64 processor can do, and nothing else: sums are then the same to the last digit.
# Of OpenBLAS, of MKL and of torch's own loops, of NumPy's.
PLAIN = {
    "OPENBLAS_CORETYPE": "Prescott",
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "default",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
# NumPy warns, as it is imported, of features that its build does not know.
SCRIPT = "import sys, numpy, pytest\nsys.exit(pytest.main(sys.argv[1:]))"


def test_seeded_runs_give_the_labels_they_always_gave(request):
    options = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    if request.config.getoption("--write-golden"):
        options.append("--write-golden")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *options, str(RUNS)],
        env={**os.environ, **PLAIN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
