"""Every classical strategy against the libraries that have it: time, memory and what is picked.

    python -m querist.evals.bench.strategies [--rows 10000 100000] [--threads 1 2] [--peers]
        [--peer-python PATH] [--only margin badge]

Every measurement is a process of its own, warmed up on a small pool, so that peak memory belongs
to one strategy; the arrays are the same for all and are loaded before the clock starts. MB is the
peak above the loaded arrays. `--peers` needs an interpreter that has scikit-activeml, small-text,
modAL-python, baal, alipy or cleanlab; a library that is not there, fails or takes longer than
`--limit` is left out and named below the table. Seconds are the clock's: use an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from querist.evals.bench import strategy_peers
from querist.memory.records import ExampleId
from querist.tools.compute.arrays import FloatArray, log_softmax
from querist.tools.strategies import available, get
from querist.tools.strategies.querying import Capability, Labelled, QueryContext, Targets
from querist.tools.training.proxy import GradientFactors

WIDTH, CLASSES, _MEMBERS, LABELLED, TARGETS = 384, 10, 10, 100, 200
_WHY_PICKS_DIFFER = {
    "random": "a draw",
    "k_means": "local optima; small-text works on unit vectors",
    "typiclust": "k-means has local optima, and so other clusters",
    "prob_cover": "the radius: ours is a quantile, theirs the best of a grid of ten",
    "badge": "a draw, after the same first pick",
    "contrastive": "they clip probabilities at 1e-7, we at 1e-12; with 1e-7 all are the same",
    "discriminative": "theirs is one linear model a pick, ours ten on random features",
    "qbc": "vote entropy has many ties",
    "batch_bald": "outcomes are drawn after a few picks; before, all picks are the same",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One selection: seconds, peak MB above the arrays, positions picked."""

    seconds: float
    megabytes: float
    picks: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a Markdown table for each pool size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000])
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--peers", action="store_true", help="measure other libraries, too")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with them")
    parser.add_argument("--only", nargs="*", help="strategies; all by default")
    parser.add_argument("--limit", type=float, default=120, help="seconds a selection may take")
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        folder, name = options.measure
        _measure_ours(Path(folder), name, options.batch)
        return 0
    names = options.only or [
        strategy.name for strategy in available() if Capability.LLM not in strategy.needs
    ]
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as place:
            _make_pool(Path(place), rows)
            for threads in options.threads:
                _print_table(Path(place), names, rows=rows, threads=threads, options=options)
    return 0


def _make_pool(folder: Path, rows: int) -> None:
    """Write a pool of 50 loose clusters on the sphere, a model of it, and a committee."""
    rng = np.random.default_rng(0)
    count = rows + LABELLED + TARGETS
    centres = rng.normal(size=(50, WIDTH)).astype(np.float32)
    vectors = np.empty((count, WIDTH), dtype=np.float32)
    for start in range(0, count, 50_000):
        some = vectors[start : start + 50_000]
        rng.standard_normal(out=some, dtype=np.float32)
        some += centres[rng.integers(0, 50, len(some))]
        some /= np.linalg.norm(some, axis=1, keepdims=True)
    head = rng.normal(size=(WIDTH, CLASSES)).astype(np.float32) * 4
    shifts = rng.normal(size=(_MEMBERS, WIDTH, CLASSES)).astype(np.float32)
    shares = np.exp(log_softmax(vectors @ head))
    posterior = np.empty((count, _MEMBERS, CLASSES), dtype=np.float32)
    for number, shift in enumerate(shifts):
        posterior[:, number] = np.exp(log_softmax(vectors @ (head + 2 * shift)))
    pool, known = slice(0, rows), slice(rows, rows + LABELLED)
    aims = slice(rows + LABELLED, None)
    arrays = {
        "embeddings": vectors[pool],
        "probabilities": shares[pool],
        "posterior": posterior[pool],
        "labelled": vectors[known],
        "labelled_probabilities": shares[known],
        "classes": shares[known].argmax(axis=1),
        "targets": vectors[aims],
        "target_posterior": posterior[aims],
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def _show(arrays: dict[str, Any]) -> QueryContext:
    """Show a strategy the benchmark pool."""
    shares: FloatArray = arrays["probabilities"]
    errors = shares - np.eye(shares.shape[1], dtype=np.float32)[shares.argmax(axis=1)]
    known = Labelled(
        embeddings=arrays["labelled"],
        classes=arrays["classes"],
        probabilities=arrays["labelled_probabilities"],
        ids=tuple(ExampleId(f"labelled-{row}") for row in range(len(arrays["labelled"]))),
    )
    known_sources = {
        Capability.EMBEDDINGS: arrays["embeddings"],
        Capability.PROBS: shares,
        Capability.POSTERIOR: arrays["posterior"],
        Capability.GRADIENTS: GradientFactors(errors=errors, features=arrays["embeddings"]),
        Capability.TARGETS: Targets(embeddings=arrays["targets"]),
        Capability.TARGET_POSTERIOR: arrays["target_posterior"],
    }
    return QueryContext(
        ids=[ExampleId(f"row-{row}") for row in range(len(shares))],
        rng=np.random.default_rng(0),
        sources={kind: lambda source=source: source for kind, source in known_sources.items()},  # type: ignore[misc]
        labelled_so_far=lambda: known,
    )


def _measure_ours(folder: Path, name: str, batch: int) -> None:
    """Measure one of our strategies in this process; print JSON."""
    arrays = strategy_peers.load(folder)
    arrays["targets"] = np.load(folder / "targets.npy")
    arrays["target_posterior"] = np.load(folder / "target_posterior.npy")
    small = strategy_peers.first_rows(arrays, 300)
    contexts = {len(pool["embeddings"]): _show(pool) for pool in (small, arrays)}
    chosen = get(name)

    def select(pool: dict[str, Any], count: int) -> object:
        # Nothing is kept from one measurement to the next.
        fresh = replace(
            contexts[len(pool["embeddings"])], rng=np.random.default_rng(0), state={}, _known={}
        )
        return chosen.query(fresh, count).indices

    print("\n" + json.dumps(strategy_peers.measure(select, arrays, batch)))


def _print_table(
    folder: Path, names: list[str], *, rows: int, threads: int, options: argparse.Namespace
) -> None:
    """Measure and print row by row, so that a long run shows where it is."""
    print(f"\n{rows:,} x {WIDTH}, batch {options.batch}, threads: {threads}\n")
    print("| strategy | ours, s | MB | best peer | its s | its MB | ratio | same picks |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    troubles, differing = [], []
    for name in names:
        ours_command = [sys.executable, "-m", "querist.evals.bench.strategies"]
        ours_command += ["--measure", str(folder), name, "--batch", str(options.batch)]
        ours = _run(ours_command, threads, options.limit)
        if isinstance(ours, str):
            troubles.append(f"{name}: {ours}")
            continue
        line = f"| {name} | {ours.seconds:.3f} | {ours.megabytes:.0f} |"
        best, library = None, ""
        for peer_name in [
            peer for peer, what in strategy_peers.PEERS if what == name and options.peers
        ]:
            command = [options.peer_python, str(Path(strategy_peers.__file__))]
            found = _run(
                [*command, str(folder), peer_name, name, str(options.batch)], threads, options.limit
            )
            if isinstance(found, str):
                troubles.append(f"{name}, {peer_name}: {found}")
            elif best is None or found.seconds < best.seconds:
                best, library = found, peer_name
        if best is None:
            print(f"{line} | | | | |", flush=True)
            continue
        same = len(set(best.picks) & set(ours.picks)) / max(1, len(ours.picks))
        if same < 1:
            differing.append(f"{name}: {_WHY_PICKS_DIFFER.get(name, 'ties and rounding')}")
        print(
            f"{line} {library} | {best.seconds:.3f} | {best.megabytes:.0f} "
            f"| {best.seconds / ours.seconds:.1f} | {same:.0%} |",
            flush=True,
        )
    for line in [f"Picks differ: {difference}." for difference in differing]:
        print(f"\n{line}")
    for trouble in troubles:
        print(f"\nNot measured: {trouble}")


def _run(command: list[str], threads: int, limit: float) -> Measured | str:
    """Run one measurement; give what went wrong if it did."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit + 60,
        )
    except subprocess.TimeoutExpired:
        return f"more than {limit:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1][:160]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return Measured(result["seconds"], result["megabytes"], tuple(result["picks"]))


if __name__ == "__main__":
    sys.exit(main())
