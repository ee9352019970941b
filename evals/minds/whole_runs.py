"""Whole runs under several minds: what their models are worth, and what deliberating took.

    python -m querist.evals.minds.whole_runs --mind local --out DIR
        [--arms rules expert llm auto chance] [--datasets trec6 sst2 subj ag_news] [--seeds 2]

`rules`, `llm` and `auto` are `minds.mind` with `--mind` as the model of all agents; `expert` is
`llm` with a scripted expert that tries its options first; `chance` rules at random within the
bounds, the worst that a mind can do without being replaced by the rules. Runs
of a data set and seed share pool and test texts. What a run would take home (a linear head on all
its labels) is tried on test texts that no agent saw; the difference from the rules comes with a
95 % interval of a paired bootstrap over seeds and texts. One file a run: what is there is not done
again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from querist.agents.mind import Deliberated, DeliberationFailed
from querist.evals.experiments.accuracy_per_dollar import data_folder, sample
from querist.evals.experiments.paired_bootstrap import Pair, accuracy, difference
from querist.evals.minds import expert
from querist.evals.minds.decisions import draw
from querist.evals.minds.played_out import hits_of
from querist.graph.config import RunConfig, make_config
from querist.graph.minds.consulting import BRIEFS
from querist.graph.run import Run
from querist.graph.workplace.context import Deliberations
from querist.memory.store import open_store

_ARMS = ("rules", "expert", "llm", "auto", "chance")
_ASKS = ("llm", "auto")
"""Those whose agents `--mind` is asked for."""
_DATASETS = ("trec6", "sst2", "subj", "ag_news")
_TRIES = 20
_HEAD = (
    "data", "arm", "runs", "accuracy", "against rules, points", "labels", "USD", "of it by minds",
    "decisions", "asked", "fell back", "seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a run: hits (N,) are those on the test texts."""

    dataset: str
    arm: str
    seed: int
    status: str
    reason: str
    hits: tuple[int, ...]
    labels: int
    usd: float
    usd_of_minds: float
    decisions: int
    asked: int
    fell_back: int
    seconds: float


def main() -> None:
    """Do the runs that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/whole_runs"))
    parser.add_argument("--mind", default="local", help="the model of the arms llm and auto")
    parser.add_argument("--arms", nargs="+", choices=_ARMS, default=list(_ARMS))
    parser.add_argument("--datasets", nargs="+", default=list(_DATASETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--pool", type=int, default=300)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--usd", type=Decimal, default=Decimal(3))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for dataset in options.datasets:
            for arm in options.arms:
                _do(dataset, arm, seed, options)
    print(_as_table(_read(options.out)))


def _do(dataset: str, arm: str, seed: int, options: argparse.Namespace) -> None:
    name = _name(arm, options.mind)
    path = options.out / f"{dataset}~{name}~{seed}.json"
    if path.exists():
        return
    config = _config(dataset, arm, seed, options)
    work = options.out / "work" / f"{dataset}-{arm}-{seed}"
    # Of a run that was ended half way: what a workspace knows already changes the next one.
    shutil.rmtree(work, ignore_errors=True)
    with open_store(work) as store:
        done = asyncio.run(_follow(Run.create(config, store), dataset, arm, seed))
    path.write_text(json.dumps(asdict(replace(done, arm=name))))
    told = f"{dataset}, {name}, seed {seed}: {np.mean(done.hits):.3f}, {done.seconds:.0f} s"
    print(told, file=sys.stderr, flush=True)


def _name(arm: str, mind: str) -> str:
    """Name an arm, by its mind too where that is not the embedded model."""
    return arm if mind == "local" or arm not in _ASKS else f"{arm} by {Path(mind).stem}"


def _config(dataset: str, arm: str, seed: int, options: argparse.Namespace) -> RunConfig:
    source, folder = data_folder() / dataset, options.out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    meta = json.loads((source / "meta.json").read_text())
    pool, test = (
        sample(
            source / f"{part}.jsonl.gz",
            folder / f"{dataset}-{seed}-{part}.jsonl",
            count=count,
            seed=seed,
        )
        for part, count in (("train", options.pool), ("test", options.test))
    )
    people = {"kind": "simulated"}
    if dataset == "ag_news":
        people["gold"] = "human_label"  # people who were wrong now and then
    body: dict[str, Any] = {
        "task": {"name": dataset, "instructions": f"{meta['task']}.", "labels": meta["labels"]},
        "data": {
            "pool": str(pool.resolve()),
            "test": str(test.resolve()),
            "text": "text",
            "gold": "label",
        },
        "budget": {"usd": str(options.usd), "human_label_usd": "0.05"},
        "people": people,
        "models": {"threads": 1, "mind": expert.NAME if arm == "expert" else options.mind},
        "prices": {expert.NAME: expert.PRICE},
        "loop": {"rounds": options.rounds, "batch": 20, "seed": seed},
        "training": {"target": "linear"},
        "minds": {"mind": {"llm": "llm", "auto": "auto", "expert": "llm"}.get(arm, "rules")},
    }
    return make_config(body, source=dataset)


def _by_chance(seed: int) -> Deliberations:
    """Minds that rule at random within their bounds."""
    rng = random.Random(seed)  # noqa: S311

    def ruling(agent: str) -> Callable[[Any], Any]:
        async def deliberate(evidence: Any) -> Deliberated[Any]:
            for _ in range(_TRIES):
                drawn = draw(BRIEFS[agent], evidence, rng)
                if drawn is not None:
                    return Deliberated(drawn)
            raise DeliberationFailed("no ruling within the bounds was drawn")

        return deliberate

    return Deliberations({agent: ruling(agent) for agent in BRIEFS})


async def _follow(run: Run, dataset: str, arm: str, seed: int) -> _Done:
    if arm == "chance":
        run.use(deliberations=_by_chance(seed))
    if arm == "expert":
        run.use(models={expert.NAME: expert.model()})
    began = time.monotonic()
    outcome = await run.drive()
    seconds = time.monotonic() - began
    view = run.view()
    decisions = view.journal.decisions()
    minds = [decision for decision in decisions if decision.mind == "llm" or decision.fell_back]
    return _Done(
        dataset,
        arm,
        seed,
        outcome.status,
        outcome.reason,
        hits=tuple(await hits_of(run)),
        labels=sum(view.labelling.counts().values()),
        usd=float(view.ledger.balance().settled),
        usd_of_minds=float(sum(decision.usd for decision in decisions)),
        decisions=len(decisions),
        asked=len(minds),
        fell_back=sum(bool(decision.fell_back) for decision in minds),
        seconds=seconds,
    )


def _read(out: Path) -> list[_Done]:
    rows = [json.loads(path.read_text()) for path in sorted(out.glob("*~*~*.json"))]
    return [_Done(**{**row, "hits": tuple(row["hits"])}) for row in rows]


def _as_table(done: list[_Done]) -> str:
    """Write the table: a line for each data set and arm, and one of all data sets."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
    datasets = sorted({row.dataset for row in done})
    for names in [*[[name] for name in datasets], datasets]:
        rules = {(row.dataset, row.seed): row for row in done if row.arm == "rules"}
        for arm in sorted({row.arm for row in done}, key=_place):
            rows = [row for row in done if row.arm == arm and row.dataset in names]
            if rows:
                shown = names[0] if len(names) == 1 else "all"
                lines.append("| " + " | ".join([shown, arm, *_cells(rows, rules)]) + " |")
    return "\n".join(lines)


def _place(arm: str) -> tuple[int, str]:
    """Order arms as they are listed, whoever is asked."""
    return _ARMS.index(arm.partition(" by ")[0]), arm


def _cells(rows: list[_Done], rules: Mapping[tuple[str, int], _Done]) -> list[str]:
    def mean(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    pairs = []
    for row in rows:
        other = rules.get((row.dataset, row.seed))
        if other is not None and other is not row:
            ones = np.ones(len(row.hits), dtype=np.intp)
            pairs.append(Pair(ones, np.array(row.hits), np.array(other.hits)))
    against = ""
    if pairs:
        middle, low, high = (100 * value for value in difference(pairs, accuracy))
        against = f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
    usd = mean("usd")
    return [
        str(len(rows)),
        f"{np.mean([np.mean(row.hits) for row in rows]):.3f}",
        against,
        f"{mean('labels'):.0f}",
        f"{usd:.2f}",
        f"{mean('usd_of_minds') / usd:.0%}" if usd else "",
        f"{mean('decisions'):.0f}",
        f"{mean('asked'):.1f}",
        f"{mean('fell_back'):.1f}",
        f"{mean('seconds'):.0f}",
    ]


if __name__ == "__main__":
    main()
