"""A pool of 100,000 examples: import, checkpoint, what a round costs by itself, memory.

    python -m querist.evals.bench.scale

The language model is scripted and instant, the embedder hashes characters; the time in metered
calls (`llm_throughput` measures those), in embedding, in training and in the simulated person is
taken out, so that what is left is the loop's own overhead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from querist.agents.models.metered import MeteredModel
from querist.agents.models.port import ChatRequest
from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import nodes
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.graph.workplace import pool_view
from querist.graph.workplace.checkpoints import CHECKPOINTS
from querist.memory.events import Initialized, RoundDone
from querist.memory.records import Event
from querist.memory.store import Store, open_store
from querist.tools.opinions import quality, training_set
from querist.tools.training import proxy, self_training

WORDS = ("rain", "stone", "river", "market", "engine", "violin", "bread", "harbour", "winter")
LABELS = ("weather", "trade", "music")


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure_rounds(Path(folder), examples=options.examples, rounds=options.rounds)
    print(f"{options.examples:,} examples\n\n| what | measured | at most |\n|---|---|---|")
    for what, value, most in rows:
        print(f"| {what} | {value} | {most} |")


def _measure_rounds(folder: Path, *, examples: int, rounds: int) -> list[tuple[str, str, str]]:
    """Import a made pool and run a few rounds over it."""
    pool = folder / "pool.jsonl"
    write_pool(pool, examples)
    body: dict[str, Any] = {
        "task": {"name": "scale", "labels": list(LABELS)},
        "data": {"pool": str(pool), "text": "text", "gold": "label", "embedder": "hashing"},
        "people": {"kind": "simulated"},
        "loop": {"rounds": rounds, "batch": 100},
        "generator": {"enabled": False},
        "budget": {"usd": 20},
    }
    with open_store(folder / "work") as store:
        return _measure(body, store)


def _measure(body: dict[str, Any], store: Store) -> list[tuple[str, str, str]]:
    """Import and drive the run."""
    started = time.perf_counter()
    run = Run.create(make_config(body, source="bench"), store)
    imported = time.perf_counter() - started
    run.use(models={"local": ScriptedModel(reply, name="local", in_flight=64)})
    ends: list[float] = []
    with _stopwatch() as spent:
        marks: list[float] = []

        def listen(event: Event) -> None:
            if isinstance(event.body, Initialized | RoundDone):
                ends.append(time.perf_counter())
                marks.append(sum(spent.values()))

        asyncio.run(run.drive(listen))
    own = [(ends[i + 1] - ends[i]) - (marks[i + 1] - marks[i]) for i in range(1, len(ends) - 1)]
    checkpoint = _largest_checkpoint(store.folder / "runs" / run.id / CHECKPOINTS)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        ("import", f"{imported:.1f} s", "30 s"),
        ("largest checkpoint", f"{checkpoint / 1024:.1f} kB", "32 kB"),
        ("a round's own overhead, median", f"{median(own):.2f} s", "0.5 s"),
        ("a round's own overhead, the first, which imports", f"{own[0]:.2f} s", ""),
        ("a round's own overhead, worst of the others", f"{max(own[1:]):.2f} s", "0.5 s"),
        ("peak memory", f"{memory:.2f} GB", "2 GB"),
    ]


def write_pool(path: Path, count: int) -> None:
    """Write a made pool; the label is what most of the words belong to."""
    rng = random.Random(0)  # noqa: S311
    with path.open("w") as out:
        for number in range(count):
            words = rng.choices(WORDS, k=18)
            label = LABELS[max(range(3), key=lambda c: sum(w in WORDS[c::3] for w in words))]
            row = {"id": str(number), "text": f"{number} {' '.join(words)}", "label": label}
            out.write(json.dumps(row) + "\n")


def _largest_checkpoint(path: Path) -> int:
    """Size in bytes of the largest checkpoint that LangGraph wrote."""
    import sqlite3

    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT max(length(checkpoint) + length(metadata)) FROM checkpoints"
        return int(connection.execute(query).fetchone()[0])


TAKEN_OUT: list[tuple[Any, str]] = [
    (pool_view, "embed_all"),
    (training_set, "cross_fit"),
    (quality, "cross_fit"),
    (proxy.LinearHead, "fit"),
    (self_training.SelfTraining, "fit"),
    (nodes, "answer_simulated"),
]
"""Where the time goes that is not the loop's own."""


@contextmanager
def _stopwatch() -> Iterator[dict[str, float]]:
    """Count the seconds in metered calls, embedding, training and the simulated person."""
    spent: dict[str, float] = defaultdict(float)
    is_inside = False

    def timed(call: Callable[..., Any], what: str) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal is_inside
            if is_inside:  # one of them calls another, which would be taken out twice
                return call(*args, **kwargs)
            start, is_inside = time.perf_counter(), True
            try:
                return call(*args, **kwargs)
            finally:
                is_inside = False
                spent[what] += time.perf_counter() - start

        return wrapper

    complete_all = MeteredModel.complete_all

    async def timed_calls(model: MeteredModel, requests: Any) -> Any:
        start = time.perf_counter()
        try:
            return await complete_all(model, requests)
        finally:
            spent["calls"] += time.perf_counter() - start

    with ExitStack() as stack:
        for place, name in TAKEN_OUT:
            wrapper = timed(getattr(place, name), name)
            stack.enter_context(mock.patch.object(place, name, wrapper))
        stack.enter_context(mock.patch.object(MeteredModel, "complete_all", timed_calls))
        yield spent


def reply(request: ChatRequest) -> dict[str, float] | str:
    """Score each label by the words that belong to it."""
    text = request.messages[-1].content
    scores = [sum(text.count(word) for word in WORDS[c::3]) + 0.5 for c in range(3)]
    return {label: score / sum(scores) for label, score in zip(LABELS, scores, strict=True)}


if __name__ == "__main__":
    main()
