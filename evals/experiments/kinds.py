"""Matching, relation and preference end to end, on real data: people alone, and with a model.

    python -m querist.evals.experiments.kinds [--pool 1000] [--rounds 6] [--seeds 3]

People are simulated: they answer from the data's labels, never wrong, at 0.05 USD each; both arms
may ask as often. The language model is the embedded one (270M parameters). Measured is the linear
head on MiniLM vectors on held-out examples, beside the most frequent answer, and the language model
alone by the run's last prompt. What is printed is a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from querist.graph.baseline import llm_alone
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.records import Split
from querist.memory.store import open_store
from querist.tools.kinds import kind_of

_BATCH = 40
_ALONE = 150
"""Test examples that the language model labels alone: it takes a second for each."""
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Set:
    """A data set, its kind, and which of its columns are an example's fields."""

    name: str
    kind: str
    fields: tuple[str, ...]


_SETS = (
    Set("dblp_scholar", "matching", ("left", "right")),
    Set("semeval2010_re", "relation", ("text",)),
    Set("hh_rlhf_harmless", "preference", ("text", "response_a", "response_b")),
    Set("pandalm_pref", "preference", ("text", "response_a", "response_b")),
)


def main() -> None:
    """Run every set in both arms and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=int, default=1_000)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3, help="of the arm with people only")
    parser.add_argument("--model-seeds", type=int, default=1, help="of the slow arm")
    parser.add_argument(
        "--arms", nargs="+", choices=("people", "model"), default=["people", "model"]
    )
    parser.add_argument("--only", help="one data set")
    parser.add_argument("--shown", type=int, default=_SHOWN, help="demonstrations in each prompt")
    parser.add_argument("--alone", type=int, default=_ALONE, help="examples for it alone")
    options = parser.parse_args()
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    data = Path(os.environ.get("QUERIST_DATA", shared))
    print("| data | metric | arm | seeds | labels | always the usual answer | trained | ", end="")
    print("the model alone |\n|---|---|---|---|---|---|---|---|")
    for asks in [arm == "model" for arm in options.arms]:
        for chosen in _SETS:
            if options.only in (None, chosen.name):
                print(_row(chosen, data, options, asks=asks), flush=True)


def _row(chosen: Set, data: Path, options: argparse.Namespace, *, asks: bool) -> str:
    seeds = range(options.model_seeds if asks else options.seeds)
    runs = [_measure(chosen, data, options, seed=seed, asks=asks) for seed in seeds]
    labels = [f"{_mean_count([run['human'] for run in runs])} by people"]
    if asks:
        labels.append(f"{_mean_count([run['machine'] for run in runs])} by the model")
    cells = [
        chosen.name,
        str(runs[0]["metric"]),
        "with the model" if asks else "people only",
        str(len(runs)),
        ", ".join(labels),
        f"{runs[0]['usual']:.3f}",
        _spread([run["test"] for run in runs]),
        _spread([run["alone"] for run in runs]) if asks else "",
    ]
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _mean_count(values: Sequence[int]) -> str:
    return f"{np.mean(values):.0f}"


def _measure(
    chosen: Set, data: Path, options: argparse.Namespace, *, seed: int, asks: bool
) -> dict[str, Any]:
    """Make and drive one run; give what it measured."""
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "work") as store:
        run = Run.create(_config(chosen, data, Path(folder), options, seed=seed, asks=asks), store)
        asyncio.run(run.drive())
        context = run.view()
        counts = context.labelling.counts()
        truth = [
            example.gold for example in context.view.known(Split.TEST) if example.gold is not None
        ]
        usual = Counter(truth).most_common(1)[0][0]
        kind = kind_of(context.task)
        baseline = kind.measure(context.task, [usual] * len(truth), truth)
        rounds = context.journal.rounds()
        return {
            "metric": kind.metric,
            "usual": baseline.value if baseline else 0.0,
            "test": rounds[-1].detail["test"],
            "human": counts.get("human", 0),
            "machine": counts.get("llm", 0),
            "alone": asyncio.run(llm_alone(run, most=options.alone)) if asks else None,
        }


def _config(
    chosen: Set, data: Path, folder: Path, options: argparse.Namespace, *, seed: int, asks: bool
) -> Any:
    source = data / chosen.name
    about = json.loads((source / "meta.json").read_text())
    rng = np.random.default_rng(seed)
    for split, most in (("train", options.pool), ("test", options.test)):
        rows = list(_rows(source / f"{split}.jsonl.gz", chosen))
        # The same test rows for every seed.
        luck = rng if split == "train" else np.random.default_rng(0)
        kept = [rows[place] for place in luck.permutation(len(rows))[:most]]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, kept)))
    body = {
        "task": {"name": chosen.name, "kind": chosen.kind, "labels": about["labels"]},
        "data": {
            "pool": str(folder / "train.jsonl"),
            "test": str(folder / "test.jsonl"),
            "text": list(chosen.fields),
            "gold": "label",
        },
        "budget": {"usd": f"{0.05 * _BATCH * options.rounds:.2f}", "human_label_usd": "0.05"},
        "people": {"kind": "simulated"},
        "annotator": {"enabled": asks, "shared": options.shown},
        "generator": {"enabled": False},
        # Without a language model all of a batch goes to people.
        "loop": {"rounds": options.rounds, "batch": _BATCH, "seed": seed, "plateau_delta": 0},
    }
    return make_config(body, source=chosen.name)


def _rows(path: Path, chosen: Set) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            fields = {name: _text(row[name]) for name in chosen.fields}
            yield {"id": row["id"], **fields, "label": row["label"]}


def _text(value: object) -> str:
    """Write a record as one line."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {text}" for name, text in value.items() if text)
    return str(value)


if __name__ == "__main__":
    main()
