"""Another library's active-learning loop: run by path, in an interpreter that has it.

    python label_efficiency.py ROWS.npz "modAL margin"

Prints one line of JSON: [[labels, predictions of the test rows], ...]. Knows nothing of Querist.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

_Step = Callable[[list[int]], tuple[Any, list[int]]]


def main() -> None:
    """Run the loop that the arguments name."""
    warnings.simplefilter("ignore")
    path, name = sys.argv[1:]
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    step, end, seed = (int(array) for array in arrays["schedule"])
    loop = {"modAL margin": _modal, "scikit-activeml margin": _skactiveml}[name]
    chosen = [int(array) for array in arrays["start"]]
    told = []
    while True:
        count = min(step, end - len(chosen))
        guess, picks = loop(arrays, chosen, count, seed)
        told.append([len(chosen), [int(label) for label in guess]])
        if count <= 0:
            break
        chosen = [*chosen, *picks]
    print(json.dumps(told))


def _regression(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=seed)


def _modal(arrays: Any, chosen: list[int], count: int, seed: int) -> tuple[Any, list[int]]:
    margin = importlib.import_module("modAL.uncertainty").margin_sampling
    learner = importlib.import_module("modAL.models").ActiveLearner(
        _regression(seed), margin, arrays["pool"][chosen], arrays["truth"][chosen]
    )
    guess = learner.predict(arrays["test"])
    if count <= 0:
        return guess, []
    rest = np.setdiff1d(np.arange(len(arrays["pool"])), chosen)
    picks, _ = learner.query(arrays["pool"][rest], n_instances=count)
    return guess, [int(row) for row in rest[picks]]


def _skactiveml(arrays: Any, chosen: list[int], count: int, seed: int) -> tuple[Any, list[int]]:
    truth = np.full(len(arrays["pool"]), np.nan)
    truth[chosen] = arrays["truth"][chosen]
    classes = np.unique(arrays["truth"])
    model = importlib.import_module("skactiveml.classifier").SklearnClassifier(
        _regression(seed), classes=classes, random_state=seed
    )
    model.fit(arrays["pool"], truth)
    guess = model.predict(arrays["test"])
    if count <= 0:
        return guess, []
    uncertainty = importlib.import_module("skactiveml.pool").UncertaintySampling
    sampling = uncertainty(method="margin_sampling", random_state=seed)
    picks = sampling.query(arrays["pool"], truth, model, fit_clf=False, batch_size=count)
    return guess, [int(pick) for pick in picks]


if __name__ == "__main__":
    main()
