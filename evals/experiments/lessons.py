"""Whether a second run starts better with the lessons of a first one on a related task.

    python -m querist.evals.experiments.lessons --seeds 4 --out /tmp/lessons

Of each seed a first run labels one pool, and every guideline that it proposes is approved, as by a
person who agrees to all of them. A second run labels another pool: `without` recalls nothing,
`with` recalls the guidelines, and `examples` shows the guidelines' texts as demonstrations of the
task file, without their sentences. All three have the same pool, seed, test texts and budget, so
they are compared in pairs. trec6 after trec6 (other texts) is the related task; sst2 after subj has
other labels, so that nothing may be recalled: there the difference has to be nought.
The intervals are of the mean over seeds (t, 95 %).
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from querist.evals.experiments.accuracy_per_dollar import data_folder
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.events import LessonsUsed
from querist.memory.store import Store, open_store
from querist.memory.workspace.lessons import Lesson, LessonKind, Lessons

_PAIRS = (("trec6", "trec6"), ("subj", "sst2"))
_ARMS = ("without", "with", "examples")
_MEASURES = {
    "first": "language model right, first round",
    "all": "language model right, all rounds",
    "start": "head on test, first round",
    "end": "head on test, last round",
}
_USD, _LABEL_USD = 5, 0.05


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--control-seeds", type=int, default=2)
    parser.add_argument("--pool", type=int, default=250)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("docs/results/lessons"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for first, second in _PAIRS:
        for seed in range(options.seeds if first == second else options.control_seeds):
            path = options.out / f"{first}-{second}-{seed}.json"
            if not path.exists():
                began = time.monotonic()
                path.write_text(json.dumps(_cell(first, second, seed, options)))
                print(f"{path.stem}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            found.setdefault(f"{second} after {first}", []).append(json.loads(path.read_text()))
    table = _table(found)
    (options.out / "table.md").write_text(table)
    print(table)


def _cell(first: str, second: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run the first task, approve what it proposes, then the second in every arm."""
    work = options.out / f"{first}-{second}-{seed}"
    work.mkdir(parents=True, exist_ok=True)
    _draw(first, work / "first", options, seed=seed, skip=0)
    _draw(second, work / "second", options, seed=seed, skip=options.pool)
    with open_store(work / "work") as store:
        _drive(store, _body(first, work / "first", options, seed=seed))
        lessons = Lessons(store)
        approved = [
            lessons.approve(lesson.id, by="human:agrees-to-all")
            for lesson in lessons.all(kind=LessonKind.GUIDELINE, state="proposed")
        ]
        body = _body(second, work / "second", options, seed=seed)
        cell: dict[str, Any] = {"guidelines": [lesson.text for lesson in approved]}
        for arm in _ARMS:
            cell[arm] = _measured(_drive(store, body | _changes(arm, approved, body)))
    return cell


def _changes(arm: str, lessons: Sequence[Lesson], body: Mapping[str, Any]) -> dict[str, Any]:
    if arm == "with":
        return {"lessons": {"recall": True, "adopt": "off"}}
    told: dict[str, Any] = {"lessons": {"recall": False, "adopt": "off"}}
    if arm == "examples":
        shown = [
            {"text": made.fields["text"], "label": getattr(made.answer, "value", "")}
            for lesson in lessons
            for made in lesson.corrections
        ]
        fitting = [row for row in shown if row["label"] in body["task"]["labels"]]
        # The arm `with` shows its eight shared ones beside the guidelines' texts.
        told["annotator"] = {"demonstrations": fitting, "shared": 8 + len(fitting)}
    return told


def _draw(dataset: str, target: Path, options: argparse.Namespace, *, seed: int, skip: int) -> None:
    """Write a pool, the first or the second part of one shuffle, and the test texts."""
    target.mkdir(exist_ok=True)
    for part, begin, count in (("train", skip, options.pool), ("test", 0, options.test)):
        with gzip.open(data_folder() / dataset / f"{part}.jsonl.gz", "rt") as lines:
            rows = lines.readlines()
        random.Random(seed).shuffle(rows)  # noqa: S311
        (target / f"{part}.jsonl").write_text("".join(rows[begin : begin + count]))


def _body(dataset: str, data: Path, options: argparse.Namespace, *, seed: int) -> dict[str, Any]:
    meta = json.loads((data_folder() / dataset / "meta.json").read_text())
    return {
        "task": {"name": dataset, "instructions": f"{meta['task']}.", "labels": meta["labels"]},
        "data": {
            "pool": str((data / "train.jsonl").resolve()),
            "test": str((data / "test.jsonl").resolve()),
            "text": "text",
            "gold": "label",
        },
        "budget": {"usd": str(_USD), "human_label_usd": str(_LABEL_USD)},
        "people": {"kind": "simulated"},
        "models": {"threads": 1},
        "loop": {"rounds": options.rounds, "batch": options.batch, "seed": seed},
        "generator": {"enabled": False},
        "training": {"target": "linear"},
    }


def _drive(store: Store, body: Mapping[str, Any]) -> Run:
    run = Run.create(make_config(body, source="the experiment"), store)
    asyncio.run(run.drive())
    return run


def _measured(run: Run) -> dict[str, Any]:
    """Count how right the language model was on what was selected, and the head on the test."""
    view = run.view()
    hits: dict[int, list[bool]] = {}
    for said in view.labelling.annotations():
        items = {item.example for item in view.labelling.batch(said.round)}
        if said.who.startswith("llm:") and said.example in items and said.sample == 0:
            (example,) = view.view.get([said.example])
            hits.setdefault(said.round, []).append(said.answer == example.gold)
    tests = [done.detail["test"] for done in view.journal.rounds()]
    told = view.journal.bodies(LessonsUsed)
    return {
        "first": float(np.mean(hits[0])),
        "all": float(np.mean([hit for part in hits.values() for hit in part])),
        "start": tests[0],
        "end": tests[-1],
        "used": len(told[-1].guidelines) if told else 0,
    }


def _table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    head = (
        "| tasks | measure | without | with lessons | difference, points | examples only | "
        "difference to without | seeds |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for tasks, cells in found.items():
        for key, words in _MEASURES.items():
            values = {arm: np.array([cell[arm][key] for cell in cells]) for arm in _ARMS}
            means = {arm: f"{values[arm].mean():.3f}" for arm in _ARMS}
            lines.append(
                f"| {tasks} | {words} | {means['without']} | {means['with']} | "
                f"{_interval(values['with'] - values['without'])} | {means['examples']} | "
                f"{_interval(values['examples'] - values['without'])} | {len(cells)} |"
            )
    lines.append("")
    for tasks, cells in found.items():
        used = np.mean([cell["with"]["used"] for cell in cells])
        lines.append(f"{tasks}: {used:.1f} guidelines recalled on average.")
    return "\n".join(lines)


def _interval(differences: Any) -> str:
    """The mean of paired differences in points, with its 95 % interval (t)."""
    from scipy import stats

    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return f"{100 * mean:+.1f}"
    spread = float(differences.std(ddof=1)) / count**0.5
    reach = float(stats.t.ppf(0.975, count - 1)) * spread
    return f"{100 * mean:+.1f} [{100 * (mean - reach):+.1f}, {100 * (mean + reach):+.1f}]"


if __name__ == "__main__":
    main()
