"""What a weak annotator's labels are worth: people only, a trust grid, the label model.

    python -m querist.evals.experiments.label_model --cache FOLDER [--seeds 5]

People label n texts at random; an annotator whose accuracy is known labels 200 others and these. It
names the right class in a share of the texts and one drawn at random in the others, equally sure
either way. A linear head on MiniLM vectors is trained on both, and measured on held-out texts. The
trust grid is what Querist did before: one weight for all machine labels, of 0, 0.1, 0.3, 1 and 3,
chosen by how well people's labels are predicted in folds. Printed are means over the seeds, and in
brackets the mean difference to people only, with its 95 % t interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from querist.evals.experiments.label_efficiency import Rows, load
from querist.memory.records import Annotation, ExampleId, Label, LabelClass, Task
from querist.tools.compute.arrays import FloatArray, IntArray
from querist.tools.kinds import DEFAULT, answers_of
from querist.tools.opinions.beliefs import certainty
from querist.tools.opinions.reliability import Reliability
from querist.tools.opinions.training_set import PeoplesRows, gather_training_set
from querist.tools.training.proxy import LinearHead, LinearModel, cross_fit

_SETS = ("ag_news", "trec6", "sst2", "subj")
_ACCURACY = {"right on 85 %": 0.85, "right on 60 %": 0.6, "useless": 0.0}
_MACHINE = 200
_TRUSTS = (0.0, 0.1, 0.3, 1.0, 3.0)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="where vectors are kept")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    print("| data | by people | annotator | people only | trust grid | label model |")
    print("|---|---|---|---|---|---|")
    for name in _SETS:
        rows = load(name, cache=options.cache)
        for people in (50, 100):
            for words, accuracy in _ACCURACY.items():
                runs = [
                    _run(rows, people=people, accuracy=accuracy, seed=seed)
                    for seed in range(options.seeds)
                ]
                cells = [f"{np.mean([run[0] for run in runs]):.3f}"]
                cells += [_against(runs, arm) for arm in (1, 2)]
                print(f"| {name} | {people} | {words} | {' | '.join(cells)} |", flush=True)


def _against(runs: Sequence[tuple[float, ...]], arm: int) -> str:
    from scipy.stats import t

    gains = np.array([run[arm] - run[0] for run in runs])
    half = t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    return f"{np.mean([run[arm] for run in runs]):.3f} ({gains.mean():+.3f} ± {half:.3f})"


def _run(rows: Rows, *, people: int, accuracy: float, seed: int) -> tuple[float, ...]:
    """Give the accuracy of each arm."""
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(rows.pool))[: people + _MACHINE]
    vectors, truth = rows.pool[picked], rows.truth[picked]
    said = annotate(truth, rows.classes, accuracy, rng)
    arms: list[Callable[[], LinearModel]] = [
        lambda: LinearHead().fit(vectors[:people], np.eye(rows.classes)[truth[:people]], seed=seed),
        lambda: _by_trust(vectors, truth, said, people, seed=seed),
        lambda: _by_label_model(vectors, truth, said, people, seed=seed),
    ]
    return tuple(
        float((arm().predict_proba(rows.test).argmax(axis=1) == rows.test_truth).mean())
        for arm in arms
    )


def annotate(
    truth: IntArray, classes: int, accuracy: float, rng: np.random.Generator
) -> FloatArray:
    """Say something of each text: chances (N, C)."""
    named = np.where(
        rng.random(len(truth)) < accuracy, truth, rng.integers(classes, size=len(truth))
    )
    scores = rng.normal(size=(len(truth), classes)) * 0.5
    scores[np.arange(len(truth)), named] += 2.0
    chances = np.exp(scores)
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def _reliability(
    truth: IntArray, said: FloatArray, people: int
) -> tuple[Reliability, dict[ExampleId, Label], Task]:
    task = Task("t", DEFAULT.name, tuple(LabelClass(f"c{n}") for n in range(said.shape[1])))
    answers = answers_of(task)
    ids = [ExampleId(f"e{row:04}") for row in range(len(truth))]
    told = [
        Annotation(
            example,
            "llm:m",
            answers.answers[int(chances.argmax())],
            0,
            dict(zip(answers.names, map(float, chances), strict=True)),
            prompt_version="v",
        )
        for example, chances in zip(ids, said, strict=True)
    ]
    labels = {
        example: Label(
            example,
            answers.answers[int(truth[row] if row < people else said[row].argmax())],
            "human" if row < people else "llm",
            "x",
            1.0,
            1.0,
            0,
        )
        for row, example in enumerate(ids)
    }
    known = Reliability(told, list(labels.values()), seed=set(ids[:people]), answers=answers)
    return known, labels, task


def _by_label_model(
    vectors: FloatArray, truth: IntArray, said: FloatArray, people: int, *, seed: int
) -> LinearModel:
    known, labels, task = _reliability(truth, said, people)
    place = {example: row for row, example in enumerate(labels)}
    answers = answers_of(task)

    def vectors_of(ids: Sequence[ExampleId]) -> FloatArray:
        return vectors[[place[example] for example in ids]]

    people_rows = PeoplesRows.of(labels, answers=answers, vectors=vectors_of)
    rows = gather_training_set(
        labels, known, people=people_rows, answers=answers, vectors=vectors_of
    )
    return LinearHead().fit(rows.inputs, rows.targets, weights=rows.weights, seed=seed)


def _by_trust(
    vectors: FloatArray, truth: IntArray, said: FloatArray, people: int, *, seed: int
) -> LinearModel:
    known, labels, _ = _reliability(truth, said, people)
    targets = np.stack([known.calibrated[example] for example in labels])
    targets[:people] = np.eye(said.shape[1])[truth[:people]]
    is_human = np.arange(len(truth)) < people
    losses = []
    for trust in _TRUSTS:
        weights = np.where(is_human, 1.0, trust * certainty(targets))
        predicted = cross_fit(
            vectors, targets, weights=weights, folds=5, score_rows=np.arange(people)
        )
        losses.append(-np.log(predicted[np.arange(people), truth[:people]] + 1e-9).mean())
    best = _TRUSTS[int(np.argmin(losses))]
    weights = np.where(is_human, 1.0, best * certainty(targets))
    return LinearHead().fit(vectors, targets, weights=weights, seed=seed)


if __name__ == "__main__":
    main()
