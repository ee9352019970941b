"""Predicting a file: rows a second, and that memory does not grow with the file.

    python -m querist.evals.bench.predict --rows 20000 200000

Each size runs in a process of its own, with a model trained on made texts and the embedder that
needs no weights; the last line is the ratio of the peaks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from querist.memory.records import LabelClass, Task
from querist.tools.embedding.embedders import HashingEmbedder
from querist.tools.kinds import DEFAULT
from querist.tools.training.heads import LinearPredictor
from querist.tools.training.model_folder import Model
from querist.tools.training.proxy import LinearHead


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs=2, type=int, default=[20_000, 200_000])
    options = parser.parse_args()
    print("| rows | seconds | rows/s | peak MB |\n|---|---|---|---|")
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _train(folder / "model")
        for count in options.rows:
            seconds, peak = _predict(folder, count)
            peaks.append(peak)
            print(
                f"| {count:,} | {seconds:.1f} | {count / seconds:,.0f} | {peak:.0f} |", flush=True
            )
    print(f"peak of the larger / of the smaller: {peaks[1] / peaks[0]:.2f}")


def _train(folder: Path) -> None:
    texts = [f"{word} number {i}" for i in range(40) for word in ("invoice", "crash")]
    task = Task("made", DEFAULT.name, (LabelClass("billing"), LabelClass("bug")))
    embedder = HashingEmbedder()
    head = LinearHead().fit(embedder.embed(texts), np.eye(2)[[0, 1] * 40])
    Model(
        task=task,
        predictor=LinearPredictor(head),
        embedder_name=embedder.name,
        embedder_call="hashing",
    ).save(folder)


def _predict(folder: Path, count: int) -> tuple[float, float]:
    source = folder / f"{count}.csv"
    with source.open("w") as stream:
        stream.write("text,n\n")
        stream.writelines(f"the invoice of case {i} is wrong again,{i}\n" for i in range(count))
    words = ("predict", str(folder / "model"), str(source), "-o", str(folder / f"{count}.out.csv"))
    command = [sys.executable, "-m", "querist.app.terminal.cli", *words]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"predict ended with status {status}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
