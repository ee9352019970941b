"""What a tuned encoder is worth: the linear head on a frozen MiniLM, and other ways to tune it.

    python -m querist.evals.experiments.target --sets trec6 sst2 --labels 100 --seeds 3

Labels are drawn at random and never wrong. All arms learn from the same labels; the head on top is
the same linear head, and accuracy (macro-F1 where classes are rare) is measured on up to 1,000 held
out texts. `tuned` is Querist's recipe; with `--peers`, also `cross-entropy` (a linear layer on the
normalised vectors, the same steps twice over) and `pairs` (SetFit's: cosine to 1 or 0 of 20 pairs a
text each way, batches of 16, learning rate 2e-5; Tunstall et al., 2022). Seconds are of one core.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from querist.evals.experiments.accuracy_per_dollar import data_folder
from querist.evals.experiments.label_efficiency import score
from querist.tools.compute.arrays import IntArray
from querist.tools.compute.threads import one_thread
from querist.tools.training.encoder_tuning import Encoder, Recipe, descend, tune
from querist.tools.training.fine_tuned import shipped_weights
from querist.tools.training.proxy import LinearHead

_SETS = ("trec6", "sst2", "subj", "ag_news", "sms_spam", "hate_offensive", "banking77")
_RARE = {"hate_offensive", "sms_spam"}
_TEST = 1_000
_PAIRS_A_TEXT, _PAIRS_AT_ONCE, _PAIRS_RATE = 20, 16, 2e-5


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Texts to learn from and to measure on."""

    texts: list[str]
    classes: IntArray
    test: list[str]
    truth: IntArray
    count: int
    metric: str


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(_SETS))
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    arms: dict[str, Callable[[Encoder, Labelled, int], None]] = {
        "linear, frozen": lambda _encoder, _data, _seed: None,
        "tuned": _contrast,
    }
    if options.peers:
        arms |= {"cross-entropy": _cross_entropy, "pairs": _pairs}
    print(f"| data, {options.labels} labels | {' | '.join(arms)} | better in |")
    print("|---" * (len(arms) + 2) + "|")
    for name in options.sets:
        runs = [_run(name, arms, options.labels, seed) for seed in range(options.seeds)]
        cells = [
            "{:.3f} ({:.0f} s)".format(*np.mean([run[arm] for run in runs], axis=0)) for arm in arms
        ]
        better = sum(run["tuned"][0] > run["linear, frozen"][0] for run in runs)
        shown = f"{name}, macro-F1" if name in _RARE else name
        print(f"| {shown} | {' | '.join(cells)} | {better} of {len(runs)} |", flush=True)


def _run(
    name: str, arms: dict[str, Callable[[Encoder, Labelled, int], None]], labels: int, seed: int
) -> dict[str, tuple[float, float]]:
    data = _load(name, labels, seed)
    base, found = Encoder(shipped_weights()), {}
    for arm, teach in arms.items():
        encoder, began = base.copy(), time.monotonic()
        with one_thread():
            teach(encoder, data, seed)
        seconds = time.monotonic() - began
        targets = np.eye(data.count)[data.classes]
        head = LinearHead().fit(encoder.embed(data.texts), targets, seed=seed)
        said = head.predict_proba(encoder.embed(data.test)).argmax(axis=1)
        found[arm] = (score(said, data.truth, data.metric), seconds)
    return found


def _contrast(encoder: Encoder, data: Labelled, seed: int) -> None:
    targets, weights = np.eye(data.count)[data.classes], np.ones(len(data.texts))
    tune(encoder, data.texts, targets, weights, recipe=Recipe(), seed=seed)


def _cross_entropy(encoder: Encoder, data: Labelled, seed: int) -> None:
    import torch

    torch.manual_seed(seed)
    layer = torch.nn.Linear(encoder.model.config.hidden_size, data.count)
    classes = torch.from_numpy(data.classes)
    rng, batches = np.random.default_rng(seed), []
    for _ in range(2 * Recipe().epochs):
        order = rng.permutation(len(data.texts))
        batches += np.array_split(order, -(-len(order) // Recipe().batch))
    tokens = encoder.read(data.texts, Recipe().longest)

    def loss(rows: IntArray) -> Any:
        scores = layer(encoder.forward([tokens[row] for row in rows])) / Recipe().temperature
        return torch.nn.functional.cross_entropy(scores, classes[rows])

    losses = [partial(loss, rows) for rows in batches]
    descend(encoder, losses, steps=len(losses), recipe=Recipe(), also=layer.parameters())


def _pairs(encoder: Encoder, data: Labelled, seed: int) -> None:
    rng, pairs = np.random.default_rng(seed), []
    for row, place in enumerate(data.classes):
        alike = np.flatnonzero(data.classes == place)
        other = np.flatnonzero(data.classes != place)
        for _ in range(_PAIRS_A_TEXT):
            pairs += [(row, int(rng.choice(alike)), 1.0), (row, int(rng.choice(other)), 0.0)]
    pairs = [pairs[place] for place in rng.permutation(len(pairs))]
    tokens = encoder.read(data.texts, Recipe().longest)

    def loss(batch: Sequence[tuple[int, int, float]]) -> Any:
        import torch

        left, right = (
            encoder.forward([tokens[pair[side]] for pair in batch])  # type: ignore[index]
            for side in (0, 1)
        )
        wanted = torch.tensor([pair[2] for pair in batch])
        return ((left * right).sum(dim=1) - wanted).square().mean()

    starts = range(0, len(pairs), _PAIRS_AT_ONCE)
    losses = [partial(loss, pairs[start : start + _PAIRS_AT_ONCE]) for start in starts]
    descend(encoder, losses, steps=len(losses), recipe=Recipe(rate=_PAIRS_RATE))


def _load(name: str, labels: int, seed: int) -> Labelled:
    folder = data_folder() / name
    names = list(json.loads((folder / "meta.json").read_text())["labels"])
    rng = np.random.default_rng(seed)
    pool, test = _read(folder / "train.jsonl.gz"), _read(folder / "test.jsonl.gz")
    taught = [pool[row] for row in rng.choice(len(pool), labels, replace=False)]
    held = [test[row] for row in rng.permutation(len(test))[:_TEST]]
    return Labelled(
        [row["text"] for row in taught],
        np.array([names.index(row["label"]) for row in taught]),
        [row["text"] for row in held],
        np.array([names.index(row["label"]) for row in held]),
        len(names),
        "macro-F1" if name in _RARE else "accuracy",
    )


def _read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


if __name__ == "__main__":
    main()
