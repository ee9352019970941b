"""What rows that a real model writes are worth, beside real ones.

    python -m querist.evals.creation.real_models --out docs/results/creation [--seeds 5]
        [--datasets sst2 trec6 hate_offensive] [--rows 40] [--minutes 4] [--model local:GGUF]

A linear head on MiniLM learns from 100 real labelled texts; from these and what a create job wrote
from them (as many of each class with five real texts or more; conditioned on the class, and
paraphrases; gates for length, copies and a classifier that learnt from the same 100); from the 100
with their classes weighted as the rows would weight them, which is what a critic would name; and
from 200 real ones. The embedded model writes, or `--model`. A seed draws its texts anew. A job is a
file, so what was stopped goes on, and the table is made of what there is.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from querist.evals.creation.one_job import run_job
from querist.evals.experiments.accuracy_per_dollar import data_folder
from querist.evals.experiments.paired_bootstrap import Pair, accuracy, difference, macro_f1

_REAL, _TEST, _FEWEST = 100, 500, 5
_ARMS = ("real 100", "real 100 + written", "real 100, weighted", "real 200")
_GATES = (
    "schema",
    "length(least=10, most=400)",
    "exact",
    "embedding(at=0.92)",
    "classifier(least=0.2)",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One data set with one seed; guesses are places of labels."""

    dataset: str
    seed: int
    model: str
    written: int
    accepted: int
    stop: str
    seconds: float
    truth: list[int]
    guesses: dict[str, list[int]]


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/creation"))
    parser.add_argument("--datasets", nargs="+", default=["sst2", "trec6", "hate_offensive"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=4, help="a job may take")
    parser.add_argument("--model", default="local", help="the writer")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for dataset in options.datasets:
            path = options.out / f"{dataset}~{_short(options.model)}~{seed}.json"
            if not path.exists():
                found = _measure(dataset, seed, options)
                path.write_text(json.dumps(asdict(found)), encoding="utf-8")
                print(f"{path.stem}: {found.seconds:.0f} s", file=sys.stderr, flush=True)
    files = sorted(options.out.glob("*~*.json"))
    print(as_table([Measured(**json.loads(file.read_text("utf-8"))) for file in files]))


def _measure(dataset: str, seed: int, options: argparse.Namespace) -> Measured:
    folder = data_folder() / dataset
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    names = list(meta["labels"])
    real = _draw(folder / "train.jsonl.gz", 2 * _REAL, seed)
    test = _draw(folder / "test.jsonl.gz", _TEST, seed)
    few = real[:_REAL]
    # Of a class with fewer real texts a classifier learns nothing that a gate could rest on.
    counts = dict(zip(names, _counts(names, few).tolist(), strict=True))
    written = [name for name in names if counts[name] >= _FEWEST]
    began = time.monotonic()
    body = {
        "task": {"labels": meta["labels"], "instructions": f"{meta['task']}."},
        "rows": options.rows,
        "shares": dict.fromkeys(written, 1 / len(written)),
        "minutes": options.minutes,
        "methods": ["conditioned", "paraphrase"],
        "gates": list(_GATES),
        "models": {"generator": options.model},
        "prices": {},
        "embedder": "minilm",
        "per_call": 4,
        "tokens": 60,
        "seed": seed,
    }
    ran = run_job(body, [], seeds=[(row["text"], row["label"]) for row in few])
    seconds = time.monotonic() - began
    made = [{"text": row.text, "label": str(row.label)} for row in ran.accepted]
    return Measured(
        dataset=dataset,
        seed=seed,
        model=_short(options.model),
        written=len(ran.rows),
        accepted=len(made),
        stop=ran.stop,
        seconds=seconds,
        truth=[names.index(row["label"]) for row in test],
        guesses=_learn(names, real, made, test, seed=seed),
    )


def _short(model: str) -> str:
    return Path(model).stem.replace(":", "-")


def _draw(path: Path, count: int, seed: int) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return random.Random(seed).sample(rows, min(count, len(rows)))  # noqa: S311


def _learn(
    names: Sequence[str],
    real: Sequence[Mapping[str, str]],
    made: Sequence[Mapping[str, str]],
    test: Sequence[Mapping[str, str]],
    *,
    seed: int,
) -> dict[str, list[int]]:
    """Teach each arm's head and ask it about the test texts."""
    from querist.tools.embedding.embedders import MiniLM
    from querist.tools.training.proxy import LinearHead

    embedder = MiniLM()
    asked = embedder.embed([row["text"] for row in test])
    few = list(real[:_REAL])
    more = _counts(names, made) / np.maximum(_counts(names, few), 1)
    weights = np.array([1 + more[names.index(row["label"])] for row in few])
    arms: dict[str, tuple[list[Any], Any]] = {
        "real 100": (few, None),
        "real 100 + written": ([*few, *made], None),
        "real 100, weighted": (few, weights),
        "real 200": (list(real), None),
    }
    guesses = {}
    for arm, (rows, weighted) in arms.items():
        targets = np.eye(len(names), dtype=np.float32)[[names.index(row["label"]) for row in rows]]
        inputs = embedder.embed([row["text"] for row in rows])
        head = LinearHead().fit(inputs, targets, weights=weighted, seed=seed)
        guesses[arm] = head.predict_proba(asked).argmax(axis=1).tolist()
    return guesses


def _counts(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Any:
    return np.bincount([names.index(row["label"]) for row in rows], minlength=len(names))


def as_table(found: Sequence[Measured]) -> str:
    """Write scores by arm, and the gain over 100 real texts with its 95 % interval, as Markdown."""
    lines = [
        "| data, writer (seeds) | accepted of written, minutes | "
        + " | ".join(_ARMS)
        + " | gain of the written rows | of weighting | of 100 real ones |",
        "|" + "---|" * (len(_ARMS) + 5),
    ]
    for dataset, model in dict.fromkeys((row.dataset, row.model) for row in found):
        runs = [row for row in found if (row.dataset, row.model) == (dataset, model)]
        score = macro_f1 if dataset == "hate_offensive" else accuracy
        scores = [
            100 * np.mean([score(np.array(r.guesses[arm]), np.array(r.truth)) for r in runs])
            for arm in _ARMS
        ]
        gains = []
        for arm in _ARMS[1:]:
            pairs = [
                Pair(np.array(r.truth), np.array(r.guesses[arm]), np.array(r.guesses[_ARMS[0]]))
                for r in runs
            ]
            mean, low, high = (100 * value for value in difference(pairs, score))
            gains.append(f"{mean:+.1f} ({low:+.1f} to {high:+.1f})")
        accepted, written = (
            np.mean([getattr(r, of) for r in runs]) for of in ("accepted", "written")
        )
        minutes = np.mean([r.seconds for r in runs]) / 60
        lines.append(
            f"| {dataset}, {model} ({len(runs)}) "
            f"| {accepted:.0f} of {written:.0f}, {minutes:.1f} | "
            + " | ".join(f"{value:.1f}" for value in scores)
            + f" | {' | '.join(gains)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
