"""Rows a second of a create job with slow models: ledger, gates and store included.

    python -m querist.evals.bench.creation [--rows 2000] [--delay 0.2] [--in-flight 100]
        [--peer PYTHON] [--turns 1]

Every row takes two calls over HTTP, one that writes it and one that checks its label, from an
endpoint in a process of its own. The bound is what so many calls in flight could do with nothing
else: in flight / delay / 2. `--peer` names an interpreter that has data-designer; its pair of
columns writes and checks as many rows, from the same endpoint, in turns with Querist.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from querist.evals.bench.creation_server import LABELS
from querist.graph import jobs
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

_WRITER, _CHECKER = "openai:writer", "openai:checker"
_PEER = Path(__file__).parents[1] / "peers" / "data_designer.py"


def _body(url: str, rows: int, in_flight: int) -> dict[str, Any]:
    return {
        "kind": "create",
        "rows": rows,
        "task": {"labels": list(LABELS)},
        "gates": ["schema", "length", "exact", "minhash", "embedding", "label_check(least=0.4)"],
        "models": {
            "generator": _WRITER,
            "checker": _CHECKER,
            "base_url": url,
            "in_flight": in_flight,
        },
        "prices": {name: {"input": 1, "output": 2} for name in (_WRITER, _CHECKER)},
        "embedder": "hashing",
        "budget": {"usd": "50"},
        "per_call": 1,
    }


def _ours(url: str, rows: int, in_flight: int) -> float:
    """Run one job to its end, in a new workspace; return rows a second."""
    # A process loads LangGraph once, in about a second; that is no part of the rows.
    import_module("querist.graph.jobs.creation.driving")
    request = jobs.read_request(_body(url, rows, in_flight), source="the benchmark")
    with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
        job = jobs.submit(request, store)
        began = time.perf_counter()
        asyncio.run(jobs.Worker(store).work_off())
        seconds = time.perf_counter() - began
        ended = Jobs(store).get(job.id)
        assert ended.result is not None, ended.reason
        made = len(jobs.rows_of(store, ended))
        spent = Ledger(store, job.run).balance().settled
    print(f"Querist: {made} rows in {seconds:.1f} s, {spent:f} USD in the ledger")
    return made / seconds


def _peers(python: str, url: str, rows: int, in_flight: int) -> float:
    """Let data-designer make as many; return rows a second."""
    arguments = [python, str(_PEER), url, str(rows), str(in_flight)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"DataDesigner: {told['rows']} rows in {told['seconds']:.1f} s")
    return float(told["rows"] / told["seconds"])


@contextmanager
def _endpoint(delay: float) -> Iterator[str]:
    """Start the endpoint in a process of its own; give its address."""
    module = "querist.evals.bench.creation_server"
    arguments = [sys.executable, "-m", module, "--delay", str(delay)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """Measure, and print the figures beside the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter that has data-designer")
    parser.add_argument("--turns", type=int, default=1)
    options = parser.parse_args()
    asked = (options.rows, options.in_flight)
    ours, theirs = [], []
    with _endpoint(options.delay) as url:
        for _ in range(options.turns):
            ours.append(_ours(url, *asked))
            if options.peer:
                theirs.append(_peers(options.peer, url, *asked))
    rate, bound = median(ours), options.in_flight / options.delay / 2
    print(
        f"{rate:.0f} rows a second, {2 * rate:.0f} calls a second; the bound is {bound:.0f} rows."
    )
    if theirs:
        ratios = " ".join(f"{a / b:.2f}" for a, b in zip(ours, theirs, strict=True))
        print(f"DataDesigner: {median(theirs):.0f} rows a second. Times as many: {ratios}")


if __name__ == "__main__":
    main()
