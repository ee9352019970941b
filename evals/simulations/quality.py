"""Whether the interval that people are told holds the truth: coverage of the quality estimate.

    python -m querist.evals.simulations.quality --cache FOLDER [--runs 200]

A run asks people for as many labels as in the loop, a fifth of them about random examples that
nothing learns from, the rest at random at first and then as the arm chooses. With `weak` an
annotator that is right on about 60 % labels twice as many texts beside them, and the label model
makes of it what it is worth. In the end the linear head is measured as a run measures it, and
against the truth: all texts of the set that no run asked about. Printed for the audit sample, and
for the five folds of the first sample which it replaced: the share of 90 % intervals that hold the
truth with its own 90 % interval (Wilson), the mean error in points, and the interval's mean width.

2 classes are sst2, 6 trec6, 28 the single-labelled texts of go_emotions, 77 banking77.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from querist.agents.selector.rules import SelectorEvidence, rule
from querist.evals.experiments.accuracy_per_dollar import data_folder
from querist.evals.experiments.label_efficiency import Rows, load
from querist.evals.experiments.label_model import annotate
from querist.memory.answers import Choice
from querist.memory.records import Annotation, ExampleId, Label, LabelClass, Task
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.kinds import DEFAULT, Measure, answers_of
from querist.tools.opinions.measures import wilson
from querist.tools.opinions.quality import measure_audit, measure_held_out
from querist.tools.opinions.reliability import Reliability
from querist.tools.opinions.training_set import PeoplesRows, TrainingSet, gather_training_set
from querist.tools.strategies import get
from querist.tools.strategies.querying import Capability, Labelled, QueryContext
from querist.tools.training.proxy import LinearHead, LinearModel

_SETS: Mapping[str, int] = {"sst2": 100, "trec6": 100, "go_emotions": 200, "banking77": 300}
"""How many labels people give, by data set."""
_ARMS = ("auto", "margin", "random")
_POOL = 1_500
_SHARE, _SEEDS, _ROUNDS = 0.2, 0.35, 5
_RIGHT = 0.6
_Told = tuple[float, float, float]
"""(value, low, high)."""
_Cell = tuple[str, str, bool, int]
"""Data set, arm, whether there is a weak annotator, seed."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What one run said of itself, and what was true."""

    cell: _Cell
    truth: float
    audit: _Told
    folds: _Told


def main() -> None:
    """Run what is missing, then print the table of all that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="vectors, and what runs gave")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--sets", nargs="+", default=list(_SETS))
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    path = options.cache / "quality.jsonl"
    done = [_read(line) for line in path.read_text().splitlines()] if path.exists() else []
    known = {row.cell for row in done}
    sets = {name: _load(name, options.cache) for name in options.sets}
    with path.open("a") as file:
        for seed in range(options.runs):
            for name, rows in sets.items():
                for arm in _ARMS:
                    for weak in (False, True):
                        cell = (name, arm, weak, seed)
                        if cell in known:
                            continue
                        simulated = _Simulated(rows, people=_SETS[name], seed=seed)
                        done.append(_Result(cell, *simulated.run(arm, weak=weak)))
                        file.write(json.dumps(asdict(done[-1])) + "\n")
                        file.flush()
    print(_as_table(done))


@dataclass(frozen=True, slots=True)
class _Bench:
    """A set's vectors (N, d) and classes (N,)."""

    vectors: FloatArray
    truth: IntArray
    task: Task


def _load(name: str, cache: Path) -> _Bench:
    rows = _emotions(cache) if name == "go_emotions" else load(name, cache=cache)
    vectors = np.concatenate([rows.pool, rows.test])
    truth = np.concatenate([rows.truth, rows.test_truth])
    labels = tuple(LabelClass(f"c{number}") for number in range(rows.classes))
    return _Bench(vectors, truth, Task(name, DEFAULT.name, labels))


def _emotions(cache: Path) -> Rows:
    """Read and embed the texts of go_emotions that have one label, once."""
    from querist.tools.embedding.embedders import MiniLM

    path = cache / "go_emotions_single.npz"
    if not path.exists():
        folder = data_folder() / "go_emotions"
        names = list(json.loads((folder / "meta.json").read_text())["labels"])
        with gzip.open(folder / "train.jsonl.gz", "rt", encoding="utf-8") as file:
            read = [row for row in map(json.loads, file) if len(row["labels"]) == 1][:4_000]
        vectors = np.asarray(MiniLM().embed([row["text"] for row in read]))
        truth = np.array([names.index(row["labels"][0]) for row in read])
        np.savez(path, vectors=vectors, truth=truth)
    with np.load(path) as file:
        vectors, truth = file["vectors"], file["truth"]
    return Rows(vectors[:3_000], truth[:3_000], vectors[3_000:], truth[3_000:])


class _Simulated:
    """One run: who labelled what, and what the head makes of it."""

    def __init__(self, bench: _Bench, *, people: int, seed: int) -> None:
        """Draw the pool, and from it the audit sample and the first sample."""
        self._bench, self._people, self._seed = bench, people, seed
        self._answers = answers_of(bench.task)
        self._rng = np.random.default_rng(seed)
        self._pool = self._rng.permutation(len(bench.truth))[:_POOL]
        audits, seeds = int(_SHARE * people), int(_SEEDS * people)
        self._audit = self._pool[:audits]
        self._first = self._pool[audits : audits + seeds]
        self._by_people = self._first.tolist()
        self._by_machine: list[int] = []
        self._said = annotate(bench.truth, len(self._answers), _RIGHT, self._rng)

    def run(self, arm: str, *, weak: bool) -> tuple[float, _Told, _Told]:
        """Give the truth, and what the audit sample and the folds say of it."""
        left = self._people - len(self._audit) - len(self._first)
        for number in range(1, _ROUNDS + 1):
            count = left * number // _ROUNDS - left * (number - 1) // _ROUNDS
            # By what people taught: fitting the label model each round would take most of the time.
            picked = self._select(
                arm, self._people_rows().head, 3 * count if weak else count, number=number
            )
            self._by_people += picked[:count]
            self._by_machine += picked[count:]
        people, rows = self._rows()
        model = LinearHead().fit(rows.inputs, rows.targets, weights=rows.weights, seed=self._seed)
        others = np.setdiff1d(
            np.arange(len(self._bench.truth)),
            [*self._by_people, *self._by_machine, *self._audit],
        )
        predicted = model.predict_proba(self._bench.vectors[others]).argmax(axis=1)
        kind, task = DEFAULT, self._bench.task
        first = {_name(row) for row in self._first}
        folds = measure_held_out(people, rows, first, task=task, kind=kind)
        audited = measure_audit(
            self._people_rows(self._audit.tolist()), model, folds, task=task, kind=kind
        )
        truth = float((predicted == self._bench.truth[others]).mean())
        return truth, _told(audited.own), _told(folds.own)

    def _select(self, arm: str, model: LinearModel, count: int, *, number: int) -> list[int]:
        known = np.array([*self._by_people, *self._by_machine])
        rest = np.setdiff1d(self._pool, [*known, *self._audit])
        vectors = self._bench.vectors[rest]
        context = QueryContext(
            ids=[_name(row) for row in rest],
            rng=self._rng,
            round=number,
            sources={
                Capability.EMBEDDINGS: lambda: vectors,
                Capability.PROBS: lambda: model.predict_proba(vectors),
                Capability.GRADIENTS: lambda: model.gradients(vectors),
            },
            labelled_so_far=lambda: Labelled(
                embeddings=self._bench.vectors[known],
                classes=self._bench.truth[known],
                probabilities=model.predict_proba(self._bench.vectors[known]),
                ids=tuple(_name(row) for row in known),
            ),
        )
        name = self._by_rule(count, len(rest), number) if arm == "auto" else arm
        return [int(rest[place]) for place in get(name).query(context, count).indices]

    def _by_rule(self, count: int, left: int, number: int) -> str:
        counts = np.bincount(self._bench.truth[self._by_people], minlength=len(self._answers))
        evidence = SelectorEvidence(
            round=number,
            pool_left=left,
            batch=count,
            configured="auto",
            labels=dict(zip(self._answers.names, counts.tolist(), strict=True)),
            has_model=True,
            skill=_RIGHT if self._by_machine else None,
        )
        return rule(evidence).strategy

    def _labels(self, people: Sequence[int], machine: Sequence[int]) -> dict[ExampleId, Label]:
        truth, said = self._bench.truth, self._said
        found = {_name(row): self._label(row, int(truth[row]), "human") for row in people}
        return found | {
            _name(row): self._label(row, int(said[row].argmax()), "llm") for row in machine
        }

    def _label(self, row: int, place: int, source: str) -> Label:
        return Label(_name(row), self._answers.answers[place], source, "x", 1.0, 1.0, 0)  # type: ignore[arg-type]

    def _vectors(self, ids: Sequence[ExampleId]) -> FloatArray:
        return self._bench.vectors[[int(name[1:]) for name in ids]]

    def _people_rows(self, rows: Sequence[int] | None = None) -> PeoplesRows:
        labels = self._labels(self._by_people if rows is None else rows, [])
        return PeoplesRows.of(labels, answers=self._answers, vectors=self._vectors)

    def _rows(self) -> tuple[PeoplesRows, TrainingSet]:
        labels, people = self._labels(self._by_people, self._by_machine), self._people_rows()
        told = [self._annotation(row) for row in self._by_people + self._by_machine]
        known = Reliability(
            told if self._by_machine else [],
            list(labels.values()),
            seed={_name(row) for row in self._first},
            answers=self._answers,
        )
        return people, gather_training_set(
            labels, known, people=people, answers=self._answers, vectors=self._vectors
        )

    def _annotation(self, row: int) -> Annotation:
        chances = dict(zip(self._answers.names, map(float, self._said[row]), strict=True))
        best = Choice(max(chances, key=lambda name: chances[name]))
        return Annotation(_name(row), "llm:m", best, 0, chances, prompt_version="v")


def _name(row: int) -> ExampleId:
    return ExampleId(f"e{row:05}")


def _told(measure: Measure | None) -> _Told:
    assert measure is not None
    return measure.value, measure.low, measure.high


def _read(line: str) -> _Result:
    row = json.loads(line)
    name, arm, weak, seed = row["cell"]
    return _Result((name, arm, weak, seed), row["truth"], tuple(row["audit"]), tuple(row["folds"]))


def _as_table(done: Sequence[_Result]) -> str:
    """Write coverage, error and width of both estimates as Markdown."""
    cells: dict[tuple[str, str, bool], list[_Result]] = defaultdict(list)
    for result in done:
        cells[result.cell[:3]].append(result)
    lines = [
        "| data | selection | annotator | runs | audit | error | width | folds | error | width |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, arm, weak), results in sorted(cells.items(), key=lambda item: _place(item[0])):
        truth = np.array([result.truth for result in results])
        own = _judged(truth, [result.audit for result in results])
        former = _judged(truth, [result.folds for result in results])
        who = "weak" if weak else "none"
        lines.append(f"| {name} | {arm} | {who} | {len(results)} | {own} | {former} |")
    return "\n".join(lines)


def _place(cell: tuple[str, str, bool]) -> tuple[int, int, bool]:
    return list(_SETS).index(cell[0]), _ARMS.index(cell[1]), cell[2]


def _judged(truth: FloatArray, said: Sequence[_Told]) -> str:
    value, low, high = np.array(said).T
    held = int(((low <= truth) & (truth <= high)).sum())
    least, most = wilson(held, len(truth))
    error, width = 100 * (value - truth).mean(), 100 * (high - low).mean()
    return f"{held / len(truth):.0%} ({least:.0%}-{most:.0%}) | {error:+.1f} | {width:.0f}"


if __name__ == "__main__":
    main()
