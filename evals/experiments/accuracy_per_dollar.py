"""Accuracy against dollars: the loop, random selection, the language model alone, people alone.

    python -m querist.evals.experiments.accuracy_per_dollar --out evals/results/accuracy_per_dollar

Real data, embedded models, a person who is paid 0.05 USD a label and answers from gold (on
ag_news from the recorded human labels, which are wrong now and then). All arms have the same
money and the same trainer; the table and the plot are made from what the runs' stores say.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_DATASETS = ("ag_news", "subj", "sst2", "trec6")
_ARMS: Mapping[str, Mapping[str, Any]] = {
    "loop": {},
    "random selection": {"loop.strategy": "random"},
    "people only": {"annotator.enabled": False, "loop.strategy": "random"},
    "LLM labels only": {"people.kind": "none", "loop.strategy": "random"},
}
_POOL, _TEST = 3_000, 1_000
"""Rows drawn from each data set (the same for all arms), so that embedding takes a minute."""


@dataclass(frozen=True, slots=True)
class Point:
    """One round of one run."""

    dataset: str
    arm: str
    seed: int
    usd: float
    labels: int
    people: int
    test: float
    llm_skill: float | None
    trust: float | None
    seconds: float


def main() -> None:
    """Run what is missing, then print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("evals/results/accuracy_per_dollar"))
    parser.add_argument("--work", type=Path, default=Path(".querist/accuracy_per_dollar"))
    parser.add_argument("--datasets", nargs="+", default=list(_DATASETS))
    parser.add_argument("--arms", nargs="+", default=list(_ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="5")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = [
        (dataset, arm, seed, options)
        for seed in range(options.seeds)
        for dataset in options.datasets
        for arm in options.arms
    ]
    with ProcessPoolExecutor(options.processes) as processes:
        for name, seconds in processes.map(_job, jobs):
            print(f"{name}: {seconds:.0f} s", flush=True)
    points = _read_points(options.out)
    table = _as_table(points)
    (options.out / "table.md").write_text(table)
    print(table)
    _draw(points, options.out / "plot.svg")


def _job(job: tuple[str, str, int, argparse.Namespace]) -> tuple[str, float]:
    dataset, arm, seed, options = job
    name = f"{dataset}-{arm.replace(' ', '_')}-{seed}"
    path = options.out / f"{name}.json"
    if path.exists():
        return f"{name} (was there)", 0.0
    started = time.monotonic()
    points = _run_arm(dataset, arm, seed=seed, budget=options.budget, work=options.work / name)
    path.write_text(json.dumps([asdict(point) for point in points], indent=1))
    return name, time.monotonic() - started


def _run_arm(dataset: str, arm: str, *, seed: int, budget: str, work: Path) -> list[Point]:
    """Run one arm to its end and read the curve from its store."""
    source = data_folder() / dataset
    meta = json.loads((source / "meta.json").read_text())
    work.mkdir(parents=True, exist_ok=True)
    pool = _sample(source / "train.jsonl.gz", work / "pool.jsonl", count=_POOL)
    test = _sample(source / "test.jsonl.gz", work / "test.jsonl", count=_TEST)
    body: dict[str, Any] = {
        "task": {"name": dataset, "instructions": f"{meta['task']}.", "labels": meta["labels"]},
        "data": {"pool": str(pool), "test": str(test), "text": "text", "gold": "label"},
        "budget": {"usd": budget, "human_label_usd": "0.05"},
        "people": {"kind": "simulated"},
        "models": {"threads": 1},
        "loop": {"rounds": 7, "batch": 48, "seed": seed},
        "generator": {"enabled": False},
    }
    if dataset == "ag_news":
        body["people"]["gold"] = "human_label"
    return _curve(body, arm, seed=seed, dataset=dataset, work=work)


def _curve(body: dict[str, Any], arm: str, *, seed: int, dataset: str, work: Path) -> list[Point]:
    from querist.graph.config import make_config, put
    from querist.graph.run import Run
    from querist.memory.store import open_store

    for key, value in _ARMS[arm].items():
        put(body, key, value)
    started = time.monotonic()
    with open_store(work) as store:
        run = Run.create(make_config(body, source=dataset), store)
        asyncio.run(run.drive())
        seconds = time.monotonic() - started
        rounds = run.view().journal.rounds()
    return [
        Point(
            dataset,
            arm,
            seed,
            float(row.usd),
            row.labelled,
            row.human_labels,
            float(str(row.detail["test"])),
            _number(row.detail["llm_skill"]),
            _number(row.detail["trust"]),
            seconds,
        )
        for row in rounds
        if row.detail["test"] is not None
    ]


def data_folder() -> Path:
    """Find the shared data sets."""
    folder = Path(os.environ.get("QUERIST_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"The data sets are not at {folder}; set QUERIST_DATA.")
    return folder


def _sample(source: Path, target: Path, *, count: int) -> Path:
    """Draw the same rows of a file every time."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        rows = lines.readlines()
    if len(rows) > count:
        rows = random.Random(0).sample(rows, count)  # noqa: S311
    target.write_text("".join(rows), encoding="utf-8")
    return target


def _read_points(folder: Path) -> list[Point]:
    """Read all results that are there."""
    return [
        Point(**row)
        for path in sorted(folder.glob("*.json"))
        for row in json.loads(path.read_text())
    ]


def _as_table(points: Sequence[Point]) -> str:
    """Write final accuracies as Markdown: mean over seeds, with the standard deviation."""
    last: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        runs = last[point.dataset, point.arm]
        if runs and runs[-1].seed == point.seed:
            runs.pop()
        runs.append(point)
    arms = [arm for arm in _ARMS if any(key[1] == arm for key in last)]
    head = "".join(f" {arm} |" for arm in arms)
    lines = [f"| data set |{head} LLM annotator |", "|---|" + "---|" * (len(arms) + 1)]
    for dataset in dict.fromkeys(key[0] for key in last):
        cells = [_cell(last.get((dataset, arm), [])) for arm in arms]
        skills = [run.llm_skill for run in last.get((dataset, "loop"), []) if run.llm_skill]
        skill = f"{statistics.mean(skills):.3f}" if skills else "-"
        lines.append(f"| {dataset} |" + "".join(f" {cell} |" for cell in cells) + f" {skill} |")
    return "\n".join(lines) + "\n"


def _cell(runs: Sequence[Point]) -> str:
    if not runs:
        return "-"
    values = [run.test for run in runs]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    usd = statistics.mean(run.usd for run in runs)
    return f"{statistics.mean(values):.3f} ± {spread:.3f} (${usd:.2f})"


def _draw(points: Sequence[Point], path: Path) -> None:
    """Draw accuracy against dollars, one panel a data set, a line an arm."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    datasets = list(dict.fromkeys(point.dataset for point in points))
    figure, panels = plt.subplots(1, len(datasets), figsize=(4 * len(datasets), 3.4))
    for panel, dataset in zip([panels] if len(datasets) == 1 else panels, datasets, strict=True):
        for arm in _ARMS:
            by_round: dict[float, list[float]] = defaultdict(list)
            for point in points:
                if point.dataset == dataset and point.arm == arm:
                    by_round[point.usd].append(point.test)
            if arm == "LLM labels only" and by_round:
                last = [point for point in points if point.dataset == dataset and point.arm == arm]
                best = statistics.mean(run.test for run in last[-3:])
                panel.axhline(best, ls=":", color="grey", label=f"{arm} ($0)")
            elif by_round:
                spent = sorted(by_round)
                panel.plot(spent, [statistics.mean(by_round[x]) for x in spent], "o-", label=arm)
        panel.set(title=dataset, xlabel="US dollars", ylabel="test accuracy")
        panel.grid(alpha=0.3)
    panels_list = [panels] if len(datasets) == 1 else list(panels)
    panels_list[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


if __name__ == "__main__":
    main()
