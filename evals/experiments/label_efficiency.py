"""Accuracy against labels: selection strategies on real data, beside other libraries' loops.

    python -m querist.evals.experiments.label_efficiency --out docs/results/label_efficiency
        [--peer-python PATH]

Simulated: every label is gold. All strategies start from the same random labels, use the same
vectors (MiniLM; pixels for the digits) and the same trainer; the other libraries' loops use their
margin sampling and scikit-learn's logistic regression. The score is accuracy on held-out rows, on
hate_offensive macro-F1.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.evals.experiments.accuracy_per_dollar import data_folder
from querist.evals.peers import label_efficiency as peer
from querist.memory.records import ExampleId
from querist.tools.strategies import get
from querist.tools.strategies.querying import Capability, Labelled, QueryContext
from querist.tools.training.proxy import Committee, LinearHead, LinearModel, fit_committee

_POOL, _TEST = 3_000, 1_000
_STRATEGIES = (
    "random",
    "margin",
    "entropy",
    "bald",
    "batch_bald",
    "qbc",
    "epig",
    "k_center",
    "typiclust",
    "facility_location",
    "badge",
    "weighted_k_means",
    "cluster_margin",
    "0.3*margin + 0.7*facility_location",
)
_PEERS = ("modAL margin", "scikit-activeml margin")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many labels a data set starts with, gets a round, and ends with."""

    start: int
    step: int
    end: int
    metric: str = "accuracy"


SCHEDULES: Mapping[str, Schedule] = {
    "ag_news": Schedule(20, 20, 200),
    "trec6": Schedule(20, 20, 200),
    "subj": Schedule(20, 20, 200),
    "banking77": Schedule(150, 75, 750),
    "hate_offensive": Schedule(20, 40, 380, "macro-F1"),
    "digits": Schedule(20, 20, 400),
}

Curve = list[tuple[int, float]]
"""(labels, score) by round."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Vectors (N, d) and classes (N,) of a pool and of held-out rows."""

    pool: NDArray[np.float32]
    truth: NDArray[np.intp]
    test: NDArray[np.float32]
    test_truth: NDArray[np.intp]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.truth.max()) + 1


def main() -> None:
    """Run what is missing, then print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/label_efficiency"))
    parser.add_argument("--datasets", nargs="+", default=list(SCHEDULES))
    parser.add_argument("--strategies", nargs="+", default=list(_STRATEGIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with peers")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for dataset in options.datasets:
        rows = load(dataset, cache=options.out)
        for name in [*options.strategies, *_PEERS]:
            for seed in range(options.seeds):
                path = options.out / f"{dataset}~{name.replace('/', '-')}~{seed}.json"
                if path.exists():
                    continue
                if name in _PEERS:
                    curve = _run_peer(name, rows, dataset, seed=seed, python=options.peer_python)
                else:
                    curve = _run(name, rows, SCHEDULES[dataset], seed=seed)
                if curve is not None:
                    path.write_text(json.dumps(curve))
            print(f"{dataset}: {name}", file=sys.stderr, flush=True)
    curves = read_curves(options.out)
    table = _as_table(curves)
    (options.out / "table.md").write_text(table)
    print(table)
    _draw(curves, options.out / "plot.svg")


def _run(name: str, rows: Rows, schedule: Schedule, *, seed: int) -> Curve:
    """Select, reveal and train until the schedule's end."""
    rng = np.random.default_rng(seed)
    chosen = first_labels(rows, schedule, seed=seed)
    state: dict[str, NDArray[np.floating]] = {}
    curve: Curve = []
    while True:
        targets = np.eye(rows.classes, dtype=np.float32)[rows.truth[chosen]]
        model = LinearHead().fit(rows.pool[chosen], targets, seed=seed)
        guess = model.predict_proba(rows.test).argmax(axis=1)
        curve.append((len(chosen), score(guess, rows.test_truth, schedule.metric)))
        count = min(schedule.step, schedule.end - len(chosen))
        if count <= 0:
            return curve
        rest = np.setdiff1d(np.arange(len(rows.pool)), chosen)
        context = context_of(rows, np.array(chosen), rest, model, rng=rng, state=state)
        chosen += rest[get(name).query(context, count).indices].tolist()


def context_of(
    rows: Rows,
    known: NDArray[np.intp],
    rest: NDArray[np.intp],
    model: LinearModel,
    *,
    rng: np.random.Generator,
    state: dict[str, NDArray[np.floating]],
) -> QueryContext:
    """Show a strategy the rows `rest` as candidates, and `known` as labelled with their classes."""
    vectors = rows.pool[rest]

    @cache
    def committee() -> Committee:
        targets = np.eye(rows.classes, dtype=np.float32)[rows.truth[known]]
        # Other draws each round, as in the loop.
        return fit_committee(rows.pool[known], targets, seed=len(known))

    def labelled() -> Labelled:
        return Labelled(
            embeddings=rows.pool[known],
            classes=rows.truth[known],
            probabilities=model.predict_proba(rows.pool[known]),
            ids=tuple(ExampleId(str(row)) for row in known),
        )

    return QueryContext(
        ids=[ExampleId(str(row)) for row in rest],
        rng=rng,
        state=state,
        sources={
            Capability.EMBEDDINGS: lambda: vectors,
            Capability.PROBS: lambda: model.predict_proba(vectors),
            Capability.GRADIENTS: lambda: model.gradients(vectors),
            Capability.POSTERIOR: lambda: committee().posterior(vectors),
            Capability.TARGET_POSTERIOR: lambda: committee().posterior(rows.test),
        },
        labelled_so_far=labelled,
    )


def _run_peer(name: str, rows: Rows, dataset: str, *, seed: int, python: str) -> Curve | None:
    """Run another library's loop in its own interpreter; None where it is not installed."""
    schedule = SCHEDULES[dataset]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        np.savez(
            path,
            pool=rows.pool,
            truth=rows.truth,
            test=rows.test,
            start=first_labels(rows, schedule, seed=seed),
            schedule=[schedule.step, schedule.end, seed],
        )
        command = [python, peer.__file__, str(path), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{name} did not run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    guesses = json.loads(done.stdout.splitlines()[-1])
    return [
        (labels, score(np.array(guess), rows.test_truth, schedule.metric))
        for labels, guess in guesses
    ]


def first_labels(rows: Rows, schedule: Schedule, *, seed: int) -> list[int]:
    """Draw the same random start for everyone."""
    rng = np.random.default_rng([seed, 1])
    return [int(row) for row in rng.choice(len(rows.pool), size=schedule.start, replace=False)]


def score(guess: NDArray[np.integer], truth: NDArray[np.integer], metric: str) -> float:
    """Score predictions by accuracy or macro-F1."""
    from sklearn.metrics import accuracy_score, f1_score

    if metric == "accuracy":
        return float(accuracy_score(truth, guess))
    return float(f1_score(truth, guess, average="macro"))


def load(dataset: str, *, cache: Path) -> Rows:
    """Read and embed a data set, once."""
    path = cache / f"{dataset}.npz"
    if not path.exists():
        np.savez(path, **(_digits() if dataset == "digits" else _texts(dataset)))  # type: ignore[arg-type]
    with np.load(path) as file:
        return Rows(file["pool"], file["truth"], file["test"], file["test_truth"])


def _digits() -> dict[str, NDArray[np.generic]]:
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, digits = (images[order] / 16).astype(np.float32), digits[order].astype(np.intp)
    cut = len(images) * 3 // 4
    return {
        "pool": images[:cut],
        "truth": digits[:cut],
        "test": images[cut:],
        "test_truth": digits[cut:],
    }


def _texts(dataset: str) -> dict[str, NDArray[np.generic]]:
    from querist.tools.embedding.embedders import MiniLM

    names: list[str] = list(
        json.loads((data_folder() / dataset / "meta.json").read_text())["labels"]
    )
    embedder = MiniLM()
    found: dict[str, NDArray[np.generic]] = {}
    for part, most, vectors, truth in (
        ("train", _POOL, "pool", "truth"),
        ("test", _TEST, "test", "test_truth"),
    ):
        with gzip.open(
            data_folder() / dataset / f"{part}.jsonl.gz", "rt", encoding="utf-8"
        ) as file:
            lines = file.readlines()
        lines = [line for line in lines if "label" in _single(json.loads(line))]
        if len(lines) > most:
            lines = random.Random(0).sample(lines, most)  # noqa: S311
        read = [_single(json.loads(line)) for line in lines]
        found[vectors] = np.asarray(embedder.embed([row["text"] for row in read]))
        found[truth] = np.array([names.index(row["label"]) for row in read])
    return found


def _single(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row of several labels the one it has, if it has one only."""
    several = row.pop("labels", [])
    return row if len(several) != 1 else {**row, "label": several[0]}


Curves = Mapping[tuple[str, str], Sequence[Curve]]


def read_curves(folder: Path) -> Curves:
    """Read all curves that are there, by data set and strategy."""
    found: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for path in sorted(folder.glob("*~*.json")):
        dataset, name, _ = path.stem.split("~")
        found[dataset, name].append([(n, value) for n, value in json.loads(path.read_text())])
    return found


def _area(curve: Curve) -> float:
    """Mean score over the curve: the area under it, from the start to the end."""
    labels, values = zip(*curve, strict=True)
    return float(np.trapezoid(values, labels) / (labels[-1] - labels[0]))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % t interval."""
    from scipy.stats import t

    if len(values) < 2:
        return float(np.mean(values)), float("nan")
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(half)


def _as_table(curves: Curves) -> str:
    """Write mean scores along the curve, and at its end, as Markdown."""
    names = [
        strategy
        for strategy in (*_STRATEGIES, *_PEERS)
        if any(key[1] == strategy for key in curves)
    ]
    datasets = [candidate for candidate in SCHEDULES if any(key[0] == candidate for key in curves)]
    heads = [f"{dataset} ({SCHEDULES[dataset].end})" for dataset in datasets]
    lines = [f"| strategy | {' | '.join(heads)} |", "|---|" + "---|" * len(datasets)]
    for name in names:
        cells = []
        for dataset in datasets:
            found = curves.get((dataset, name), [])
            if not found:
                cells.append("-")
                continue
            mean, half = interval([_area(curve) for curve in found])
            last, _ = interval([curve[-1][1] for curve in found])
            cells.append(f"{100 * mean:.1f} ± {100 * half:.1f}; {100 * last:.1f}")
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _draw(curves: Curves, path: Path) -> None:
    """Draw score against labels, one panel a data set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    datasets = [candidate for candidate in SCHEDULES if any(key[0] == candidate for key in curves)]
    figure, panels = plt.subplots(2, (len(datasets) + 1) // 2, figsize=(13, 7), squeeze=False)
    colours = plt.get_cmap("tab20")
    for panel, dataset in zip(panels.flat, datasets, strict=False):
        for number, name in enumerate((*_STRATEGIES, *_PEERS)):
            found = curves.get((dataset, name), [])
            if not found:
                continue
            labels = [n for n, _ in found[0]]
            mean = np.mean([[value for _, value in curve] for curve in found], axis=0)
            style = "--" if name in _PEERS else ":" if name == "random" else "-"
            panel.plot(labels, mean, style, color=colours(number % 20), lw=1.2, label=name)
        panel.set(title=dataset, xlabel="labels", ylabel=SCHEDULES[dataset].metric)
        panel.grid(alpha=0.3)
    panels.flat[0].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
