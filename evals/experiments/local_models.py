"""How well GGUF models label, and what their own chat template is worth.

    python -m querist.evals.experiments.local_models local local:/models/instruct.gguf --texts 200

Real test texts, through the product: the prompt of the loop, its calibration, no demonstrations or
eight. A model whose file has a chat template is asked twice: by its template, and as plain text as
a base model is. Intervals are Wilson's, at 90 %.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from querist.agents.annotator.annotate import annotate, label_bias
from querist.agents.annotator.port import Chunk, Item
from querist.agents.annotator.prompt import Demonstration, Prompt
from querist.agents.models.catalogue import ModelAccess, open_model
from querist.agents.models.metered import MeteredModel
from querist.agents.models.providers.gguf import GgufHeader
from querist.agents.models.providers.local import LocalModel
from querist.memory.records import Example, ExampleId, LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import Store, open_store
from querist.tools.arms.protocol import wilson
from querist.tools.kinds import DEFAULT, answers_of
from querist.tools.money.prices import Price

_DATASETS = ("trec6", "ag_news", "sst2")
_SHOTS = (0, 8)
_FREE = Price(Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class _Cell:
    """One model, asked in one form, on one data set."""

    model: str
    form: str
    dataset: str
    shots: int
    right: int
    texts: int
    seconds: float

    @property
    def row(self) -> str:
        """A line of the table."""
        low, high = wilson(self.right / self.texts, self.texts)
        return (
            f"| {self.model} | {self.form} | {self.dataset} | {self.shots} | "
            f"{self.right / self.texts:.3f} ({low:.2f} to {high:.2f}) | "
            f"{self.seconds / self.texts:.2f} |"
        )


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--datasets", nargs="+", default=list(_DATASETS))
    parser.add_argument("--texts", type=int, default=200)
    options = parser.parse_args()
    print("| model | form | data set | demonstrations | accuracy | seconds a text |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        for name in options.models:
            for form in ("template", "plain"):
                asyncio.run(_measure(name, form, options, store))
        store.close()


async def _measure(name: str, form: str, options: argparse.Namespace, store: Store) -> None:
    cache = Path(os.environ.get("QUERIST_MODELS", store.folder / "models"))
    model = open_model(name, ModelAccess(cache=cache))
    assert isinstance(model, LocalModel)
    if form == "template" and not model.header.template:
        return
    if form == "plain":
        model.header = GgufHeader(control=model.header.control)
    for dataset in options.datasets:
        for shots in _SHOTS:
            where = f"{form} {dataset} {shots}"
            right, seconds = await _label(
                model, dataset, store, where=where, shots=shots, count=options.texts
            )
            stem = Path(name.partition(":")[2] or name).stem
            cell = _Cell(stem, form, dataset, shots, right, options.texts, seconds)
            print(cell.row, flush=True)
    await model.aclose()


async def _label(
    model: LocalModel, dataset: str, store: Store, *, where: str, shots: int, count: int
) -> tuple[int, float]:
    """Label test texts; give how many are right, and the seconds that it took."""
    task, train, test = _load(dataset)
    rng = random.Random(0)  # noqa: S311
    shown = _shown(rng.sample(train, 400), task, shots)
    examples = rng.sample(test, count)
    run = RunId(f"{model.name} {where}")
    runs = Runs(store)
    runs.create(run, task=task, dataset="", config={}, cap=Decimal(1))
    ledger = Ledger(store, run, lease=runs.take(run))
    metered = MeteredModel(model, price=_FREE, ledger=ledger, agent="annotator")
    prompt = Prompt(task, shown)
    prior = await label_bias(prompt, model=metered)
    began = time.monotonic()
    items = tuple(Item(example) for example in examples)
    chunk = Chunk(items, prompt, votes=1, number=0, prior=prior)
    annotated = await annotate(chunk, model=metered)
    seconds = time.monotonic() - began
    gold = {example.id: example.gold for example in examples}
    right = sum(said.answer == gold[said.example] for said in annotated.annotations)
    return right, seconds


def _shown(rows: Sequence[Example], task: Task, count: int) -> tuple[Demonstration, ...]:
    """Take demonstrations, each class in turn."""
    by_class = {a: [row for row in rows if row.gold == a] for a in answers_of(task).answers}
    turns = [m for rank in range(count) for ms in by_class.values() for m in ms[rank : rank + 1]]
    return tuple(Demonstration(row, row.gold) for row in turns[:count] if row.gold is not None)


def _load(dataset: str) -> tuple[Task, list[Example], list[Example]]:
    here = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("QUERIST_DATA", here)) / dataset
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
    labels = meta["labels"]
    described = labels.items() if isinstance(labels, dict) else ((name, "") for name in labels)
    classes = tuple(LabelClass(str(name), str(words)) for name, words in described)
    task = Task(dataset, DEFAULT.name, classes, meta.get("instructions", ""))
    return task, _rows(folder / "train.jsonl.gz"), _rows(folder / "test.jsonl.gz")


def _rows(path: Path) -> list[Example]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [
        Example(
            ExampleId(str(row["id"])),
            {"text": row["text"]},
            gold=DEFAULT.answer_of(str(row["label"])),
        )
        for row in rows
    ]


if __name__ == "__main__":
    main()
