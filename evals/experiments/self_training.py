"""Self-training: AcTune with and without its pseudo-labels, beside margin and random.

    python -m querist.evals.experiments.self_training --out docs/results/self_training

Simulated: every label is gold. All arms start from the same random labels, use the same MiniLM
vectors and the same linear head; a round's pseudo-labels go into that round's model as they do in
the loop (`querist.graph.round.pseudo_labels`). The score is accuracy on held-out rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from querist.agents.selector.strategies.ac_tune import Pseudo
from querist.evals.experiments.accuracy_per_dollar import data_folder
from querist.evals.experiments.label_efficiency import (
    Curve,
    Curves,
    Rows,
    Schedule,
    first_labels,
    load,
    read_curves,
    score,
)
from querist.graph.round.pseudo_labels import PseudoRows, self_train, weigh
from querist.memory.records import ExampleId
from querist.tools.opinions.training_set import TrainingSet
from querist.tools.strategies import get
from querist.tools.strategies.querying import Capability, QueryContext
from querist.tools.training.proxy import LinearHead, LinearModel

_DATASETS = ("trec6", "ag_news", "subj", "banking77")
ARMS: Mapping[str, tuple[str, bool]] = {
    "random": ("random", False),
    "margin": ("margin", False),
    "ac_tune without pseudo-labels": ("ac_tune", False),
    "ac_tune": ("ac_tune", True),
}
"""By name: the strategy, and whether its pseudo-labels are trained on."""
_SCHEDULE = Schedule(start=25, step=25, end=200)
_SHOWN = (50, 100, 200)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/self_training"))
    parser.add_argument("--datasets", nargs="+", default=list(_DATASETS))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for dataset in options.datasets:
        if not (data_folder() / dataset).is_dir():
            print(f"{dataset}: skipped, not in {data_folder()}", file=sys.stderr)
            continue
        rows = load(dataset, cache=options.out)
        for arm in ARMS:
            started = time.monotonic()
            for seed in range(options.seeds):
                path = options.out / f"{dataset}~{arm}~{seed}.json"
                if not path.exists():
                    path.write_text(json.dumps(_run(arm, rows, seed=seed)))
            seconds = time.monotonic() - started
            print(f"{dataset}: {arm}, {seconds:.0f} s", file=sys.stderr, flush=True)
    table = _as_table(read_curves(options.out))
    (options.out / "table.md").write_text(table)
    print(table)


def _run(arm: str, rows: Rows, *, seed: int) -> Curve:
    """Select, reveal and train until the schedule's end."""
    name, trains_on_pseudo = ARMS[arm]
    rng = np.random.default_rng(seed)
    chosen = first_labels(rows, _SCHEDULE, seed=seed)
    state: dict[str, NDArray[np.floating]] = {}
    pseudo: Pseudo | None = None
    curve: Curve = []
    while True:
        model = _train(rows, chosen, pseudo if trains_on_pseudo else None, seed=seed)
        guess = model.predict_proba(rows.test).argmax(axis=1)
        curve.append((len(chosen), score(guess, rows.test_truth, _SCHEDULE.metric)))
        if len(chosen) >= _SCHEDULE.end:
            return curve
        rest = np.setdiff1d(np.arange(len(rows.pool)), chosen)
        asked = _context_of(rows.pool[rest], rest, model, number=len(curve), rng=rng, state=state)
        result = get(name).query(asked, _SCHEDULE.step)
        chosen += rest[result.indices].tolist()
        pseudo = result.diagnostics.get("pseudo")


def _train(rows: Rows, chosen: Sequence[int], pseudo: Pseudo | None, *, seed: int) -> LinearModel:
    """Fit the linear head to gold labels, and to pseudo-labels if there are any."""
    known = np.array(chosen)
    targets = np.eye(rows.classes, dtype=np.float32)[rows.truth[known]]
    if pseudo is None or not pseudo.ids:
        return LinearHead().fit(rows.pool[known], targets, seed=seed)
    labelled = TrainingSet(
        ids=tuple(ExampleId(str(row)) for row in chosen),
        inputs=rows.pool[known],
        targets=targets,
        weights=np.ones(len(known)),
        human=np.arange(len(known)),
    )
    offered = rows.pool[[int(example_id) for example_id in pseudo.ids]]
    weights = weigh(len(pseudo.ids), labelled.weights)
    return self_train(labelled, PseudoRows(offered, pseudo.probabilities, weights), seed=seed)


def _context_of(
    vectors: NDArray[np.float32],
    rest: NDArray[np.intp],
    model: LinearModel,
    *,
    number: int,
    rng: np.random.Generator,
    state: dict[str, NDArray[np.floating]],
) -> QueryContext:
    """Show what is not labelled yet, as round `number` of a run does: its first model is of 0."""
    return QueryContext(
        ids=[ExampleId(str(row)) for row in rest],
        rng=rng,
        round=number,
        state=state,
        sources={
            Capability.EMBEDDINGS: lambda: vectors,
            Capability.PROBS: lambda: model.predict_proba(vectors),
        },
    )


def _as_table(curves: Curves) -> str:
    """Write mean accuracy in per cent ± its standard error, at a few label counts, as Markdown."""
    lines = ["| data set | labels | " + " | ".join(ARMS) + " |", "|---|---|" + "---|" * len(ARMS)]
    for dataset in _DATASETS:
        if not any(key[0] == dataset for key in curves):
            continue
        for labels in _SHOWN:
            cells = [_cell(curves.get((dataset, arm), []), labels) for arm in ARMS]
            lines.append(f"| {dataset} | {labels} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(curves: Sequence[Curve], labels: int) -> str:
    values = [100 * dict(curve)[labels] for curve in curves]
    if len(values) < 2:
        return "-" if not values else f"{values[0]:.1f}"
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.1f} ± {error:.1f}"


if __name__ == "__main__":
    main()
