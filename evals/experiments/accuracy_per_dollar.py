"""Accuracy against dollars: what the loop, each of its parts, and other libraries make of them.

    python -m querist.evals.experiments.accuracy_per_dollar --out docs/results/accuracy_per_dollar
        [--peer-python PATH]

Real data, embedded models. A person is paid 0.05 USD a label and answers from gold, on ag_news from
the recorded human labels, which are wrong now and then; the local language model is free. Every
seed draws its own pool and test texts. The arms differ in who labels and how texts are chosen:

- people at random; people chosen (by `auto`): no language model
- people + LLM at random: both label random texts, and people are asked whatever is thought of them
- loop: the defaults, but for the rounds and the batch
- LLM prompt: the loop's last prompt, asked about the test texts
- LLM labels: people label nothing, the model at most 300 random texts
- scikit-activeml margin, small-text margin, SetFit: as many labels by people as the money buys

Two targets are trained of each run's labels when it is over: the loop's linear head, and MiniLM
tuned on them. Where people and the language model labelled, the latter is what the run delivers by
itself (`training.target = "auto"`); elsewhere it is tuned on all labels for at most `--steps`
batches of 32, without the folds that decide in a run whether it is delivered. A job is a file, so a
run that was stopped goes on; tables are made of what there is.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from querist.evals.experiments.accuracy_per_dollar_table import Job, as_tables, draw, read_jobs
from querist.evals.peers import accuracy_per_dollar as peer

_USD: Mapping[str, int] = {
    "trec6": 5,
    "sst2": 5,
    "subj": 5,
    "ag_news": 5,
    "sms_spam": 5,
    "hate_offensive": 5,
    "banking77": 20,
}
_LABEL_USD = 0.05
_RUNS: Mapping[str, Mapping[str, Any]] = {
    "loop": {},
    "people at random": {"annotator.enabled": False, "loop.strategy": "random"},
    "people chosen": {"annotator.enabled": False},
    "people + LLM at random": {"loop.strategy": "random", "verifier.ask": "first"},
    "LLM labels": {
        "people.kind": "none",
        "loop.strategy": "random",
        "loop.batch": 100,
        "loop.rounds": 3,
        "loop.plateau_window": 50,
    },
}
_DELIVERS = ("loop", "people + LLM at random")
"""Arms whose tuned target is the one that the run delivers."""
_PEERS = ("scikit-activeml margin", "small-text margin", "SetFit")


@dataclass(frozen=True, slots=True)
class _Cell:
    """A data set as one seed draws it."""

    dataset: str
    seed: int
    work: Path
    pool: Path
    test: Path
    usd: int
    steps: int
    rounds: int
    batch: int


def main() -> None:
    """Run what is missing, then print the tables and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/accuracy_per_dollar"))
    parser.add_argument("--work", type=Path, default=Path(".querist/accuracy_per_dollar"))
    parser.add_argument("--datasets", nargs="+", default=list(_USD))
    parser.add_argument("--arms", nargs="+", default=[*_RUNS, *_PEERS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pool", type=int, default=1_500)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--steps", type=int, default=40, help="of tuning, at most")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batch", type=int, default=40, help="texts a round")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with peers")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for dataset in options.datasets:
            cell = draw_cell(dataset, seed, options)
            for arm in options.arms:
                _do(cell, arm, out=options.out, python=options.peer_python)
    jobs = read_jobs(options.out)
    tables = as_tables(jobs)
    (options.out / "tables.md").write_text(tables)
    print(tables)
    draw(jobs, options.out / "plot.svg")


def _do(cell: _Cell, arm: str, *, out: Path, python: str) -> None:
    """Do one job, unless its file is there."""
    path = out / f"{cell.dataset}~{arm}~{cell.seed}.json"
    if path.exists():
        return
    began = time.monotonic()
    job = _run_peer(cell, arm, python=python) if arm in _PEERS else _run(cell, arm)
    if job is not None:
        job.seconds["all"] = time.monotonic() - began
        path.write_text(json.dumps(asdict(replace(job, commit=_commit()))))
    seconds = time.monotonic() - began
    print(f"{cell.dataset}, {arm}, seed {cell.seed}: {seconds:.0f} s", file=sys.stderr, flush=True)


def _commit() -> str:
    """Name the commit that is checked out; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty"]
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def data_folder() -> Path:
    """Find the shared data sets."""
    folder = Path(os.environ.get("QUERIST_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"The data sets are not at {folder}; set QUERIST_DATA.")
    return folder


def draw_cell(dataset: str, seed: int, options: argparse.Namespace) -> _Cell:
    """Draw pool and test texts, and keep them in a folder of the cell's."""
    source, work = data_folder() / dataset, options.work / f"{dataset}-{seed}"
    work.mkdir(parents=True, exist_ok=True)
    pool, test = (
        sample(source / f"{part}.jsonl.gz", work / f"{part}.jsonl", count=count, seed=seed)
        for part, count in (("train", options.pool), ("test", options.test))
    )
    return _Cell(
        dataset,
        seed,
        work,
        pool,
        test,
        usd=_USD[dataset],
        steps=options.steps,
        rounds=options.rounds,
        # Where people label everything, their money is to be spent within the rounds.
        batch=max(options.batch, int(_USD[dataset] / _LABEL_USD) // options.rounds),
    )


def sample(source: Path, target: Path, *, count: int, seed: int) -> Path:
    """Draw rows of a file into another."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        rows = lines.readlines()
    if len(rows) > count:
        rows = random.Random(seed).sample(rows, count)  # noqa: S311
    target.write_text("".join(rows), encoding="utf-8")
    return target


def _meta(cell: _Cell) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data_folder() / cell.dataset / "meta.json").read_text())
    return found


def task_of(cell: _Cell) -> dict[str, Any]:
    """Write the task file."""
    meta = _meta(cell)
    task = {"name": cell.dataset, "instructions": f"{meta['task']}.", "labels": meta["labels"]}
    people = {"kind": "simulated"}
    if cell.dataset == "ag_news":
        people["gold"] = "human_label"
    return {
        "task": task,
        "data": {"pool": str(cell.pool), "test": str(cell.test), "text": "text", "gold": "label"},
        "budget": {"usd": str(cell.usd), "human_label_usd": str(_LABEL_USD)},
        "people": people,
        "models": {"threads": 1},
        "loop": {"rounds": cell.rounds, "batch": cell.batch, "seed": cell.seed},
        "generator": {"enabled": False},
        "training": {"target": "linear"},
    }


def _run(cell: _Cell, arm: str) -> Job:
    """Run one arm to its end, train both targets of its labels, and ask the loop's last prompt."""
    from querist.graph.config import make_config, put
    from querist.graph.run import Run
    from querist.memory.store import open_store

    body = task_of(cell)
    if arm in _DELIVERS:
        body["training"] = {"target": "auto"}
    for key, value in _RUNS[arm].items():
        put(body, key, value)
    # One store for all arms of a cell: texts are embedded once, and no call is made twice.
    with open_store(cell.work) as store:
        run = Run.create(make_config(body, source=cell.dataset), store)
        return asyncio.run(_finish(run, cell, arm))


async def _finish(run: Any, cell: _Cell, arm: str) -> Job:
    from querist.graph.baseline import prompt_answers
    from querist.graph.round.knowledge import Knowledge
    from querist.graph.round.model_files import current_model, fit_head
    from querist.memory.records import Split

    seconds: dict[str, float] = {}
    with _timed(seconds, "run"):
        await run.drive()
    async with run.borrowed() as context:
        rounds = context.journal.rounds()
        knowledge = Knowledge(context, model=current_model(context.files), whole=True)
        rows, examples = knowledge.training_set, context.view.known(Split.TEST)
        head = fit_head(context, rows, None, number=rounds[-1].number)
        linear = head.predict_proba(context.view.embed(examples)).argmax(axis=1)
        with _timed(seconds, "tuning"):
            tuned = _delivered(context, examples) if arm in _DELIVERS else None
            if tuned is None:
                tuned = _tuned(context, rows, examples, cell)
        said: list[int] | None = None
        if arm == "loop":
            with _timed(seconds, "prompt"):
                said = context.answers.places(await prompt_answers(context, examples)).tolist()
        counts = context.labelling.counts()
        return Job(
            dataset=cell.dataset,
            arm=arm,
            seed=cell.seed,
            usd=float(context.ledger.balance().settled),
            people=counts.get("human", 0),
            machine=sum(counts.values()) - counts.get("human", 0),
            truth=context.answers.places([row.gold for row in examples]).tolist(),
            linear=linear.tolist(),
            tuned=tuned.tolist(),
            prompt=said,
            skill=rounds[-1].detail.get("llm_skill"),
            curve=_curve(rounds),
            seconds=seconds,
        )


def _curve(rounds: Sequence[Any]) -> list[tuple[float, float]]:
    measured = [row for row in rounds if row.detail["test"] is not None]
    return [(float(row.usd), float(row.detail["test"])) for row in measured]


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[what] = time.monotonic() - began


def _delivered(context: Any, examples: Any) -> np.ndarray[Any, Any] | None:
    """Predict the test texts by the encoder that the run delivered; None where it is another."""
    from querist.graph.round.model_files import MODEL
    from querist.tools.training.model_folder import Model
    from querist.tools.training.port import Inputs

    model = Model.load(context.files.path(MODEL))
    if model.trainer != "fine_tuned":
        return None
    chances = model.predictor.predict_proba(Inputs(texts=[row.text for row in examples]))
    return np.asarray(chances.argmax(axis=1))


def _tuned(context: Any, rows: Any, examples: Any, cell: _Cell) -> np.ndarray[Any, Any]:
    """Tune on the labels that count."""
    kept = np.flatnonzero(rows.weights > 0)
    texts = [example.text for example in context.view.get([rows.ids[row] for row in kept])]
    test = [example.text for example in examples]
    return _tune(texts, rows.targets[kept], rows.weights[kept], test, cell)


def _tune(
    texts: list[str], targets: Any, weights: Any, test: list[str], cell: _Cell
) -> np.ndarray[Any, Any]:
    """Tune MiniLM on labels and predict the test texts."""
    from querist.tools.compute.threads import one_thread
    from querist.tools.training.encoder_tuning import Encoder, Recipe, tune
    from querist.tools.training.fine_tuned import shipped_weights
    from querist.tools.training.proxy import LinearHead

    encoder, recipe = Encoder(shipped_weights()), Recipe(most_steps=cell.steps)
    with one_thread():
        tune(encoder, texts, targets, weights, recipe=recipe, seed=cell.seed)
        taught, asked = encoder.embed(texts), encoder.embed(test)
    head = LinearHead().fit(taught, targets, weights=weights, seed=cell.seed)
    return np.asarray(head.predict_proba(asked).argmax(axis=1))


def _run_peer(cell: _Cell, arm: str, *, python: str) -> Job | None:
    """Let another library learn from as many labels; None where it is not installed."""
    from querist.tools.embedding.embedders import MiniLM

    names, labels, is_tuned = (
        list(_meta(cell)["labels"]),
        int(cell.usd / _LABEL_USD),
        arm == "SetFit",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        _write_rows(path, cell, names, embed=np.array if is_tuned else MiniLM().embed)
        command = [python, peer.__file__, str(path), arm]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{arm} did not run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    guess = json.loads(done.stdout.splitlines()[-1])
    return Job(
        dataset=cell.dataset,
        arm=arm,
        seed=cell.seed,
        usd=labels * _LABEL_USD,
        people=labels,
        machine=0,
        truth=[names.index(row["label"]) for row in _read(cell.test)],
        linear=None if is_tuned else guess,
        tuned=guess if is_tuned else None,
    )


def _write_rows(
    path: Path, cell: _Cell, names: list[str], *, embed: Callable[[list[str]], Any]
) -> None:
    """Write what another library's loop reads."""
    from querist.tools.training.fine_tuned import shipped_weights

    pool, test = (_read(rows) for rows in (cell.pool, cell.test))
    texts, test_texts = ([row["text"] for row in rows] for rows in (pool, test))
    people = "human_label" if cell.dataset == "ag_news" else "label"
    np.savez(
        path,
        pool=embed(texts),
        test=embed(test_texts),
        said=[names.index(row[people]) for row in pool],
        texts=texts,
        test_texts=test_texts,
        weights=str(shipped_weights()),
        labels=int(cell.usd / _LABEL_USD),
        classes=len(names),
        seed=cell.seed,
    )


def _read(path: Path) -> Sequence[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
