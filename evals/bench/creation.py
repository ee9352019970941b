"""Rows a second of a create job with slow models: ledger, gates and store included.

    python -m querist.evals.bench.creation [--rows 2000] [--delay 0.2] [--in-flight 100]

Every row takes two calls, one that writes it and one that checks its label. The bound is what so
many calls in flight could do with nothing else: in flight / delay / 2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from querist.agents.models.port import ChatRequest
from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.memory.jobs import Jobs
from querist.memory.ledger import Ledger
from querist.memory.store import open_store

_WRITER, _CHECKER = "openai:writer", "openai:checker"
_WORDS = [f"word{i}" for i in range(20_000)]


def _write(request: ChatRequest) -> str:
    rng = random.Random(f"{request.messages}{request.sample}")  # noqa: S311 - words, no secrets
    label = "good" if "'good'" in request.messages[0].content else "bad"
    return json.dumps({"texts": [" ".join([label, *rng.sample(_WORDS, 14)])]})


def _check(request: ChatRequest) -> dict[str, float]:
    text = request.messages[-1].content
    named = [choice for choice in request.choices if f'"{choice} ' in text]
    return {choice: 0.9 if choice in named else 0.1 for choice in request.choices}


def _body(rows: int, in_flight: int) -> dict[str, Any]:
    return {
        "kind": "create",
        "rows": rows,
        "task": {"labels": ["good", "bad"]},
        "gates": ["schema", "length", "exact", "minhash", "embedding", "label_check(least=0.4)"],
        "models": {
            "generator": _WRITER,
            "checker": _CHECKER,
            "base_url": "http://127.0.0.1:9/v1",
            "in_flight": in_flight,
        },
        "prices": {name: {"input": 1, "output": 2} for name in (_WRITER, _CHECKER)},
        "embedder": "hashing",
        "budget": {"usd": "50"},
        "per_call": 1,
    }


def _measure(rows: int, delay: float, in_flight: int) -> Mapping[str, float]:
    """Run one job to its end; return rows, seconds and rows a second."""
    models = {
        _WRITER: ScriptedModel(_write, name=_WRITER, in_flight=in_flight, delay=delay),
        _CHECKER: ScriptedModel(_check, name=_CHECKER, in_flight=in_flight, delay=delay),
    }
    request = jobs.read_request(_body(rows, in_flight), source="the benchmark")
    with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
        job = jobs.submit(request, store)
        began = time.perf_counter()
        asyncio.run(jobs.Worker(store, models=models).work_off())
        seconds = time.perf_counter() - began
        ended = Jobs(store).get(job.id)
        assert ended.result is not None, ended.reason
        found = jobs.rows_of(store, ended)
        spent = Ledger(store, job.run).balance().settled
    return {
        "rows": len(found),
        "seconds": seconds,
        "rows_a_second": len(found) / seconds,
        "usd": float(spent),
    }


def main() -> None:
    """Measure, and print the figures beside the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--in-flight", type=int, default=100)
    options = parser.parse_args()
    found = _measure(options.rows, options.delay, options.in_flight)
    bound = options.in_flight / options.delay / 2
    print(
        f"{found['rows']:.0f} rows in {found['seconds']:.1f} s: {found['rows_a_second']:.0f} rows "
        f"a second, {found['rows_a_second'] * 2:.0f} calls a second; the bound is {bound:.0f} rows."
    )


if __name__ == "__main__":
    main()
